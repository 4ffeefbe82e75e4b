"""Fitted multistage regressors in ``.npz`` files: arrays and a line of JSON, nothing that is executed."""

from __future__ import annotations

import io
import json
import zipfile
from os import PathLike
from pathlib import Path

import numpy as np

from specbias._files import whole_file
from specbias.multistage.networks import StageNetwork
from specbias.multistage.stages import Stage
from specbias.multistage.waves import WaveNetwork

FORMAT = 2
ARRAYS = ("center_", "halfwidth_", "residual_rms_", "validation_rms_")
PLAIN = ("n_features_in_", "n_iter_", "stopped_", "initialization_")


def write(model, path: str | PathLike) -> None:
    """Write a fitted regressor; a file that is there is replaced at the end, as a whole."""
    settings = model.get_params()
    settings["hidden"] = list(model.hidden)
    if not isinstance(model.features, str) and np.ndim(model.features):
        settings["features"] = [int(count) for count in model.features]
    if not isinstance(model.random_state, (int, np.integer, type(None))):
        settings["random_state"] = None  # the state of a generator is not a setting
    told = {"format": FORMAT, "parameters": settings, "stages": [_told(stage) for stage in model.stages_]}
    told |= {key: getattr(model, key) for key in PLAIN}
    names = getattr(model, "feature_names_in_", None)
    told["feature_names_in_"] = None if names is None else [str(name) for name in names]
    arrays = {f"row{k}": stage.parameters for k, stage in enumerate(model.stages_)}
    arrays |= {f"history{k}": stage.history for k, stage in enumerate(model.stages_)}
    arrays |= {
        f"waves{k}": stage.network.wavenumbers for k, stage in enumerate(model.stages_) if _has_waves(stage)
    }
    arrays |= {
        f"base{k}": stage.network.base
        for k, stage in enumerate(model.stages_)
        if _has_waves(stage) and stage.network.base is not None
    }
    arrays |= {key: getattr(model, key) for key in ARRAYS}
    line = json.dumps(told, default=lambda number: number.item())  # numbers of NumPy
    with whole_file(Path(path)) as temporary, open(temporary, "wb") as file:
        np.savez(file, told=np.array(line), **arrays)


def read(kind: type, path: str | PathLike):
    """Read what `write` has written as an instance of ``kind``; errors as in ``MultistageRegressor.load``."""
    held = io.BytesIO(Path(path).read_bytes())
    try:
        with zipfile.ZipFile(held) as file:
            if damaged := file.testzip():
                raise ValueError(f"{damaged} is damaged")
        held.seek(0)
        with np.load(held, allow_pickle=False) as file:
            arrays = dict(file)
        return _fitted(kind, json.loads(str(arrays["told"])), arrays)
    except Exception as error:  # there is no end to the ways in which a foreign file can be wrong
        raise ValueError(f"path: {path} holds no {kind.__name__}: {error!r}") from error


def _has_waves(stage: Stage) -> bool:
    return isinstance(stage.network, WaveNetwork)


def _told(stage: Stage) -> dict:
    return {
        "inputs": stage.network.inputs, "hidden": list(stage.network.hidden), "first": stage.network.first,
        "scale": stage.network.scale, "size": stage.size, "frequency": stage.frequency,
        "iterations": stage.iterations, "evaluations": stage.evaluations, "reason": stage.reason,
        "seconds": stage.seconds,
    }  # fmt: skip


def _fitted(kind: type, told: dict, arrays: dict[str, np.ndarray]):
    if told["format"] != FORMAT:
        raise ValueError(f"its format is {told['format']}, not {FORMAT}")
    model = kind(**told["parameters"] | {"hidden": tuple(told["parameters"]["hidden"])})
    model.stages_ = [_stage(one, k, arrays) for k, one in enumerate(told["stages"])]
    for key in ARRAYS:
        setattr(model, key, arrays[key])
    for key in PLAIN:
        setattr(model, key, told[key])
    if told["feature_names_in_"] is not None:
        model.feature_names_in_ = np.array(told["feature_names_in_"], dtype=object)
    inputs = {model.n_features_in_, len(model.center_), len(model.halfwidth_)}
    if len(inputs | {stage.network.inputs for stage in model.stages_}) > 1:
        raise ValueError("its parts differ in the number of inputs")
    return model


def _stage(told: dict, number: int, arrays: dict[str, np.ndarray]) -> Stage:
    made = [told.pop(key) for key in ("inputs", "hidden", "first", "scale")]
    if made[2] == "waves":
        base = arrays.get(f"base{number}")
        network = WaveNetwork(arrays[f"waves{number}"], tuple(made[1]), base)
    else:
        network = StageNetwork(made[0], tuple(made[1]), *made[2:])
    row = arrays[f"row{number}"]
    if row.shape != (network.size,):
        raise ValueError(f"stage {number + 1} has {network.size} parameters, its row {row.shape}")
    return Stage(network=network, parameters=row, history=arrays[f"history{number}"], **told)
