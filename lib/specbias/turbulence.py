"""Decaying turbulence in two dimensions: a field with structure at every scale, from an equation.

The flow is incompressible, on the square [0, 2π)², periodic in ``x`` (the first axis of every array) and in
``y`` (the second). With the streamfunction ``ψ`` the velocity is ``(ψ_y, -ψ_x)`` and the vorticity ``ω``
obeys

    ω_t + ψ_y ω_x - ψ_x ω_y = ν ∇²ω,    ∇²ψ = -ω,    ν = 1 / reynolds

(Ng, Wang & Lai 2024, section 4.2, eqs 11 and 12). Space is spectral. The modes kept are those with
``|kx| < resolution / 3`` and ``|ky| < resolution / 3`` (the 2/3 rule, a square mask), so products have no
aliasing error and the flow without viscosity keeps its energy and enstrophy, but for the error of the time
steps. Those are of Heun's third-order Runge–Kutta method, in the variables in which viscosity drops out
(integrating factor), so that viscosity alone is exact. All quantities are without units. Transforms take one
thread, or as many as ``scipy.fft.set_workers`` says.
"""

from __future__ import annotations

import numpy as np
import scipy.fft
import xarray as xr
from numpy.typing import ArrayLike
from tqdm.auto import tqdm

from specbias._checks import check_choice, check_count, check_positive, check_real, check_seed

# Energy by length of the wave vector, in units of the peak, up to a factor.
SPECTRA = {"mcwilliams": lambda k: k / (1 + k**4), "smooth": lambda k: k**7 * np.exp(-3.5 * k**2)}


def decaying_turbulence(
    resolution: int = 512, reynolds: float = 2000.0, time: float = 1.25, *,
    seed: int = 0, spectrum: str = "mcwilliams", peak: float = 6.0, energy: float = 0.5, cutoff: int = 170,
    cfl: float = 0.5, max_step: float | None = None, progress: bool = False,
) -> xr.Dataset:  # fmt: skip
    """A snapshot of decaying turbulence: :func:`evolve` from :func:`initial_vorticity`.

    Parameters
    ----------
    resolution, seed, spectrum, peak, energy, cutoff
        Of the initial field: see :func:`initial_vorticity`.
    reynolds, time, cfl, max_step, progress
        Of its evolution: see :func:`evolve`.

    Returns
    -------
    xarray.Dataset
        As of :func:`evolve`; the settings of the initial field are in its attributes too.

    Raises
    ------
    ValueError, TypeError
        If an argument is impossible; the message names it.

    Examples
    --------
    >>> flow = decaying_turbulence(32, reynolds=100, time=0.1, spectrum="smooth", peak=3, cutoff=10)
    >>> round(float(flow.energy[0]), 12), bool(flow.energy[-1] < 0.5)
    (0.5, True)
    """
    initial = dict(seed=seed, spectrum=spectrum, peak=peak, energy=energy, cutoff=cutoff)
    steps = dict(cfl=cfl, max_step=max_step, progress=progress)
    return evolve(initial_vorticity(resolution, **initial), reynolds, time, **steps).assign_attrs(initial)


def initial_vorticity(
    resolution: int = 512, *,
    seed: int = 0, spectrum: str = "mcwilliams", peak: float = 6.0, energy: float = 0.5, cutoff: int = 170,
) -> np.ndarray:  # fmt: skip
    """Vorticity of a random isotropic flow, the same flow on every grid.

    Every wave vector ``k`` of length up to ``cutoff`` has the energy ``E(|k|) / (2 pi |k|)``, to one common
    factor, and a random phase. Only the phases are random. They are drawn in rings of growing
    ``max(|kx|, |ky|)``, so they depend on neither the grid nor ``cutoff``. A grid that is too coarse for
    some of the modes (those that :func:`evolve` would drop there) holds the others, unchanged.

    Parameters
    ----------
    resolution : int
        Samples along each axis: even, at least 4.
    seed : int
        Not negative.
    spectrum : {"mcwilliams", "smooth"}
        Energy ``E`` by wavenumber, for ``s = k / peak``. ``"mcwilliams"``: ``s / (1 + s⁴)``, largest at
        ``0.76 peak``, with a tail ``k⁻³`` up to ``cutoff`` (McWilliams, J. Fluid Mech. 146 (1984) 21).
        ``"smooth"``: ``s⁷ exp(-3.5 s²)``, largest at ``peak``; amplitudes are round-off from ``5 peak``.
    peak : float
        From 1 to ``cutoff`` and to the largest wavenumber of the grid, ``(resolution - 1) // 3``.
    energy : float
        Mean of ``|u|² / 2`` over the square, of all modes up to ``cutoff``; a grid too coarse for some has
        less: with the default settings 0.2 % on 256² points, 1 % on 128².
    cutoff : int
        Length of the longest wave vector. By default the largest wavenumber of 512² points.

    Returns
    -------
    ndarray, shape (resolution, resolution), float64
        At ``x = 2 pi i / resolution`` and ``y = 2 pi j / resolution``.

    Raises
    ------
    ValueError, TypeError
        If an argument is impossible; the message names it.

    Examples
    --------
    >>> fine = initial_vorticity(96, spectrum="smooth", peak=2)
    >>> bool(np.allclose(fine[::2, ::2], initial_vorticity(48, spectrum="smooth", peak=2), atol=1e-10))
    True
    """
    resolution = _check_resolution("resolution", resolution)
    shape = SPECTRA[check_choice("spectrum", spectrum, SPECTRA)]
    peak, energy = check_positive("peak", peak), check_positive("energy", energy)
    cutoff = check_count("cutoff", cutoff)
    largest = min((resolution - 1) // 3, cutoff)
    if not 1 <= peak <= largest:
        limits = f"from 1 to {largest} for resolution {resolution} and cutoff {cutoff}"
        raise ValueError(f"peak must be {limits}, got {peak}")

    along = np.arange(-cutoff, cutoff + 1)
    kx, ky = (axis.ravel() for axis in np.meshgrid(along, along[cutoff:], indexing="ij"))
    rings = np.lexsort((ky, kx, np.maximum(abs(kx), ky)))
    one_of_pair = rings[((ky > 0) | (kx > 0))[rings]]
    kx, ky = kx[one_of_pair], ky[one_of_pair]
    phases = np.random.default_rng(check_seed("seed", seed)).uniform(0, 2 * np.pi, kx.size)

    length = np.hypot(kx, ky)
    energies = np.where(length <= cutoff, shape(length / peak) / length, 0)  # of a mode and its conjugate
    coefficients = length * np.sqrt(energies * energy / energies.sum()) * np.exp(1j * phases)
    here = np.maximum(abs(kx), ky) <= largest
    spectral = np.zeros((resolution, resolution // 2 + 1), complex)
    spectral[kx[here], ky[here]] = coefficients[here]
    here &= ky == 0
    spectral[-kx[here], 0] = coefficients[here].conj()
    return scipy.fft.irfft2(spectral, (resolution, resolution), norm="forward")


def evolve(
    vorticity: ArrayLike, reynolds: float, time: float, *,
    cfl: float = 0.5, max_step: float | None = None, progress: bool = False,
) -> xr.Dataset:  # fmt: skip
    """Follow a flow from a given vorticity for some time.

    Parameters
    ----------
    vorticity : array_like, shape (n, n)
        At ``x = 2 pi i / n`` (first axis) and ``y = 2 pi j / n``; ``n`` even, at least 4. Its mean must be 0,
        to round-off. Modes with ``|kx|`` or ``|ky|`` of at least ``n / 3`` are dropped at the start.
    reynolds : float
        Inverse of the viscosity.
    time : float
        How long. The last step is shortened to end there.
    cfl : float
        Each step is ``cfl`` grid spacings over the largest ``|u| + |v|`` at its start; at most 0.8, where
        the method is still stable.
    max_step : float, optional
        No step is longer.
    progress : bool
        Show a progress bar.

    Returns
    -------
    xarray.Dataset
        ``streamfunction`` (of mean 0) and ``vorticity`` at the end, over ``(x, y)``, float64; ``energy``
        (mean of ``|u|² / 2``) and ``enstrophy`` (mean of ``ω² / 2``) over ``moment``, the times of the steps
        from 0 to ``time``. Attributes: the arguments (``max_step`` is infinite where none was given),
        ``resolution``, and ``steps``, their number.

    Raises
    ------
    ValueError, TypeError
        If an argument is impossible; the message names it.

    Examples
    --------
    Waves of one length do not stir each other; they decay as ``exp(-k² t / reynolds)``.

    >>> x, y = np.meshgrid(*2 * [2 * np.pi * np.arange(16) / 16], indexing="ij")
    >>> flow = evolve(np.cos(x) * np.cos(y), reynolds=10, time=1)
    >>> bool(np.allclose(flow.vorticity, np.exp(-2 / 10) * np.cos(x) * np.cos(y), rtol=0, atol=1e-14))
    True
    """
    vorticity = _check_square("vorticity", vorticity)
    n = _check_resolution("resolution of vorticity", len(vorticity))
    if abs(vorticity.mean()) > 1e-12 * np.abs(vorticity).max():
        raise ValueError(f"vorticity must have mean 0, got {vorticity.mean():g}")
    reynolds, time = check_positive("reynolds", reynolds), check_positive("time", time)
    if check_positive("cfl", cfl) > 0.8:  # rates i sqrt(3) / step are just stable: 0.82 for the modes kept
        raise ValueError(f"cfl must be at most 0.8, where steps are stable, got {cfl}")
    max_step = np.inf if max_step is None else check_positive("max_step", max_step)
    settings = dict(resolution=n, reynolds=reynolds, time=time, cfl=float(cfl), max_step=max_step)

    kx, ky = scipy.fft.fftfreq(n, 1 / n)[:, None], np.arange(n // 2 + 1.0)
    squared = kx**2 + ky**2
    kept = 1.0 * ((abs(kx) < n / 3) & (ky < n / 3) & (squared > 0))
    inverse = kept / np.maximum(squared, 1)
    to_gradients = np.stack([1j * ky * inverse, -1j * kx * inverse, 1j * kx * kept, 1j * ky * kept])
    both = np.where(ky > 0, 2, 1) * kept  # modes for which a coefficient stands

    def to_grid(coefficients: np.ndarray) -> np.ndarray:
        return scipy.fft.irfft2(coefficients, (n, n), norm="forward", overwrite_x=True)

    def rate(state: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Advection of the vorticity, and the velocity."""
        u, v, by_x, by_y = to_grid(to_gradients * state)
        return -kept * scipy.fft.rfft2(u * by_x + v * by_y, norm="forward"), u, v

    def record(moment: float, state: np.ndarray) -> None:
        power = both * (state.real**2 + state.imag**2)
        history.append((moment, np.vdot(power, inverse) / 2, power.sum() / 2))

    state = kept * scipy.fft.rfft2(vorticity, norm="forward")
    moment, history = 0.0, []
    record(moment, state)
    layout = "{percentage:3.0f}%|{bar}| t = {n:.3f} [{elapsed}<{remaining}]"
    with tqdm(total=time, bar_format=layout, leave=False, disable=not progress) as bar:
        while moment < time:
            first, u, v = rate(state)
            speed = (np.abs(u) + np.abs(v)).max()
            step = min(max_step, cfl * 2 * np.pi / n / speed if speed > 0 else np.inf)
            last = time - moment <= step * (1 + 1e-9)  # round-off must not leave another step
            step = time - moment if last else step
            decay = np.exp(squared * (-step / 3 / reynolds))
            second = rate(decay * (state + step / 3 * first))[0]
            third = rate(decay * (decay * state + 2 / 3 * step * second))[0]
            state = decay * (decay**2 * (state + step / 4 * first) + 3 / 4 * step * third)
            moment = time if last else moment + step
            record(moment, state)
            bar.update(step)

    axis, plane = 2 * np.pi * np.arange(n) / n, ("x", "y")
    moments, energy, enstrophy = np.array(history).T
    fields = {"streamfunction": (plane, to_grid(state * inverse)), "vorticity": (plane, to_grid(state))}
    return xr.Dataset(
        fields | {"energy": ("moment", energy), "enstrophy": ("moment", enstrophy)},
        coords={"x": axis, "y": axis, "moment": moments},
        attrs=settings | {"steps": len(moments) - 1},
    )


def resample(field: ArrayLike, resolution: int) -> np.ndarray:
    """A periodic field on a finer or coarser grid, by its trigonometric interpolant.

    A finer grid gets no new modes. A coarser one loses those that it cannot hold; it gets no alias of them.
    The alternating mode of an even grid is taken for a cosine along each axis, half of it at either sign.

    Parameters
    ----------
    field : array_like, shape (n, n)
    resolution : int
        Samples along each axis of the new grid, whose first sample is that of the old one.

    Returns
    -------
    ndarray, shape (resolution, resolution), float64

    Raises
    ------
    ValueError, TypeError
        If ``field`` is not a square of finite real numbers, or ``resolution`` not a whole number from 1.

    Examples
    --------
    >>> resample([[0, 1], [0, 1]], 4).round(12)[0].tolist()
    [0.0, 0.5, 1.0, 0.5]
    """
    field = _check_square("field", field)
    n, new = len(field), check_count("resolution", resolution)
    shorter = min(n, new)
    for axis in (0, 1):
        old = scipy.fft.rfft(field, axis=axis, norm="forward").swapaxes(0, axis)
        modes = np.zeros((new // 2 + 1, old.shape[1]), complex)
        modes[: shorter // 2 + 1] = old[: shorter // 2 + 1]
        if shorter % 2 == 0 and n != new:
            modes[shorter // 2] *= 2 if new < n else 0.5  # both signs meet in one mode, or part again
        field = scipy.fft.irfft(modes, new, axis=0, norm="forward").swapaxes(0, axis)
    return field


def _check_square(name: str, field: ArrayLike) -> np.ndarray:
    field = check_real(name, field)
    if field.ndim != 2 or field.shape[0] != field.shape[1] or not field.size:
        raise ValueError(f"{name} must be square, (n, n), got shape {field.shape}")
    return field


def _check_resolution(name: str, resolution: int) -> int:
    if check_count(name, resolution) < 4 or resolution % 2:
        raise ValueError(f"{name} must be even and at least 4, got {resolution}")
    return int(resolution)
