"""How long does a chapter take?

    python benchmarks/chapters.py
    python benchmarks/chapters.py --json results/benchmarks/chapters.json   (what `specbias list` goes by)

Every chapter is executed at its defaults, recorded runs loaded, and with params/quick, everything computed:
each twice, and the second time counts, when all compiled loops are in their caches. Take a machine that does
nothing else. `pace` is the time of a small computation on it, by which other machines are compared with it.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
from pathlib import Path

import numpy as np
from _timing import write_json

from specbias.chapters import chapters, execute, preset_values
from specbias.expected import pace
from specbias.provenance import book_root, duration, portable_instructions, processor


def main() -> None:
    """Execute, print, and write the numbers if a file is named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there as well")
    options = parser.parse_args()
    root, seconds = book_root(), {}
    with tempfile.TemporaryDirectory() as folder:
        for chapter in chapters(root):
            seconds[chapter.name] = {}
            for name, values, recorded in (
                ("defaults", {}, "yes"), ("quick", preset_values(root, chapter, "quick"), "no"),
            ):  # fmt: skip
                environment = portable_instructions() | {"SPECBIAS_RECORDED": recorded}
                for _ in range(2):
                    took = execute(chapter, values, Path(folder) / f"{chapter.name}.ipynb", environment)
                seconds[chapter.name][name] = round(took, 1)
                print(f"{chapter.name}, {name}: {duration(took)}")
    machine = {
        "processor": processor(), "cores": os.cpu_count(), "python": platform.python_version(),
        "numpy": np.__version__,
    }  # fmt: skip
    write_json(options.json, {"machine": machine, "pace": pace(), "seconds": seconds})


if __name__ == "__main__":
    main()
