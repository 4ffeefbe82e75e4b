"""The command line ``specbias``: list the chapters, run one with other parameters, build the book."""

from __future__ import annotations

import logging
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

import click

from specbias._files import CannotWrite, sole_writer
from specbias.chapters import (
    Chapter,
    ChapterFailed,
    chapters,
    execute,
    file_values,
    find_chapter,
    preset_values,
)
from specbias.provenance import book_root, duration, portable_instructions
from specbias.recorded import recorded_runs

EPILOG = """\b
Examples:
  specbias list
  specbias run spectral-bias --preset quick
  specbias run spectral-bias -p epochs=2000 -p hidden=100 --html
  specbias build --strict
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
    with _one_line_errors():
        root = _root()
        found = chapters(root)
        if names:
            click.echo("\n".join(chapter.name for chapter in found))
            return
        for chapter in found:
            _list_chapter(root, chapter)
        runs = recorded_runs()
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
@click.option("--html", is_flag=True, help="Also write one self-contained HTML file.")
@click.option("--record", is_flag=True, help="Write what is computed to results/.")
@click.option(
    "--recorded/--no-recorded", default=None, help="Load recorded runs [default], or compute everything."
)
def run(chapter, assignments, files, preset, output, html, record, recorded) -> None:
    """Execute CHAPTER and keep the executed notebook. -p overrides -f, and -f overrides --preset."""
    with _one_line_errors():
        root = _root()
        found = find_chapter(root, chapter)
        values = _values(root, found, preset, files, assignments)
        output = output or root / "_build" / "runs" / found.run_id(values)
        if output.exists() and not output.is_dir():
            raise ValueError(f"--output {output} is a file; allowed is a folder")
        notebook = output / f"{found.name}.ipynb"
        with sole_writer(notebook):
            pass  # or it is said now and not after the announcement
    _announce(root, found, values)
    changed = [f"-p {name}={_as_text(value)}" for name, value in found.changed(values).items()]
    environment = _switches(recorded, record)
    environment["SPECBIAS_COMMAND"] = " ".join(
        ["specbias run", found.name, *map(shlex.quote, changed), "--record"]
    )
    with _clean_ending():
        seconds = execute(found, values, notebook, environment)
        click.echo(f"{notebook}  ({duration(seconds)})")
        if html:
            from specbias.singlepage import single_page
            from specbias.site import Executed

            page = output / f"{found.name}.html"
            single_page(root, Executed(found, notebook, seconds, found.changed(values)), page)
            click.echo(f"{page}  ({page.stat().st_size / 1e6:.1f} MB)")


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
    from specbias.site import SiteFailed, build_site, claim_problems, execute_if_changed

    with _one_line_errors():
        root = _root()
        found = chapters(root)
        chosen = {each.name: preset_values(root, each, preset) if preset else {} for each in found}
    with _clean_ending():
        runs = []
        for each in found:
            _announce(root, each, chosen[each.name])
            runs.append(execute_if_changed(root, each, chosen[each.name], _switches(recorded), force=force))
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


@main.command(short_help="Show the built site in a browser.")
@click.option("--port", default=0, help="Port on this machine [default: any free one].")
def serve(port: int) -> None:
    """Serve _build/html on this machine until Ctrl-C, and open a browser if there is one."""
    import functools
    import http.server
    import webbrowser

    with _one_line_errors():
        site = _root() / "_build" / "html"
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


def _root() -> Path:
    root = book_root()
    if root is None:
        raise ValueError(
            "this is not inside the book: no folder from here upwards has _toc.yml and lib/specbias"
        )
    return root


def _values(
    root: Path, chapter: Chapter, preset: str | None, files: list[Path], assignments: list[str]
) -> dict:
    values = preset_values(root, chapter, preset) if preset else {}
    for path in files:
        values |= file_values(chapter, path)
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise ValueError(f"-p {assignment}: allowed is NAME=VALUE")
        values |= chapter.read({name.strip(): text})
    return values


def _switches(recorded: bool | None, record: bool = False) -> dict[str, str]:
    switches = {} if recorded is None else {"SPECBIAS_RECORDED": "yes" if recorded else "no"}
    return portable_instructions() | switches | ({"SPECBIAS_RECORD": "yes"} if record else {})


def _announce(root: Path, chapter: Chapter, values: dict) -> None:
    from specbias.site import last_duration

    changed = ", ".join(f"{name}={_as_text(value)}" for name, value in chapter.changed(values).items())
    before = last_duration(root, chapter, values)
    took = f"; the last run took {duration(before)}" if before else ""
    click.echo(f"{chapter.name}: {changed or 'default parameters'}{took}", err=True)


def _as_text(value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _list_chapter(root: Path, chapter: Chapter) -> None:
    from specbias.site import last_duration

    click.secho(chapter.name, bold=True, nl=False)
    before = last_duration(root, chapter, {})
    click.echo(f"  {chapter.title}" + (f"  (the last run took {duration(before)})" if before else ""))
    knobs = [
        (f"{knob.name}: {knob.type} = {_as_text(knob.default)}", knob.allowed, knob.description)
        for knob in chapter.parameters.values()
    ]
    widths = [max((len(knob[column]) for knob in knobs), default=0) for column in (0, 1)]
    for declaration, allowed, description in knobs:
        click.echo(f"  {declaration:{widths[0]}}  {allowed:{widths[1]}}  {description}".rstrip())
    presets = sorted(path.parent.name for path in root.glob(f"params/*/{chapter.name}.yaml"))
    click.echo(f"  presets: {', '.join(presets) or 'none'}\n")


@contextmanager
def _one_line_errors() -> Iterator[None]:
    """What was asked for is wrong: one line that says what is allowed, exit code 2."""
    try:
        yield
    except (ValueError, RuntimeError) as error:
        click.echo(f"specbias: {' '.join(str(error).split())}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        _interrupted()


@contextmanager
def _clean_ending() -> Iterator[None]:
    """What was asked for went wrong, 1, was interrupted, 130, or proved to be impossible at once, 2."""
    from specbias.site import SiteFailed

    try:
        yield
    except ChapterFailed as error:
        click.echo(f"specbias: {error}\nspecbias: the notebook up to the error is {error.notebook}", err=True)
        sys.exit(1)
    except (SiteFailed, OSError, CannotWrite) as error:
        click.echo(f"specbias: {error}", err=True)
        sys.exit(2 if isinstance(error, CannotWrite) else 1)
    except KeyboardInterrupt:
        _interrupted()


def _interrupted() -> NoReturn:
    logging.getLogger("asyncio").disabled = True  # would tell of the kernel that died with us
    click.echo("specbias: interrupted; nothing unfinished was kept", err=True)
    sys.exit(130)
