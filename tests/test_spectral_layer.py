"""Sums of waves and the layers made of them: by sums written out here, NumPy's FFT and PyTorch's autograd."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from specbias.multistage import features, transforms
from specbias.multistage.features import AbsorbedLayer, FeatureLayer, choose_transform
from specbias.multistage.transforms import (
    DenseTransform,
    GridTransform,
    Lattice,
    NonuniformTransform,
    find_lattice,
)
from specbias.spectra import largest_modes

seeds = st.integers(0, 2**32 - 1)
units = st.integers(1, 4)


@st.composite
def lattices(draw, dimensions=(1, 2, 3), least=1) -> Lattice:
    d = draw(st.sampled_from(dimensions))
    shape = draw(st.tuples(*[st.integers(least, (24, 9, 5)[d - 1])] * d))
    more = draw(st.tuples(*[st.integers(0, 3)] * d))
    low = draw(st.tuples(*[st.floats(-2, 2, allow_subnormal=False)] * d))
    step = draw(st.tuples(*[st.floats(0.25, 1)] * d))
    return Lattice(low, step, shape, tuple(n + k for n, k in zip(shape, more, strict=True)))


@st.composite
def lattices_and_waves(draw) -> tuple[Lattice, np.ndarray]:
    """Waves of either sign, beyond what the grid resolves, at Nyquist, zero, and two of them repeated."""
    lattice = draw(lattices())
    special = st.tuples(*[st.sampled_from([0, n // 2, -(n // 2), n, n + 1, 1 - n]) for n in lattice.sizes])
    usual = st.tuples(*[st.integers(-12, 12) for _ in lattice.sizes])
    waves = draw(st.lists(special | usual, min_size=1, max_size=7))
    return lattice, np.array([*waves, waves[0], tuple(-k for k in waves[-1])])


def sums(points: np.ndarray, wavenumbers: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The definition: ``sum_j Re(V_j exp(i k_j . x))``, one wave at a time."""
    found = np.zeros((len(weights), len(points)))
    for wave, column in zip(wavenumbers, weights.T, strict=True):
        angle = sum(k * x for k, x in zip(wave, points.T, strict=True))
        found += np.outer(column.real, np.cos(angle)) - np.outer(column.imag, np.sin(angle))
    return found


def adjoint(points: np.ndarray, wavenumbers: np.ndarray, values: np.ndarray) -> np.ndarray:
    """``sum_x R(x) exp(-i k . x)``, one point at a time."""
    found = np.zeros((len(values), len(wavenumbers)), dtype=complex)
    for point, column in zip(points, values.T, strict=True):
        angle = sum(k * x for k, x in zip(wavenumbers.T, point, strict=True))
        found += np.outer(column, np.cos(angle)) - 1j * np.outer(column, np.sin(angle))
    return found


def draws(seed: int, h: int, m: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    parts = generator.standard_normal((2, h, m))
    return parts[0] + 1j * parts[1], generator.standard_normal((h, n))


def three(lattice: Lattice, waves: np.ndarray) -> list:
    points, wavenumbers = lattice.points(), waves * lattice.base
    return [
        DenseTransform(points, wavenumbers),
        GridTransform(lattice, waves),
        NonuniformTransform(points, wavenumbers),
    ]


def assert_close(found, expected, weights, relative: float) -> None:
    """Within a fraction of what the sums could be at most."""
    bound = relative * np.abs(weights).sum(axis=1, keepdims=True)
    error = np.abs(np.asarray(found) - expected)
    assert error.shape == expected.shape
    assert (error <= bound).all(), (error / bound * relative).max()


# --- transforms -------------------------------------------------------------------------------------------


@settings(max_examples=100)
@given(case=lattices_and_waves(), h=units, seed=seeds)
def test_every_transform_is_the_sum_of_waves_and_its_adjoint(case, h, seed):
    lattice, waves = case
    points, wavenumbers = lattice.points(), waves * lattice.base
    weights, values = draws(seed, h, len(waves), len(points))
    synthesized, analyzed = sums(points, wavenumbers, weights), adjoint(points, wavenumbers, values)
    for transform in three(lattice, waves):
        assert (transform.size, transform.features) == (len(points), len(waves))
        made, found = torch.from_numpy(weights), torch.from_numpy(values)
        assert_close(transform.synthesize(made), synthesized, weights, 1e-12)
        assert_close(transform.analyze(found), analyzed, values, 1e-12)
        np.testing.assert_array_equal(made, weights)  # arguments are left as they were
        np.testing.assert_array_equal(found, values)


@given(case=lattices_and_waves(), h=units, seed=seeds)
def test_analyze_is_the_adjoint_of_synthesize(case, h, seed):
    lattice, waves = case
    weights, values = map(torch.from_numpy, draws(seed, h, len(waves), len(lattice.points())))
    scale = float(weights.abs().sum() * values.abs().sum())
    for transform in three(lattice, waves):
        left = float((transform.synthesize(weights) * values).sum())
        right = float((weights.conj() * transform.analyze(values)).real.sum())
        assert left == pytest.approx(right, abs=1e-13 * scale)


@given(case=lattices_and_waves(), h=units, seed=seeds)
def test_single_precision_stays_single_and_is_accurate(case, h, seed):
    lattice, waves = case
    points, wavenumbers = lattice.points(), waves * lattice.base
    weights, values = draws(seed, h, len(waves), len(points))
    for transform in three(lattice, waves):
        made = transform.synthesize(torch.from_numpy(weights).to(torch.complex64))
        found = transform.analyze(torch.from_numpy(values).to(torch.float32))
        assert (made.dtype, found.dtype) == (torch.float32, torch.complex64)
        assert_close(made, sums(points, wavenumbers, weights), weights, 1e-5)
        assert_close(found, adjoint(points, wavenumbers, values), values, 1e-5)


@given(d=st.integers(1, 3), n=st.integers(1, 30), m=st.integers(1, 20), h=units, seed=seeds)
def test_scattered_points_and_any_waves(d, n, m, h, seed):
    generator = np.random.default_rng(seed)
    points, wavenumbers = generator.uniform(-3, 3, (n, d)), generator.uniform(-20, 20, (m, d))
    weights, values = draws(seed + 1, h, m, n)
    for transform in (DenseTransform(points, wavenumbers), NonuniformTransform(points, wavenumbers)):
        made, found = torch.from_numpy(weights), torch.from_numpy(values)
        assert_close(transform.synthesize(made), sums(points, wavenumbers, weights), weights, 1e-12)
        assert_close(transform.analyze(found), adjoint(points, wavenumbers, values), values, 1e-12)


@given(n=st.tuples(st.integers(1, 12), st.integers(1, 12)), seed=seeds)
def test_a_full_spectrum_is_the_inverse_fft_of_numpy(n, seed):
    spectrum = np.fft.rfft2(np.random.default_rng(seed).standard_normal(n))
    held = np.arange(spectrum.shape[1])
    own = (held == 0) | (2 * held == n[1])  # columns that hold conjugates, too; all others stand for two
    weights = (np.where(own, 1, 2) * spectrum).reshape(1, -1) / np.prod(n)
    waves = np.indices(spectrum.shape).reshape(2, -1).T
    grid = GridTransform(Lattice((0.0, 0.0), (0.5, 2.0), n, n), waves)
    expected = np.fft.irfft2(spectrum, s=n).reshape(1, -1)
    np.testing.assert_allclose(grid.synthesize(torch.from_numpy(weights)), expected, atol=1e-13)


@given(lattice=lattices(), low=st.floats(-5, 5), length=st.floats(0.1, 10), seed=seeds)
def test_all_modes_of_a_field_give_the_field_back(lattice, low, length, seed):
    shape = lattice.shape
    field = np.random.default_rng(seed).standard_normal(shape)
    modes = largest_modes(field, domain=(low, low + length))
    high = low + length
    same = Lattice((low,) * len(shape), tuple((high - low) / n for n in shape), shape, shape)
    weights = torch.from_numpy(modes.amplitudes * np.exp(1j * modes.phases))[None]
    found = GridTransform(same, modes.wavenumbers).synthesize(weights)
    np.testing.assert_allclose(found.reshape(shape), field, atol=1e-12 * (1 + abs(low) / length))


@given(case=lattices_and_waves(), rows=st.integers(1, 5), seed=seeds)
def test_products_in_pieces_are_those_of_the_whole(case, rows, seed):
    lattice, waves = case
    points, wavenumbers = lattice.points(), waves * lattice.base
    weights, values = map(torch.from_numpy, draws(seed, 3, len(waves), len(points)))
    whole = DenseTransform(points, wavenumbers)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transforms, "DENSE", rows * len(waves))
        pieces = DenseTransform(points, wavenumbers)
    assert pieces.rows == rows
    np.testing.assert_allclose(pieces.synthesize(weights), whole.synthesize(weights), atol=1e-12)
    np.testing.assert_allclose(pieces.analyze(values), whole.analyze(values), atol=1e-11)


def test_transforms_refuse_what_they_cannot_do():
    with pytest.raises(ValueError, match="whole numbers"):
        GridTransform(Lattice((0.0,), (1.0,), (4,), (4,)), np.array([[1.0]]))
    with pytest.raises(ValueError, match="at most 3 dimensions"):
        NonuniformTransform(np.zeros((2, 4)), np.zeros((2, 4)))


# --- lattices ---------------------------------------------------------------------------------------------


@given(lattice=lattices(least=2))
def test_a_lattice_is_found_in_its_points(lattice):
    found = find_lattice(lattice.points())
    assert found.shape == found.sizes == lattice.shape
    np.testing.assert_allclose(found.low, lattice.low, atol=1e-12)
    np.testing.assert_allclose(found.step, lattice.step, rtol=1e-12)
    np.testing.assert_allclose(found.points(), lattice.points(), atol=1e-12)
    np.testing.assert_allclose(found.base * found.step * found.shape, 2 * np.pi)


@given(lattice=lattices((2,), least=3), seed=seeds, data=st.data())
def test_no_lattice_is_found_in_points_that_fill_none(lattice, seed, data):
    points = lattice.points()
    generator = np.random.default_rng(seed)
    at = data.draw(st.integers(0, len(points) - 1))
    order = generator.permutation(len(points))
    if (order != np.arange(len(points))).any():
        assert find_lattice(points[order]) is None
    assert find_lattice(np.delete(points, at, axis=0)) is None
    moved = points.copy()
    moved[at] += 1e-3
    assert find_lattice(moved) is None
    unequal = points.copy()
    unequal[:, 0] = np.exp(unequal[:, 0])
    assert find_lattice(unequal) is None
    assert find_lattice(points[: lattice.shape[1]]) is None  # a single row
    assert find_lattice(points[:1]) is None


# --- layers -----------------------------------------------------------------------------------------------

TRAINED = [("W",), ("W", "b"), ("A", "b"), ("W", "b", "B"), ("B", "A"), ("W", "A", "b", "B")]


def published(points, part: dict[str, torch.Tensor]) -> torch.Tensor:
    """Algorithm 1 of Ng, Wang & Lai, as it is printed."""
    return (part["A"] * torch.cos(torch.tensor(points) @ part["B"].T + part["b"])) @ part["W"].T


@settings(max_examples=40)
@given(case=lattices_and_waves(), h=units, train=st.sampled_from(TRAINED), seed=seeds)
@pytest.mark.parametrize("method", ["auto", "dense", "fft", "nufft"])
def test_the_published_layer_and_its_gradient_are_those_of_autograd(method, case, h, train, seed):
    if method == "fft":
        train = tuple(name for name in train if name != "B")
    lattice, waves = case
    points, m = lattice.points(), len(waves)
    generator = np.random.default_rng(seed)
    amplitudes, phases = generator.uniform(0.5, 2, m), generator.uniform(-3, 3, m)
    layer = FeatureLayer(
        points, waves * lattice.base, amplitudes, phases, h,
        train=train, method=method, lattice=lattice, waves=waves,
    )  # fmt: skip
    if method == "auto":
        assert layer.transform_name == ("dense" if "B" in train else "fft")
    else:
        assert layer.transform_name == method
    assert layer.train == tuple(name for name in "WAbB" if name == "W" or name in train)
    row = layer.initial(generator)
    assert (row.shape, row.dtype) == ((layer.size,), torch.float64)
    row += 0.1 * torch.from_numpy(generator.standard_normal(layer.size))

    start = {"A": amplitudes, "b": phases, "B": waves * lattice.base}
    leaves, at = {}, 0
    for name, shape in {"W": (h, m), "A": (m,), "b": (m,), "B": waves.shape}.items():
        if name in layer.train:
            size = int(np.prod(shape))
            leaves[name] = row[at : at + size].reshape(shape).clone().requires_grad_()
            at += size
        else:
            leaves[name] = torch.tensor(start[name])
    assert at == layer.size
    expected = published(points, leaves)
    assert_close(layer.values(row), expected.detach().T.numpy(), np.full((h, 1), float(m) * 10), 1e-12)

    expected.retain_grad()
    (torch.sin(expected) * torch.from_numpy(generator.standard_normal(expected.shape))).sum().backward()
    gradient = layer.gradient(row, expected.grad.T)
    wanted = torch.cat([leaves[name].grad.reshape(-1) for name in layer.train])
    scale = float(expected.grad.abs().sum())  # where all of a gradient cancels, round-off is of this size
    assert gradient.shape == wanted.shape
    assert float((gradient - wanted).abs().max()) <= 1e-10 * float(wanted.abs().max()) + 1e-13 * scale


@given(case=lattices_and_waves(), h=units, seed=seeds)
def test_the_absorbed_layer_and_its_gradient_are_those_of_autograd(case, h, seed):
    lattice, waves = case
    points, m = lattice.points(), len(waves)
    generator = np.random.default_rng(seed)
    row = torch.from_numpy(generator.standard_normal(2 * h * m)).requires_grad_()
    split = row.reshape(h, m, 2)
    angle = torch.from_numpy(waves * lattice.base) @ torch.from_numpy(points).T
    expected = split[..., 0] @ torch.cos(angle) - split[..., 1] @ torch.sin(angle)
    expected.retain_grad()
    (torch.sin(expected) * torch.from_numpy(generator.standard_normal(expected.shape))).sum().backward()
    for transform in three(lattice, waves):
        layer = AbsorbedLayer(transform, h)
        assert (layer.units, layer.features, layer.size) == (h, m, 2 * h * m)
        values = layer.values(row.detach())
        np.testing.assert_allclose(values, expected.detach(), atol=1e-11)
        scale = float(expected.grad.abs().sum())
        error = (layer.gradient(row.detach(), expected.grad) - row.grad).abs().max()
        assert float(error) <= 1e-12 * scale


def two_waves(**options) -> FeatureLayer:
    points = np.linspace(0, 2, 9)[:, None]
    return FeatureLayer(points, [[1.0], [4.0]], [2.0, 0.5], [0.1, -0.2], 3, **options)


def test_a_first_row_has_xavier_weights_and_the_given_waves():
    wavenumbers = np.linspace(1, 5, 300)[:, None]
    amplitudes, phases = np.linspace(1, 2, 300), np.linspace(-1, 1, 300)
    layer = FeatureLayer(np.zeros((4, 1)), wavenumbers, amplitudes, phases, 100, train=("W", "A", "b", "B"))
    row = layer.initial(np.random.default_rng(0))
    part = layer.parts(row)
    weights = part["W"].numpy()
    deviation = (2 / 400) ** 0.5
    assert abs(weights.mean()) < 5 * deviation / weights.size**0.5
    assert abs(weights.std() / deviation - 1) < 5 / (2 * weights.size) ** 0.5
    np.testing.assert_array_equal(part["A"], amplitudes)
    np.testing.assert_array_equal(part["b"], phases)
    np.testing.assert_array_equal(part["B"], wavenumbers)
    assert torch.equal(row, layer.initial(np.random.default_rng(0)))
    assert not torch.equal(row, layer.initial(np.random.default_rng(1)))


@pytest.mark.parametrize("method", ["dense", "nufft"])
def test_a_row_changed_in_place_changes_the_values(method):
    layer = two_waves(method=method)
    row = layer.initial(np.random.default_rng(0))
    layer.values(row)
    for name in ("W", "b", "B", "B"):
        layer.parts(row)[name].mul_(1.5)  # a view
        fresh = two_waves(method="dense").values(row.clone())
        np.testing.assert_allclose(layer.values(row), fresh, atol=1e-12)


@pytest.mark.parametrize("method", ["dense", "nufft"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_wavenumbers_that_are_not_finite_give_nan_and_no_crash(method, bad):
    layer = two_waves(method=method)
    row = layer.initial(np.random.default_rng(0))
    layer.parts(row)["B"][1, 0] = bad
    assert layer.values(row).isnan().all(dim=0)[1:].all()
    assert not layer.values(layer.initial(np.random.default_rng(0))).isnan().any()
    assert layer.transform_name == method


# --- which transform --------------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_the_transform_is_chosen_by_size_and_dimension(d, monkeypatch):
    generator = np.random.default_rng(d)
    points, wavenumbers = generator.random((40, d)), generator.random((30, d))
    assert isinstance(choose_transform(points, wavenumbers), DenseTransform)
    monkeypatch.setattr(features, "CROSSOVER", dict.fromkeys((1, 2, 3), 5))
    assert isinstance(choose_transform(points, wavenumbers), NonuniformTransform if d < 4 else DenseTransform)
    # finufft's own grid would not fit into memory
    assert isinstance(choose_transform(1e9 * points, wavenumbers), DenseTransform)


def test_the_fft_is_chosen_for_whole_waves_on_a_lattice():
    lattice = Lattice((-1.0, 0.5), (0.25, 0.1), (5, 6), (8, 6))
    points, waves = lattice.points(), np.array([[1, -3], [0, 7]])
    wavenumbers = waves * lattice.base
    for given_waves in (None, waves, waves.astype(float)):
        chosen = choose_transform(points, wavenumbers, lattice=lattice, waves=given_waves)
        assert isinstance(chosen, GridTransform)
    part = wavenumbers + [0.01, 0]
    assert isinstance(choose_transform(points, part, lattice=lattice), DenseTransform)
    with pytest.raises(ValueError, match="waves must be whole"):
        choose_transform(points, part, lattice=lattice, waves=waves)
    with pytest.raises(ValueError, match="waves must be whole"):
        choose_transform(points, part, lattice=lattice, waves=part / lattice.base)
    with pytest.raises(ValueError, match="waves must be whole"):
        choose_transform(points, wavenumbers, lattice=lattice, waves=waves[:1])
    with pytest.raises(ValueError, match="points must be those of the lattice"):
        choose_transform(points[::-1], wavenumbers, lattice=lattice)
    with pytest.raises(ValueError, match="points must be those of the lattice"):
        choose_transform(points[:-1], wavenumbers, lattice=lattice)
    with pytest.raises(ValueError, match="need the lattice"):
        choose_transform(points, wavenumbers, waves=waves)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"points": [0.0, 1.0]}, "points must have shape"),
        ({"points": np.zeros((0, 1))}, "points must have shape"),
        ({"points": [[np.nan]]}, "points must be finite"),
        ({"wavenumbers": [[1.0, 2.0]]}, "wavenumbers must have shape"),
        ({"wavenumbers": np.zeros((0, 1))}, "wavenumbers must have shape"),
        ({"amplitudes": [1.0, 2.0]}, "amplitudes and phases must have shape"),
        ({"phases": [[1.0]]}, "amplitudes and phases must have shape"),
        ({"phases": [np.inf]}, "phases must be finite"),
        ({"units": 0}, "units must be at least 1"),
        ({"train": ("W", "C")}, "train must be one of"),
        ({"method": "fast"}, "method must be one of"),
        ({"method": "fft"}, "'fft' needs"),
        ({"method": "fft", "train": ("W",)}, "'fft' needs"),
        ({"method": "fft", "lattice": Lattice((0.0,), (1.0,), (2,), (2,))}, "'fft' needs"),
        ({"method": "fft", "train": "W", "lattice": Lattice((0.0,), (1.0,), (2,), (2,))}, "'fft' needs"),
        ({"method": "nufft", "points": np.zeros((2, 4)), "wavenumbers": np.ones((1, 4))}, "3 dimensions"),
        ({"method": "nufft", "device": "cuda"}, "'nufft' is for the CPU"),
        ({"waves": [[1]]}, "need the lattice"),
    ],
)
def test_the_published_layer_refuses_bad_input(arguments, match):
    usual = {
        "points": [[0.0], [1.0]],
        "wavenumbers": [[1.0]],
        "amplitudes": [1.0],
        "phases": [0.0],
        "units": 2,
    }
    with pytest.raises(ValueError, match=match):
        FeatureLayer(**(usual | arguments))


def test_an_absorbed_layer_has_units():
    transform = DenseTransform(np.zeros((2, 1)), np.ones((1, 1)))
    with pytest.raises(ValueError, match="at least 1"):
        AbsorbedLayer(transform, 0)
    with pytest.raises(TypeError, match="whole number"):
        AbsorbedLayer(transform, 1.5)
