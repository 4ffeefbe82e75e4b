"""What readers can take along: a chapter as executed notebook and as source, the data of each figure.

Figures name the files of their runs (:func:`specbias.plots.provenance_html`); the site, which has the files,
makes links of the names when it writes a page.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from html import escape
from pathlib import Path, PurePosixPath

__all__ = ["add_downloads", "chapter_line", "copy_data", "figure_links", "without_machine"]

FEW = 2  # so many links stand in the line; more unfold below it
_LINE = re.compile(r'(<p class="provenance") data-files="([^"]*)"([^>]*>.*?)(</p>)', re.DOTALL)
_NAMED = re.compile(r'data-files=\\"([^"\\]*)\\"')  # the same, inside the JSON of a notebook


def figure_links(body: str, exists: Callable[[str], bool], address: Callable[[str], str]) -> str:
    """Put links to the data of each figure into the line under it.

    Parameters
    ----------
    body : str
        HTML of a page.
    exists : callable
        Whether the site has a file, by its name in ``data-files``.
    address : callable
        The file's address, seen from the page.

    Examples
    --------
    >>> line = '<p class="provenance" data-files="multistage/four.nc">live</p>'
    >>> figure_links(line, lambda file: True, lambda file: f"../{file}")
    '<p class="provenance">live · data: <a href="../multistage/four.nc" download>four.nc</a></p>'
    """

    def linked(match: re.Match) -> str:
        start, files, line, end = match.groups()
        links = [
            f'<a href="{escape(address(file))}" download>{escape(PurePosixPath(file).name)}</a>'
            for file in filter(exists, files.split())
        ]
        if not links:
            return start + line + end
        if len(links) <= FEW:
            return f"{start}{line} · data: {', '.join(links)}{end}"
        unfolds = f"<summary>data: {len(links)} files</summary>{', '.join(links)}"
        return f'{start}{line}{end}<details class="provenance-data">{unfolds}</details>'

    return _LINE.sub(linked, body)


def chapter_line(notebook: str, source: str, cite: str) -> str:
    """The line under a chapter's title, from the addresses of its executed notebook, source and citation.

    Examples
    --------
    >>> chapter_line("a.ipynb", "a.md", "")  # doctest: +ELLIPSIS
    '<p class="specbias-downloads">This page as <a href="a.ipynb" download>executed notebook</a> ...
    """
    cited = f' · <a href="{escape(cite)}">how to cite</a>' if cite else ""
    return (
        f'<p class="specbias-downloads">This page as <a href="{escape(notebook)}" download>executed '
        f'notebook</a> (.ipynb) · as <a href="{escape(source)}" download>source</a> (.md){cited}</p>'
    )


def copy_data(notebook: Path, target: Path) -> None:
    """Copy to ``target`` what figures of an executed notebook name and its run has left beside it."""
    named = " ".join(_NAMED.findall(notebook.read_text("utf-8"))).split()
    for file in sorted(set(named)):
        if (notebook.parent / file).is_file():
            (target / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(notebook.parent / file, target / file)


def without_machine(notebook: dict) -> dict:
    """A notebook for readers: less where on this machine it was made, and the mark of the run.

    Examples
    --------
    >>> ran = {"output_path": "/home/me/a.ipynb", "parameters": {"seed": 1}}
    >>> without_machine({"metadata": {"papermill": ran}})
    {'metadata': {'papermill': {'parameters': {'seed': 1}}}}
    """
    metadata = notebook["metadata"]
    metadata.pop("specbias", None)
    for name in ("input_path", "output_path", "environment_variables"):
        metadata.get("papermill", {}).pop(name, None)
    return notebook


def add_downloads(app, page: str, template: str, context: dict, doctree) -> None:
    """Sphinx calls this for each page, just before it is written."""
    if app.builder.name != "html" or "body" not in context:
        return  # a book in one file has no files beside it
    path_to = context["pathto"]
    static = Path(app.srcdir) / "assets"
    body = figure_links(
        context["body"],
        lambda file: (static / "results" / file).is_file(),
        lambda file: path_to(f"_static/results/{file}", 1),
    )
    source = PurePosixPath("chapters") / f"{PurePosixPath(page).name}.md"
    if context.get("sourcename", "").endswith(".ipynb") and (static / source).is_file():
        notebook = path_to(f"_sources/{context['sourcename']}", 1)
        cite, anchor = app.env.domaindata["std"]["anonlabels"].get("how-to-cite", ("", ""))
        line = chapter_line(
            notebook, path_to(f"_static/{source}", 1), f"{path_to(cite)}#{anchor}" if cite else ""
        )
        body = body.replace("</h1>", f"</h1>\n{line}", 1)
    context["body"] = body
