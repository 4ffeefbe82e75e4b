"""What does a gradient of a spectrum-informed network cost, and how long does machine precision take?

    python benchmarks/si_msnn.py
    python benchmarks/si_msnn.py --quick --json si_msnn.json
    python benchmarks/si_msnn.py --json results/benchmarks/si_msnn.json   (the chapter's table)

Loss and gradient of a network with 2500 waves, 3 x 30 tanh units, float64, on 256 x 256 points:

dense                the waves at all points times their weights, in pieces that fit into memory
non-uniform FFT      finufft's third type: any waves, any points
FFT                  whole waves on the grid

and one product with the Jacobian and one with its transpose in single precision, an iteration of
Gauss-Newton's conjugate gradients. Before anything is timed, the three gradients are compared to 1e-10.

Then fits of decaying turbulence (Re 2000, t = 1.25) until 1e-15 of its root mean square, on the grid, and
everywhere (fitted on a grid twice as fine), with the largest memory of the process.
"""

from __future__ import annotations

import resource
import time

import numpy as np
import torch
from _timing import parser, read_options, write_json

from specbias.multistage import MultistageRegressor
from specbias.multistage.features import AbsorbedLayer
from specbias.multistage.spectral_network import SpectralNetwork
from specbias.multistage.transforms import DenseTransform, GridTransform, Lattice, NonuniformTransform
from specbias.spectra import largest_modes
from specbias.training.threads import own_threads
from specbias.turbulence import decaying_turbulence, resample

WAVES, HIDDEN = 2500, (30, 30, 30)


def fastest(function, rounds: int) -> float:
    """Seconds of the fastest of some calls, after one that does not count."""
    function()
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        function()
        took.append(time.perf_counter() - began)
    return min(took)


@own_threads()
def gradients(resolution: int, rounds: int) -> dict[str, float]:
    """Seconds of one loss and gradient by each transform, and of one iteration of conjugate gradients."""
    field = decaying_turbulence(resolution).streamfunction.values
    modes = largest_modes(field, WAVES)
    lattice = Lattice.square(resolution)
    points, waves = lattice.points(), modes.wavenumbers.astype(float)
    transforms = {
        "FFT": GridTransform(lattice, modes.wavenumbers),
        "non-uniform FFT": NonuniformTransform(points, waves),
        "dense": DenseTransform(points, waves),
    }
    goal = torch.from_numpy(field.ravel() / field.std())
    seconds, found = {}, {}
    for name, transform in transforms.items():
        network, generator = SpectralNetwork(AbsorbedLayer(transform, 30), HIDDEN), np.random.default_rng(0)
        weights = torch.from_numpy(0.01 * generator.standard_normal(network.layer.size))
        row = network.initial(weights, generator)
        found[name] = network.loss_and_gradient(row, goal)[1]
        if (found[name] - found["FFT"]).abs().max() > 1e-10 * found["FFT"].abs().max():
            raise SystemExit(f"the gradient by {name} is not that by FFT")
        few = 1 if name == "dense" else rounds
        seconds[name] = fastest(lambda net=network, at=row: net.loss_and_gradient(at, goal), few)
        if name == "FFT":
            jacobian = network.linearize(row, network.residual(row, goal)[1], torch.float32)
            change, values = torch.randn(network.size), goal.float()
            seconds["conjugate gradients"] = fastest(
                lambda j=jacobian, v=change, w=values: (j.forward(v), j.adjoint(w)), rounds
            )
    return seconds


def fit(resolution: int, oversampling: int) -> dict[str, float]:
    """Seconds and residue of a fit until 1e-15."""
    field = decaying_turbulence(resolution).streamfunction.values
    x = Lattice.square(oversampling * resolution).points()
    y = resample(field, oversampling * resolution).ravel()
    model = MultistageRegressor(initialization="spectrum", tol=1e-15 * field.std(), random_state=0)
    began = time.perf_counter()
    model.fit(x, y)
    took = time.perf_counter() - began
    return {
        "seconds": took, "rms": float(model.residual_rms_[-1] / field.std()), "stages": len(model.stages_),
        "predicted": float(np.sqrt(np.mean((y - model.predict(x)) ** 2)) / field.std()),
        "gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }  # fmt: skip


def main() -> None:
    options, machine = read_options(parser(__doc__, rounds=5, quick=1))
    resolution = 64 if options.quick else 256
    seconds = gradients(resolution, options.rounds)
    for name, one in seconds.items():
        print(f"  {name:20s} {1e3 * one:9.1f} ms")
    ratio = seconds["dense"] / seconds["FFT"]
    print(f"  goal: FFT 100 times faster than dense: {ratio:.0f}, {'met' if ratio >= 100 else 'MISSED'}")
    fits = {}
    for size, finer in ((64, 1),) if options.quick else ((128, 1), (128, 2), (512, 1)):
        name = f"{size}²" + (", everywhere" if finer > 1 else "")
        fits[name] = one = fit(size, finer)
        print(f"  {name}: {one['rms']:.1e} in {one['seconds']:.1f} s, {one['gigabytes']:.1f} GB")
    write_json(
        options.json,
        {"machine": machine, "waves": WAVES, "points": resolution**2, "gradients": seconds, "fits": fits,
         "ratio": ratio,
         "table": {"unit": f"ms, {WAVES} waves on {resolution}²",
                   "columns": {"a gradient": {k: 1e3 * v for k, v in seconds.items()}}}},
    )  # fmt: skip


if __name__ == "__main__":
    main()
