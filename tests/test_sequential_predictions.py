"""The kernel's predictions against iterations written out step by step; least squares against NumPy's own."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import torch
import xarray as xr
from numpy.polynomial import chebyshev

from specbias import targets as target_functions
from specbias.experiments import sequential_predictions as predictions
from specbias.kernels import empirical_ntk
from specbias.models import MLP, generators
from specbias.training import fit

POINTS = 12
X = (np.arange(POINTS) + 0.5) / POINTS
RUN = {
    "envelopes": ["bowl", "bump"], "wavenumber": 2, "points": 24, "hidden": [7, 6], "seeds": 2, "seed": 4,
    "lr": 5e-3, "epochs": 20, "at": [5, 50], "level": 0.98, "dtype": "float64", "device": "cpu",
    "progress": False,
}  # fmt: skip


def networks(count: int, hidden=(8, 7), seed: int = 0) -> list[MLP]:
    return [
        MLP(1, hidden, output_bias=False, generator=g, dtype=torch.float64)
        for g in generators(range(seed, seed + count))
    ]


def outputs(models: list[MLP], x: np.ndarray) -> np.ndarray:
    return np.stack([m(torch.from_numpy(x[:, None]))[:, 0].detach().numpy() for m in models])


def modes_of(matrices: np.ndarray) -> xr.Dataset:
    """Modes of symmetric matrices ``(model, n, n)`` that stand for ``K/n``."""
    values, vectors = np.linalg.eigh(matrices)
    return xr.Dataset(
        {
            "eigenvalue": (("model", "mode"), np.maximum(values, 0)[:, ::-1]),
            "eigenvector": (("model", "mode", "point"), np.swapaxes(vectors, 1, 2)[:, ::-1]),
        }
    )


def problem(models: int = 2, targets: int = 3, n: int = 6):
    """Random kernels with eigenvalues from 1 to 1/50, starts and targets."""
    random = np.random.default_rng(7)
    bases = [np.linalg.qr(random.normal(size=(n, n)))[0] for _ in range(models)]
    kernels = np.stack([basis * np.geomspace(1, 0.02, n) @ basis.T for basis in bases])
    return kernels, random.normal(size=(models, n)) / 3, random.normal(size=(targets, n))


@pytest.fixture(scope="module")
def run() -> xr.Dataset:
    return predictions.kernel_against_training(**RUN)


def test_modes_diagonalise_the_empirical_kernel():
    models = [*networks(2), MLP(1, (5,), generator=generators([9])[0])]  # the last one in float32
    modes = predictions.kernel_modes(models, X)
    assert (np.diff(modes.eigenvalue) <= 0).all()
    for index, model in enumerate(models):
        kernel = empirical_ntk(model, X[:, None]) / POINTS
        values, vectors = modes.eigenvalue.values[index], modes.eigenvector.values[index]
        np.testing.assert_allclose(vectors @ vectors.T, np.eye(POINTS), atol=1e-12)
        np.testing.assert_allclose((vectors.T * values) @ vectors, kernel, atol=1e-13 * values[0])
    assert models[2].dtype == torch.float32


def test_small_eigenvalues_are_those_of_50_digits():
    (model,) = networks(1, hidden=(4, 3))
    (w1, b1), (w2, b2), (w3, _) = [
        (layer.weight.detach().tolist(), None if layer.bias is None else layer.bias.tolist())
        for layer in model.layers
    ]
    with mpmath.workdps(50):
        rows = []
        for x in X:
            h1 = [mpmath.tanh(mpmath.mpf(w) * x + b) for (w,), b in zip(w1, b1, strict=True)]
            sums = [mpmath.fdot(w, h1) + b for w, b in zip(w2, b2, strict=True)]
            h2 = [mpmath.tanh(z) for z in sums]
            d2 = [w * (1 - h**2) for w, h in zip(w3[0], h2, strict=True)]
            d1 = [(1 - h**2) * mpmath.fsum(d * w[i] for d, w in zip(d2, w2, strict=True))
                  for i, h in enumerate(h1)]  # fmt: skip
            rows.append([*(d * x for d in d1), *d1, *(d * h for d in d2 for h in h1), *d2, *h2])
        jacobian = mpmath.matrix(rows)
        exact = mpmath.eigsy(jacobian * jacobian.T / POINTS, eigvals_only=True)
        exact = np.array(sorted(map(float, exact), reverse=True))
    found = predictions.kernel_modes(model, X).eigenvalue.values[0]
    resolved = found > 0
    # far below 2e-16 of the largest, which is all that the eigenvalues of the matrix itself would give
    assert 1e-27 < found[resolved].min() / found[0] < 1e-20
    np.testing.assert_allclose(found[resolved], exact[resolved], rtol=0.05)
    np.testing.assert_allclose(found[:8], exact[:8], rtol=1e-6)
    assert (exact[~resolved] < 1e-24 * exact[0]).all()


def test_energy_shares_sum_to_one_and_find_a_mode():
    modes = predictions.kernel_modes(networks(2), X)
    targets = np.stack([np.sin(9 * X), modes.eigenvector.values[1, 3] * 5])
    share = predictions.energy_share(modes, targets)
    assert share.dims == ("model", "target", "mode")
    np.testing.assert_allclose(share.sum("mode"), 1, rtol=1e-12)
    np.testing.assert_allclose(share[1, 1], np.arange(POINTS) == 3, atol=1e-12)


@pytest.mark.parametrize("lr", [None, 0.3, 1.7])  # below, at and above 1 / λ_max
def test_error_and_time_are_those_of_the_iteration(lr):
    kernels, starts, targets = problem()
    modes, steps = modes_of(kernels), [0, 1, 2, 10, 200]
    error = predictions.gradient_descent_error(modes, starts, targets, steps, lr)
    times = predictions.kernel_time(modes, starts, targets, 0.2, lr)
    for model, (kernel, start) in enumerate(zip(kernels, starts, strict=True)):
        for index, target in enumerate(targets):
            residual, trace = start - target, []
            for _ in range(500):
                trace.append(np.linalg.norm(residual) / np.linalg.norm(target))
                residual = residual - (1.0 if lr is None else lr) * kernel @ residual
            np.testing.assert_allclose(error[model, index], np.array(trace)[steps], atol=1e-12)
            assert times[model, index] == np.argmax(np.array(trace) < 0.2) > 0


def test_default_rate_is_that_of_each_network():
    kernels, starts, targets = problem()
    scaled = np.array([1.0, 40.0])[:, None, None] * kernels
    first, second = (
        predictions.gradient_descent_error(modes_of(k), starts, targets, [3]) for k in (kernels, scaled)
    )
    np.testing.assert_allclose(first, second)


def test_times_that_no_loop_reaches():
    modes, start = modes_of(np.diag([1.0, 1e-12, 1e-25, 0.0])[None]), np.zeros((1, 4))
    targets = [[0, 1, 0, 0], [0, 0, 1, 0], [3, 0, 0, 4], [1e-9, 0, 0, 0]]
    times = predictions.kernel_time(modes, start, targets, 0.5)[0]
    expected = [np.log(2) * 1e12, np.log(2) * 1e25, np.inf, 1]
    np.testing.assert_allclose(times, expected, rtol=1e-9)
    around = [predictions.kernel_time(modes, start, targets, level)[0, 2] for level in (0.79, 0.81)]
    assert around == [np.inf, 1]  # 4/5 stays
    assert predictions.kernel_time(modes, start, targets, 1.01).values.tolist() == [[0, 0, 0, 0]]
    late = predictions.gradient_descent_error(modes, start, targets, [1e12], lr=1.0)[0, :, 0]
    np.testing.assert_allclose(late, [np.exp(-1), 1, 0.8, 0], atol=1e-9)


def test_linearisation_is_what_a_wide_network_does():
    (model,) = networks(1, hidden=(4000,), seed=2)
    target, start = np.sin(2 * np.pi * X), outputs([model], X)
    modes = predictions.kernel_modes(model, X)
    rate, steps = 0.2 / float(modes.eigenvalue[0, 0]), 30
    trained = fit(
        model, X, target, optimizer="sgd", loss="half-mse", lr=rate, epochs=steps, snapshots=range(steps + 1),
        device="cpu", progress=False,
    )  # fmt: skip
    error = np.linalg.norm(trained.snapshots.prediction - target, axis=-1) / np.linalg.norm(target)
    predicted = predictions.gradient_descent_error(modes, start, target[None], range(steps + 1), rate)[0, 0]
    assert error[0] - error[-1] > 0.1
    np.testing.assert_allclose(predicted, error, atol=1e-3)
    wrong = predictions.gradient_descent_error(modes, start, target[None], range(steps + 1), 2 * rate)[0, 0]
    assert np.abs(wrong - error).max() > 1e-2  # the mean in place of half of it would be seen


def test_alignment():
    target = np.sin(5 * X)
    assert predictions.kernel_target_alignment(np.outer(target, target), 3 * target) == pytest.approx(1)
    identity = predictions.kernel_target_alignment(np.eye(POINTS), target)
    assert identity == pytest.approx(1 / np.sqrt(POINTS))


def test_run_compares_kernel_and_training(run):
    assert run.alignment.dims == ("envelope", "seed", "epoch")
    assert run.eigenvalue.dims == ("envelope", "seed", "epoch", "mode")
    assert run.kernel_steps.dims == ("envelope", "seed")
    assert run.epoch.values.tolist() == [0, 5, 20] and run.seed.values.tolist() == [4, 5]
    for envelope in RUN["envelopes"]:
        target = target_functions.sequential_sine(envelope, 2, 24)
        np.testing.assert_array_equal(run.target.sel(envelope=envelope), target.y)
        for index, model in enumerate(networks(2, hidden=(7, 6), seed=4)):
            chosen = run.sel(envelope=envelope).isel(seed=index)
            start = empirical_ntk(model, target.x) / 24
            for epoch in (0, 5, 20):
                trained = fit(
                    model, target.x, target.y, lr=5e-3, epochs=epoch, loss="half-mse", device="cpu",
                    progress=False,
                )  # fmt: skip
                kernel, now = empirical_ntk(trained.model, target.x) / 24, chosen.sel(epoch=epoch)
                values, vectors = np.linalg.eigh(kernel)
                energy = np.cumsum((vectors.T @ target.y)[::-1] ** 2) / np.sum(target.y**2)
                np.testing.assert_allclose(now.eigenvalue[:5], values[::-1][:5], atol=1e-12)
                np.testing.assert_allclose(now.energy[:3], energy[:3], rtol=1e-6)
                moved = np.linalg.norm(kernel - start) / np.linalg.norm(start)
                assert float(now.distance) == pytest.approx(moved, rel=1e-8, abs=1e-12)
                error = np.sqrt(2 * trained.loss[-1] / np.mean(target.y**2))
                assert float(now.error) == pytest.approx(error, rel=1e-9)
                norms = np.linalg.norm(kernel) * np.sum(target.y**2)
                assert float(now.alignment) == pytest.approx(target.y @ kernel @ target.y / norms, rel=1e-8)


def test_run_counts_the_steps_of_its_first_kernel(run):
    target = target_functions.sequential_sine("bowl", 2, 24)
    for index, model in enumerate(networks(2, hidden=(7, 6), seed=4)):
        kernel = empirical_ntk(model, target.x)
        residual = outputs([model], target.x[:, 0])[0] - target.y
        count = 0
        while np.linalg.norm(residual) >= 0.98 * np.linalg.norm(target.y) and count < 100_000:
            residual = residual - kernel @ residual / np.linalg.eigvalsh(kernel)[-1]
            count += 1
        assert 0 < count < 100_000
        assert run.kernel_steps.sel(envelope="bowl")[index] == pytest.approx(count, abs=1)


def test_run_says_nothing_of_unresolved_modes(run):
    np.testing.assert_array_equal(np.isnan(run.energy), run.eigenvalue == 0)
    assert 0 < int((run.eigenvalue == 0).sum()) < run.eigenvalue.size
    assert (np.diff(run.energy, axis=-1)[np.isfinite(run.energy[..., 1:])] >= 0).all()


def test_polynomials_are_those_of_numpy():
    x, between = np.linspace(2, 5, 40), np.linspace(2.1, 4.9, 17)
    functions = [np.cos, lambda x: np.abs(x - 3), np.exp]
    targets, held_out = (np.stack([f(p) for f in functions]) for p in (x, between))
    fits = predictions.least_squares_fits(
        x, targets, [0, 4, 11], (2, 5), x_between=between, between=held_out
    ).sel(basis="Chebyshev")
    for degree in (0, 4, 11):
        coefficients = chebyshev.chebfit((2 * x - 7) / 3, targets.T, degree)
        for error, points, exact in (("error", x, targets), ("error_between", between, held_out)):
            fitted = chebyshev.chebval((2 * points - 7) / 3, coefficients)
            relative = np.sqrt(np.mean((fitted - exact) ** 2, axis=1) / np.mean(exact**2, axis=1))
            np.testing.assert_allclose(fits[error].sel(degree=degree), relative, rtol=1e-6, atol=1e-14)
    assert (fits.seconds > 0).all()


def test_high_degrees_do_not_lose_digits():
    x = (np.arange(500) + 0.5) / 500
    fits = predictions.least_squares_fits(x, [np.sin(26 * np.pi * x)], [56, 80])
    exact = chebyshev.Chebyshev.fit(x, np.sin(26 * np.pi * x), 56, domain=(0, 1))(x) - np.sin(26 * np.pi * x)
    relative = np.sqrt(2 * np.mean(exact**2))
    assert float(fits.error.sel(basis="Chebyshev", degree=56)[0]) == pytest.approx(relative, rel=1e-6)
    assert (fits.error.sel(degree=80) < 1e-13).all()


def test_fourier_is_exact_from_the_last_harmonic_on():
    x, between = (np.arange(50) + 0.5) / 50, np.arange(1, 50) / 50

    def wave(x):
        return 0.5 - np.cos(2 * np.pi * x) + 2 * np.sin(2 * np.pi * 4 * x)

    targets = np.stack([wave(x), np.cos(2 * np.pi * 5 * x)])
    held_out = np.stack([wave(between), np.cos(2 * np.pi * 5 * between)])
    fits = predictions.least_squares_fits(x, targets, range(7, 11), x_between=between, between=held_out).sel(
        basis="Fourier"
    )
    power = 0.25 + 0.5 + 2
    np.testing.assert_allclose(fits.error[:, 0], [np.sqrt(2 / power), 0, 0, 0], atol=1e-13)
    np.testing.assert_allclose(fits.error[:, 1], [1, 1, 0, 0], atol=1e-13)  # degree 9 has cos 5, 10 sin 5
    assert (fits.error_between.sel(degree=10) < 1e-12).all()
    least = predictions.least_degree(fits.error, 1e-6)
    assert least.dims == ("target",) and least.values.tolist() == [8, 9]


def test_least_degree_where_none_is_enough():
    x = np.linspace(0, 1, 30)
    fits = predictions.least_squares_fits(x, [x**2, np.sign(x - 0.4)], [1, 2, 3])
    least = predictions.least_degree(fits.error, 1e-9)
    assert least.dims == ("basis", "target") and least.basis.values.tolist() == ["Chebyshev", "Fourier"]
    np.testing.assert_array_equal(least, [[2, np.nan], [np.nan, np.nan]])


EYE = modes_of(np.eye(3)[None])


def error_of(start, steps, lr=None):
    return predictions.gradient_descent_error(EYE, start, np.ones((1, 3)), steps, lr)


@pytest.mark.parametrize(
    ("error", "match", "call"),
    [
        (TypeError, "models", lambda: predictions.kernel_modes([], X)),
        (TypeError, "models", lambda: predictions.kernel_modes([torch.nn.Linear(1, 1)], X)),
        (ValueError, "x must", lambda: predictions.kernel_modes(networks(1), X.reshape(2, 3, 2))),
        (ValueError, "x must", lambda: predictions.kernel_modes(networks(1), X.reshape(6, 2))),
        (ValueError, "x must", lambda: predictions.kernel_modes(networks(1), [0.0, np.nan])),
        (ValueError, "targets", lambda: predictions.energy_share(EYE, np.ones(3))),
        (ValueError, "targets", lambda: predictions.energy_share(EYE, np.ones((3, 2)))),
        (ValueError, "targets", lambda: predictions.energy_share(EYE, [[1, 1, 1], [0, 0, 0]])),
        (ValueError, "start", lambda: error_of(np.ones(3), [1])),
        (ValueError, "start", lambda: error_of(np.ones((2, 3)), [1])),
        (ValueError, "steps", lambda: error_of(np.ones((1, 3)), [-1.0])),
        (ValueError, "lr", lambda: error_of(np.ones((1, 3)), [1], lr=2.0)),
        (ValueError, "level", lambda: predictions.kernel_time(EYE, np.ones((1, 3)), np.ones((1, 3)), 0.0)),
        (ValueError, "kernel", lambda: predictions.kernel_target_alignment(np.eye(3), np.ones(2))),
        (ValueError, "target", lambda: predictions.kernel_target_alignment(np.eye(3), np.zeros(3))),
        (ValueError, "envelope", lambda: predictions.kernel_against_training(**RUN | {"envelopes": ["hat"]})),
        (ValueError, "at must", lambda: predictions.kernel_against_training(**RUN | {"at": [0, -5]})),
        (ValueError, "level", lambda: predictions.kernel_against_training(**RUN | {"level": 0})),
        (ValueError, "dtype", lambda: predictions.kernel_against_training(**RUN | {"dtype": "float16"})),
        (ValueError, "seeds", lambda: predictions.kernel_against_training(**RUN | {"seeds": 0})),
        (ValueError, "x must", lambda: predictions.least_squares_fits(X[:, None], [X], [2])),
        (ValueError, "targets", lambda: predictions.least_squares_fits(X, X, [2])),
        (ValueError, "degrees", lambda: predictions.least_squares_fits(X, [X], [2, POINTS])),
        (ValueError, "degrees", lambda: predictions.least_squares_fits(X, [X], [])),
        (ValueError, "domain", lambda: predictions.least_squares_fits(X, [X], [2], (1.0, 0.0))),
        (ValueError, "between", lambda: predictions.least_squares_fits(X, [X], [2], x_between=X)),
        (ValueError, "between", lambda: predictions.least_squares_fits(X, [X], [2], x_between=X,
                                                                       between=[X, X])),
    ],
)  # fmt: skip
def test_bad_input_is_named(error, match, call):
    with pytest.raises(error, match=match):
        call()
