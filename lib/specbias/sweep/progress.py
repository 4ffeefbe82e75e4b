"""How far a sweep is: a bar for each run on a terminal, else a line for each run that ends."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence

from tqdm import tqdm

from specbias.provenance import duration
from specbias.sweep.process import Result

__all__ = ["Progress"]


class Progress:
    """Told of cells and of results, by whichever thread.

    Parameters
    ----------
    labels
        Of each run that is to be made.
    total
        Runs of the sweep.
    done
        Those of them that need not be made.
    """

    def __init__(self, labels: Sequence[str], total: int, done: int):
        self._labels, self._total, self._done = labels, total, done
        self._bars: dict[int, tqdm] = {}
        self._ended: set[int] = set()
        self._lock = threading.Lock()
        self._terminal = sys.stderr.isatty()

    def cells(self, index: int, done: int, of: int) -> None:
        """So many cells of a run are done."""
        with self._lock:
            if not self._terminal or index in self._ended:
                return
            if index not in self._bars:
                self._bars[index] = tqdm(total=of, desc=self._labels[index], unit="cell", leave=False)
            bar = self._bars[index]
            bar.n = done
            bar.refresh()

    def finished(self, index: int, result: Result) -> None:
        """A run has ended."""
        with self._lock:
            self._ended.add(index)
            if bar := self._bars.pop(index, None):
                bar.close()
            self._done += 1
            if result.state == "done":
                what = f"done: {self._labels[index]} ({duration(result.seconds)})"
            else:
                what = f"{result.state}: {self._labels[index]} ({result.message})"
            self._write(f"{self._done} of {self._total} {what}")

    def say(self, text: str) -> None:
        """A line that is about no run."""
        with self._lock:
            self._write(f"specbias: {text}")

    def close(self) -> None:
        """Remove all bars; nothing is shown any more."""
        with self._lock:
            self._ended.update(range(len(self._labels)))
            while self._bars:
                self._bars.popitem()[1].close()

    def _write(self, line: str) -> None:
        tqdm.write(line, file=sys.stderr)
