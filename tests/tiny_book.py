"""A book of one small chapter, with this project's settings, for the tests that execute and build one."""

from __future__ import annotations

import shutil
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

HEADER = """\
---
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---
"""
"""What makes a page a chapter."""

CHAPTER = (
    HEADER
    + """\

# Waves

A wave $e^{ikx}$, after {cite:t}`someone`; see {doc}`notation`.

```{code-cell} ipython3
:tags: [parameters]

count: int = 3  # how many [1..100]
rate: float = 0.5  # step size [0<..]
device: str = "auto"  # where [auto | cpu]
mode: str = "draw"  # what to do [draw | fail | wait]
widths: list[int] = [1, 2]  # of the line
```

```{code-cell} ipython3
import time
from specbias.claims import Scoreboard
from IPython.display import HTML

if mode == "fail":
    raise ArithmeticError("told to fail")
if mode == "wait":
    open("waiting", "w").close()
    time.sleep(60)
print("waves:", count * rate)
HTML('<figure class="specbias-figure"><svg role="img" aria-label="a line" viewBox="0 0 9 9" width="90">'
     f'<path id="line" d="M0 0L9 {count}" stroke="currentColor"/></svg></figure>')
```

```{code-cell} ipython3
from myst_nb import glue

glue("total", count * rate, display=False)
glue("share", f"{count}% (1% to {count}%)", display=False)
glue("words", f"{count} waves", display=False)
glue("count", f"{count:,}", display=False)
```

```{code-cell} ipython3
board = Scoreboard("spectral-bias")
board.report("SB1", measured=str(count), verdict="reproduced" if count == 3 else "differs")
board
```
"""
)

CLAIMS = """\
- id: SB1
  chapter: spectral-bias
  source: A text
  figure: ""
  claim: There are three waves.
  published: three
  verdict: reproduced
"""

PAGES = {
    "index.md": "# Tiny book\n\nWith $x^2$.\n",
    "spectral-bias.md": CHAPTER,
    "scoreboard.md": "# Scoreboard\n\n<!-- scoreboard -->\n",
    "notation.md": "# Notation\n\nBack to {doc}`spectral-bias`.\n",
    "references.md": "# References\n\n```{bibliography}\n```\n",
    "references.bib": "@misc{someone, author = {Some One}, title = {A text}, year = {2020}}\n",
    "claims.yaml": CLAIMS,
}

CONTENTS = """\
format: jb-book
root: book/index
chapters:
  - file: book/spectral-bias
  - file: book/scoreboard
  - file: book/notation
  - file: book/references
"""


def make_tiny_book(folder: Path) -> Path:
    """Write the book into ``folder`` and return it."""
    (folder / "lib" / "specbias").mkdir(parents=True)
    for name in ("book", "params/quick"):
        (folder / name).mkdir(parents=True)
    for name, text in PAGES.items():
        (folder / "book" / name).write_text(text)
    (folder / "params" / "quick" / "spectral-bias.yaml").write_text("count: 4\nrate: 1e-1\n")
    (folder / "_toc.yml").write_text(textwrap.dedent(CONTENTS))
    shutil.copy(ROOT / "_config.yml", folder)
    shutil.copytree(ROOT / "assets", folder / "assets")
    return folder
