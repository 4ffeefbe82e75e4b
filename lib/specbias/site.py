"""The site: executed chapters are staged beside the other pages, and Jupyter Book makes HTML of them.

``_build/executed/`` holds the executed notebooks, ``_build/site/`` the staged book, ``_build/html/`` the
site. This module is also a Sphinx extension (``setup``): it brings MathJax along, so that no page asks
another host.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from specbias._files import whole_file
from specbias.chapters import Chapter, execute
from specbias.claims import Claim, collect, load_claims
from specbias.downloads import add_downloads, copy_data, without_machine
from specbias.pages import fill_pages

__all__ = [
    "Executed",
    "SiteFailed",
    "build_site",
    "claim_problems",
    "execute_if_changed",
    "last_duration",
    "setup",
]

NOT_IN_CHAPTERS = {  # of lib/specbias and of experiments: files, and folders
    "__main__.py", "_command.py", "chapters.py", "downloads.py", "expected.py", "pages.py", "parameters.py",
    "playground", "rerun.py", "singlepage.py", "site.py", "slices", "slides", "sweep", "teaching",
    "verify.py",
}  # fmt: skip


class SiteFailed(Exception):
    """Jupyter Book reported an error, or a warning where warnings count as errors."""


@dataclass(frozen=True)
class Executed:
    """A chapter as it was run."""

    chapter: Chapter
    notebook: Path
    seconds: float
    changed: dict = field(default_factory=dict)  # parameters that are not at their defaults
    reused: bool = False  # nothing had changed since, so the earlier run stands


def execute_if_changed(
    root: Path, chapter: Chapter, values: Mapping, environment: Mapping[str, str], *, force: bool = False,
    output: Path | None = None, progress: Callable[[int, int], None] | None = None,
) -> Executed:  # fmt: skip
    """Run ``chapter``, unless what is there came from the same code and values.

    The notebook ``output`` is ``_build/executed/<name>.ipynb`` unless another one is named; ``progress`` is
    that of :func:`specbias.chapters.execute`.
    """
    output = output or root / "_build" / "executed" / f"{chapter.name}.ipynb"
    mark = fingerprint(root, chapter, values, environment)
    changed = chapter.changed(values)
    stored = {} if force else stored_run(output)
    if stored.get("fingerprint") == mark:
        return Executed(chapter, output, stored["seconds"], changed, reused=True)
    seconds = execute(chapter, values, output, environment, progress)
    notebook = json.loads(output.read_text("utf-8"))
    notebook["metadata"]["specbias"] = {"fingerprint": mark, "seconds": seconds}
    _replace_text(output, json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")
    return Executed(chapter, output, seconds, changed)


def stored_run(notebook: Path) -> dict:
    """``fingerprint`` and ``seconds`` of a run that execute_if_changed has made; empty if there is none."""
    return _metadata(notebook).get("specbias", {})


def fingerprint(root: Path, chapter: Chapter, values: Mapping, environment: Mapping[str, str]) -> str:
    """A digest of all that the outputs depend on: text, library, recordings, claims, values, versions."""
    library = [path for path in (root / "lib").rglob("*") if path.suffix in (".py", ".js", ".css", ".cu")]
    files = [path for path in library if NOT_IN_CHAPTERS.isdisjoint(path.relative_to(root).parts[2:4])]
    files += [chapter.path, root / "book" / "claims.yaml"]
    files += [path for path in (root / "results").rglob("*") if path.suffix in (".nc", ".json")]
    digest = hashlib.sha256()
    for path in sorted(file for file in files if file.is_file()):
        digest.update(f"{path.relative_to(root)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    switches = {
        name: environment.get(name, os.environ.get(name))
        for name in ("SPECBIAS_RECORDED", "SPECBIAS_RESULTS")
    }
    # Not what setuptools carries along for itself: its folder is in the path once somebody has imported it.
    path = [folder for folder in sys.path if Path(folder).name != "_vendor"]
    packages = importlib.metadata.distributions(path=path)
    versions = sorted({f"{package.name}=={package.version}" for package in packages})
    digest.update(json.dumps([dict(values), switches, sys.version, versions], sort_keys=True).encode())
    return digest.hexdigest()


def last_duration(root: Path, chapter: Chapter, values: Mapping) -> float | None:
    """Seconds that the newest run with ``values`` took, else the newest at all; None if there was none."""
    newest = (-1, 0.0, None)  # with these values?, when, how long
    made = [*(root / "_build" / "runs").glob("*"), *(root / "_build" / "sweeps").glob("*/*")]
    for folder in [root / "_build" / "executed", *made]:
        path = folder / f"{chapter.name}.ipynb"
        if path.is_file():
            run = _metadata(path).get("papermill", {})
            same = run.get("parameters") == dict(values)
            newest = max(
                newest, (same, path.stat().st_mtime, run.get("duration")), key=lambda found: found[:2]
            )
    return newest[2]


def _metadata(notebook: Path) -> dict:
    """What is noted in a notebook of an earlier run; nothing if it is damaged, for it can be run again."""
    try:
        return json.loads(notebook.read_text("utf-8"))["metadata"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def build_site(root: Path, runs: list[Executed], *, strict: bool = False) -> Path:
    """Make ``_build/html`` of the book with these runs; it is replaced only by a site that is complete."""
    staged = root / "_build" / "site"
    stage(root, staged, runs)
    built = jupyter_book(staged, "html", strict=strict)
    site, old = root / "_build" / "html", root / "_build" / "html.old"
    shutil.rmtree(old, ignore_errors=True)
    if site.exists():
        site.rename(old)
    built.rename(site)
    shutil.rmtree(old, ignore_errors=True)
    return site


def stage(
    root: Path, staged: Path, runs: list[Executed], config: Mapping | None = None, toc: Mapping | None = None
):
    """Copy the book to ``staged``: chapters replaced by their runs, scoreboard filled, execution off."""
    shutil.rmtree(staged, ignore_errors=True)
    shutil.copytree(
        root / "book", staged / "book", ignore=shutil.ignore_patterns("*.ipynb", ".ipynb_checkpoints")
    )
    shutil.copytree(root / "assets", staged / "assets")
    sources, data = staged / "assets" / "chapters", staged / "assets" / "results"
    for run in runs:
        sources.mkdir(exist_ok=True)
        (staged / "book" / f"{run.chapter.name}.md").rename(sources / f"{run.chapter.name}.md")
        notebook = without_machine(without_widgets(json.loads(run.notebook.read_text("utf-8"))))
        if run.changed:
            notebook["cells"].insert(1, this_run_cell(run))
        (staged / "book" / f"{run.chapter.name}.ipynb").write_text(json.dumps(notebook), "utf-8")
    if toc is None:  # a page by itself has nothing to fill in, and no files beside it
        for path in (root / "results").rglob("*.nc"):
            copy = data / path.relative_to(root / "results")
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy)
        for run in runs:
            copy_data(run.notebook, data)
        fill_pages(staged / "book", runs, _claims(staged))
    settings = yaml.safe_load((root / "_config.yml").read_text("utf-8"))
    settings["execute"]["execute_notebooks"] = "off"
    wanted = ("book/*.ipynb", "results")  # here chapters are notebooks, and _static has the recordings
    patterns = settings.get("exclude_patterns", [])
    settings["exclude_patterns"] = [pattern for pattern in patterns if pattern not in wanted]
    settings["sphinx"]["config"].update(config or {})
    (staged / "_config.yml").write_text(yaml.safe_dump(settings, sort_keys=False), "utf-8")
    contents = toc or yaml.safe_load((root / "_toc.yml").read_text("utf-8"))
    (staged / "_toc.yml").write_text(yaml.safe_dump(contents, sort_keys=False), "utf-8")


def without_widgets(notebook: dict) -> dict:
    """A notebook less its widgets: without a kernel a progress bar is an empty figure, with a caption.

    Examples
    --------
    >>> bar = {"data": {"application/vnd.jupyter.widget-view+json": {}, "text/plain": ["0%"]}}
    >>> cell = {"cell_type": "code", "outputs": [bar, {"data": {"text/html": "<p>"}}]}
    >>> bare = without_widgets({"cells": [cell], "metadata": {"widgets": {"state": {}}}})
    >>> len(bare["cells"][0]["outputs"]), bare["metadata"]
    (1, {})
    """
    notebook["metadata"].pop("widgets", None)  # some 60 kB of states that nothing in the page shows
    widget = "application/vnd.jupyter.widget-view+json"
    for cell in notebook["cells"]:
        if "outputs" in cell:
            cell["outputs"] = [one for one in cell["outputs"] if widget not in one.get("data", {})]
    return notebook


def jupyter_book(staged: Path, builder: str, *, strict: bool, show_warnings: bool = True) -> Path:
    """Run Jupyter Book on a staged book and return the folder it wrote."""
    program = "from jupyter_book.cli.main import main; main()"
    command = [sys.executable, "-c", program, "build", str(staged), "--builder", builder, "-q"]
    command += ["-W", "-n", "--keep-going"] if strict else []
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "encoding": "utf-8"}
    done = subprocess.run(command, **output, env=os.environ | {"NO_COLOR": "1"})
    log = staged.parent / "jupyter-book.log"
    log.write_text(done.stdout, "utf-8")
    warnings = [line for line in done.stdout.splitlines() if re.search(r"\b(WARNING|ERROR|CRITICAL)\b", line)]
    for line in warnings if show_warnings else []:
        print(line.replace(f"{staged}{os.sep}", ""), file=sys.stderr)
    if done.returncode:
        last = "" if warnings else f": {done.stdout.strip().splitlines()[-1]}"
        raise SiteFailed(
            f"Jupyter Book failed with {len(warnings)} warnings{last}; the whole log is in {log}"
        )
    return staged / "_build" / builder


def this_run_cell(run: Executed) -> dict:
    """A box that says which parameters this run changed, as the notebook's second cell."""
    rows = [
        f"| `{name}` | `{json.dumps(value)}` | `{json.dumps(run.chapter.parameters[name].default)}` |"
        for name, value in run.changed.items()
    ]
    table = "\n".join(["| parameter | this run | default |", "|:--|:--|:--|", *rows])
    source = f":::{{admonition}} This run\n:class: important this-run\n\n{table}\n:::\n"
    return {"cell_type": "markdown", "id": "this-run", "metadata": {}, "source": source}


def claim_problems(root: Path, runs: list[Executed]) -> list[str]:
    """Claims with another verdict than in claims.yaml, or that a chapter does not report exactly once."""
    problems = []
    for run in runs:
        if run.changed:
            continue  # other parameters may well have another verdict
        reports = collect(run.notebook)
        counts = Counter(report["id"] for report in reports)
        expected = {claim.id: claim.verdict for claim in _claims(root) if claim.chapter == run.chapter.name}
        for word, wrong in {
            "reports nothing for": [claim for claim in expected if counts[claim] == 0],
            "reports more than once": [claim for claim in expected if counts[claim] > 1],
        }.items():
            if wrong:
                problems.append(f"{run.chapter.name} {word} {', '.join(wrong)}")
        for report in reports:
            listed = expected.get(report["id"], "nothing")
            if report["verdict"] != listed:
                here = f"{report['id']} came out as {report['verdict']!r}"
                problems.append(f"{run.chapter.name}: {here}; book/claims.yaml says {listed!r}")
    return problems


def _claims(root: Path) -> list[Claim]:
    path = root / "book" / "claims.yaml"
    try:
        return load_claims(path) if path.is_file() else []
    except ValueError as error:
        raise SiteFailed(str(error)) from None


def _replace_text(path: Path, text: str) -> None:
    with whole_file(path) as temporary:
        temporary.write_text(text, "utf-8")


def mathjax_folder() -> Path:
    """Where sphinx-mathjax-offline keeps MathJax; its own extension would copy 24 MB into the site."""
    return Path(importlib.util.find_spec("sphinx-mathjax-offline").origin).parent / "static" / "mathjax"


def setup(app) -> dict:
    """Sphinx calls this: MathJax goes into the site, and single pages keep every extension's HTML."""
    app.connect("config-inited", _mend_extensions, priority=999)
    app.connect("html-page-context", _mend_pages)
    app.connect("html-page-context", add_downloads)
    app.connect("build-finished", _copy_mathjax)
    app.connect("build-finished", _empty_icon_script)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _mend_extensions(app, config) -> None:
    """Keep two extensions that Jupyter Book brings along from spoiling pages."""
    # sphinx-exercise registers "singlehtml" handlers, which hide all other extensions' "html" ones.
    app.registry.translation_handlers.pop("singlehtml", None)
    # sphinx-thebe adds a script to every page that fails, even where no page has live code.
    for name, listeners in app.events.listeners.items():
        kept = [each for each in listeners if not each.handler.__module__.startswith("sphinx_thebe")]
        app.events.listeners[name] = kept
    app.registry.css_files = [sheet for sheet in app.registry.css_files if "thebe" not in sheet[0]]


def _mend_pages(app, page, template, context, doctree) -> None:
    """Mend what two extensions write into pages.

    The references are a list whose entries have a role that is none of a list's, and deprecated. All
    exercises of a page have the same id, and all solutions.
    """
    if "body" in context:
        body = context["body"].replace('role="doc-biblioentry"', 'role="listitem"')
        context["body"] = re.sub(r' id="(exercise|solution)-content"', "", body)


def _copy_mathjax(app, error) -> None:
    """Copy the script that ``mathjax_path`` names, and the fonts and TeX extensions that it may ask for."""
    if error is not None or app.builder.format != "html":
        return
    source, target = mathjax_folder(), Path(app.outdir) / "_static" / "mathjax"
    script = Path(app.config.mathjax_path).name
    target.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source / script, target)
    if "chtml" in script:
        for folder in ("output/chtml/fonts", "input/tex/extensions"):
            shutil.copytree(source / folder, target / folder, dirs_exist_ok=True)


def _empty_icon_script(app, error) -> None:
    """The theme's icons come twice, as a web font and as a script of 1.5 MB; the font is enough."""
    if error is None and app.builder.format == "html":
        scripts = Path(app.outdir) / "_static" / "scripts"
        (scripts / "fontawesome.js").write_text("// The icons are those of the web font.\n", "utf-8")
        for path in scripts.glob("*.map"):
            path.unlink()
