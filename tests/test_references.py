"""Glossary and bibliography: terms are linked at their first use; sources can be found, and are cited."""

from __future__ import annotations

import re

import pytest

from specbias.chapters import chapters
from tiny_book import ROOT

BOOK = ROOT / "book"
PAGES = {path.stem: path.read_text() for path in BOOK.glob("*.md")}
CHAPTERS = [chapter.name for chapter in chapters(ROOT)]
LISTED = re.search(r"```\{glossary\}\n(.*?)```", PAGES["glossary"], re.DOTALL)[1]
# An entry begins with one or several terms, each on a line of its own.
ENTRIES = [re.findall(r"^\S.*$", entry, re.MULTILINE) for entry in LISTED.strip().split("\n\n")]
TERM = re.compile(r"\{term\}`(?:[^`<]*<)?([^`>]+)>?`")
FOR_SEARCHERS = {"frequency principle"}  # another name of what others look up here
UNPUBLISHED = {"pan-lecture"}
SOURCES = dict(re.findall(r"^@\w+\{([^,]+),(.*?)^\}", (BOOK / "references.bib").read_text(), re.M | re.S))


def running_text(page: str) -> str:
    """A page's paragraphs; spaces stand for code, headings, formulas, links and roles other than terms."""

    def blank(match: re.Match) -> str:
        return match[0] if match[0].startswith("{term}") else re.sub(r"[^\n]", " ", match[0])

    for pattern, flags in (
        (r"\A---.*?^---$", re.M | re.S),
        (r"^```\{code-cell\}.*?^```$", re.M | re.S),
        (r"^```[a-z]+\n.*?^```$", re.M | re.S),
        (r"^#.*$|^\(.*\)=$|^:.*$|^```.*$", re.M),
        (r"<a .*?</a>|\$[^$\n]*\$|\{[\w:]+\}`[^`]*`|`[^`\n]*`", re.S),
    ):
        page = re.sub(pattern, blank, page, flags=flags)
    return page


def first_uses(page: str, term: str) -> tuple[int, int]:
    """Where a term is first linked in the running text, and first used without a link; inf if nowhere."""
    text = running_text(page)
    names = r"\s+".join(map(re.escape, term.split()))
    whole = re.compile(
        rf"(?<![\w-]){names}(?:s|es)?(?![\w-])", re.NOFLAG if re.search("[A-Z]", term) else re.IGNORECASE
    )
    if term == "bias":
        text = re.sub("spectral bias", lambda match: " " * len(match[0]), text, flags=re.IGNORECASE)
    links = [match for match in TERM.finditer(text) if match[1] == term]
    without = TERM.sub(lambda match: " " * len(match[0]), text)
    used = whole.search(without)
    return min((link.start() for link in links), default=10**9), used.start() if used else 10**9


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_term_is_linked_where_it_is_first_used(chapter):
    late = []
    for term in (name for entry in ENTRIES for name in entry):
        linked, used = first_uses(PAGES[chapter], term)
        if used < linked:
            line = PAGES[chapter][:used].count("\n") + 1
            late.append(f"{chapter}.md:{line}: {term}")
    assert late == []


def test_a_term_before_its_link_is_found():
    page = "With L-BFGS and `Adam`.\n\n# Momentum\n\nThen {term}`L-BFGS`, {term}`seeds <seed>`, a seed.\n"
    linked, used = first_uses(page, "L-BFGS")
    assert used < linked < 10**9
    assert first_uses(page, "Adam") == first_uses(page, "momentum") == (10**9, 10**9)
    linked, used = first_uses(page, "seed")
    assert linked < used


def test_every_entry_of_the_glossary_is_used():
    used = {term for text in PAGES.values() for term in TERM.findall(text)}
    assert [entry[0] for entry in ENTRIES if not set(entry) & (used | FOR_SEARCHERS)] == []


@pytest.mark.parametrize("source", SOURCES)
def test_a_source_can_be_found(source):
    found = dict(re.findall(r"^\s*(doi|eprint|url)\s*=\s*\{(.*)\},?$", SOURCES[source], re.MULTILINE))
    forms = {"doi": r"10\.\d{4,9}/\S+", "eprint": r"\d{4}\.\d{4,5}", "url": r"https://\S+"}
    assert found or source in UNPUBLISHED
    assert all(re.fullmatch(forms[kind], address) for kind, address in found.items())


def test_every_source_is_cited():
    groups = re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", "\n".join(PAGES.values()))
    assert set(SOURCES) == {name.strip() for group in groups for name in group.split(",")}
