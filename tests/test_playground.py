"""The playground: its numerics against the library's, its settings, and the page in a browser."""

from __future__ import annotations

import html
import json
import re

import numpy as np
import pytest
import torch
import yaml

from browser import chromium_browser, watched_pages
from site_checks import page_faults, served
from specbias import targets
from specbias.landscape import hand_built_network
from specbias.models import MLP, Circle, FourierFeatures, Rescale
from specbias.playground import NUMERICS, playground_html, script
from specbias.singlepage import inline
from specbias.site import jupyter_book, stage
from specbias.training import fit
from tiny_book import ROOT, make_tiny_book

SMALL = {
    "target": "waves", "slow": 1, "fast": 3, "range": 2, "points": 40, "sampling": "regular",
    "inputs": "plain", "width": 8, "depth": 2, "activation": "tanh", "seed": 0, "optimizer": "adam",
    "lr": 0.01, "epochs": 100,
}  # fmt: skip
AS_IN_THE_ARTICLE = {
    "target": "envelope", "halves": 26, "points": 500, "width": 100, "optimizer": "adam", "epochs": 100000,
}  # fmt: skip
SCRIPTS = script((*NUMERICS, "settings.js"))


@pytest.fixture(scope="module")
def browser():
    with chromium_browser() as found:
        yield found


@pytest.fixture(scope="module")
def calculate(browser):
    """Call a JavaScript function, in whose scope the numerics and the settings are, with one argument."""
    page = browser.new_page()

    def call(function: str, argument=None):
        return page.evaluate(f"argument => {{ {SCRIPTS}; return ({function})(argument); }}", argument)

    yield call
    page.close()


# --- numerics

TRAIN = """({sizes, activation, omega, inputs, parameters, y, settings, epochs}) => {
  const network = new Network(sizes, activation, omega, Float64Array.from(inputs));
  const trainer = new Trainer(network, Float64Array.from(parameters), Float64Array.from(y), settings);
  const losses = [trainer.loss];
  while (trainer.epoch < epochs) { trainer.advance(); losses.push(trainer.loss); }
  return {losses, basis: Array.from(network.basis)};
}"""


def flat(model: MLP) -> list[float]:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()]).tolist()


def sizes_of(model: MLP) -> list[int]:
    return [model.layers[0].in_features, *model.hidden, 1]


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize(
    ("activation", "hidden", "points", "embedding"),
    [
        ("tanh", (12, 9), 37, None),
        ("tanh", (7,), 300, Rescale(-3, 4)),
        ("sin", (10, 11), 41, None),
        ("sin", (5, 6, 7), 30, Circle(7.0)),
        ("relu", (13, 10), 50, None),
        ("relu", (9, 8, 6), 33, FourierFeatures([0.2, 0.5, 1.0])),
    ],
)
def test_losses_follow_the_librarys(calculate, optimizer, activation, hidden, points, embedding):
    omega = 1.7 if activation == "sin" else 1.0
    start = torch.Generator().manual_seed(3)
    model = MLP(
        1,
        hidden,
        activation=activation,
        omega=omega,
        embedding=embedding,
        generator=start,
        dtype=torch.float64,
    )
    x = np.random.default_rng(0).uniform(-3, 4, points)
    y = np.sin(2 * x) + 0.3 * x
    options = {"lr": 0.01} if optimizer == "adam" else {"lr": 0.005, "momentum": 0.9}
    theirs = fit(model, x, y, optimizer=optimizer, epochs=50, progress=False, device="cpu", **options)
    ours = calculate(TRAIN, {
        "sizes": sizes_of(model), "activation": activation, "omega": omega,
        "inputs": model.embed(torch.tensor(x)[:, None]).T.flatten().tolist(), "parameters": flat(model),
        "y": y.tolist(), "settings": {"optimizer": optimizer, "momentum": 0, **options}, "epochs": 50,
    })  # fmt: skip
    assert theirs.loss[-1] < theirs.loss[0]
    np.testing.assert_allclose(ours["losses"], theirs.loss, rtol=1e-8)
    with torch.no_grad():
        basis = theirs.model.basis(torch.tensor(x)[:, None]).T.flatten().numpy()
    np.testing.assert_allclose(ours["basis"], basis, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("activation", ["tanh", "sin", "relu"])
def test_the_gradient_is_that_of_finite_differences(calculate, activation):
    gradient, differences = calculate(
        """activation => {
          const sizes = [2, 5, 6, 3, 1], n = 11, draw = generator(5);
          const fill = (count) => Float64Array.from({length: count}, draw);
          const network = new Network(sizes, activation, 1.3, fill(2 * n)), y = fill(n);
          const p = initialParameters(sizes, 4), gradient = new Float64Array(p.length), step = 1e-6;
          network.forward(p);
          network.backward(p, y, gradient);
          const at = (i, by) => {
            const moved = p.slice();
            moved[i] += by;
            network.forward(moved);
            return network.loss(y);
          };
          return [Array.from(gradient), Array.from(p, (_, i) => (at(i, step) - at(i, -step)) / (2 * step))];
        }""",
        activation,
    )
    np.testing.assert_allclose(gradient, differences, rtol=1e-6, atol=1e-9)


def test_initial_weights_are_uniform_as_pytorchs_and_fixed_by_the_seed(calculate):
    sizes = [1, 60, 80, 1]
    draws = "([sizes, seed]) => Array.from(initialParameters(sizes, seed))"
    first, again, second = (np.array(calculate(draws, [sizes, seed])) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    middle = slice(120, 120 + 60 * 80)
    assert abs(np.corrcoef(first[middle], second[middle])[0, 1]) < 0.05
    model = MLP(1, sizes[1:-1])
    places = np.cumsum([0, *(p.numel() for p in model.parameters())])
    for begin, end, fan_in in zip(places[:-1], places[1:], [1, 1, 60, 60, 80, 80], strict=True):
        part = first[begin:end] * np.sqrt(fan_in)
        assert np.abs(part).max() <= 1
        if part.size > 50:
            assert part.min() < -0.9 and part.max() > 0.9
    assert np.histogram(first[middle], 10)[0].min() > 400  # of 480 on average


@pytest.mark.parametrize(
    ("settings", "target"),
    [
        (
            {"target": "sine", "frequency": 2, "range": 15},
            targets.thread_sine(2.0, 15.0, 40, sampling="regular"),
        ),
        *(
            (
                {"target": "envelope", "envelope": name, "halves": 13, "range": 1},
                targets.sequential_sine(name, 6.5, 40),
            )
            for name in targets.ENVELOPES
        ),
    ],
)
def test_targets_are_the_librarys(calculate, settings, target):
    x, y, low, high = calculate(
        """settings => {
          const {low, high, at} = targetOf(settings), x = pointsOf(settings, low, high);
          return [Array.from(x), Array.from(x.map(at)), low, high];
        }""",
        SMALL | settings,
    )
    np.testing.assert_allclose(x, target.x[:, 0], rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(y, target.y, atol=1e-14)
    assert (low, high) == target.domain


def test_the_sawtooth_is_that_of_the_hand_built_network(calculate):
    for teeth in (3, 16):
        built = hand_built_network(teeth=teeth)
        y = calculate("([x, teeth]) => x.map((t) => sawtooth(t, teeth))", [built.x.tolist(), teeth])
        np.testing.assert_allclose(y, built.y, atol=1e-14)


@pytest.mark.parametrize(
    ("inputs", "embedding"),
    [
        ("scaled", Rescale(-7.5, 7.5)),
        (
            "circle",
            Circle(5 * np.pi),
        ),  # the least whole number of the sine's periods that covers the interval
        ("fourier", FourierFeatures(np.arange(1, 31) / 30)),
    ],
)
def test_inputs_are_the_librarys(calculate, inputs, embedding):
    settings = SMALL | {"target": "sine", "frequency": 2, "range": 15, "inputs": inputs}
    x = np.linspace(-7.5, 7.5, 20)
    features = calculate(
        "([s, x]) => Array.from(featuresOf(s, Float64Array.from(x), -7.5, 7.5))", [settings, x.tolist()]
    )
    expected = embedding.double()(torch.tensor(x)[:, None]).T.flatten()
    np.testing.assert_allclose(features, expected, atol=1e-14)
    assert calculate("featureCount", settings) == embedding.out_features


def test_amplitudes_and_ratios_are_those_of_the_notation(calculate):
    x = (np.arange(40) + 0.5) / 40
    target = 0.5 + np.sin(2 * np.pi * 3 * x) + 0.4 * np.cos(2 * np.pi * 7 * x + 1)
    output = 0.25 * np.sin(2 * np.pi * 3 * x) - 0.4 * np.cos(2 * np.pi * 7 * x + 1)
    amplitudes, tracked, ratios = calculate(
        """([target, output]) => {
          const spectrum = new Spectrum(40, 12), wanted = spectrum.coefficients(target);
          const got = spectrum.coefficients(output);
          const amplitudes = amplitudesOf(wanted), tracked = strongest(amplitudes);
          return [Array.from(amplitudes), tracked, tracked.map((k) => amplitudeRatio(wanted, got, k))];
        }""",
        [target.tolist(), output.tolist()],
    )
    np.testing.assert_allclose(amplitudes, [0.5, 0, 0, 1, 0, 0, 0, 0.4, *5 * [0]], atol=1e-7)
    assert tracked == [3, 7]
    np.testing.assert_allclose(ratios, [0.25, -1], atol=1e-12)


def test_records_never_grow_beyond_their_limit(calculate):
    kept = calculate(
        """epochs => epochs.map((now) => Array.from({length: now + 1}, (_, epoch) => epoch)
          .filter((epoch) => isRecorded(epoch, now)))""",
        [0, 100, 256, 257, 5000],
    )
    assert [len(records) for records in kept] == [1, 101, 257, 129, 157]
    assert kept[-1][:3] == [0, 32, 64]


# --- settings and addresses


def test_every_setting_survives_the_way_through_an_address(calculate):
    changed = calculate(
        """() => ["waves", "sine", "envelope", "sawtooth", "step", "own"].map((target) => {
          const values = {...defaults(), target, activation: "sin", optimizer: "sgd", heights: [0, -1.5, 2]};
          for (const {kind, name, whole, least} of SETTINGS) {
            if (kind === "number") values[name] = whole ? least + 1 : 0.123;
          }
          const {values: read, notes} = settingsFromAddress(addressOf(values));
          const lost = SETTINGS.filter((one) => applies(one, values)
            && JSON.stringify(read[one.name]) !== JSON.stringify(values[one.name]));
          return [lost.map(({name}) => name), notes];
        })"""
    )
    assert changed == [[[], []]] * 6


@pytest.mark.parametrize(
    ("address", "note"),
    [
        ("#width=9000", "width must be a whole number from 1 to 200, not “9000”"),
        ("#width=2.5", "whole number"),
        ("#lr=abc", "lr must be a number from 0.000001 to 10"),
        ("#lr=", "lr must be"),
        ("#lr=NaN", "lr must be"),
        ("#seed=-1", "seed must be"),
        ("#target=fish", "target must be waves, sine, envelope, sawtooth, step, own"),
        ("#target=__proto__", "target must be"),
        ("#constructor=1", "there is no setting “constructor”"),
        ("#heights=1", "heights must be 2 to 65 numbers from −5 to 5"),
        ("#heights=1,x", "heights must be"),
        ("#width=200&depth=4&points=1500", "points became 553"),
    ],
)
def test_what_an_address_must_not_say_falls_back_with_a_note(calculate, address, note):
    values, notes = calculate(
        "hash => { const {values, notes} = settingsFromAddress(hash); return [values, notes]; }", address
    )
    assert len(notes) == 1 and note in notes[0]
    usual = calculate("() => defaults()")
    if "points" not in address:
        assert values == usual


LINKS = [
    (path.name, html.unescape(address))
    for path in sorted((ROOT / "book").glob("*.md"))
    for address in re.findall(r'href="(?:playground\.html)?(#target=[^"]*)"', path.read_text("utf-8"))
]


def test_all_links_to_the_playground_are_understood(calculate):
    assert {name for name, _ in LINKS} >= {"playground.md", "spectral-bias.md", "sequential-fitting.md"}
    for name, address in LINKS:
        notes, again = calculate(
            """hash => {
              const {values, notes} = settingsFromAddress(hash);
              return [notes, addressOf(values)];
            }""",
            address,
        )
        assert (notes, again) == ([], address), name


FITTED = """([address, epochs, parts]) => {
  const {values: s} = settingsFromAddress(address), {low, high, at} = targetOf(s), x = pointsOf(s, low, high);
  const network = new Network(sizesOf(s), s.activation, s.omega, featuresOf(s, x, low, high));
  const trainer = new Trainer(network, initialParameters(sizesOf(s), s.seed), x.map(at), s);
  while (trainer.epoch < epochs) trainer.advance();
  const output = network.values.at(-1), n = x.length;
  return Array.from({length: parts}, (_, i) => {
    let missing = 0, size = 0;
    for (let j = Math.floor((i * n) / parts); j < Math.floor(((i + 1) * n) / parts); j++) {
      missing += (output[j] - at(x[j])) ** 2;
      size += at(x[j]) ** 2;
    }
    return Math.sqrt(missing / size);
  });
}"""


def chapter_link(name: str, word: str) -> str:
    return next(address for page, address in LINKS if page == name and word in address)


def test_linked_settings_show_what_the_chapters_say(calculate):
    """The quick ones; the rest were looked at in the page."""
    ends = np.array(calculate(FITTED, [chapter_link("sequential-fitting.md", "envelope=none"), 1300, 16]))
    assert max(ends[0], ends[1], ends[-1]) < 0.5 < ends[7:11].min()
    bump = np.array(calculate(FITTED, [chapter_link("sequential-fitting.md", "envelope=bump"), 1300, 16]))
    assert bump.min() > 0.9
    sines = np.array(calculate(FITTED, [chapter_link("sequential-fitting.md", "activation=sin"), 600, 16]))
    assert (sines < 0.5).sum() >= 10 and sines[7:9].min() > 0.5
    features = np.array(calculate(FITTED, [chapter_link("spectral-bias.md", "inputs=fourier"), 100, 15]))
    assert features.max() < 0.2


# --- the page


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A built book of a few pages, the playground's own among them."""
    root = make_tiny_book(tmp_path_factory.mktemp("playground"))
    for name in ("glossary.md", "notation.md", "playground.md", "references.bib"):
        (root / "book" / name).write_bytes((ROOT / "book" / name).read_bytes())
    (root / "book" / "spectral-bias.md").write_text("(spectral-bias)=\n# Spectral bias\n")
    (root / "book" / "sequential-fitting.md").write_text("(sequential-fitting)=\n# Sequential fitting\n")
    pages = ("spectral-bias", "sequential-fitting", "playground", "notation", "glossary", "references")
    toc = {
        "format": "jb-book",
        "root": "book/index",
        "chapters": [{"file": f"book/{page}"} for page in pages],
    }
    stage(root, root / "site", [], {}, toc)
    with served(jupyter_book(root / "site", "html", strict=False, show_warnings=False)) as own:
        yield own


@pytest.fixture
def open_page(browser, site):
    with watched_pages(browser) as new_page:

        def open_(settings: dict | str = "", *, width=1200, address=None, **options):
            page = new_page(width, **options)
            chosen = (
                settings
                if isinstance(settings, str)
                else "#" + "&".join(f"{k}={v}" for k, v in settings.items())
            )
            page.goto((address or f"{site}book/playground.html") + chosen)
            page.wait_for_selector(".specbias-playground[data-epoch]")
            return page

        yield open_


def seen(page) -> dict:
    """What the page says of the training, when it stands still."""
    page.wait_for_selector(".specbias-playground[data-state=paused]")
    root = page.locator(".specbias-playground")
    return {"epoch": int(root.get_attribute("data-epoch")), "loss": float(root.get_attribute("data-loss"))}


def wait_for_epoch(page, epoch: int) -> None:
    page.wait_for_function(
        "epoch => Number(document.querySelector('.specbias-playground').dataset.epoch) >= epoch", arg=epoch
    )


def test_the_page_has_no_faults(browser, site):
    assert page_faults(browser, f"{site}book/playground.html", site) == []


def test_step_train_pause_and_reset_do_what_they_say(open_page):
    page = open_page(SMALL | {"epochs": 100000})
    begin = seen(page)
    assert begin["epoch"] == 0
    button = {name: page.locator(f"button[name={name}]") for name in ("train", "step", "reset", "weights")}
    button["step"].click()
    wait_for_epoch(page, 1)
    stepped = seen(page)
    assert stepped["epoch"] == 1 and stepped["loss"] != begin["loss"]
    button["train"].click()
    assert "Pause" in button["train"].text_content()
    wait_for_epoch(page, 50)
    button["train"].click()
    paused = seen(page)
    assert "Train" in button["train"].text_content()
    page.wait_for_timeout(200)
    assert seen(page) == paused and paused["loss"] < stepped["loss"]
    button["reset"].click()
    page.wait_for_selector(".specbias-playground[data-epoch='0']")
    assert seen(page) == begin
    button["weights"].click()
    page.wait_for_function(
        f"() => document.querySelector('.specbias-playground').dataset.loss != {begin['loss']!r}"
    )
    assert seen(page)["epoch"] == 0 and "seed=1" in page.url


def test_training_pauses_by_itself_and_goes_on(open_page):
    page = open_page(SMALL | {"epochs": 30})
    for end in (30, 60):
        page.locator("button[name=train]").click()
        wait_for_epoch(page, end)
        assert seen(page)["epoch"] == end
        assert f"Paused at epoch {end}" in page.locator(".playground-announced").text_content()


def test_a_training_is_the_same_however_it_is_interrupted(open_page):
    page = open_page(SMALL | {"epochs": 60})
    page.locator("button[name=train]").click()
    wait_for_epoch(page, 60)
    at_once = seen(page)
    page.locator("button[name=reset]").click()
    page.wait_for_selector(".specbias-playground[data-epoch='0']")
    for epoch in range(1, 4):
        page.locator("button[name=step]").click()
        wait_for_epoch(page, epoch)
    page.locator("button[name=train]").click()
    wait_for_epoch(page, 60)
    assert seen(page) == at_once


def test_settings_go_into_the_address_and_come_back(open_page):
    page = open_page(SMALL)
    first = page.url
    page.locator("summary").click()
    page.get_by_label("units a layer").fill("13")
    page.get_by_label("units a layer").press("Enter")
    page.get_by_label("activation").select_option("relu")
    page.get_by_label("target", exact=True).select_option("own")
    page.get_by_label("heights").fill("0, 1; -2 0.5")
    page.get_by_label("heights").press("Tab")
    assert page.url != first and "width=13" in page.url and "heights=0+1+-2+0.5" in page.url
    page.locator("button[name=step]").click()
    wait_for_epoch(page, 1)
    again = open_page(page.url.split("playground.html")[1])
    again.locator("button[name=step]").click()
    wait_for_epoch(again, 1)
    assert seen(again) == seen(page)
    assert again.locator(".playground-note").text_content() == ""


def test_an_address_changed_in_place_is_followed_and_a_heading_is_not(open_page):
    page = open_page(SMALL)
    before = seen(page)
    page.evaluate("location.hash = '#what-is-computed'")
    page.wait_for_timeout(100)
    assert page.locator("[name=width]").input_value() == "8" and seen(page) == before
    page.evaluate("location.hash = '#width=9&target=step'")
    page.wait_for_function("() => document.querySelector('[name=width]').value === '9'")
    assert page.locator("[name=range]").input_value() == "2"


def test_the_same_link_once_more_begins_anew(open_page):
    page = open_page()
    page.get_by_text("does not even begin").click()
    page.wait_for_function("() => document.querySelector('[name=envelope]').value === 'bump'")
    page.locator("button[name=step]").click()
    wait_for_epoch(page, 1)
    page.get_by_text("does not even begin").click()
    page.wait_for_selector(".specbias-playground[data-epoch='0']")


def test_what_is_not_allowed_is_told_and_undone(open_page):
    page = open_page("#width=9000&colour=red")
    note = page.locator(".playground-note")
    assert "not “9000”" in note.text_content() and "no setting “colour”" in note.text_content()
    page.locator("summary").click()
    field = page.get_by_label("learning rate")
    field.fill("-1")
    field.press("Enter")
    assert (
        "learning rate must be a number from 0.000001 to 10, not “-1”; it stays 0.005" in note.text_content()
    )
    assert field.input_value() == "0.005"


def test_divergence_is_told_with_advice(open_page):
    page = open_page(SMALL | {"activation": "relu", "optimizer": "sgd", "lr": 10, "epochs": 1000})
    page.locator("button[name=train]").click()
    page.wait_for_function("() => document.querySelector('.playground-note').textContent !== ''")
    assert "ten times smaller" in page.locator(".playground-note").text_content()
    assert "not finite" in page.locator(".playground-status").text_content()
    page.locator("button[name=reset]").click()
    page.wait_for_selector(".specbias-playground[data-epoch='0']")
    assert seen(page)["epoch"] == 0 and page.locator(".playground-note").text_content() == ""


def test_everything_can_be_reached_and_done_with_the_keyboard(open_page):
    page = open_page(SMALL | {"epochs": 20})
    page.locator("summary").focus()
    page.keyboard.press("Enter")
    names = []
    for _ in range(30):
        page.keyboard.press("Tab")
        names.append(page.evaluate("document.activeElement.name || document.activeElement.className"))
        if names[-1] == "train":
            break
    shown = page.locator(".specbias-playground :is(select, input):visible").evaluate_all(
        "all => all.map((one) => one.name || one.className)"
    )
    assert names[-1] == "train" and set(shown) <= set(names)
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    wait_for_epoch(page, 20)
    assert seen(page)["epoch"] == 20


def test_fields_have_labels_and_are_large_enough_to_touch(open_page):
    page = open_page(SMALL, width=390)
    page.locator("summary").click()
    faults = page.locator(".specbias-playground :is(select, input, button, summary):visible").evaluate_all(
        """all => all.filter((one) => {
          const named = one.matches("button, summary") || one.labels?.length || one.ariaLabel;
          const touched = one.type === "checkbox" ? one.labels[0] : one;
          return !named || touched.getBoundingClientRect().height < 44;
        }).map((one) => one.outerHTML)"""
    )
    assert faults == []
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_the_page_answers_while_it_trains(open_page):
    page = open_page(AS_IN_THE_ARTICLE)
    page.locator("button[name=train]").click()
    wait_for_epoch(page, 5)
    frames = page.evaluate(
        """() => new Promise((resolve) => {
          let count = 0;
          const tick = () => (count += 1, requestAnimationFrame(tick));
          requestAnimationFrame(tick);
          setTimeout(() => resolve(count), 1000);
        })"""
    )
    assert (
        frames >= 5
    )  # a thread that trained itself would draw one after every epoch at best, and no click between
    page.get_by_label("logarithmic amplitudes").click(timeout=2000)
    page.locator("button[name=train]").click(timeout=2000)
    page.wait_for_selector(".specbias-playground[data-state=paused]", timeout=5000)


PICTURES = """names => names.map((name) => {
  const canvas = document.querySelector(`canvas[data-view=${name}]`);
  const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const colours = new Set();
  for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 200) colours.add(data.subarray(i, i + 3).join());
  return [canvas.getAttribute("aria-label"), canvas.width / canvas.clientWidth, [...colours]];
})"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pictures_are_drawn_in_the_inks_of_the_page(open_page, scheme):
    page = open_page(SMALL, color_scheme=scheme, device_scale_factor=2)
    page.locator("button[name=train]").click()
    wait_for_epoch(page, 100)
    seen(page)
    page.wait_for_timeout(200)
    ink = page.evaluate("getComputedStyle(document.querySelector('.specbias-playground')).color")
    expected = ",".join(re.findall(r"\d+", ink)[:3])
    assert (sum(map(int, expected.split(","))) < 384) == (scheme == "light")
    for label, scale, colours in page.evaluate(
        PICTURES, ["fit", "order", "spectrum", "learned", "loss", "basis"]
    ):
        assert label and scale == pytest.approx(2, rel=0.01)
        assert expected in colours and len(colours) > 1, label


def test_pictures_change_with_the_theme_while_nothing_trains(open_page):
    page = open_page(SMALL)
    before = page.evaluate(PICTURES, ["fit"])
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.wait_for_timeout(300)
    assert page.evaluate(PICTURES, ["fit"]) != before


def test_a_reader_who_wants_less_motion_gets_it(open_page):
    page = open_page(AS_IN_THE_ARTICLE, reduced_motion="reduce")
    page.locator("button[name=train]").click()
    wait_for_epoch(page, 2)
    changes = page.evaluate(
        """() => new Promise((resolve) => {
          let count = 0;
          const watch = new MutationObserver(() => (count += 1));
          watch.observe(document.querySelector(".playground-status"), {childList: true});
          setTimeout(() => resolve(count), 2000);
        })"""
    )
    assert 1 <= changes <= 5


def test_a_target_is_drawn_with_the_pointer(open_page):
    page = open_page(SMALL | {"target": "own"})
    box = page.locator("canvas[data-view=fit]").bounding_box()
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.3 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 0.3 * box["height"], steps=3)
    page.mouse.up()
    heights = [float(value) for value in page.locator("[name=heights]").input_value().split()]
    assert len(heights) == 33
    drawn = heights[13:20]
    assert np.ptp(drawn) == 0 and drawn[0] > 0
    assert "heights=" in page.url


def test_the_link_that_is_copied_holds_the_settings(open_page, site):
    page = open_page(SMALL)
    page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    page.locator("button[name=copy]").click()
    link = page.locator(".playground-link").input_value()
    assert link.startswith(f"{site}book/playground.html#target=waves&slow=1")
    assert page.evaluate("getSelection().toString()") in (link, "")


def test_a_reader_without_scripts_is_told(browser, site):
    page = browser.new_page(java_script_enabled=False)
    page.goto(f"{site}book/playground.html")
    assert page.locator("noscript p").is_visible()
    assert not page.locator(".playground-app").is_visible()
    page.close()


def test_it_works_in_a_single_file_without_a_server(open_page, tmp_path):
    address = "#" + "&".join(f"{name}={value}" for name, value in (SMALL | {"epochs": 20}).items())
    (tmp_path / "site").mkdir()
    page = tmp_path / "site" / "chapter.html"
    links = f'<a href="playground.html{html.escape(address)}">Try it</a><a href="other.html">Other</a>'
    page.write_text(f"<!doctype html><title>t</title><main>{links}{playground_html()}</main>", "utf-8")
    (tmp_path / "single.html").write_text(inline(page, tmp_path / "site"), "utf-8")
    opened = open_page(address=(tmp_path / "single.html").as_uri())
    assert opened.get_by_text("Other").get_attribute("href") is None
    opened.get_by_text("Try it").click()
    opened.wait_for_function("() => document.querySelector('[name=width]').value === '8'")
    opened.locator("button[name=train]").click()
    wait_for_epoch(opened, 20)
    assert seen(opened)["loss"] < 1.5


def test_the_palette_is_the_books():
    from specbias.plots import PALETTE

    data = json.loads(re.search(r'class="playground-data">(.*?)</script>', playground_html())[1])
    assert tuple(data["palette"]) == PALETTE and len(data["ramp"]) == 256


def test_the_page_is_listed_and_other_pages_stay_without_its_scripts(site, browser):
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text())
    assert "book/playground" in [entry["file"] for part in contents["parts"] for entry in part["chapters"]]
    page = browser.new_page()
    page.goto(f"{site}book/index.html")
    assert page.locator(".specbias-playground").count() == 0
    assert not any(
        "playground" in (source or "")
        for source in page.locator("script").evaluate_all("a => a.map(s => s.src)")
    )
    page.close()
