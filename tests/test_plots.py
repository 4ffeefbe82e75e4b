"""Figures: colours by the formulas of WCAG and CIE, SVG by an XML parser and matplotlib's own transforms."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ElementTree

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from specbias import plots
from specbias.plots import INK, LINE_STYLES, MARKERS, PALETTE, band, show, style

# Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB
DEFICIENCIES = {
    "none": np.eye(3),
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
}
RGB_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear_rgb(color: str) -> np.ndarray:
    values = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def contrast(first: str, second: str) -> float:
    low, high = sorted(float(RGB_TO_XYZ[1] @ linear_rgb(color)) for color in (first, second))
    return (high + 0.05) / (low + 0.05)


def lab(rgb: np.ndarray) -> np.ndarray:
    xyz = RGB_TO_XYZ @ np.clip(rgb, 0, 1) / [0.9505, 1.0, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def line_figure(label: str = "rise") -> tuple[plt.Figure, plt.Axes]:
    with style():
        figure, ax = plt.subplots()
        ax.plot([0.0, 1.0, 2.0, 7.0], [0.0, 0.123456, -3.0, 11.0], label=label, gid="the-line")
        ax.set_xlabel(r"$k^2$")
        ax.legend()
    return figure, ax


def parse(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


@pytest.mark.parametrize("background", ["#ffffff", "#121212"])
@pytest.mark.parametrize("color", PALETTE)
def test_every_series_colour_shows_on_light_and_dark(color, background):
    assert contrast(color, background) >= 3


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_series_colours_stay_apart_without_full_colour_vision(deficiency):
    seen = [lab(np.asarray(DEFICIENCIES[deficiency]) @ linear_rgb(color)) for color in PALETTE]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 12


def test_every_series_has_a_second_channel():
    assert len(set(LINE_STYLES)) == len(set(MARKERS)) == len(PALETTE)


def test_the_svg_draws_the_data_where_matplotlib_puts_them():
    figure, ax = line_figure()
    shown = show(figure, alt="A line.")
    root = parse(shown.svg)
    (group,) = [e for e in root.iter() if e.get("id", "").endswith("the-line")]
    (path,) = [e for e in group.iter() if e.get("d")]
    drawn = np.array(re.findall(r"[ML] (-?[\d.]+) (-?[\d.]+)", path.get("d")), dtype=float)
    points = ax.transData.transform(ax.get_lines()[0].get_xydata()) * 72 / figure.dpi
    height = float(root.get("viewBox").split()[3])
    np.testing.assert_allclose(drawn, np.c_[points[:, 0], height - points[:, 1]], atol=0.011)


def test_the_svg_fits_into_a_page():
    figure, _ = line_figure()
    shown = show(figure, alt='Says "more" & <less>.')
    root = parse(shown.svg)
    assert root.get("role") == "img" and root.get("aria-label") == 'Says "more" & <less>.'
    assert INK not in shown.svg and "currentColor" in shown.svg
    assert not [e for e in root.iter() if e.tag in ("style", "metadata", "text")]
    assert not plt.fignum_exists(figure.number)
    assert "http" not in shown.svg


def test_ids_are_unique_and_every_reference_resolves():
    figures = [parse(show(line_figure(label)[0], alt="A line.", name=label).svg) for label in ("one", "two")]
    ids = [[e.get("id") for e in root.iter() if e.get("id")] for root in figures]
    assert len(set(ids[0] + ids[1])) == len(ids[0]) + len(ids[1])
    for root, own in zip(figures, ids, strict=True):
        text = ElementTree.tostring(root, encoding="unicode")
        references = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', text)
        assert references and {a or b for a, b in references} <= set(own)


def test_the_same_figure_gives_the_same_bytes():
    assert show(line_figure()[0], alt="A line.").svg == show(line_figure()[0], alt="A line.").svg


def test_provenance_is_shown_and_escaped():
    html = show(line_figure()[0], alt="A line.", provenance="seeds < 8")._repr_html_()
    assert "seeds &lt; 8</p>" in html
    assert "provenance" not in show(line_figure()[0], alt="A line.")._repr_html_()


def test_a_figure_that_is_too_heavy_says_what_to_do():
    with style():
        figure, ax = plt.subplots()
        ax.scatter(*np.random.default_rng(0).normal(size=(2, 10_000)))
    with pytest.raises(ValueError, match="600 kB.*rasterized"):
        show(figure, alt="Dots.")


def test_bad_arguments_are_named():
    figure, ax = line_figure()
    with pytest.raises(ValueError, match="alt is empty"):
        show(figure, alt=" ")
    with pytest.raises(TypeError, match="figure must be .* got Axes"):
        show(ax, alt="A line.")
    with pytest.raises(ValueError, match=r"samples must have shape \(seeds, 3\).* got \(2,\)"):
        band(ax, [1, 2, 3], [1, 2], label="a")
    with pytest.raises(ValueError, match="quantiles"):
        band(ax, [1, 2], [[1, 2]], label="a", quantiles=(0.9, 0.1))
    plt.close(figure)


@pytest.mark.parametrize(("suffix", "start"), [(".svg", b"<?xml"), (".pdf", b"%PDF"), (".png", b"\x89PNG")])
def test_export(tmp_path, suffix, start):
    shown = show(line_figure()[0], alt="A line.")
    first, second = (shown.save(tmp_path / f"{name}{suffix}").read_bytes() for name in "ab")
    assert first.startswith(start) and first == second


def test_export_refuses_other_formats(tmp_path):
    with pytest.raises(ValueError, match=r"\.svg, \.pdf, \.png, got .*figure\.gif"):
        show(line_figure()[0], alt="A line.").save(tmp_path / "figure.gif")
    assert not list(tmp_path.iterdir())


def test_band_shows_median_and_spread():
    samples = np.random.default_rng(1).normal(size=(7, 5))
    figure, ax = plt.subplots()
    band(ax, np.arange(5), samples, label="a", color=PALETTE[2])
    ordered = np.sort(samples, axis=0)
    np.testing.assert_array_equal(ax.get_lines()[0].get_ydata(), ordered[3])
    vertices = ax.collections[0].get_paths()[0].vertices
    for x in range(5):
        edges = vertices[vertices[:, 0] == x, 1]
        assert edges.min() == ordered[0, x] and edges.max() == ordered[-1, x]
    plt.close(figure)


@given(st.integers(1, 100_000))
def test_thinning_keeps_both_ends_and_stays_small(count):
    keep = plots._thinned(count)
    assert keep[0] == 0 and keep[-1] == count - 1 and len(keep) <= 600
    assert (np.diff(keep) > 0).all()
    assert np.diff(keep, append=count).max() <= count / 299 + 1
