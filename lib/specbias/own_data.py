"""A reader's own data: a CSV file in, a fit in stages out, beside classical methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.interpolate import RBFInterpolator, make_smoothing_spline

from specbias.multistage.stages import rms

__all__ = ["classical_errors", "judgement", "read_table", "split"]

NEIGHBOURS = 50  # of a radial-basis interpolation with many points
FEWEST = 10


def read_table(path: str | Path, inputs: Sequence[str] = (), output: str = "") -> pd.DataFrame:
    r"""Read a CSV file with a header: the inputs' columns first, the output's last.

    Parameters
    ----------
    path
        The file. Separators of commas, semicolons, tabs and blanks are found out.
    inputs, output
        Names of columns. Without them the last column is the output, and all others are inputs.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        For a column that is not there or not of numbers, for missing values (the message names the first
        line), fewer than ten lines, or no input.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "mine.csv"
    >>> _ = path.write_text("t;height\n" + "".join(f"{t / 10};{t * t}\n" for t in range(12)))
    >>> read_table(path).columns.tolist()
    ['t', 'height']
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"file: there is no {path.resolve()}; name a CSV file")
    frame = pd.read_csv(path, sep=None, engine="python", skipinitialspace=True)
    output = output or str(frame.columns[-1])
    inputs = list(inputs) or [str(name) for name in frame.columns if name != output]
    for name in (*inputs, output):
        if name not in frame:
            raise ValueError(f"{path}: there is no column {name!r}; there are: {', '.join(map(str, frame))}")
    if not inputs or output in inputs:
        raise ValueError(f"{path}: there must be an input beside the output {output!r}")
    frame = frame[[*inputs, output]]
    for name in frame:
        if not pd.api.types.is_numeric_dtype(frame[name]):
            raise ValueError(f"{path}: column {name!r} is not of numbers, it has {frame[name].iloc[0]!r}")
    bad = ~np.isfinite(frame.to_numpy(float)).all(axis=1)
    if bad.any():
        raise ValueError(f"{path}: line {bad.argmax() + 2} has a missing or infinite value; leave it out")
    if len(frame) < FEWEST:
        raise ValueError(f"{path} has {len(frame)} lines, at least {FEWEST} are needed")
    return frame


def split(frame: pd.DataFrame, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the lines to fit, and of a random share to test with; of one input the ends are fitted.

    Examples
    --------
    >>> fit, test = split(pd.DataFrame({"x": range(20), "y": range(20)}), 0.25, 0)
    >>> len(fit), len(test), {0, 19} <= set(fit.tolist())
    (15, 5, True)
    """
    order = np.random.default_rng(seed).permutation(len(frame))
    if frame.shape[1] == 2:  # beyond the last point every method would guess
        x = frame.iloc[:, 0].to_numpy()
        order = order[~np.isin(order, (x.argmin(), x.argmax()))]
    test = np.sort(order[: round(share * len(frame))])
    return np.setdiff1d(np.arange(len(frame)), test), test


def classical_errors(
    x: np.ndarray, y: np.ndarray, x_test: np.ndarray, y_test: np.ndarray
) -> dict[str, float]:
    """Root mean square errors at test points of methods without any network.

    A straight line or plane by least squares, interpolation by thin-plate splines, and with one input a
    smoothing spline whose smoothness is found by generalized cross-validation.

    Parameters
    ----------
    x, x_test
        ``(n, d)``.
    y, y_test
        ``(n,)``.
    """
    design, at_test = (np.column_stack([np.ones(len(points)), points]) for points in (x, x_test))
    found = {"straight line" if x.shape[1] == 1 else "plane": at_test @ np.linalg.lstsq(design, y)[0]}
    if x.shape[1] == 1:
        places, same = np.unique(x[:, 0], return_inverse=True)
        means = np.bincount(same, y) / np.bincount(same)
        if len(places) >= 5:
            found["smoothing spline"] = make_smoothing_spline(places, means)(x_test[:, 0])
    scale = np.where(np.ptp(x, axis=0) > 0, np.ptp(x, axis=0), 1.0)
    neighbours = NEIGHBOURS if len(x) > 5 * NEIGHBOURS else None
    try:
        spline = RBFInterpolator(x / scale, y, neighbors=neighbours)
        found["thin-plate spline"] = spline(x_test / scale)
    except np.linalg.LinAlgError:  # points that come twice
        pass
    return {name: rms(values - y_test) for name, values in found.items()}


def judgement(tested: np.ndarray, rivals: Mapping[str, float]) -> tuple[str, str]:
    """The best of the other methods, and in words whether the network is nearer to the lines put aside.

    Parameters
    ----------
    tested
        ``(stages + 1,)``, the network's error there before the first stage and after each.
    rivals
        Error of each other method there.

    Examples
    --------
    >>> judgement(np.array([1.0, 1e-3]), {"plane": 0.5, "thin-plate spline": 2e-3})
    ('thin-plate spline', 'the network is nearer')
    """
    best = min(rivals, key=rivals.get)
    return best, "the network is nearer" if tested[-1] < rivals[best] else "no network is needed"
