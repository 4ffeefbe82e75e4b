"""The solver is checked against closed forms, the sum over triads written out, conservation and symmetry."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.fft
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.signal import resample as one_axis

from specbias.spectra import power_spectrum_radial
from specbias.turbulence import SPECTRA, decaying_turbulence, evolve, initial_vorticity, resample

INVISCID = 1e30


def plane(n: int) -> tuple[np.ndarray, np.ndarray]:
    axis = 2 * np.pi * np.arange(n) / n
    return np.meshgrid(axis, axis, indexing="ij")


def smooth(n: int, seed: int = 0, peak: float = 2.0) -> np.ndarray:
    """A field that 48 points resolve to round-off at the start."""
    return initial_vorticity(n, seed=seed, spectrum="smooth", peak=peak, cutoff=15)


def spectral(field: np.ndarray) -> np.ndarray:
    """Coefficients of exp(i k.x), for the k of ``waves``."""
    return np.fft.fft2(field) / field.size


def waves(n: int) -> tuple[np.ndarray, np.ndarray]:
    along = np.fft.fftfreq(n, 1 / n)
    return np.meshgrid(along, along, indexing="ij")


def apart(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found - expected).max())


class TestClosedForms:
    @pytest.mark.parametrize("a", [1, 3])
    def test_taylor_green_vortices_decay(self, a):
        """Their advection is zero; the amplitude falls as exp(-2 a² ν t)."""
        x, y = plane(32)
        reynolds, time = 50.0, 0.7
        flow = evolve(2 * a**2 * np.sin(a * x) * np.sin(a * y), reynolds, time)
        expected = np.exp(-2 * a**2 * time / reynolds) * np.sin(a * x) * np.sin(a * y)
        assert apart(flow.streamfunction.values, expected) < 1e-12
        assert apart(flow.vorticity.values, 2 * a**2 * expected) < 1e-12
        assert float(flow.moment[-1]) == time and flow.attrs["steps"] > 5

    def test_waves_of_one_length_in_six_directions_decay_together(self):
        """ω = 25 ψ, so that u.grad ω is a sum of products that cancel, each of them large."""
        x, y = plane(32)
        vectors = [(5, 0), (0, 5), (3, 4), (4, 3), (3, -4), (4, -3)]
        field = sum(np.cos(k * x + m * y + k - m**2) / (2 + m) ** 2 for k, m in vectors)
        flow = evolve(field, 20.0, 0.5)
        assert apart(flow.vorticity.values, np.exp(-25 * 0.5 / 20) * field) < 1e-12
        np.testing.assert_allclose(flow.energy, flow.energy[0] * np.exp(-50 * flow.moment / 20), rtol=1e-12)
        np.testing.assert_allclose(flow.enstrophy, 25 * flow.energy, rtol=1e-12)

    def test_the_first_change_of_two_waves(self):
        """ψ = cos x + cos 2y: the equation gives ω_t = ψ_x ω_y - ψ_y ω_x = 6 sin x sin 2y."""
        x, y = plane(16)
        start = np.cos(x) + 4 * np.cos(2 * y)
        ahead, twice = (evolve(start, INVISCID, h).vorticity.values - start for h in (1e-4, 2e-4))
        assert apart((4 * ahead - twice) / 2e-4, 6 * np.sin(x) * np.sin(2 * y)) < 1e-6

    def test_rest_stays_at_rest(self):
        flow = evolve(np.zeros((8, 8)), 10.0, 3.0)
        assert flow.attrs["steps"] == 1 and not flow.vorticity.any() and not flow.energy.any()

    def test_the_streamfunction_is_the_one_of_the_vorticity_and_has_mean_zero(self):
        flow = evolve(smooth(32), 100.0, 0.1)
        kx, ky = waves(32)
        laplacian = np.fft.ifft2((kx**2 + ky**2) * np.fft.fft2(flow.streamfunction.values)).real
        assert apart(laplacian, flow.vorticity.values) < 1e-12
        assert abs(float(flow.streamfunction.mean())) < 1e-16


@pytest.mark.parametrize("reynolds", [5.0, INVISCID])
def test_the_sum_over_all_triads_gives_the_same_flow(reynolds):
    """dω_k/dt = sum over p + q = k of (q x p) ω_p ω_q / p² - ν k² ω_k: no grid, another integrator."""
    n, time, largest = 16, 0.5, 5
    start = np.random.default_rng(3).normal(size=(n, n))
    vectors = [k for k in itertools.product(range(-largest, largest + 1), repeat=2) if k != (0, 0)]
    place = {k: i for i, k in enumerate(vectors)}
    triads = [
        (place[k], i, j, (q[0] * p[1] - q[1] * p[0]) / (p[0] ** 2 + p[1] ** 2))
        for (i, p), (j, q) in itertools.product(enumerate(vectors), repeat=2)
        if (k := (p[0] + q[0], p[1] + q[1])) in place
    ]
    to, one, other = np.array([triad[:3] for triad in triads]).T
    factor = np.array([triad[3] for triad in triads])
    damping = (np.array(vectors) ** 2).sum(axis=1) / reynolds

    def change(_, w):
        terms = factor * w[one] * w[other]
        return np.bincount(to, terms.real) + 1j * np.bincount(to, terms.imag) - damping * w

    kx, ky = np.array(vectors).T
    initial = spectral(start - start.mean())[kx, ky]
    expected = solve_ivp(change, (0, time), initial, "DOP853", rtol=1e-11, atol=1e-13).y[:, -1]
    found = spectral(evolve(start - start.mean(), reynolds, time, max_step=2e-3).vorticity.values)
    assert apart(found[kx, ky], expected) < 1e-8 * np.abs(expected).max()
    assert apart(expected, initial) > 0.05 * np.abs(initial).max()
    found[kx, ky] = 0
    assert np.abs(found).max() < 1e-15  # nothing outside the modes kept


class TestBudgets:
    REYNOLDS, STEP = 100.0, 0.0025

    @pytest.fixture(scope="class")
    def flow(self) -> xr.Dataset:
        return evolve(smooth(48), self.REYNOLDS, 0.8, max_step=self.STEP)

    def test_the_history_ends_in_the_snapshot(self, flow):
        kx, ky = waves(48)
        psi = np.fft.fft2(flow.streamfunction.values)
        u, v = np.fft.ifft2(1j * ky * psi).real, np.fft.ifft2(-1j * kx * psi).real
        assert float(flow.energy[-1]) == pytest.approx(np.mean(u**2 + v**2) / 2, rel=1e-12)
        assert float(flow.enstrophy[-1]) == pytest.approx(np.mean(flow.vorticity.values**2) / 2, rel=1e-12)
        assert flow.sizes["moment"] == flow.attrs["steps"] + 1
        assert np.all(np.diff(flow.moment) > 0) and flow.moment[0] == 0 and flow.moment[-1] == 0.8

    def test_energy_falls_by_twice_the_viscosity_times_the_enstrophy(self, flow):
        """DE/dt = -ν mean ω² = -2 ν Z; Z is integrated by Simpson's rule over equal steps."""
        assert flow.attrs["steps"] == 320
        weights = np.array([1, *[4, 2] * 159, 4, 1]) * self.STEP / 3
        lost = float(flow.energy[0] - flow.energy[-1])
        assert lost == pytest.approx(2 / self.REYNOLDS * float(weights @ flow.enstrophy.values), rel=1e-6)

    def test_enstrophy_falls_by_the_viscosity_times_the_mean_squared_gradient(self, flow):
        h = self.STEP
        kx, ky = waves(48)
        gradient = float(((kx**2 + ky**2) * np.abs(spectral(flow.vorticity.values)) ** 2).sum())
        later = evolve(flow.vorticity.values, self.REYNOLDS, 2 * h, max_step=h).enstrophy.values
        before, middle = flow.enstrophy.values[-3:-1], later[0]
        slope = (before[0] - 8 * before[1] + 8 * later[1] - later[2]) / (12 * h)
        assert middle == pytest.approx(float(flow.enstrophy[-1]), rel=1e-12)
        assert slope == pytest.approx(-gradient / self.REYNOLDS, rel=3e-6)


class TestTimeSteps:
    def test_without_viscosity_energy_and_enstrophy_are_kept_to_third_order(self):
        start = initial_vorticity(32, peak=4)  # rough: the grid does not resolve it, and need not
        drift = {"energy": [], "enstrophy": []}
        for step in (0.02, 0.01):
            flow = evolve(start, INVISCID, 1.0, max_step=step, cfl=0.8)
            for name, found in drift.items():
                found.append(abs(float(flow[name][-1] / flow[name][0]) - 1))
        for coarse, fine in drift.values():
            assert fine < 1e-3
            assert coarse / fine == pytest.approx(8, rel=0.1)

    def test_without_viscosity_a_flow_runs_back(self):
        """The flow of -ω is that of ω backwards."""
        start = initial_vorticity(32, peak=4)
        there = evolve(start, INVISCID, 0.5, max_step=0.004)
        back = evolve(-there.vorticity.values, INVISCID, 0.5, max_step=0.004)
        kept = evolve(start, INVISCID, 1e-12).vorticity.values
        assert apart(there.vorticity.values, kept) > 0.5
        assert apart(-back.vorticity.values, kept) < 2e-4

    @pytest.mark.parametrize("reynolds", [5.0, 20.0, 100.0, 2000.0])
    def test_halving_the_steps_divides_the_error_by_eight(self, reynolds):
        start = smooth(32)
        found = {n: evolve(start, reynolds, 0.5, max_step=0.5 / n, cfl=0.8) for n in (20, 40, 320)}
        assert [flow.attrs["steps"] for flow in found.values()] == [20, 40, 320]
        exact = found[320].vorticity.values
        coarse, fine = (apart(found[n].vorticity.values, exact) for n in (20, 40))
        assert fine < 1e-3 and coarse / fine == pytest.approx(8, rel=0.1)

    def test_steps_follow_the_velocity_and_the_grid(self):
        x, _ = plane(32)
        fast, slow = (evolve(size * np.cos(x), 1e6, 1.0, cfl=0.4) for size in (3.0, 1.5))
        assert fast.moment.values[1] == pytest.approx(0.4 * 2 * np.pi / 32 / 3)
        np.testing.assert_allclose(np.diff(fast.moment)[:-1], fast.moment.values[1], rtol=1e-4)
        assert fast.attrs["steps"] == 39 and slow.attrs["steps"] == 20

    def test_strong_viscosity_does_not_limit_the_steps(self):
        flow = evolve(smooth(32), 1e-3, 1.0)
        assert np.abs(flow.vorticity).max() < 1e-300 and flow.attrs["steps"] < 30


def test_a_finer_grid_is_exponentially_better():
    """A smooth flow at equal steps, so that only the grid differs."""
    flows = {n: evolve(smooth(n), 20.0, 0.4, max_step=0.005, cfl=0.8) for n in (64, 96, 128, 192)}
    assert {flow.attrs["steps"] for flow in flows.values()} == {80}
    found = {n: resample(flow.vorticity, 192) for n, flow in flows.items()}
    errors = [apart(found[n], found[192]) for n in (64, 96, 128)]
    assert errors[0] < 1e-5 and errors[1] < 1e-3 * errors[0] and errors[2] < 1e-3 * errors[1]
    assert errors[2] < 1e-12


class TestSymmetries:
    """A flow moved, turned or mirrored evolves to the result moved, turned or mirrored."""

    START = smooth(24, seed=5)
    SETTINGS = dict(reynolds=300.0, time=0.3)
    END = evolve(START, **SETTINGS).vorticity.values

    def check(self, act):
        np.testing.assert_allclose(
            evolve(act(self.START), **self.SETTINGS).vorticity, act(self.END), rtol=0, atol=1e-12
        )

    @settings(max_examples=10)
    @given(st.tuples(st.integers(-24, 24), st.integers(-24, 24)))
    def test_translation(self, by):
        self.check(lambda field: np.roll(field, by, (0, 1)))

    @pytest.mark.parametrize("turns", [1, 2, 3])
    def test_quarter_turns_about_the_origin(self, turns):
        def turn(field):
            for _ in range(turns):
                field = np.roll(field[::-1], 1, axis=0).T
            return field

        self.check(turn)

    def test_mirrors_change_the_sign(self):
        self.check(lambda field: -field.T)
        self.check(lambda field: -np.roll(field[::-1], 1, axis=0))
        self.check(lambda field: -np.roll(field[:, ::-1], 1, axis=1))

    @settings(max_examples=5)
    @given(st.sampled_from([2, 3]))
    def test_a_flow_repeated_in_a_smaller_box(self, times):
        """ω(m x, t) solves the equation with a Reynolds number that is 1/m² of it: u and the box are 1/m."""
        n = 24 * times
        step = dict(max_step=0.01, time=0.1)
        one = evolve(self.START, reynolds=300.0, **step).vorticity.values
        many = evolve(np.tile(self.START, (times, times)), reynolds=300.0 * times**2, **step)
        assert many.sizes["x"] == n
        np.testing.assert_allclose(many.vorticity, np.tile(one, (times, times)), rtol=0, atol=1e-12)

    @given(st.floats(0.2, 5))
    @settings(max_examples=5)
    def test_a_faster_flow_is_the_same_flow_sooner(self, speed):
        found = evolve(speed * self.START, reynolds=300.0 / speed, time=0.3 / speed)
        np.testing.assert_allclose(found.vorticity / speed, self.END, rtol=0, atol=1e-11)


class TestInitialField:
    @settings(max_examples=15)
    @given(
        seed=st.integers(0, 2**32),
        sizes=st.tuples(st.integers(8, 50), st.integers(8, 50)),
        spectrum=st.sampled_from(list(SPECTRA)),
        cutoff=st.integers(3, 40),
    )
    def test_a_finer_grid_holds_the_modes_of_a_coarser_one(self, seed, sizes, spectrum, cutoff):
        coarse, fine = sorted(2 * size for size in sizes)
        one, two = (
            initial_vorticity(n, seed=seed, spectrum=spectrum, peak=2, cutoff=cutoff) for n in (coarse, fine)
        )
        kx, ky = waves(coarse)
        held = np.maximum(abs(kx), abs(ky)) < coarse / 3
        kx, ky = (k[held].astype(int) for k in (kx, ky))
        few = spectral(one)
        np.testing.assert_allclose(spectral(two)[kx, ky], few[kx, ky], rtol=0, atol=1e-14)
        few[kx, ky] = 0
        assert np.abs(few).max() < 1e-14  # and the coarser one holds nothing else

    @settings(max_examples=10)
    @given(
        seed=st.integers(0, 1000), energy=st.floats(0.01, 100), peak=st.floats(1, 10),
        spectrum=st.sampled_from(list(SPECTRA)),
    )  # fmt: skip
    def test_its_energy_is_the_one_asked_for(self, seed, energy, peak, spectrum):
        field = initial_vorticity(64, seed=seed, energy=energy, peak=peak, spectrum=spectrum, cutoff=21)
        kx, ky = waves(64)
        psi = spectral(field) / np.maximum(kx**2 + ky**2, 1)
        u, v = (np.fft.ifft2(1j * k * psi).real * field.size for k in (kx, ky))
        assert np.mean(u**2 + v**2) / 2 == pytest.approx(energy, rel=1e-12)
        assert abs(field.mean()) < 1e-12 * np.abs(field).max()

    def test_the_default_field_has_its_energy_on_the_default_grid_and_nearly_all_on_a_coarser_one(self):
        found = {
            n: evolve(initial_vorticity(n), 1.0, 1e-12, max_step=1).energy.values[0] for n in (128, 256, 512)
        }
        assert found[512] == pytest.approx(0.5, rel=1e-12)
        assert [round(1 - found[n] / 0.5, 3) for n in (256, 128)] == [0.002, 0.010]

    @pytest.mark.parametrize(
        ("spectrum", "formula"),
        [
            ("mcwilliams", lambda k: k / (1 + (k / 6) ** 4)),
            ("smooth", lambda k: k**7 * np.exp(-3.5 * (k / 6) ** 2)),
        ],
    )
    def test_its_radial_spectrum_follows_the_formula(self, spectrum, formula):
        """On rings of width 4, which hold enough points of the lattice."""
        field = initial_vorticity(256, spectrum=spectrum, cutoff=85)
        kx, ky = waves(256)
        psi = np.fft.fft2(field) / np.maximum(kx**2 + ky**2, 1)
        u, v = (np.fft.ifft2(1j * k * psi).real for k in (kx, ky))
        bins, longest = 45, np.hypot(128, 128)
        centres, power = power_spectrum_radial(u, bins)
        power = power + power_spectrum_radial(v, bins)[1]
        inner = (centres > 3) & (centres < (80 if spectrum == "mcwilliams" else 14))
        within = np.linspace(-0.5, 0.5, 101) * longest / bins
        ratio = power[inner] / formula(centres[inner, None] + within).mean(axis=1)
        np.testing.assert_allclose(ratio / ratio.mean(), 1, atol=0.08)

    def test_it_is_isotropic_and_its_phases_are_uniform(self):
        found = spectral(initial_vorticity(128, seed=9))[1:43, 1:43]
        kx, ky = np.meshgrid(np.arange(1, 43), np.arange(1, 43), indexing="ij")
        np.testing.assert_allclose(np.abs(found), np.abs(found.T), rtol=1e-9)  # sizes depend on |k| alone
        assert abs(found[3, 4]) / abs(found[4, 3]) == pytest.approx(1, rel=1e-10)
        assert abs(np.exp(1j * np.angle(found)).mean()) < 3 / kx.size**0.5

    @settings(max_examples=10)
    @given(st.tuples(st.integers(5, 20), st.integers(5, 20)), st.integers(0, 1000))
    def test_the_cutoff_is_a_circle_and_changes_no_phase(self, cutoffs, seed):
        few, many = sorted(cutoffs)
        one, two = (spectral(initial_vorticity(64, seed=seed, peak=3, cutoff=c)) for c in (few, many))
        length = np.hypot(*waves(64))
        held = (length > 0) & (length <= few)
        assert np.abs(one[held]).min() > 1e-4 and np.abs(one[~held]).max() < 1e-15
        ratio = one[held] / two[held]
        np.testing.assert_allclose(ratio, ratio[0].real, rtol=0, atol=1e-10)
        assert ratio[0].real >= 1 - 1e-12  # fewer modes share the same energy

    def test_seeds_give_other_fields(self):
        assert np.array_equal(smooth(32, 1), smooth(32, 1))
        assert apart(smooth(32, 1), smooth(32, 2)) > 1


class TestDecayingTurbulence:
    def test_it_is_the_evolution_of_the_initial_field(self):
        initial = dict(seed=4, spectrum="smooth", peak=3.0, energy=0.7, cutoff=12)
        flow = decaying_turbulence(32, 150.0, 0.2, **initial, cfl=0.3)
        expected = evolve(initial_vorticity(32, **initial), 150.0, 0.2, cfl=0.3)
        xr.testing.assert_equal(flow, expected)
        assert flow.attrs == expected.attrs | initial
        assert flow.attrs == initial | dict(
            resolution=32, reynolds=150.0, time=0.2, cfl=0.3, max_step=np.inf, steps=flow.sizes["moment"] - 1
        )

    def test_its_fields_are_doubles_over_the_square_without_its_far_edges(self):
        flow = decaying_turbulence(24, time=0.05)
        for name in ("streamfunction", "vorticity"):
            assert flow[name].dims == ("x", "y") and flow[name].dtype == np.float64
        for axis in "xy":
            np.testing.assert_allclose(flow[axis], 2 * np.pi * np.arange(24) / 24, rtol=1e-15)

    def test_energy_and_enstrophy_never_grow(self):
        flow = decaying_turbulence(48, 300.0, 0.5, seed=2)
        assert np.all(np.diff(flow.energy) < 0) and np.all(np.diff(flow.enstrophy) < 0)

    def test_it_can_be_saved(self, tmp_path):
        flow = decaying_turbulence(24, time=0.05)
        flow.to_netcdf(tmp_path / "flow.nc")
        with xr.open_dataset(tmp_path / "flow.nc") as read:
            xr.testing.assert_identical(read.load(), flow)

    def test_the_bar_is_shown_when_asked_for_only(self, capsys):
        decaying_turbulence(24, time=0.05)
        assert capsys.readouterr().err == ""
        decaying_turbulence(24, time=0.05, progress=True)
        assert "t = 0.0" in capsys.readouterr().err


class TestResample:
    @given(sizes=st.tuples(st.integers(1, 14), st.integers(1, 14)), seed=st.integers(0, 99), data=st.data())
    def test_it_is_exact_on_trigonometric_polynomials(self, sizes, seed, data):
        largest = data.draw(st.integers(0, (min(sizes) - 1) // 2))
        draw = np.random.default_rng(seed)
        vectors = draw.integers(-largest, largest + 1, (5, 2))
        phases = draw.uniform(0, 2 * np.pi, 5)

        def polynomial(n):
            x, y = plane(n)
            return sum(np.cos(k * x + m * y + p) for (k, m), p in zip(vectors, phases, strict=True))

        field, expected = (polynomial(n) for n in sizes)
        found = resample(field, sizes[1])
        assert found.dtype == np.float64 and apart(found, expected) < 1e-13
        assert np.mean(found**2) == pytest.approx(np.mean(field**2), abs=1e-13)  # Parseval

    @given(n=st.integers(1, 12), more=st.integers(0, 13), seed=st.integers(0, 99))
    def test_finer_and_back_is_the_same_and_old_samples_stay_where_grids_meet(self, n, more, seed):
        field = np.random.default_rng(seed).normal(size=(n, n))
        assert apart(resample(resample(field, n + more), n), field) < 1e-13
        assert apart(resample(field, 3 * n)[::3, ::3], field) < 1e-13

    @pytest.mark.parametrize("new", [9, 12, 17])
    def test_the_alternating_mode_becomes_a_cosine(self, new):
        (x, y), (fine_x, fine_y) = plane(8), plane(new)
        found = resample(np.cos(4 * x) * (np.sin(y) + np.cos(4 * y)), new)
        assert apart(found, np.cos(4 * fine_x) * (np.sin(fine_y) + np.cos(4 * fine_y))) < 1e-14

    def test_a_coarser_grid_keeps_the_cosine_that_alternates_on_it_and_drops_what_is_finer(self):
        (x, y), (few_x, few_y) = plane(20), plane(8)
        field = np.cos(4 * x) * np.cos(y) + np.sin(4 * x) + np.cos(5 * x + y) + np.sin(3 * y)
        expected = np.cos(4 * few_x) * np.cos(few_y) + np.sin(3 * few_y)
        assert apart(resample(field, 8), expected) < 1e-14

    @pytest.mark.parametrize(("n", "new"), [(7, 15), (8, 15), (8, 20), (9, 14)])
    def test_a_finer_grid_agrees_with_scipy(self, n, new):
        field = np.random.default_rng(0).normal(size=(n, n))
        assert apart(resample(field, new), one_axis(one_axis(field, new, axis=0), new, axis=1)) < 1e-13


class TestBadInput:
    @pytest.mark.parametrize(
        ("change", "error", "message"),
        [
            (dict(resolution=31), ValueError, "resolution must be even and at least 4, got 31"),
            (dict(resolution=2), ValueError, "resolution must be even and at least 4, got 2"),
            (dict(resolution=32.0), TypeError, "resolution must be a whole number, got 32.0"),
            (dict(seed=-1), ValueError, "seed must not be negative, got -1"),
            (dict(seed=True), TypeError, "seed must be a whole number, got True"),
            (dict(seed=None), TypeError, "seed must be a whole number, got None"),
            (dict(spectrum="smoth"), ValueError, "spectrum must be one of mcwilliams, smooth, got 'smoth'"),
            (dict(peak=0.5), ValueError, "peak must be from 1 to 10 for resolution 32 and cutoff 170, got 0"),
            (dict(peak=11), ValueError, "peak must be from 1 to 10"),
            (dict(peak=7, cutoff=6), ValueError, "peak must be from 1 to 6 .*and cutoff 6, got 7"),
            (dict(peak="6"), TypeError, "peak must be a number, got '6'"),
            (dict(energy=0), ValueError, "energy must be positive and finite, got 0"),
            (dict(cutoff=0), ValueError, "cutoff must be at least 1, got 0"),
            (dict(cutoff=8.5), TypeError, "cutoff must be a whole number, got 8.5"),
        ],
    )  # fmt: skip
    def test_of_the_initial_field(self, change, error, message):
        for made in (initial_vorticity, decaying_turbulence):
            with pytest.raises(error, match=message):
                made(**{"resolution": 32} | change)

    @pytest.mark.parametrize(
        ("change", "error", "message"),
        [
            (dict(vorticity=np.zeros((8, 6))), ValueError, r"vorticity must be square, .*got shape \(8, 6\)"),
            (dict(vorticity=np.zeros(8)), ValueError, r"vorticity must be square, .*got shape \(8,\)"),
            (dict(vorticity=np.zeros((0, 0))), ValueError, r"vorticity must be square, .*got shape \(0, 0\)"),
            (dict(vorticity=np.zeros((7, 7))), ValueError, "resolution of vorticity must be even.*got 7"),
            (dict(vorticity=np.ones((8, 8))), ValueError, "vorticity must have mean 0, got 1"),
            (dict(vorticity=np.full((8, 8), np.nan)), ValueError, "vorticity must be finite, got 64 NaN"),
            (dict(vorticity=np.zeros((8, 8), complex)), TypeError, "vorticity must hold real numbers"),
            (dict(reynolds=0.0), ValueError, "reynolds must be positive and finite, got 0.0"),
            (dict(reynolds=np.inf), ValueError, "reynolds must be positive and finite, got inf"),
            (dict(time=-1.0), ValueError, "time must be positive and finite, got -1.0"),
            (dict(time="1"), TypeError, "time must be a number, got '1'"),
            (dict(cfl=0.9), ValueError, "cfl must be at most 0.8, where steps are stable, got 0.9"),
            (dict(cfl=0), ValueError, "cfl must be positive and finite, got 0"),
            (dict(max_step=0.0), ValueError, "max_step must be positive and finite, got 0.0"),
        ],
    )  # fmt: skip
    def test_of_the_evolution(self, change, error, message):
        with pytest.raises(error, match=message):
            evolve(**dict(vorticity=np.zeros((8, 8)), reynolds=10.0, time=1.0) | change)

    def test_of_resampling(self):
        with pytest.raises(ValueError, match=r"field must be square, .*got shape \(3, 4\)"):
            resample(np.zeros((3, 4)), 8)
        with pytest.raises(ValueError, match="resolution must be at least 1, got 0"):
            resample(np.zeros((3, 3)), 0)
        with pytest.raises(TypeError, match="resolution must be a whole number, got 4.0"):
            resample(np.zeros((3, 3)), 4.0)

    def test_the_input_stays_as_it_was(self):
        start = smooth(32)
        same = start.copy()
        evolve(start, 100.0, 0.05)
        resample(start, 40)
        assert np.array_equal(start, same)


def test_more_threads_change_nothing():
    one = decaying_turbulence(32, time=0.1)
    with scipy.fft.set_workers(2):
        two = decaying_turbulence(32, time=0.1)
    xr.testing.assert_allclose(one, two, rtol=1e-12, atol=1e-13)
