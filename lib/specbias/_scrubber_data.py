"""What a scrubber draws, and how it is sent to the script that draws it (`scrubber.js`)."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from specbias.plots import LINE_STYLES, PALETTE

__all__ = ["Family", "Line", "Panel", "encode_panel"]

SCALES = ("linear", "log")
KINDS = ("line", "points", "stem")
STYLES = ("series", "reference")

# Values are sent as 16-bit steps, far finer than a pixel over the axis and some heights above and below it.
_HEIGHTS_BEYOND = 3.0
_STEPS = 65534
_GAP = 65535
_OPACITY_STEPS = 255
_STROKE_WIDTH = 2.0
_THIN = 1.2


@dataclass(frozen=True)
class Line:
    """One series of a panel.

    Parameters
    ----------
    name
        Shown in the legend. Lines of one name share colour and legend across panels.
    y
        Shape `(frames, n)`, or `(n,)` for a line that does not change. NaN, and zero or less on a log
        axis, is a gap.
    x
        Shape `(n,)`; the panel's `x` if not given.
    kind
        "line", "points" or "stem"; the panel's kind if not given.
    style
        "series": a colour of the palette. "reference": thin, dashed, in the colour of the text.
    """

    name: str
    y: ArrayLike
    x: ArrayLike | None = None
    kind: str | None = None
    style: str = "series"


@dataclass(frozen=True)
class Family:
    """Many thin lines of one colour and one legend entry, such as the basis functions of a network.

    How strongly each line shows differs per line and per frame. All are solid: dashes at a low opacity are
    dust.

    Parameters
    ----------
    name
        Shown in the legend, once for all the lines; colour as for a :class:`Line` of that name.
    y
        Shape `(frames, lines, n)`, or `(lines, n)` for lines of which only the opacity changes. Gaps as in
        a :class:`Line`.
    opacity
        Shape `(frames, lines)`, in [0, 1], such as |output weight| over the largest of all frames. Below
        0.02 a line is not drawn.
    x
        Shape `(n,)`; the panel's `x` if not given.
    """

    name: str
    y: ArrayLike
    opacity: ArrayLike
    x: ArrayLike | None = None
    kind: ClassVar[str] = "line"
    style: ClassVar[str] = "series"


@dataclass(frozen=True)
class Panel:
    """One pair of axes of a scrubber.

    Parameters
    ----------
    title, x_label, y_label
        Plain text (no TeX: write x², λ, ‖u‖).
    x
        Shape `(n,)`.
    lines
        What to draw, the first at the back.
    y_scale, x_scale
        "linear" or "log".
    y_range
        Lower and upper end of the vertical axis; all frames fit by default.
    kind
        "line", "points" or "stem": how lines are drawn that do not say.
    cursor
        Shape `(frames,)`: where a vertical rule stands in each frame, such as the epoch on a loss curve.
    """

    title: str
    x_label: str
    y_label: str
    x: ArrayLike
    lines: Sequence[Line | Family]
    y_scale: str = "linear"
    y_range: tuple[float, float] | None = None
    kind: str = "line"
    x_scale: str = "linear"
    cursor: ArrayLike | None = None


def encode_panel(panel: Panel, frames: int, names: list[str]) -> dict:
    """Check a panel and turn it into what the script reads; log axes are in powers of ten from here on."""
    where = f"panel {panel.title!r}"
    for argument, value in (("x_scale", panel.x_scale), ("y_scale", panel.y_scale)):
        _one_of(f"{where}: {argument}", value, SCALES)
    if not panel.lines:
        raise ValueError(f"{where}: lines must not be empty")
    curves = [_curve(where, panel, line, frames) for line in panel.lines]
    x_range = _axis_range(np.concatenate([x for x, _ in curves]), panel.x_scale, f"{where}: x", padding=0.02)
    if panel.y_range is None:
        values = np.concatenate([y.ravel() for _, y in curves])
        rooted = any((line.kind or panel.kind) == "stem" for line in panel.lines)
        if rooted and panel.y_scale == "linear":
            values = np.append(values, 0.0)  # stems stand on zero
        y_range = _axis_range(values, panel.y_scale, f"{where}: y", padding=0.05)
    else:
        y_range = _given_range(where, panel)
    lines = [
        _encode_line(line, line.kind or panel.kind, x, y, y_range, names)
        for line, (x, y) in zip(panel.lines, curves, strict=True)
    ]
    encoded = {
        "title": panel.title,
        "x": {"label": panel.x_label, "scale": panel.x_scale, "range": x_range},
        "y": {"label": panel.y_label, "scale": panel.y_scale, "range": y_range},
        "lines": lines,
    }
    if panel.cursor is not None:
        cursor = np.asarray(panel.cursor, dtype=float)
        if cursor.shape != (frames,):
            raise ValueError(f"{where}: cursor must have shape ({frames},), got {cursor.shape}")
        encoded["cursor"] = _numbers(_on_scale(cursor, panel.x_scale))
    return encoded


def _curve(where: str, panel: Panel, line: Line | Family, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the checked `x` (n,) and `y` (..., n) of a line or a family, in axis units."""
    where = f"{where}, line {line.name!r}"
    _one_of(f"{where}: kind", line.kind or panel.kind, KINDS)
    _one_of(f"{where}: style", line.style, STYLES)
    x = np.asarray(panel.x if line.x is None else line.x, dtype=float)
    y = np.asarray(line.y, dtype=float)
    if x.ndim != 1 or x.size == 0 or not np.isfinite(x).all():
        raise ValueError(f"{where}: x must be one-dimensional, not empty and finite, got shape {x.shape}")
    if panel.x_scale == "log" and (x <= 0).any():
        raise ValueError(f"{where}: x must be positive on a log axis, got {x.min():g}")
    if isinstance(line, Family):
        _check_family(where, line, y.shape, x.size, frames)
    elif y.shape not in (x.shape, (frames, x.size)):
        raise ValueError(f"{where}: y must have shape ({x.size},) or ({frames}, {x.size}), got {y.shape}")
    return _on_scale(x, panel.x_scale), _on_scale(y, panel.y_scale)


def _check_family(where: str, family: Family, shape: tuple[int, ...], points: int, frames: int) -> None:
    moving, still = shape[:1] == (frames,) and len(shape) == 3, len(shape) == 2
    if not (moving or still) or shape[-1] != points or shape[-2] == 0:
        allowed = f"({frames}, lines, {points}) or (lines, {points})"
        raise ValueError(f"{where}: y must have shape {allowed} with at least one of lines, got {shape}")
    opacity = np.asarray(family.opacity, dtype=float)
    if opacity.shape != (frames, shape[-2]):
        raise ValueError(f"{where}: opacity must have shape ({frames}, {shape[-2]}), got {opacity.shape}")
    outside = opacity[~((opacity >= 0) & (opacity <= 1))]  # NaN is outside too
    if outside.size:
        raise ValueError(f"{where}: opacity must lie in [0, 1], got {outside[0]:g}")


def _on_scale(values: np.ndarray, scale: str) -> np.ndarray:
    """Return `values` in axis units, NaN where the axis has no place for them."""
    if scale == "log":
        values = np.log10(values, out=np.full_like(values, np.nan), where=values > 0)
    return np.where(np.isfinite(values), values, np.nan)


def _axis_range(values: np.ndarray, scale: str, what: str, *, padding: float) -> list[float]:
    """Return the ends of an axis on which all finite values fit."""
    values = values[np.isfinite(values)]
    if values.size == 0:
        raise ValueError(
            f"{what} has no value that can be drawn" + (" (log axis: none > 0)" if scale == "log" else "")
        )
    low, high = float(values.min()), float(values.max())
    if low == high:
        room = 0.5 if scale == "log" else 0.5 * abs(low) or 0.5
    else:
        room = padding * (high - low)
    return _with_ticks(low - room, high + room, scale)


def _given_range(where: str, panel: Panel) -> list[float]:
    low, high = (float(end) for end in panel.y_range)
    if not (math.isfinite(low) and math.isfinite(high) and low < high) or (
        panel.y_scale == "log" and low <= 0
    ):
        bound = "0 < " if panel.y_scale == "log" else ""
        raise ValueError(f"{where}: y_range must be {bound}low < high and finite, got {panel.y_range}")
    if panel.y_scale == "log":
        low, high = math.log10(low), math.log10(high)
    return _with_ticks(low, high, panel.y_scale)


def _with_ticks(low: float, high: float, scale: str) -> list[float]:
    """Widen a log axis to whole decades if it would show fewer than two powers of ten."""
    if scale == "log" and math.floor(high) - math.ceil(low) < 1:
        low, high = math.floor(low), math.ceil(high)
        high += low == high
    return [float(low), float(high)]


def _encode_line(
    line: Line | Family, kind: str, x: np.ndarray, y: np.ndarray, y_range: list[float], names: list[str]
) -> dict:
    beyond = _HEIGHTS_BEYOND * (y_range[1] - y_range[0])
    low, high = y_range[0] - beyond, y_range[1] + beyond
    steps = np.rint((np.clip(y, low, high) - low) / (high - low) * _STEPS)
    steps = np.where(np.isnan(steps), _GAP, steps).astype("<u2")
    several = isinstance(line, Family)
    encoded = {
        "name": line.name,
        "kind": kind,
        "moves": y.ndim == (3 if several else 2),
        **_look(line, kind, names),
        "x": _numbers(x),
        "y": base64.b64encode(steps.tobytes()).decode(),
        "low": low,
        "step": (high - low) / _STEPS,
    }
    if several:
        opacity = np.rint(np.asarray(line.opacity, dtype=float) * _OPACITY_STEPS).astype("u1")
        encoded |= {"count": y.shape[-2], "opacity": base64.b64encode(opacity.tobytes()).decode()}
    return encoded


def _look(line: Line | Family, kind: str, names: list[str]) -> dict:
    """Return colour, width, dashes and marker: each name has its own, so that no reader depends on colour."""
    if line.style == "reference":
        return {"color": "currentColor", "width": _THIN, "dash": "5 3", "marker": 0}
    series = names.index(line.name) % len(PALETTE)
    if isinstance(line, Family):
        return {"color": PALETTE[series], "width": _THIN, "dash": "", "marker": series}
    pattern = LINE_STYLES[series]
    dashed = kind == "line" and pattern != "-"
    dash = " ".join(f"{_STROKE_WIDTH * length:g}" for length in pattern[1]) if dashed else ""
    return {"color": PALETTE[series], "width": _STROKE_WIDTH, "dash": dash, "marker": series}


def _numbers(values: np.ndarray) -> list[float | None]:
    """Return numbers short enough to send: six significant digits."""
    return [float(f"{value:.6g}") if math.isfinite(value) else None for value in values]


def _one_of(what: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{what} must be one of {', '.join(allowed)}, got {value!r}")
