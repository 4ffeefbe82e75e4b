"""The multistage regressor as an estimator: what it fits, when it stops, what it keeps and refuses."""

from __future__ import annotations

import json
import warnings
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from specbias.multistage import MultistageRegressor, Stage, StageNetwork
from specbias.multistage.quasi_newton import Minimum
from specbias.multistage.stages import Watch

X = np.linspace(-1, 1, 120)[:, None]
Y = np.sin(3 * X[:, 0]) + 0.3 * X[:, 0]
SMALL = {"stages": 2, "hidden": (8,), "max_iter": 150, "random_state": 0}


def small(**settings) -> MultistageRegressor:
    return MultistageRegressor(**SMALL | settings)


@pytest.fixture(scope="module")
def fitted() -> MultistageRegressor:
    """Two stages on all points; nothing is held out."""
    return small(validation_fraction=0).fit(X, Y)


@pytest.fixture(scope="module")
def deep() -> MultistageRegressor:
    return small(hidden=(10, 7), max_iter=400, validation_fraction=0, activation="cos").fit(X, Y)


def by_hand(stage: Stage, x: np.ndarray) -> np.ndarray:
    """A stage's share of the prediction at scaled inputs, with NumPy alone."""
    at, value, widths = 0, x, [x.shape[1], *stage.network.hidden, 1]
    for layer in range(len(widths) - 1):
        into, out = widths[layer : layer + 2]
        weights = stage.parameters[at : at + into * out].reshape(out, into)
        value = value @ weights.T + stage.parameters[at + into * out : at + into * out + out]
        at += into * out + out
        if layer == 0:
            value = {"sin": np.sin, "cos": np.cos, "tanh": np.tanh}[stage.network.first](
                stage.network.scale * value
            )
        elif layer < len(widths) - 2:
            value = np.tanh(value)
    return stage.size * value[:, 0]


# --- scikit-learn -----------------------------------------------------------------------------------------


@parametrize_with_checks([MultistageRegressor(stages=2, hidden=(6,), max_iter=15)])
def test_scikit_learn(estimator, check):
    check(estimator)


def test_pipeline_clone_and_cross_validation():
    pipeline = make_pipeline(StandardScaler(), small(stages=1))
    assert clone(pipeline)[-1].get_params() == pipeline[-1].get_params()
    scores = cross_val_score(pipeline, 50 + 7 * X, Y, cv=KFold(3, shuffle=True, random_state=0))
    assert min(scores) > 0.999
    assert pipeline.fit(50 + 7 * X, Y).score(50 + 7 * X, Y) > 0.999


def test_grid_search():
    grid = {"hidden": [(1,), (8,)]}
    search = GridSearchCV(small(stages=1, max_iter=60), grid, cv=KFold(2, shuffle=True, random_state=0))
    assert search.fit(X, Y).best_params_ == {"hidden": (8,)}


def test_names_of_columns():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"time": X[:, 0], "place": np.cos(5 * X[:, 0])})
    model = small(stages=1, max_iter=20).fit(frame, pandas.Series(Y))
    assert model.feature_names_in_.tolist() == ["time", "place"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        predicted = model.predict(frame)
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[["place", "time"]])
    with pytest.warns(UserWarning, match="feature names"):
        np.testing.assert_array_equal(model.predict(frame.to_numpy()), predicted)


# --- what a fit is ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["fitted", "deep"])
def test_prediction_is_the_sum_of_the_stages(name, request):
    model = request.getfixturevalue(name)
    assert [stage.network.first for stage in model.stages_] == ["tanh", model.activation]
    x = np.random.default_rng(0).uniform(-1, 1, (57, 1))
    expected = sum(by_hand(stage, x) for stage in model.stages_)
    np.testing.assert_allclose(model.predict(x), expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", ["fitted", "deep"])
def test_residual_rms_is_that_of_the_partial_sums(name, request):
    model = request.getfixturevalue(name)
    left, found = Y.copy(), [np.sqrt(np.mean(Y**2))]
    for stage, size in zip(model.stages_, model.residual_rms_, strict=False):
        assert stage.size == size
        left = left - by_hand(stage, X)
        found.append(np.sqrt(np.mean(left**2)))
    np.testing.assert_allclose(model.residual_rms_, found, rtol=1e-6, atol=1e-15)
    assert (np.diff(model.residual_rms_) < 0).all()
    assert model.validation_rms_.size == 0
    for stage, size in zip(model.stages_, model.residual_rms_[1:], strict=True):
        assert stage.history[-1] == pytest.approx((size / stage.size) ** 2 / 2, rel=1e-6)
        assert len(stage.history) == stage.iterations + 1
    assert model.n_iter_ == max(stage.iterations for stage in model.stages_)


def test_held_out_points_have_a_residue_of_their_own():
    model = small(validation_fraction=0.25).fit(X, Y)
    generator = np.random.default_rng(np.random.RandomState(0).randint(2**31))
    train, held = model._split(X, generator)
    left = model.residue(X, Y)
    assert model.residual_rms_[-1] == pytest.approx(np.sqrt(np.mean(left[train] ** 2)), rel=1e-6)
    assert model.validation_rms_[-1] == pytest.approx(np.sqrt(np.mean(left[held] ** 2)), rel=1e-6)
    assert len(model.validation_rms_) == len(model.residual_rms_) == len(model.stages_) + 1


@given(st.integers(2, 200), st.integers(1, 3), st.floats(0, 0.89), st.integers(0, 99), st.booleans())
def test_split(count, dimensions, fraction, seed, repeated):
    random = np.random.default_rng(seed)
    x = random.integers(0, 3, (count, dimensions)) if repeated else random.normal(size=(count, dimensions))
    train, held = MultistageRegressor(validation_fraction=fraction)._split(x.astype(float), random)
    np.testing.assert_array_equal(np.sort(np.concatenate([train, held])), np.arange(count))
    if count < 30:
        assert not held.size
    else:
        assert held.size == min(round(fraction * count), count - (2 if dimensions == 1 else 0))
    if dimensions == 1:  # no point is held out beyond those that are fitted
        assert x[train].min() == x.min()
        assert x[train].max() == x.max()


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="longdouble has no more digits here")
def test_residue_keeps_what_the_difference_to_the_prediction_loses():
    model = small(hidden=(20, 20), max_iter=1200, validation_fraction=0).fit(X, Y)
    shares = [by_hand(stage, X.astype(np.longdouble)) for stage in model.stages_]
    exact = [
        Fraction(y) - sum(Fraction(*share[k].as_integer_ratio()) for share in shares)
        for k, y in enumerate(Y.tolist())
    ]
    residue, difference = model.residue(X, Y), Y - model.predict(X)
    off = max(abs(Fraction(found) - true) for found, true in zip(residue.tolist(), exact, strict=True))
    lost = max(abs(Fraction(found) - true) for found, true in zip(difference.tolist(), exact, strict=True))
    assert off < 2e-18 < 1e-17 < lost
    rounded = model.predict(X, extended=True)
    assert (
        max(
            abs(Fraction(y) - true - Fraction(f))
            for y, true, f in zip(Y.tolist(), exact, rounded.tolist(), strict=True)
        )
        < 3e-16
    )
    assert np.sqrt(np.mean(residue**2)) == pytest.approx(model.residual_rms_[-1], rel=0.3)


@pytest.mark.parametrize("initialization", ["scale-factor", "plain"])
def test_initialization(initialization):
    wave = Y + 1e-3 * np.sin(20 * np.pi * X[:, 0])
    model = small(initialization=initialization, validation_fraction=0, max_iter=60).fit(X, wave)
    second = model.stages_[1]
    if initialization == "plain":
        assert (second.network.first, second.network.scale) == ("tanh", 1)
    else:
        assert second.network.first == "sin"
        deviation = np.sqrt(2 / (1 + 8))
        assert second.network.scale == pytest.approx(max(1, second.frequency / 2 / deviation))


@pytest.mark.parametrize("optimizer", ["self-scaled-bfgs", "l-bfgs", "adam", "adam+l-bfgs"])
@pytest.mark.parametrize("frequency", ["spectrum", "crossings"])
def test_every_optimizer_and_frequency(optimizer, frequency):
    model = small(optimizer=optimizer, frequency=frequency).fit(X, Y)
    assert model.residual_rms_[-1] < model.residual_rms_[0]
    assert all(stage.iterations <= 150 for stage in model.stages_)


# --- accuracy, and when it stops --------------------------------------------------------------------------


def test_two_stages_reach_round_off_on_exact_data_also_between_the_points():
    x, between = np.linspace(-1, 1, 300)[:, None], np.linspace(-1, 1, 8001)[:, None]

    def target(x):
        return np.sin(2 * x[:, 0] + 1) + 0.2 * np.exp(1.3 * x[:, 0])

    model = MultistageRegressor(stages=2, hidden=(20, 20, 20), validation_fraction=0, random_state=0)
    model.fit(x, target(x))
    assert np.sqrt(np.mean(model.residue(x, target(x)) ** 2)) < 1e-11
    off = model.predict(between) - target(between)
    assert np.sqrt(np.mean(off**2)) < 1e-10
    assert abs(off).max() < 1e-9  # next to the ends; 4e-12 to 1.3e-10 for the seeds 0 to 8


def test_noise_is_not_fitted():
    random = np.random.default_rng(0)
    x = random.uniform(-1, 1, (400, 1))
    y = np.sin(3 * x[:, 0]) + 1e-2 * random.standard_normal(400)
    model = MultistageRegressor(random_state=0).fit(x, y)
    inside = np.linspace(x.min(), x.max(), 2001)[:, None]
    assert np.sqrt(np.mean((model.predict(inside) - np.sin(3 * inside[:, 0])) ** 2)) < 0.5e-2
    assert len(model.stages_) <= 2
    assert model.residual_rms_[-1] == pytest.approx(1e-2, rel=0.15)
    assert not model.stopped_.startswith("all")


@pytest.mark.parametrize("fraction", [0, 0.1])
def test_white_noise_gets_no_second_stage(fraction):
    noise = np.random.default_rng(1).standard_normal(400)
    x = np.linspace(-1, 1, 400)[:, None]
    model = small(stages=4, validation_fraction=fraction, patience=50).fit(x, noise)
    assert len(model.stages_) == 1
    assert "changes sign" in model.stopped_
    assert model.residual_rms_[-1] > 0.8
    if fraction:
        assert model.stages_[0].reason == "held-out"


def test_noise_on_a_grid_of_two_inputs_is_noticed():
    axis = np.linspace(-1, 1, 25)
    x = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    y = np.sin(2 * x.sum(axis=1)) + 0.05 * np.random.default_rng(0).standard_normal(625)
    model = small(stages=4).fit(x, y)
    assert len(model.stages_) == 1
    assert np.sqrt(np.mean((model.predict(x) - np.sin(2 * x.sum(axis=1))) ** 2)) < 0.03


def test_tol_ends_the_stages():
    model = small(stages=3, tol=1.0).fit(X, Y / 10)
    assert (model.stages_, model.n_iter_) == ([], 0)
    assert "at most tol" in model.stopped_
    np.testing.assert_array_equal(model.predict(X), np.zeros(120))
    assert len(small(stages=3, tol=0.05, validation_fraction=0).fit(X, Y).stages_) == 1


@pytest.mark.parametrize("value", [0.0, 1.0, -3.5, 1e9])
def test_constant_targets(value):
    model = small(stages=2, hidden=(5,), validation_fraction=0).fit(X, np.full(120, value))
    np.testing.assert_allclose(model.predict(X), value, rtol=1e-7)
    assert np.isfinite(model.predict(np.array([[-1.3], [0.01], [1.3]]))).all()


@pytest.mark.parametrize("power", [-99, 99])
def test_predictions_scale_with_the_targets_exactly(power):
    """Powers of two are multiplied without rounding, so 1e-30 and 1e+30 give the very same digits."""
    model = small().fit(X, Y)
    sized = small().fit(X, Y * 2.0**power)
    np.testing.assert_array_equal(sized.predict(X), model.predict(X) * 2.0**power)
    np.testing.assert_array_equal(sized.residual_rms_, model.residual_rms_ * 2.0**power)


@pytest.mark.parametrize("size", [1e-300, 1e-30, 1e30, 1e300])
def test_targets_of_any_size(size):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = small(validation_fraction=0).fit(X, size * Y)
        predicted = model.predict(X)
    assert np.sqrt(np.mean((predicted / size - Y) ** 2)) < 1e-3


def test_inputs_are_scaled_exactly():
    model, moved = small().fit(X, Y), small().fit(X * 2.0**40, Y)
    np.testing.assert_array_equal(moved.predict(X * 2.0**40), model.predict(X))
    shifted = small().fit(1e6 + 1e3 * X, Y)
    assert abs(shifted.predict(1e6 + 1e3 * X) - Y).max() < 1e-2
    np.testing.assert_allclose([shifted.center_, shifted.halfwidth_], [[1e6], [1e3]])


def test_same_seed_same_fit():
    one, two, three = (small(random_state=seed).fit(X, Y) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one.predict(X), two.predict(X))
    assert (one.predict(X) != three.predict(X)).any()
    again = small(random_state=np.random.RandomState(5)).fit(X, Y)
    np.testing.assert_array_equal(one.predict(X), again.predict(X))


@pytest.mark.parametrize("dimensions", [1, 2])
def test_order_of_the_points_does_not_matter(dimensions):
    x = np.random.default_rng(0).uniform(-1, 1, (90, dimensions))
    x[40:50] = x[:10]  # points given twice, with other values
    y = np.sin(3 * x.sum(axis=1)) + 0.01 * np.arange(90)
    order = np.random.default_rng(1).permutation(90)
    one, two = small().fit(x, y), small().fit(x[order], y[order])
    np.testing.assert_array_equal(one.predict(x), two.predict(x))
    np.testing.assert_array_equal(one.residual_rms_, two.residual_rms_)


def test_points_given_twice_and_a_column_that_is_constant():
    model = small(validation_fraction=0).fit(np.tile(X, (2, 1)), np.tile(Y, 2))
    assert abs(model.predict(X) - Y).max() < 1e-2
    model = small().fit(np.column_stack([X, np.full(120, 7.0)]), Y)
    assert model.residual_rms_[-1] < 1e-2
    assert (model.center_[1], model.halfwidth_[1]) == (7, 1)
    model = small().fit(np.full((120, 1), 7.0), 2 + Y)
    np.testing.assert_allclose(model.predict([[7.0]]), 2 + Y.mean(), atol=0.1)


@pytest.mark.parametrize("count", [2, 3, 7])
@pytest.mark.parametrize("dimensions", [1, 4])
def test_few_points(count, dimensions):
    random = np.random.default_rng(count)
    x, y = random.normal(size=(count, dimensions)), random.normal(size=count)
    model = small(validation_fraction=0.5).fit(x, y)
    assert model.residual_rms_[-1] < 1e-3
    assert model.validation_rms_.size == 0


# --- the points held out ----------------------------------------------------------------------------------


def test_watch_keeps_the_best_and_considers_the_last():
    """A network of one tanh unit whose output is its last bias: the error is the distance to 0.5."""
    network = StageNetwork(1, (1,))

    def row(bias):
        return np.array([0.0, 0.0, 0.0, bias])

    def watched(biases, patience=1000):
        with Watch(network, X, np.full(120, 0.5), patience, 99, False) as watch:
            for step, bias in enumerate(biases, start=1):
                if watch(step, row(bias), 0.0):
                    break
        last = Minimum(row(bias), 0.0, step, step, np.zeros(step + 1), "iterations")
        return float(watch.choose(last)[-1]), step

    assert watched([0.0] * 9 + [0.4] + [0.9] * 20) == (0.4, 30)  # the tenth is looked at
    assert watched([0.0] * 12 + [0.45]) == (0.45, 13)  # no tenth one, but the last
    assert watched([0.0] * 9 + [0.4] + [0.9] * 90, patience=20) == (0.4, 30)
    assert watched([0.1, 0.2]) == (0.2, 2)


@pytest.mark.parametrize("initialization", ["scale-factor", "spectrum"])
def test_a_callback_sees_every_step_and_its_exception_ends_the_fit(initialization):
    x = np.linspace(-1, 1, 64, endpoint=False)[:, None]
    y, seen = np.exp(np.sin(np.pi * x[:, 0])), []
    settings = {"initialization": initialization, "max_iter": 30, "features": 3, "guard": False}
    model = small(**settings).fit(x, y, callback=lambda now, step: seen.append((now, len(now.stages_), step)))
    np.testing.assert_array_equal(model.residual_rms_, small(**settings).fit(x, y).residual_rms_)
    assert {id(now) for now, _, _ in seen} == {id(model)}
    for number, stage in enumerate(model.stages_):
        steps = [step for _, made, step in seen if made == number]
        assert steps == sorted(steps) and steps[-1] == stage.iterations

    def enough(now, step):
        if now.stages_:
            raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        small(**settings).fit(x, y, callback=enough)


def test_patience_ends_a_stage_and_the_best_parameters_are_kept():
    random = np.random.default_rng(3)
    x = random.uniform(-1, 1, (60, 1))
    y = np.sin(3 * x[:, 0]) + 0.3 * random.standard_normal(60)
    model = small(stages=1, hidden=(20, 20), max_iter=2000, patience=50).fit(x, y)
    stage = model.stages_[0]
    assert (stage.reason, stage.iterations < 2000, stage.iterations % 10) == ("held-out", True, 0)
    clean = np.sin(3 * X[:, 0])
    overfitted = small(stages=1, hidden=(20, 20), max_iter=2000, validation_fraction=0).fit(x, y)
    assert np.mean((model.predict(X) - clean) ** 2) < 0.5 * np.mean((overfitted.predict(X) - clean) ** 2)


# --- verbose, saving, refusals ----------------------------------------------------------------------------


def test_verbose_prints_a_table(capsys):
    model = small(verbose=True).fit(X, Y)
    told, head, *lines, stopped = capsys.readouterr().out.splitlines()
    assert told == "device: cpu (networks without waves are small)"
    assert head.split("  ")[0] == "stage"
    assert len(lines) == len(model.stages_)
    for number, (line, stage) in enumerate(zip(lines, model.stages_, strict=True), start=1):
        scale = "—" if number == 1 else f"{stage.network.scale:.1f}"
        sizes = f"{model.residual_rms_[number]:.1e}", f"{model.validation_rms_[number]:.1e}"
        told = [str(number), str(stage.network.size), scale, str(stage.iterations), stage.reason, *sizes]
        assert line.split() == told
        assert len(line) == len(head)
    assert stopped == f"stopped: {model.stopped_}"
    small().fit(X, Y)
    assert capsys.readouterr().out == ""


def test_saving_and_loading(tmp_path, fitted):
    path = tmp_path / "model"  # the name is kept, whatever its ending
    fitted.save(path)
    assert [file.name for file in tmp_path.iterdir()] == ["model"]
    loaded = MultistageRegressor.load(path)
    x = np.random.default_rng(0).uniform(-1, 1, (300, 1))
    np.testing.assert_array_equal(loaded.predict(x), fitted.predict(x))
    np.testing.assert_array_equal(loaded.residue(X, Y), fitted.residue(X, Y))
    assert loaded.get_params() == fitted.get_params()
    for name in ("stopped_", "n_iter_", "n_features_in_"):
        assert getattr(loaded, name) == getattr(fitted, name)
    for name in ("center_", "halfwidth_", "residual_rms_", "validation_rms_"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(fitted, name))
    for mine, theirs in zip(loaded.stages_, fitted.stages_, strict=True):
        assert mine.network == theirs.network
        assert {k: v for k, v in vars(mine).items() if k not in ("parameters", "history")} == {
            k: v for k, v in vars(theirs).items() if k not in ("parameters", "history")
        }
        np.testing.assert_array_equal(mine.history, theirs.history)
    with np.load(path, allow_pickle=False) as file:  # there is nothing to unpickle
        assert all(file[name].dtype.kind in "fU" for name in file.files)
    loaded.save(path)
    loaded.fit(X, Y)


def test_saving_numpy_numbers_names_of_columns_and_no_stage(tmp_path):
    settings = {"hidden": np.array([4, 3]), "max_iter": np.int64(9), "tol": np.float32(0.25)}
    model = small(**settings, random_state=np.random.RandomState(0)).fit(X, Y)
    model.feature_names_in_ = np.array(["time"], dtype=object)
    model.save(tmp_path / "model.npz")
    loaded = MultistageRegressor.load(tmp_path / "model.npz")
    assert (loaded.hidden, loaded.max_iter, loaded.tol, loaded.random_state) == ((4, 3), 9, 0.25, None)
    assert loaded.feature_names_in_.tolist() == ["time"]
    small().fit(X, 0 * Y).save(tmp_path / "model.npz")
    np.testing.assert_array_equal(MultistageRegressor.load(tmp_path / "model.npz").predict(X), 0 * Y)


def test_an_estimator_that_is_not_fitted_cannot_be_saved(tmp_path):
    with pytest.raises(ValueError, match="not fitted"):
        small().save(tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_a_failed_save_leaves_the_old_file(tmp_path, fitted, monkeypatch):
    path = tmp_path / "model"
    fitted.save(path)
    before = path.read_bytes()

    def full(file, **arrays):
        file.write(b"half of it")
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="no space"):
        fitted.save(path)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def foreign(path, fitted, kind):
    """A file that is something else, or was changed."""
    fitted.save(path)
    with np.load(path) as file:
        arrays = dict(file)
    told = json.loads(str(arrays["told"]))
    if kind == "text":
        path.write_text("not a model")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "array":
        with open(path, "wb") as file:
            np.save(file, np.zeros(3))
    elif kind == "cut":
        path.write_bytes(path.read_bytes()[:-700])
    elif kind == "other arrays":
        with open(path, "wb") as file:
            np.savez(file, values=np.zeros(3))
    else:
        changes = {
            "format": {"format": 99}, "setting": {"parameters": told["parameters"] | {"colour": 1}},
            "inputs": {"n_features_in_": 2}, "missing": {"stages": [*told["stages"], told["stages"][0]]},
            "size": {"stages": [told["stages"][0] | {"hidden": [9]}]},
            "first": {"stages": [told["stages"][0] | {"first": "exp"}]},
            "list": None,
        }  # fmt: skip
        told = [1] if kind == "list" else told | changes[kind]
        arrays["told"] = np.array(json.dumps(told))
        with open(path, "wb") as file:
            np.savez(file, **arrays)


@pytest.mark.parametrize(
    "kind",
    [
        "text", "empty", "array", "cut", "other arrays", "format", "setting", "inputs", "missing", "size",
        "first", "list",
    ],
)  # fmt: skip
def test_foreign_files_are_refused(tmp_path, fitted, kind):
    path = tmp_path / "some-file"
    foreign(path, fitted, kind)
    with pytest.raises(ValueError, match="path: .*some-file holds no MultistageRegressor"):
        MultistageRegressor.load(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        MultistageRegressor.load(tmp_path / "nowhere")


@given(st.data())
@settings(max_examples=100)
def test_a_damaged_byte_is_noticed_or_does_not_matter(tmp_path_factory, fitted, data):
    path = tmp_path_factory.mktemp("damaged") / "model"
    fitted.save(path)
    raw = bytearray(path.read_bytes())
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(raw)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns of names that stand there twice
        try:
            loaded = MultistageRegressor.load(path)
        except ValueError as error:
            assert str(path) in str(error)
            return
    np.testing.assert_array_equal(loaded.predict(X), fitted.predict(X))


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("stages", 0, ValueError), ("stages", 1.5, TypeError), ("stages", True, TypeError),
        ("stages", "2", TypeError), ("max_iter", 0, ValueError), ("max_iter", 1e3, TypeError),
        ("history", 0, ValueError), ("patience", -1, ValueError), ("patience", None, TypeError),
        ("hidden", (), ValueError), ("hidden", (0,), ValueError), ("hidden", 20, TypeError),
        ("hidden", "20", TypeError), ("hidden", (2.0,), TypeError), ("hidden", np.array([]), ValueError),
        ("validation_fraction", 1, ValueError), ("validation_fraction", -0.1, ValueError),
        ("validation_fraction", np.nan, ValueError), ("validation_fraction", "0.1", TypeError),
        ("validation_fraction", None, TypeError), ("tol", -1e-9, ValueError), ("tol", np.nan, ValueError),
        ("tol", "small", TypeError), ("tol", True, TypeError), ("initialization", "xavier", ValueError),
        ("optimizer", "bfgs", ValueError), ("activation", "tanh", ValueError), ("activation", 1, ValueError),
        ("frequency", "fft", ValueError), ("device", "gpu", ValueError), ("random_state", "x", ValueError),
        ("random_state", -1, ValueError),
    ],
)  # fmt: skip
def test_bad_parameters_are_refused_by_name(name, value, error):
    with pytest.raises(error, match=name):
        MultistageRegressor(**{name: value}).fit(X, Y)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_data_that_are_not_finite_are_refused(bad, fitted):
    broken = X.copy()
    broken[7] = bad
    for use in (lambda: small().fit(broken, Y), lambda: fitted.predict(broken)):
        with pytest.raises(ValueError, match="Input X contains"):
            use()
    for use in (lambda: small().fit(X, broken[:, 0]), lambda: fitted.residue(X, broken[:, 0])):
        with pytest.raises(ValueError, match="Input y contains"):
            use()


def test_shapes_that_do_not_fit_are_refused(fitted):
    with pytest.raises(ValueError, match="inconsistent"):
        small().fit(X, Y[1:])
    with pytest.raises(ValueError, match="minimum of 2"):
        small().fit(X[:1], Y[:1])
    with pytest.raises(ValueError, match="2 features"):
        fitted.predict(np.zeros((3, 2)))


def test_without_its_guard_it_learns_by_heart():
    """White noise: with the guard one stage, without it stages whose scale factor nothing bounds."""
    x = np.linspace(-1, 1, 120)[:, None]
    y = np.random.default_rng(0).standard_normal(120)
    how = {"hidden": (20, 20), "stages": 3, "max_iter": 200, "validation_fraction": 0.0, "random_state": 0}
    assert len(MultistageRegressor(**how).fit(x, y).stages_) == 1
    free = MultistageRegressor(**how, guard=False).fit(x, y)
    assert len(free.stages_) == 3 and free.residual_rms_[-1] < free.residual_rms_[1]


def test_without_normalising_sizes_are_one():
    x = np.linspace(-1, 1, 50)[:, None]
    how = {"hidden": (5,), "stages": 1, "max_iter": 20, "random_state": 0}
    raw = MultistageRegressor(**how, normalize=False).fit(x, 1e-3 * x[:, 0])
    assert raw.stages_[0].size == 1.0 and raw.stages_[0].seconds > 0
    scaled = MultistageRegressor(**how).fit(x, 1e-3 * x[:, 0])
    assert scaled.stages_[0].size == pytest.approx(1e-3 / 3**0.5, rel=0.1)


@pytest.mark.parametrize("name", ["guard", "normalize"])
def test_switches_are_true_or_false(name):
    with pytest.raises(TypeError, match=name):
        MultistageRegressor(**{name: "yes"}).fit([[0.0], [1.0]], [0.0, 1.0])
