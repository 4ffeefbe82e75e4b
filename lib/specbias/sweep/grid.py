"""The grid of a sweep: which values each parameter takes."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Mapping, Sequence

from specbias._command import as_text
from specbias.chapters import Chapter

__all__ = ["in_words", "points", "read_grid", "value_in_words"]

_LISTS = re.compile(r"\s*\[[^\[\]]*\](\s*,\s*\[[^\[\]]*\])*\s*")


def read_grid(chapter: Chapter, options: Sequence[str], assigned: Collection[str] = ()) -> dict[str, list]:
    """Read ``-g NAME=V1,V2`` options.

    Parameters
    ----------
    chapter
        Whose parameters they are.
    options
        Each ``"NAME=V1,V2"``, for a parameter that is a list ``"NAME=[1,2],[3]"``.
    assigned
        Names that ``-p`` has set.

    Returns
    -------
    dict
        The checked values of each name, in order.

    Raises
    ------
    ValueError
        If there is no option, a name or value is not the chapter's, one comes twice, or `assigned` has it.

    Examples
    --------
    >>> from specbias.parameters import Parameter
    >>> from pathlib import Path
    >>> knobs = [Parameter("count", "int", 3, "[1..100]"), Parameter("widths", "list[int]", [5])]
    >>> waves = Chapter(Path("waves.md"), "Waves", {knob.name: knob for knob in knobs})
    >>> read_grid(waves, ["count=1,2", "widths=[5,6],[7]"])
    {'count': [1, 2], 'widths': [[5, 6], [7]]}
    """
    if not options:
        raise ValueError("-g NAME=V1,V2 is missing: name at least one parameter and its values")
    grid = {}
    for option in options:
        name, equals, text = option.partition("=")
        name = name.strip()
        if not equals:
            raise ValueError(f"-g {option}: allowed is NAME=V1,V2")
        if name in grid:
            raise ValueError(f"-g {name} comes twice; allowed is once, with all values: -g {name}=V1,V2")
        if name in assigned:
            raise ValueError(f"{name} is set by -g and by -p; allowed is one of them")
        grid[name] = _values(chapter, name, text)
    return grid


def points(grid: Mapping[str, list]) -> list[dict]:
    """All combinations; the last name varies fastest.

    Examples
    --------
    >>> points({"stages": [1, 2], "seed": [0]})
    [{'stages': 1, 'seed': 0}, {'stages': 2, 'seed': 0}]
    """
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def in_words(point: Mapping) -> str:
    """A point of the grid in one line.

    Examples
    --------
    >>> in_words({"stages": 2, "widths": [5, 6]})
    'stages=2, widths=[5,6]'
    """
    return ", ".join(f"{name}={value_in_words(value)}" for name, value in point.items())


def value_in_words(value) -> str:
    """One value as ``-g`` takes it: a list in brackets."""
    return f"[{as_text(value)}]" if isinstance(value, list) else as_text(value)


def _values(chapter: Chapter, name: str, text: str) -> list:
    parameter = chapter.parameters.get(name)
    texts = [item.strip() for item in text.split(",")]
    if parameter and parameter.type.startswith("list["):
        if not _LISTS.fullmatch(text):
            raise ValueError(f"-g {name}={text}: {name} is a list; allowed is -g {name}=[1,2],[3,4]")
        texts = re.findall(r"\[[^\[\]]*\]", text)
    values = []
    for item in texts:
        value = chapter.read({name: item})[name]
        if item == "" or value in values:
            wrong = f"the value {as_text(value)} comes twice" if item else "a value is empty"
            raise ValueError(f"-g {name}={text}: {wrong}")
        values.append(value)
    return values
