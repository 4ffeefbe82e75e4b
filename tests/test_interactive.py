"""The scrubber: its data decoded by NumPy, its drawing read back from a browser through its tick labels."""

from __future__ import annotations

import base64
import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from browser import chromium_browser, watched_pages
from specbias.interactive import Family, Line, Panel, scrubber

FRAMES = [0, 10, 100, 1000, 7500]
X = np.linspace(-1, 1, 41)
WAVES = np.array([np.sin((n + 1) * X) / (n + 1) for n in range(5)])
STEPS = np.array([[np.tanh(4 * n * (X - centre)) for centre in (-0.5, 0, 0.5)] for n in range(1, 6)])
OPACITY = np.array([[1.0, 0.01, 0.5], [0.8, 0.03, 0.5], [0.6, 0.3, 0.0], [0.4, 0.6, 0.0], [0.2, 1.0, 0.25]])
DECAYS = np.array([10.0 ** (-(n + 1) * np.arange(1, 11) / 3) for n in range(5)])
SUPERSCRIPTS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")


def example(**options):
    panels = [
        Panel("Fit", "x", "u", X, [Line("target", X, style="reference"), Line("network", WAVES)]),
        Panel(
            "Error",
            "x",
            "u − f",
            X,
            [Line("error", 1e-4 * WAVES, kind="points")],
            cursor=np.linspace(-1, 1, 5),
        ),
        Panel("Spectrum", "k", "amplitude", np.arange(1, 11), [Line("error", DECAYS)], "log", kind="stem"),
    ]
    return scrubber(panels, FRAMES, **({"alt": "A network learns."} | options))


def basis(**options):
    panels = [
        Panel("Fit", "x", "u", X, [Line("network", WAVES)]),
        Panel("Basis", "x", "unit", X, [Line("sum", WAVES), Family("units", STEPS, OPACITY)]),
    ]
    return scrubber(panels, FRAMES, **({"alt": "The units sharpen."} | options))


def payload(shown) -> dict:
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', shown.html, re.DOTALL)[1])


def decoded(line: dict) -> np.ndarray:
    steps = np.frombuffer(base64.b64decode(line["y"]), dtype="<u2")
    values = np.where(steps == 65535, np.nan, line["low"] + line["step"] * steps)
    return values.reshape(-1, len(line["x"]))


# --- the data inside the page


@given(arrays(float, (3, 4), elements=st.floats(-1e6, 1e6)))
def test_values_survive_to_a_fraction_of_a_pixel(values):
    shown = scrubber([Panel("a", "x", "y", range(4), [Line("l", values)])], range(3), alt="a")
    (panel,) = payload(shown)["panels"]
    low, high = panel["y"]["range"]
    assert low < values.min() and values.max() < high
    np.testing.assert_allclose(decoded(panel["lines"][0]), values, rtol=0, atol=(high - low) / 5000)


def test_log_axes_are_sent_as_powers_of_ten_and_show_at_least_two():
    y = np.array([2.0, 3.0, 0.0, -1.0, np.inf])
    shown = scrubber([Panel("a", "x", "y", range(5), [Line("l", y)], y_scale="log")], [0], alt="a")
    (panel,) = payload(shown)["panels"]
    assert panel["y"]["range"] == [0, 1]
    np.testing.assert_allclose(
        decoded(panel["lines"][0])[0], [np.log10(2), np.log10(3), *3 * [np.nan]], atol=1e-3
    )


UNIT = st.floats(0, 1)


@given(arrays(float, (3, 4, 5), elements=st.floats(-1e6, 1e6)), arrays(float, (3, 4), elements=UNIT))
def test_a_family_survives_to_half_a_step(values, opacity):
    shown = scrubber([Panel("a", "x", "y", range(5), [Family("f", values, opacity)])], range(3), alt="a")
    (panel,) = payload(shown)["panels"]
    low, high = panel["y"]["range"]
    assert low < values.min() and values.max() < high
    (family,) = panel["lines"]
    assert (family["kind"], family["moves"], family["count"], family["dash"]) == ("line", True, 4, "")
    half = 0.5 * family["step"] * (1 + 1e-6)
    np.testing.assert_allclose(decoded(family).reshape(3, 4, 5), values, rtol=0, atol=half)
    sent = np.frombuffer(base64.b64decode(family["opacity"]), dtype="u1").reshape(3, 4)
    np.testing.assert_allclose(sent / 255, opacity, rtol=0, atol=0.5 / 255 + 1e-12)


def test_a_family_that_keeps_its_shape_is_sent_once():
    lines = [Line("first", X), Family("f", STEPS[0], OPACITY, x=2 * X)]
    _, family = payload(scrubber([Panel("a", "x", "y", X, lines)], FRAMES, alt="a"))["panels"][0]["lines"]
    assert family["moves"] is False and family["x"] == pytest.approx(2 * X, rel=1e-5)
    np.testing.assert_allclose(decoded(family), STEPS[0], atol=family["step"])


def test_the_axis_fits_what_is_finite_in_a_family_and_the_rest_are_gaps():
    y = np.array([[[1.0, np.nan, 3.0], [np.inf, -20.0, 7.0]]])
    family = Family("f", y, [[1, 1]])
    (linear,) = payload(scrubber([Panel("a", "x", "y", range(3), [family])], [0], alt="a"))["panels"]
    assert linear["y"]["range"] == pytest.approx([-21.35, 8.35])
    np.testing.assert_array_equal(np.isnan(decoded(linear["lines"][0])), [[0, 1, 0], [1, 0, 0]])
    (log,) = payload(scrubber([Panel("a", "x", "y", range(3), [family], "log")], [0], alt="a"))["panels"]
    assert log["y"]["range"] == [-1, 1]
    np.testing.assert_array_equal(np.isnan(decoded(log["lines"][0])), [[0, 1, 0], [1, 1, 0]])


def test_families_and_lines_of_one_name_share_a_colour():
    fit, of_basis = payload(basis())["panels"]
    again = Panel("Again", "x", "unit", X, [Line("other", X), Family("network", STEPS, OPACITY)])
    network = payload(scrubber([Panel("a", "x", "y", X, [Line("network", X)]), again], FRAMES, alt="a"))
    assert network["panels"][1]["lines"][1]["color"] == fit["lines"][0]["color"]
    assert len({line["color"] for line in [*fit["lines"], *of_basis["lines"]]}) == 3


def test_values_far_outside_the_given_range_do_not_blur_those_inside():
    panel = Panel("a", "x", "y", range(3), [Line("l", [1e300, 0.5, -1e300])], y_range=(0, 1))
    (panel,) = payload(scrubber([panel], [0], alt="a"))["panels"]
    above, inside, below = decoded(panel["lines"][0])[0]
    assert above > 2 and below < -1 and abs(inside - 0.5) < 1e-3


def test_stems_stand_on_zero():
    shown = scrubber([Panel("a", "k", "y", [1, 2], [Line("l", [5.0, 6.0], kind="stem")])], [0], alt="a")
    assert payload(shown)["panels"][0]["y"]["range"][0] < 0


def test_a_full_scrubber_stays_small():
    y = np.random.default_rng(0).normal(size=(100, 300))
    panels = [Panel(f"panel {i}", "x", "y", np.arange(300) / 7, [Line("line", y)]) for i in range(3)]
    assert len(scrubber(panels, range(100), alt="a").html) < 500_000


def test_a_basis_of_25_units_over_60_epochs_stays_within_the_limit():
    rng = np.random.default_rng(0)
    family = Family("basis", rng.normal(size=(60, 25, 126)), rng.random((60, 25)))
    panel = Panel("Basis", "x", "unit", np.arange(126) / 7, [family])
    assert len(scrubber([panel], range(60), alt="a").html) < 600_000


def test_text_cannot_break_out_of_the_page():
    evil = '</script><b>"&'
    lines = [Line(evil, [0, 1]), Family(evil + "2", [[0, 1]], [[1]])]
    shown = scrubber([Panel(evil, evil, evil, [0, 1], lines)], [evil], label=evil, alt=evil)
    assert payload(shown)["panels"][0]["title"] == evil
    assert payload(shown)["panels"][0]["lines"][1]["name"] == evil + "2"
    assert "<b>" not in shown.html.replace("\\u003c", "")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"lines": [Line("l", np.zeros((3, 2)))]},
            r"'p', line 'l': y must have shape \(2,\) or \(2, 2\), got \(3, 2\)",
        ),
        ({"x": [0, np.nan]}, "x must be .* finite"),
        ({"x": [0, 1], "x_scale": "log"}, "x must be positive on a log axis, got 0"),
        ({"y_scale": "cubic"}, "y_scale must be one of linear, log, got 'cubic'"),
        ({"kind": "bars"}, "kind must be one of line, points, stem, got 'bars'"),
        ({"lines": [Line("l", [1, 2], style="bold")]}, "style must be one of series, reference, got 'bold'"),
        ({"lines": []}, "lines must not be empty"),
        ({"y_range": (1, 0)}, r"y_range must be low < high.* got \(1, 0\)"),
        ({"y_range": (0, 1), "y_scale": "log"}, "y_range must be 0 < low"),
        ({"lines": [Line("l", [-1, 0])], "y_scale": "log"}, "no value that can be drawn"),
        ({"cursor": [1, 2, 3]}, r"cursor must have shape \(2,\), got \(3,\)"),
        *(
            ({"lines": [Family("f", np.zeros(y), np.zeros(opacity))]}, r"panel 'p', line 'f': " + message)
            for y, opacity, message in (
                ((3, 4, 2), (2, 4), r"y must have shape \(2, lines, 2\) or \(lines, 2\) .* got \(3, 4, 2\)"),
                ((2, 4, 5), (2, 4), r"y must have shape .* got \(2, 4, 5\)"),
                ((2,), (2, 4), r"y must have shape .* got \(2,\)"),
                ((2, 0, 2), (2, 0), r"y must have shape .* at least one .* got \(2, 0, 2\)"),
                ((2, 4, 2), (2, 3), r"opacity must have shape \(2, 4\), got \(2, 3\)"),
                ((4, 2), (4,), r"opacity must have shape \(2, 4\), got \(4,\)"),
            )
        ),
        *(
            (
                {"lines": [Family("f", np.zeros((1, 2)), [[0.5], [opacity]])]},
                rf"'p', line 'f': opacity must lie in \[0, 1\], got {opacity}",
            )
            for opacity in (-0.1, 1.5, np.nan)
        ),
        ({"lines": [Family("f", [[np.nan, np.inf]], [[1], [1]])]}, "no value that can be drawn"),
    ],
)
def test_bad_panels_are_named(change, message):
    panel = Panel(
        **({"title": "p", "x_label": "x", "y_label": "y", "x": [0, 1], "lines": [Line("l", [1, 2])]} | change)
    )
    with pytest.raises(ValueError, match=message):
        scrubber([panel], [0, 1], alt="a")


@pytest.mark.parametrize(
    ("options", "message"),
    [({"alt": ""}, "alt is empty"), ({"start": 5}, r"start must lie in -5\.\.4, got 5")],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        example(**options)


def test_too_much_data_is_refused_with_advice():
    y = np.zeros((1000, 1000))
    with pytest.raises(ValueError, match="at most 1000 kB .* fewer frames"):
        scrubber([Panel("a", "x", "y", range(1000), [Line("l", y)])], range(1000), alt="a")


# --- the page in a browser


@pytest.fixture(scope="module")
def browser():
    with chromium_browser() as found:
        yield found


@pytest.fixture
def open_page(browser):
    with watched_pages(browser) as new_page:

        def open_(*figures, width=900, **options):
            page = new_page(width, **options)
            page.on("console", lambda message: page.problems.append(message.text))
            page.on("request", lambda request: page.problems.append(f"request {request.url}"))
            body = "".join(figure._repr_html_() for figure in figures)
            page.set_content(
                f'<!doctype html><html lang="en"><meta charset="utf-8"><body>{body}</body></html>'
            )
            page.wait_for_timeout(100)
            return page

        yield open_


def tick_value(text: str, log: bool) -> float:
    if not log:
        return float(text.replace("−", "-"))
    base, exponent = re.fullmatch("(10?)(.*)", text).groups()
    return 0.0 if base == "1" else float(exponent.translate(SUPERSCRIPTS) or 1)


def axis_map(image, axis: str, *, log: bool = False) -> np.poly1d:
    """Pixels to data, learnt from where the ticks' labels stand, what they say, and the unit of the axis."""
    labels = image.locator(f"text[data-axis={axis}]").all()
    texts = [label.text_content() for label in labels]
    # The label of a y tick stands 4 px below its mark, for the height of its letters.
    pixels = [float(label.get_attribute(axis)) - (4 if axis == "y" else 0) for label in labels]
    values = np.array([tick_value(text, log) for text in texts])
    name = image.locator("text:not([data-axis])").nth(int(axis == "y")).text_content()
    if unit := re.search(r"\(×10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)\)$", name):
        values *= 10.0 ** int(unit[1].translate(SUPERSCRIPTS))
    return np.poly1d(np.polyfit(pixels, values, 1))


def drawn(image, name: str) -> np.ndarray:
    """Pixel coordinates of the line, the points or the stems' heads of a series."""
    return coordinates(image.locator(f'path[data-name="{name}"]').get_attribute("d"))


def coordinates(d: str) -> np.ndarray:
    stems = re.findall(r"M([\d.-]+),[\d.-]+V([\d.-]+)", d)
    return np.array(stems or re.findall(r"[ML]([\d.-]+),([\d.-]+)", d), dtype=float)


def images(page):
    return page.locator(".scrubber-panels svg[role=img]")


def assert_frame(page, frame: int) -> None:
    """Everything drawn is the data of that frame, to a third of a pixel."""
    for index, name, x, y, log in (
        (0, "network", X, WAVES[frame], False),
        (1, "error", X, 1e-4 * WAVES[frame], False),
        (2, "error", np.arange(1, 11), np.log10(DECAYS[frame]), True),
    ):
        image = images(page).nth(index)
        points = drawn(image, name)
        to_x, to_y = axis_map(image, "x"), axis_map(image, "y", log=log)
        np.testing.assert_allclose(to_x(points[:, 0]), x, atol=abs(to_x[1]) / 3)
        np.testing.assert_allclose(to_y(points[:, 1]), y, atol=abs(to_y[1]) / 3)


def test_the_keyboard_moves_through_the_frames(open_page):
    page = open_page(example(start=1))
    slider = page.get_by_role("slider", name="epoch")
    readout = page.locator("output")
    assert_frame(page, 1)
    slider.focus()
    for key, frame in (("ArrowRight", 2), ("End", 4), ("ArrowLeft", 3), ("Home", 0)):
        page.keyboard.press(key)
        assert readout.text_content() == str(FRAMES[frame])
        assert slider.get_attribute("aria-valuetext") == f"epoch {FRAMES[frame]}"
        assert_frame(page, frame)


def assert_family(page, frame: int) -> None:
    """Every line of the family that shows is that frame's, to a third of a pixel; the faint ones are not."""
    image = images(page).nth(1)
    paths = image.locator("g[data-name=units] path")
    opacity = [float(path.get_attribute("stroke-opacity")) for path in paths.all()]
    np.testing.assert_allclose(opacity, OPACITY[frame], atol=0.003)
    to_x, to_y = axis_map(image, "x"), axis_map(image, "y")
    for path, y, shows in zip(paths.all(), STEPS[frame], OPACITY[frame] > 0.02, strict=True):
        points = coordinates(path.get_attribute("d"))
        assert len(points) == (len(X) if shows else 0)
        if shows:
            np.testing.assert_allclose(to_x(points[:, 0]), X, atol=abs(to_x[1]) / 3)
            np.testing.assert_allclose(to_y(points[:, 1]), y, atol=abs(to_y[1]) / 3)


def test_a_family_moves_and_fades_with_the_slider(open_page):
    page = open_page(basis(start=0), width=700)
    assert_family(page, 0)
    slider = page.get_by_role("slider")
    for key, frame in (("ArrowRight", 1), ("ArrowRight", 2), ("End", 4), ("ArrowLeft", 3)):
        slider.press(key)
        assert_family(page, frame)
    page.set_viewport_size({"width": 390, "height": 800})
    page.wait_for_timeout(150)
    assert_family(page, 3)


def test_a_family_has_one_colour_and_one_legend_entry(open_page):
    page = open_page(basis())
    assert page.locator(".scrubber-legend li").all_text_contents() == ["network", "sum", "units"]
    group = images(page).nth(1).locator("g[data-name=units]")
    assert [group.get_attribute(name) for name in ("fill", "stroke-width", "stroke-dasharray")] == [
        "none",
        "1.2",
        "",
    ]
    sample = page.locator(".scrubber-legend li").nth(2).locator("path").first
    assert sample.get_attribute("stroke") == group.get_attribute("stroke")


def test_a_family_that_keeps_its_shape_only_fades(open_page):
    family = Family("units", [[0, 1, np.nan, 2]], [[1.0], [0.5]])
    page = open_page(scrubber([Panel("a", "x", "y", range(4), [family])], [0, 1], alt="a", start=0))
    path = images(page).first.locator("g[data-name=units] path")
    before = path.get_attribute("d")
    assert re.sub("[^ML]", "", before) == "MLM"  # a gap lifts the pen
    page.get_by_role("slider").press("End")
    assert path.get_attribute("d") == before
    assert float(path.get_attribute("stroke-opacity")) == pytest.approx(0.5, abs=0.003)


def test_the_last_frame_comes_first_and_the_cursor_moves(open_page):
    page = open_page(example())
    assert_frame(page, 4)
    image = images(page).nth(1)
    to_x = axis_map(image, "x")
    for frame, key in ((4, None), (0, "Home")):
        if key:
            page.get_by_role("slider").press(key)
        rule = image.locator("svg > path").first.get_attribute("d")
        assert to_x(float(re.match(r"M([\d.]+)", rule)[1])) == pytest.approx(
            np.linspace(-1, 1, 5)[frame], abs=0.01
        )


def test_two_on_a_page_do_not_disturb_each_other(open_page):
    page = open_page(example(start=0), example(start=3))
    page.get_by_role("slider").nth(1).press("ArrowRight")
    assert page.locator("output").all_text_contents() == ["0", "7500"]
    assert_frame(page, 0)
    assert images(page).count() == 6


def test_a_notebook_that_inserts_the_output_runs_it_too(open_page):
    page = open_page(example())
    page.evaluate(
        """html => {  // as notebook front ends do: a script inserted as text would not run
            const output = document.body.appendChild(document.createElement("div"));
            output.innerHTML = html;
            for (const old of output.querySelectorAll("script")) {
                const script = document.createElement("script");
                for (const { name, value } of old.attributes) script.setAttribute(name, value);
                script.textContent = old.textContent;
                old.replaceWith(script);
            }
        }""",
        example(start=2).html,
    )
    page.wait_for_timeout(100)
    page.locator("figure").first.evaluate("figure => figure.remove()")
    assert_frame(page, 2)


def test_play_runs_to_the_end_and_pauses_when_the_slider_is_moved(open_page):
    page = open_page(example(start=3))
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("document.querySelector('output').textContent === '7500'")
    button = page.get_by_role("button", name="Play")
    button.click()  # starts over
    assert page.locator("output").text_content() == "0"
    page.get_by_role("slider").press("ArrowRight")
    assert button.count() == 1
    assert_frame(page, 1)


def test_a_gap_lifts_the_pen(open_page):
    y = np.array([1.0, 2.0, np.nan, 3.0, 4.0])
    page = open_page(scrubber([Panel("a", "x", "y", range(5), [Line("l", y)])], [0], alt="a"))
    d = images(page).first.locator("path[data-name=l]").get_attribute("d")
    assert re.sub("[^ML]", "", d) == "MLML"


@pytest.mark.parametrize("width", [390, 700, 1600])
def test_tick_labels_never_overlap(open_page, width):
    wide = [
        Panel("a", "steps", "y", X * 3e6, [Line("l", 1e5 * WAVES)]),
        Panel("b", "x", "y", 1e-3 * X + 1, [Line("l", 1e-7 * WAVES)]),
        Panel(
            "c", "k", "y", np.logspace(-9, 9, 41), [Line("l", np.logspace(-16, 4, 41))], "log", x_scale="log"
        ),
    ]
    page = open_page(example(), scrubber(wide, FRAMES, alt="a"), width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for image in images(page).all():
        frame = image.bounding_box()
        for axis, start, size in (("x", "x", "width"), ("y", "y", "height")):
            boxes = sorted(
                (label.bounding_box() for label in image.locator(f"text[data-axis={axis}]").all()),
                key=lambda box: box[start],
            )
            assert len(boxes) >= 2
            assert all(a[start] + a[size] <= b[start] for a, b in zip(boxes, boxes[1:], strict=False))
            assert boxes[0][start] >= frame[start] - 1
            assert boxes[-1][start] + boxes[-1][size] <= frame[start] + frame[size] + 1


def test_the_drawing_follows_the_width(open_page):
    page = open_page(example(start=2))
    page.set_viewport_size({"width": 390, "height": 800})
    page.wait_for_timeout(150)
    assert_frame(page, 2)
    tops = [image.bounding_box()["y"] for image in images(page).all()]
    assert tops == sorted(set(tops))  # stacked


def test_without_javascript_the_page_says_what_is_missing(browser):
    page = browser.new_page(java_script_enabled=False)
    page.set_content(example().html)
    assert page.locator("noscript p").is_visible()
    assert "needs JavaScript. What it shows: A network learns." in page.locator("noscript p").text_content()
    page.close()
