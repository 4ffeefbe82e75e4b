"""The knobs of a chapter: how they are declared, and how a value for one is read.

The cell tagged ``parameters`` of a chapter declares every knob on a line

    name: type = default  # help [allowed]

with ``type`` one of int, float, str, bool, list[int], list[float]. The bracket at the end is optional and
either a range or choices; in a list it holds for each element:

    [1..100]     from 1 to 100, both included        [auto | cpu | cuda]     one of these
    [0<..<1]     ends with ``<`` are excluded        [0<..]                  an end left out is no bound
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

__all__ = ["TYPES", "Parameter"]

TYPES = ("int", "float", "str", "bool", "list[int]", "list[float]")
IN_WORDS = {
    "bool": "true or false",
    "list[int]": "a list of int such as 1,2",
    "list[float]": "a list of float such as 0.5,2",
}


@dataclass(frozen=True)
class Parameter:
    """One knob of a chapter.

    Examples
    --------
    >>> epochs = Parameter("epochs", "int", 7500, "training epochs [1..100000]")
    >>> epochs.read("2000")
    2000
    >>> epochs.read("0")
    Traceback (most recent call last):
    ValueError: epochs=0: allowed is int in 1..100000
    >>> Parameter("device", "str", "auto", "[auto | cpu | cuda]").read("gpu")
    Traceback (most recent call last):
    ValueError: device='gpu': allowed is str, one of auto, cpu, cuda
    """

    name: str
    type: str
    default: object
    help: str = ""

    @property
    def allowed(self) -> str:
        """The bracket at the end of the help, without its brackets; empty if there is none."""
        match = re.search(r"\[([^\[\]]*(?:\.\.|\|)[^\[\]]*)\]\s*$", self.help)
        return match.group(1).strip() if match else ""

    @property
    def description(self) -> str:
        """The help without its bracket."""
        return self.help.removesuffix(f"[{self.allowed}]").strip() if self.allowed else self.help

    def read(self, value):
        """Check ``value`` and return it as this type; ValueError says what is allowed.

        Text is read too, for the command line. An int is taken for a float, never the reverse.
        """
        try:
            if self.type.startswith("list["):
                return [self._read_one(item, self.type[5:-1]) for item in _items(value)]
            return self._read_one(value, self.type)
        except (KeyError, TypeError, ValueError):
            shown = value if isinstance(value, str) and self.type != "str" else repr(value)
            raise ValueError(f"{self.name}={shown}: allowed is {self._allowed_in_words()}") from None

    def _read_one(self, value, kind: str):
        value = READERS[kind](value)
        if "|" in self.allowed:
            if value not in [READERS[kind](choice.strip()) for choice in self.allowed.split("|")]:
                raise ValueError
        elif self.allowed and not _in_range(value, self.allowed):
            raise ValueError
        return value

    def _allowed_in_words(self) -> str:
        kind = IN_WORDS.get(self.type, self.type)
        if "|" in self.allowed:
            return f"{kind}, one of {', '.join(choice.strip() for choice in self.allowed.split('|'))}"
        return f"{kind} in {self.allowed}" if self.allowed else kind


def _read_int(value) -> int:
    if isinstance(value, str) and re.fullmatch(r"[+-]?\d+(_\d+)*", value.strip()):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError


def _read_float(value) -> float:
    if isinstance(value, (int, float, str)) and not isinstance(value, bool) and math.isfinite(float(value)):
        return float(value)  # text too: YAML takes 1e-3, without a point, for text
    raise ValueError


def _read_bool(value) -> bool:
    return {"true": True, "false": False}[str(value).lower()] if isinstance(value, (bool, str)) else _refuse()


def _read_str(value) -> str:
    return value if isinstance(value, str) else _refuse()


def _refuse():
    raise ValueError


READERS = {"int": _read_int, "float": _read_float, "bool": _read_bool, "str": _read_str}


def _items(value) -> list:
    """The elements of a list, also of ``1,2`` and ``[1, 2]`` as text."""
    if isinstance(value, str):
        inner = value.strip().removeprefix("[").removesuffix("]").strip()
        return [item.strip() for item in inner.split(",")] if inner else []
    return value if isinstance(value, list) else _refuse()


def _in_range(value: float, allowed: str) -> bool:
    low, high = (bound.strip() for bound in allowed.split("..", 1))
    above, below = low.endswith("<"), high.startswith("<")
    low, high = low.rstrip("< "), high.lstrip("< ")
    if low and (value <= float(low) if above else value < float(low)):
        return False
    return not high or (value < float(high) if below else value <= float(high))
