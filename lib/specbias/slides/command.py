"""The command ``specbias slides``."""

from __future__ import annotations

from pathlib import Path

import click

from specbias._command import announce, build_switches, clean_ending, one_line_errors, root_folder, switches
from specbias._files import check_folder
from specbias.chapters import chapters, find_chapter, preset_values

EXAMPLES = """\b
Examples:
  specbias slides multistage                        _build/slides/multistage.html
  specbias slides                                   of every chapter
  specbias slides multistage --preset quick         of a run that takes seconds
  specbias slides multistage --output /media/stick  where you want them
\b
In the browser: arrow keys move on and back, S opens the speaker's view with the
chapter's text as notes, F fills the screen, O shows all slides, D is for dark.
To print, or for a PDF, open the file with ?print-pdf at the end of its address.
"""


@click.command(short_help="Make slides of chapters, for a lecture.", epilog=EXAMPLES)
@click.argument("names", metavar="[CHAPTER]...", nargs=-1)
@click.option("--preset", metavar="quick|paper", help="Run the chapters with params/PRESET.")
@click.option("--output", type=Path, metavar="DIR", help="Where to put them [default: _build/slides].")
def slides(names, preset, output) -> None:
    """Write the slides of each CHAPTER, or of all, to one HTML file that opens without a network.

    They are made of the chapter's own text and figures: a slide for each figure with its caption, and the
    prose as speaker's notes. A chapter is executed first if anything has changed, as `specbias build` does.
    """
    with one_line_errors():
        root = root_folder()
        found = [find_chapter(root, name) for name in names] or chapters(root)
        chosen = [(each, preset_values(root, each, preset) if preset else {}) for each in found]
        from specbias.site import execute_if_changed
        from specbias.slides.pages import reveal_folder, write_slides

        reveal_folder()
        folder = output or root / "_build" / "slides"
        check_folder(folder)
    with clean_ending():
        runs = []
        for each, values in chosen:
            announce(root, each, values)
            if preset:  # apart from the run that the site shows
                apart = root / "_build" / "runs" / each.run_id(values) / f"{each.name}.ipynb"
                runs.append(execute_if_changed(root, each, values, switches(None), output=apart))
            else:
                runs.append(execute_if_changed(root, each, values, build_switches(root, None)))
        click.echo(f"making slides of {', '.join(each.name for each in found)}", err=True)
        for path in write_slides(root, runs, folder):
            count = path.read_text("utf-8").count("<section class=")
            click.echo(f"{path}  ({count} slides, {path.stat().st_size / 1e6:.1f} MB)")
