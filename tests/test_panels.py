"""Panels, driven through their buttons as a kernel's loop would, against the library called directly."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from IPython.core.formatters import DisplayFormatter

from specbias import targets
from specbias.chapters import _kernel_environment
from specbias.ensembles import initial_parameters, train
from specbias.landscape import hand_built_network
from specbias.models import MLP, Circle, generators
from specbias.multistage import MultistageRegressor
from specbias.panels import Panel, panel
from specbias.panels.trainings import TRAININGS
from specbias.parameters import Parameter
from specbias.training import fit
from specbias.turbulence import decaying_turbulence, resample

BOOK = Path(__file__).resolve().parents[1] / "book"
WIDGET = "application/vnd.jupyter.widget-view+json"
QUICK = {
    "spectral-bias": {"width": 16, "epochs": 130},
    "sequential-fitting": {"width": 12, "epochs": 130, "half_oscillations": 10, "seed": 3},
    "energy-landscape": {"networks": 5, "steps": 130, "teeth": 4, "optimizer": "adadelta"},
    "multistage": {"width": 6, "stages": 2, "iterations": 25, "seed": 1},
    "si-msnn": {"features": 12, "stages": 2, "width": 6, "iterations": 20, "seed": 2},
}
LONG = {
    "spectral-bias": {"epochs": 50_000},
    "sequential-fitting": {"epochs": 50_000},
    "energy-landscape": {"steps": 100_000, "networks": 50},
    "multistage": {"iterations": 20_000, "optimizer": "adam"},
    "si-msnn": {"iterations": 5000, "stages": 6, "resolution": 64, "features": 30},
}


def drive(one: Panel, stop_after: str = "", **values) -> str:
    """Set values, press Train, and wait; press Stop when the message has such words. The last message."""

    async def reader():
        for name, value in values.items():
            one.controls[name].value = value
        one.train.click()
        while one.running:
            if stop_after and re.search(stop_after, one.message.value):
                one.stop.click()
            await asyncio.sleep(0.005)

    asyncio.run(asyncio.wait_for(reader(), 300))
    return one.message.value


def defaults(name: str, **values) -> dict:
    return {knob.name: knob.default for knob in TRAININGS[name].knobs.values()} | QUICK[name] | values


def weights(model: MLP) -> np.ndarray:
    return np.concatenate([p.detach().numpy().ravel() for p in model.parameters()])


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_two_waves_are_those_of_fit(optimizer):
    one = panel("spectral-bias")
    message = drive(one, **QUICK["spectral-bias"], optimizer=optimizer)
    target = targets.circle_waves((4, 14), 200)
    y = target.y / np.sqrt(np.mean(target.y**2))
    net = MLP(1, (16, 16), activation="relu", embedding=Circle(), generator=generators([0])[0])
    direct = fit(net, target.x, y, optimizer=optimizer, epochs=130, snapshots=[130], progress=False)
    np.testing.assert_array_equal(one.result.loss, direct.loss)
    np.testing.assert_array_equal(weights(one.result.model), weights(direct.model))
    output = np.fft.rfft(direct.snapshots.prediction.values[-1]) / np.fft.rfft(y)
    shares = [f"{output[wave].real:.0%} of wave {wave}" for wave in (4, 14)]
    assert (
        f"finished: epoch 130 of 130, loss {direct.loss[-1]:.1e}, learned {' and '.join(shares)}" in message
    )
    assert one.progress.value == 1 and "<svg" in one.figure.value


def test_the_order_of_fitting_is_that_of_fit():
    one = panel("sequential-fitting")
    message = drive(one, **QUICK["sequential-fitting"])
    x = (np.arange(500) + 0.5) / 500
    y = np.sin(10 * np.pi * x)
    net = MLP(1, (12, 12), activation="tanh", output_bias=False, generator=generators([3])[0])
    direct = fit(net, x, y, lr=0.005, loss="half-mse", epochs=130, snapshots=[130], progress=False)
    np.testing.assert_array_equal(one.result.loss, direct.loss)
    left = (direct.snapshots.prediction.values[-1] - y).reshape(10, -1)
    fitted = np.sum(np.sqrt(2 * np.mean(left**2, axis=1)) < 0.5)
    assert f"epoch 130 of 130, {fitted} of 10 half oscillations are fitted" in message


def test_networks_trained_in_slices_are_those_trained_at_once():
    one = panel("energy-landscape")
    message = drive(one, **QUICK["energy-landscape"])
    built = hand_built_network(teeth=4)
    direct = train(
        initial_parameters(5, seed=0), built.x, built.y, steps=130, optimizer="adadelta", progress=False
    )
    np.testing.assert_array_equal(one.result.parameters, direct.parameters)
    assert one.result.steps == 130
    assert f"step 130 of 130, least loss {direct.loss.min():.1e}, the best" in message


def same_stages(one: MultistageRegressor, other: MultistageRegressor) -> None:
    np.testing.assert_array_equal(one.residual_rms_, other.residual_rms_)
    for mine, theirs in zip(one.stages_, other.stages_, strict=True):
        np.testing.assert_array_equal(mine.parameters, theirs.parameters)


def test_stages_are_those_of_the_regressor():
    one = panel("multistage")
    message = drive(one, **QUICK["multistage"])
    target = targets.lecture_curve(300)
    direct = MultistageRegressor(
        initialization="scale-factor", stages=2, hidden=(6, 6, 6), max_iter=25, random_state=1, device="cpu"
    ).fit(target.x, target.y)
    same_stages(one.result, direct)
    sizes = ", ".join(f"{size:.0e}" for size in direct.residual_rms_[1:])
    assert f"finished: left (rms) by the stages: {sizes}; {direct.stopped_}" in message


def test_the_flow_is_that_of_the_regressor():
    one = panel("si-msnn")
    message = drive(one, **QUICK["si-msnn"])
    field = decaying_turbulence(32, spectrum="smooth", peak=2, cutoff=20, seed=2).streamfunction.values
    grid = np.stack(np.meshgrid(*2 * [2 * np.pi * np.arange(32) / 32], indexing="ij"), -1).reshape(-1, 2)
    direct = MultistageRegressor(
        initialization="spectrum", stages=2, hidden=(6, 6, 6), features=12, max_iter=20, random_state=2
    ).fit(grid, field.ravel())
    same_stages(one.result, direct)
    between = direct.predict(grid + np.pi / 32).reshape(32, 32) - resample(field, 64)[1::2, 1::2]
    assert f" on the grid, {np.sqrt(np.mean(between**2)):.0e} between its points" in message


@pytest.mark.parametrize("name", TRAININGS)
def test_stop_ends_it_at_once_and_the_panel_goes_on(name):
    one = panel(name)
    message = drive(one, stop_after="epoch 0|step|iteration", **defaults(name) | LONG[name])
    assert "stopped: " in message and "role=status" in message
    assert one.result is None and 0 <= one.progress.value < 0.9
    assert (one.train.disabled, one.stop.disabled) == (False, True)
    assert "finished: " in drive(one, **defaults(name)) and one.result is not None


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("spectral-bias", {"width": 0}, "width=0: allowed is int in 1..512"),
        ("spectral-bias", {"seed": -1}, "seed=-1: allowed is int in 0.."),
        ("spectral-bias", {"learning_rate": 0.0}, "learning_rate=0.0: allowed is float in 0<..10"),
        ("spectral-bias", {"slow_wave": 14}, "wavenumbers must be distinct"),
        (
            "spectral-bias",
            {"optimizer": "sgd", "learning_rate": 10.0, "epochs": 300},
            "the loss is not finite",
        ),
        (
            "energy-landscape",
            {"learning_rate": 10.0, "steps": 1000, "networks": 3},
            "no loss is finite after",
        ),
    ],
)
def test_bad_values_are_told_in_the_panel(name, values, words):
    one = panel(name)
    message = drive(one, **values)
    assert "<p role=alert>" in message and words in message.replace("&lt;", "<") and "\n" not in message
    assert one.result is None and not one.train.disabled
    assert "finished: " in drive(one, **defaults(name))


def made_up(run) -> Panel:
    knobs = {"count": Parameter("count", "int", 3, "how many [1..9]")}
    return Panel(replace(TRAININGS["multistage"], run=run, knobs=knobs))


def test_no_error_is_swallowed():
    def fails(report, count):
        raise KeyError("a & b")

    reports = []

    def draws_wrongly(report, count):
        while len(reports) < 60_000:
            reports.append(report(0.5, "drawing", lambda: 1 / 0))
            time.sleep(0.001)

    assert drive(made_up(fails)) == "<p role=alert>KeyError: &#x27;a &amp; b&#x27;</p>"
    assert drive(made_up(draws_wrongly)) == "<p role=alert>ZeroDivisionError: division by zero</p>"
    assert len(reports) < 60_000  # the training has been ended


def test_another_optimizer_brings_its_usual_rate():
    one = panel("spectral-bias")
    rate = one.controls["learning_rate"]
    for optimizer, usual in (("sgd", 0.01), ("adadelta", 1.0), ("lbfgs", None), ("adam", 0.001)):
        one.controls["optimizer"].value = optimizer
        assert rate.disabled == (usual is None) and rate.value == (usual or 0)


@pytest.mark.parametrize("name", TRAININGS)
def test_every_control_is_labelled_and_starts_at_an_allowed_value(name):
    one = panel(name)
    for knob, control in one.controls.items():
        assert control.description == knob.replace("_", " ") and control.tooltip.strip()
        assert one.training.knobs[knob].read(control.value) == one.training.knobs[knob].default
    assert all(button.description and button.tooltip for button in (one.train, one.stop))


class Tags(HTMLParser):
    def __init__(self, text: str):
        super().__init__()
        self.tags, self.links = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name == "href"]


@pytest.mark.parametrize("name", TRAININGS)
def test_without_a_kernel_there_is_a_sentence_and_no_widget(name):
    with _kernel_environment({}):
        one = panel(name)
        data, _ = DisplayFormatter().format(one)
    assert set(data) == {"text/html", "text/plain"} and "controls" not in vars(one)
    found = Tags(data["text/html"])
    assert set(found.tags) <= {"p", "strong", "a"}
    assert all(link.startswith("playground.html#target=") for link in found.links)
    for knob in one.training.knobs.values():
        assert knob.name.replace("_", " ") in data["text/html"]


def test_with_a_kernel_there_are_both():
    data, _ = DisplayFormatter().format(panel("multistage"))
    assert WIDGET in data and data["text/html"].startswith("<p")


@pytest.mark.parametrize("name", TRAININGS)
def test_its_chapter_has_it_once(name):
    assert (BOOK / f"{name}.md").read_text().count(f'panel("{name}")') == 1


def test_an_unknown_chapter_is_refused():
    with pytest.raises(ValueError, match="chapter must be one of spectral-bias, .*got 'multistages'"):
        panel("multistages")
