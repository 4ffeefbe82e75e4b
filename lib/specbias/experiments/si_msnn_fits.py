"""What limits a spectrum-informed stage, and what each of its published choices does."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import numpy as np
import torch
import xarray as xr
from tqdm.auto import tqdm

from specbias.multistage.features import AbsorbedLayer
from specbias.multistage.minimizers import minimize
from specbias.multistage.published import fit_published
from specbias.multistage.spectral_network import SpectralNetwork
from specbias.multistage.stages import rms
from specbias.multistage.transforms import GridTransform, Lattice
from specbias.multistage.waves import choose_modes, fit_waves, start
from specbias.training.threads import own_threads
from specbias.turbulence import decaying_turbulence

PARTS = (0.25, 0.5, 1.0)  # of a search, where its residue is noted


def stage_limits(
    *, flows: Mapping[str, Mapping], features: Sequence[int],
    searches: Mapping[str, Mapping], seeds: int, seed: int, progress: bool = True,
) -> xr.Dataset:  # fmt: skip
    """How far one stage gets, by the number of its modes, the search and its start.

    Parameters
    ----------
    flows
        Name -> parameters of :func:`specbias.turbulence.decaying_turbulence`.
    searches
        Name -> ``optimizer`` (``"gauss-newton"`` or one of the minimizers), ``kind`` of start, ``max_iter``.

    Returns
    -------
    xarray.Dataset
        ``size (flow, search, features, seed, part)``: rms of the residue by that of the target after these
        parts of the iterations; ``seconds``; ``outside (flow, features)``: what a Fourier series of these
        modes leaves.
    """
    names, ways = list(flows), list(searches)
    shape = (len(names), len(ways), len(features), seeds)
    size, seconds = np.full((*shape, len(PARTS)), np.nan), np.full(shape, np.nan)
    outside = np.full((len(names), len(features)), np.nan)
    with tqdm(total=int(np.prod(shape)), unit="fit", disable=not progress) as bar:
        for a, name in enumerate(names):
            field = decaying_turbulence(**flows[name]).streamfunction.values
            goal, lattice = field / field.std(), Lattice.square(len(field))
            for c, count in enumerate(features):
                outside[a, c] = choose_modes(goal, count)[1]
                for b, way in enumerate(ways):
                    for d in range(seeds):
                        began = time.perf_counter()
                        size[a, b, c, d] = _one_search(goal, lattice, count, dict(searches[way]), seed + d)
                        seconds[a, b, c, d] = time.perf_counter() - began
                        bar.update()
    over = ("flow", "search", "features", "seed")
    return xr.Dataset(
        {
            "size": ((*over, "part"), size),
            "seconds": (over, seconds),
            "outside": (("flow", "features"), outside),
        },
        {"flow": names, "search": ways, "features": list(features), "seed": np.arange(seed, seed + seeds),
         "part": list(PARTS)},
    )  # fmt: skip


@own_threads()
def _one_search(goal: np.ndarray, lattice: Lattice, count: int, search: dict, seed: int) -> np.ndarray:
    """Sizes of the residue after `PARTS` of the iterations."""
    generator, hidden = np.random.default_rng(seed), (30, 30, 30)
    optimizer, kind, max_iter = (search[key] for key in ("optimizer", "kind", "max_iter"))
    if optimizer == "gauss-newton":
        _, found = fit_waves(
            goal, lattice, hidden, generator, features=count, kind=kind, max_iter=max_iter, patience=max_iter
        )
    else:
        modes, _ = choose_modes(goal, count)
        layer = AbsorbedLayer(GridTransform(lattice, modes.wavenumbers), hidden[0])
        network, wanted = SpectralNetwork(layer, hidden), torch.from_numpy(goal.ravel())
        first = start(network, modes, wanted, generator, kind).numpy()
        found = minimize(network.as_function(wanted), first, optimizer, max_iter=max_iter)
    at = (np.array(PARTS) * max_iter).round().astype(int)
    return np.sqrt(2 * found.history[np.minimum(at, len(found.history) - 1)])


def ablations(
    *, resolution: int, flow: Mapping, features: int, variants: Mapping[str, Mapping], seeds: int, seed: int,
    progress: bool = True,
) -> xr.Dataset:  # fmt: skip
    """One published stage on a small flow, with one of its choices changed at a time.

    Parameters
    ----------
    flow
        Of :func:`specbias.turbulence.decaying_turbulence`.
    variants
        Name -> ``train``, ``power``, ``optimizer`` and ``max_iter`` of `fit_published`.

    Returns
    -------
    xarray.Dataset
        ``size``, ``largest`` and ``seconds`` over ``(variant, seed)``: of the residue, by the target's rms.
    """
    field = decaying_turbulence(resolution, **flow).streamfunction.values
    goal = field / field.std()
    lattice = Lattice.square(resolution)
    found = np.full((3, len(variants), seeds), np.nan)
    with tqdm(total=len(variants) * seeds, unit="fit", disable=not progress) as bar:
        for row, settings in enumerate(variants.values()):
            for number in range(seeds):
                began = time.perf_counter()
                network, minimum = fit_published(
                    goal, lattice, (30, 30, 30), np.random.default_rng(seed + number), features=features,
                    **settings,
                )  # fmt: skip
                left = goal.ravel() - network.predict(minimum.x, lattice.points())
                found[:, row, number] = rms(left), np.abs(left).max(), time.perf_counter() - began
                bar.update()
    over = ("variant", "seed")
    return xr.Dataset(
        {key: (over, values) for key, values in zip(("size", "largest", "seconds"), found, strict=True)},
        {"variant": list(variants), "seed": np.arange(seed, seed + seeds)},
    )
