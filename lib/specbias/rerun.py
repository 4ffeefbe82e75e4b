"""The command line ``specbias``: list the chapters, run one or many times, build the book."""

from __future__ import annotations

import shlex
import sys
from contextlib import suppress
from pathlib import Path

import click

from specbias._command import (
    announce,
    as_text,
    build_switches,
    chosen_values,
    clean_ending,
    interruptible,
    one_line_errors,
    root_folder,
    switches,
)
from specbias._files import check_folder, sole_writer
from specbias.chapters import Chapter, chapters, execute, find_chapter, preset_values
from specbias.expected import expected_seconds
from specbias.provenance import duration
from specbias.recorded import recorded_runs
from specbias.slides.command import slides
from specbias.sweep.command import sweep
from specbias.teaching.command import assignments, grade

EPILOG = """\b
Examples:
  specbias list
  specbias run spectral-bias --preset quick
  specbias run spectral-bias -p epochs=2000 -p hidden=100 --html
  specbias sweep si-msnn --preset quick -g stages=1,2,3
  specbias slides multistage
  specbias build --strict
  specbias verify
"""


@click.group(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="specbias")
def main() -> None:
    """Re-run the chapters of "From Spectral Bias to Machine Precision" with parameters of your own.

    Every command works from any folder of the book. `specbias COMMAND --help` shows examples.
    """


@main.command("list", short_help="Chapters with their parameters, presets and recorded runs.")
@click.option("--names", is_flag=True, help="Only the chapters' names, one on a line.")
def list_command(names: bool) -> None:
    """Show the chapters with their parameters (type, default, allowed values), and the recorded runs."""
    with one_line_errors():
        root = root_folder()
        found = chapters(root)
        if names:
            click.echo("\n".join(chapter.name for chapter in found))
            return
        runs = recorded_runs()
        for chapter in found:
            _list_chapter(root, chapter, runs)
        if runs:
            click.secho("recorded runs", bold=True)
        for name, attributes in runs.items():
            took = f"{duration(attributes['wall_time'])} on {attributes['device']}"
            click.echo(f"  {name}  {took}, {attributes['started'][:10]}, commit {attributes['commit']}")


RUN_EXAMPLES = """\b
Examples:
  specbias run spectral-bias                                  at the defaults
  specbias run spectral-bias -p epochs=2000 -p hidden=100     two of them changed
  specbias run spectral-bias --preset quick --html            seconds; one HTML file
  specbias run spectral-bias -f mine.yaml --output /tmp/mine  parameters from a file
\b
A list is written 1,2,3 and a truth value true or false. A name, type or value
that the chapter does not allow is refused before anything is written.
"""


@main.command(short_help="Execute one chapter with parameters of your own.", epilog=RUN_EXAMPLES)
@click.argument("chapter")
@click.option(
    "-p", "assignments", multiple=True, metavar="NAME=VALUE", help="Set a parameter; repeat for more."
)
@click.option(
    "-f", "files", multiple=True, type=Path, metavar="FILE.yaml", help="Read parameters from a file."
)
@click.option("--preset", metavar="quick|paper", help="Start from params/PRESET/CHAPTER.yaml.")
@click.option(
    "--output", type=Path, metavar="DIR", help="Where to put it [default: _build/runs/CHAPTER-HASH]."
)
@click.option("--device", metavar="auto|cpu|cuda", help="Where to train: short for -p device=...")
@click.option("--html", is_flag=True, help="Also write one self-contained HTML file.")
@click.option("--record", is_flag=True, help="Write what is computed to results/.")
@click.option(
    "--recorded/--no-recorded", default=None, help="Load recorded runs [default], or compute everything."
)
def run(chapter, assignments, files, preset, output, device, html, record, recorded) -> None:
    """Execute CHAPTER and keep the executed notebook. -p overrides -f, and -f overrides --preset."""
    with interruptible(), one_line_errors():
        root = root_folder()
        found = find_chapter(root, chapter)
        assignments = [*assignments, *([f"device={device}"] if device else [])]
        values = chosen_values(root, found, preset, files, assignments)
        output = output or root / "_build" / "runs" / found.run_id(values)
        if output.exists() and not output.is_dir():
            raise ValueError(f"--output {output} is a file; allowed is a folder")
        notebook = output / f"{found.name}.ipynb"
        with sole_writer(notebook):
            pass  # or it is said now and not after the announcement
    announce(root, found, values)
    changed = [f"-p {name}={as_text(value)}" for name, value in found.changed(values).items()]
    environment = switches(recorded, record)
    environment["SPECBIAS_COMMAND"] = " ".join(
        ["specbias run", found.name, *map(shlex.quote, changed), "--record"]
    )
    with clean_ending():
        seconds = execute(found, values, notebook, environment)
        click.echo(f"{notebook}  ({duration(seconds)})")
        if html:
            from specbias.singlepage import single_page
            from specbias.site import Executed

            page = output / f"{found.name}.html"
            single_page(root, Executed(found, notebook, seconds, found.changed(values)), page)
            click.echo(f"{page}  ({page.stat().st_size / 1e6:.1f} MB)")


main.add_command(sweep)
main.add_command(slides)
main.add_command(assignments)
main.add_command(grade)


@main.command(short_help="Execute every chapter and build the site.")
@click.option("--preset", metavar="quick|paper", help="Run the chapters with params/PRESET.")
@click.option(
    "--strict", is_flag=True, help="Warnings, and verdicts that differ from claims.yaml, are errors."
)
@click.option("--force", is_flag=True, help="Execute also chapters of which nothing has changed.")
@click.option(
    "--recorded/--no-recorded", default=None, help="Load recorded runs [default], or compute everything."
)
def build(preset, strict, force, recorded) -> None:
    """Execute every chapter at its defaults and make the site in _build/html.

    A chapter is executed again only if its text, the library, the recorded runs or the environment changed.
    """
    from specbias.site import SiteFailed, build_site, claim_problems

    with one_line_errors():
        root = root_folder()
        chosen = _chosen(root, preset)
    with clean_ending():
        runs = _all_runs(root, chosen, recorded, force)
        problems = claim_problems(root, runs)
        for problem in problems:
            click.echo(f"specbias: {problem}", err=True)
        site = build_site(root, runs, strict=strict)
        for done in runs:
            note = " (unchanged: the earlier run stands)" if done.reused else ""
            click.echo(f"{done.chapter.name}: {duration(done.seconds)}{note}")
        click.echo(f"The site is {site / 'index.html'}")
        if strict and problems:
            raise SiteFailed(f"{len(problems)} claims do not come out as book/claims.yaml says")


@main.command("print", short_help="The whole book as one HTML file, and as PDF.")
@click.option("--pdf", is_flag=True, help="Also print it to a PDF file; needs Chromium or Chrome.")
@click.option("--preset", metavar="quick|paper", help="Run the chapters with params/PRESET.")
@click.option("--output", type=Path, metavar="DIR", help="Where to put it [default: _build/print].")
def print_command(pdf, preset, output) -> None:
    """Write all pages, chapters as they were run, to book.html, which opens anywhere without a network.

    Chapters of which something has changed are executed first, as `specbias build` does.
    """
    from specbias.singlepage import as_pdf, whole_book

    with one_line_errors():
        root = root_folder()
        chosen = _chosen(root, preset)
        output = output or root / "_build" / "print"
        check_folder(output)
    with clean_ending():
        page = output / "book.html"
        whole_book(root, _all_runs(root, chosen, None, False), page)
        click.echo(f"{page}  ({page.stat().st_size / 1e6:.1f} MB)")
        if pdf:
            paper = page.with_suffix(".pdf")
            as_pdf(page, paper)
            click.echo(f"{paper}  ({paper.stat().st_size / 1e6:.1f} MB)")


def _chosen(root: Path, preset: str | None) -> list[tuple[Chapter, dict]]:
    """Every chapter with the values of a preset, or none."""
    return [(each, preset_values(root, each, preset) if preset else {}) for each in chapters(root)]


def _all_runs(root: Path, chosen: list[tuple[Chapter, dict]], recorded: bool | None, force: bool) -> list:
    """Every chapter, executed if anything has changed."""
    from specbias.site import execute_if_changed

    environment = build_switches(root, recorded)
    runs = []
    for each, values in chosen:
        announce(root, each, values)
        runs.append(execute_if_changed(root, each, values, environment, force=force))
    return runs


@main.command(short_help="Show the built site in a browser.")
@click.option("--port", default=0, help="Port on this machine [default: any free one].")
def serve(port: int) -> None:
    """Serve _build/html on this machine until Ctrl-C, and open a browser if there is one."""
    import functools
    import http.server
    import webbrowser

    with one_line_errors():
        site = root_folder() / "_build" / "html"
        if not (site / "index.html").is_file():
            raise ValueError("there is no site yet; run `make book` or `specbias build` first")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=site)
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), handler) as server, suppress(KeyboardInterrupt):
        address = f"http://127.0.0.1:{server.server_port}/"
        click.echo(f"The site is at {address} until you press Ctrl-C")
        webbrowser.open(address)
        server.serve_forever()


@main.command(
    short_help="Make a recorded run; works without Jupyter too.",
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def record(arguments) -> None:
    """The same as `python -m specbias record`, which needs no click."""
    from specbias.__main__ import record as record_run

    sys.exit(record_run(list(arguments)))


@main.command(
    short_help="Whether the recorded runs are still what the code computes.",
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def verify(arguments) -> None:
    """The same as `python -m specbias verify`, which needs no click."""
    from specbias.__main__ import verify_recordings

    sys.exit(verify_recordings(list(arguments)))


def _list_chapter(root: Path, chapter: Chapter, runs: dict[str, dict]) -> None:
    from specbias.site import last_duration

    click.secho(chapter.name, bold=True, nl=False)
    before = last_duration(root, chapter, {})
    click.echo(f"  {chapter.title}" + (f"  (the last run took {duration(before)})" if before else ""))
    if here := expected_seconds(chapter.name, runs):
        defaults, quick, everything = (duration(here[key]) for key in ("defaults", "quick", "everything"))
        click.echo(f"  here about {defaults}; {quick} with --preset quick; {everything} with --no-recorded")
    knobs = [
        (f"{knob.name}: {knob.type} = {as_text(knob.default)}", knob.allowed, knob.description)
        for knob in chapter.parameters.values()
    ]
    widths = [max((len(knob[column]) for knob in knobs), default=0) for column in (0, 1)]
    for declaration, allowed, description in knobs:
        click.echo(f"  {declaration:{widths[0]}}  {allowed:{widths[1]}}  {description}".rstrip())
    presets = sorted(path.parent.name for path in root.glob(f"params/*/{chapter.name}.yaml"))
    click.echo(f"  presets: {', '.join(presets) or 'none'}\n")
