"""Which slides a chapter has: its built page is cut by rules, so that the text needs no marks.

The question opens the deck. Then each section has a slide for every figure, table, list, displayed equation
and visible cell, and a last one with the statements that the text sets in bold and the claims that its
figures test. Scoreboard, exercises without solutions, and sources end it. All other prose, hints and where
figures come from are the speaker's notes of the slide that they stand at.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from bs4 import BeautifulSoup, Tag

__all__ = ["Slide", "cut", "sentences", "slides_html"]

SUMMARY = 800  # letters of statements and claims that one slide holds
ROWS = 6  # of the scoreboard that one slide holds
# What a slide leaves to a figure, in its pixels: with the caption below it, and beside it.
BELOW, BESIDE = (1200, 490), (860, 660)
PAGE_ONLY = ".headerlink, .specbias-downloads, .provenance-data"
# The end of a sentence; "et al." is none, nor is a full stop before a small letter or a number.
END = re.compile(r"(?<=[.!?])(?<!\bal\.)((?:</(?:em|strong)>)?)\s+(?=[A-Z“(<])")


@dataclass
class Slide:
    """One slide: what is shown, and what is said.

    ``kind`` is its CSS class; ``body`` and ``notes`` are elements, or their HTML.
    """

    kind: str
    heading: str
    body: list[Tag | str] = field(default_factory=list)
    notes: list[Tag | str] = field(default_factory=list)

    def html(self) -> str:
        """The ``<section>`` that reveal.js shows."""
        shown, said = ("".join(map(str, part)) for part in (self.body, self.notes))
        level = "h1" if self.kind == "title" else "h2"
        return (
            f'<section class="{self.kind}"><{level}>{self.heading}</{level}>'
            f'<div class="body">{shown}</div><aside class="notes">{said}</aside></section>'
        )


def slides_html(page: str, references: str = "") -> str:
    """The slides of a chapter's page, one ``<section>`` each.

    Parameters
    ----------
    page, references
        The HTML of a chapter and of the page that its citations lead to, as Sphinx has built them.

    Raises
    ------
    ValueError
        If there is no article with a heading in the page.

    Examples
    --------
    >>> html = slides_html("<article><section><h1>Waves</h1><p><em>Why?</em> So.</p></section></article>")
    >>> html == (
    ...     '<section class="title"><h1>Waves</h1><div class="body"><p><em>Why?</em></p></div>'
    ...     '<aside class="notes"><p>So.</p></aside></section>'
    ... )
    True
    """
    article = BeautifulSoup(page, "html.parser").find("article")
    if article is None or article.find("h1") is None:
        raise ValueError("page must have an <article> with an <h1>, got none")
    sources = _sources(article, BeautifulSoup(references, "html.parser"))
    slides = BeautifulSoup("\n".join(slide.html() for slide in [*cut(article), *sources]), "html.parser")
    for link in slides.find_all("a", href=True):
        address = link["href"]
        if not (address.startswith("#") and slides.find(id=address[1:]) or re.match("https?:", address)):
            link.unwrap()  # leads to what is not in the file
    return str(slides)


def cut(article: Tag) -> list[Slide]:
    """The slides of a chapter, but for its sources; what is shown and said is taken out of ``article``."""
    for part in article.select(PAGE_ONLY):
        part.decompose()
    for link in article.find_all("a"):
        link.attrs = {"href": link.get("href", "")}
    chapter = article.find("h1").parent
    opening = Slide("title", chapter.h1.decode_contents())
    if lead := chapter.find("p", recursive=False):
        question, *rest = sentences(lead.extract())
        opening.body = [f"<p>{question}</p>"]
        opening.notes = [f"<p>{' '.join(rest)}</p>"] if rest else []
    return _section(chapter, _claims(article), [opening])


def sentences(paragraph: Tag) -> list[str]:
    """The HTML of each sentence of a paragraph.

    Examples
    --------
    >>> text = "<p>After Ng et al. it <b>is</b>. <em>Is it?</em> Fig. 2 shows it.</p>"
    >>> sentences(BeautifulSoup(text, "html.parser").p)
    ['After Ng et al. it <b>is</b>.', '<em>Is it?</em>', 'Fig. 2 shows it.']
    """
    return END.sub("\\1\0", paragraph.decode_contents()).split("\0")


def _section(section: Tag, claims: dict[str, list[str]], slides: Iterable[Slide] = ()) -> list[Slide]:
    """The slides of a section and of those within it, after ``slides``."""
    heading = section.find(re.compile("h[1-6]")).decode_contents()
    slides, before = list(slides), []
    for block in section.find_all(True, recursive=False):
        said = slides[-1].notes if slides else before
        if block.name == "p":
            goes_on = slides and slides[-1].kind == "equation" and block.get_text().strip()[:1].islower()
            (slides[-1].body if goes_on else said).append(block)
        elif aside := _aside(block):
            said += aside
        else:
            made = _shown(block, heading)
            if made and made[0].kind in ("list", "equation") and said and _is_open(said[-1]):
                made[0].body.insert(0, said.pop())
            slides += made
    if before and not slides:
        slides = [Slide("text", heading, [before.pop(0)])]
    if slides:
        slides[0].notes[:0] = before
    for slide in slides:
        slide.notes.sort(key=_is_provenance)
    slides += _summary(heading, section, slides, claims)
    for inner in section.find_all("section", recursive=False):
        slides += _section(inner, claims)
    return slides


def _aside(block: Tag) -> list[str]:
    """What a page offers besides and a lecturer may mention: hints, links to try something, panels."""
    classes = block.get("class", [])
    if "cell" in classes and (panel := block.select_one(".specbias-panel")):
        return [str(panel)]
    title = block.find("summary" if block.name == "details" else "p", recursive=False)
    if title is None or (block.name != "details" and "tip" not in classes):
        return []
    rest = "".join(map(str, title.find_next_siblings(True)))
    return [f"<p><em>{title.get_text(strip=True)}:</em></p>{rest}"]


def _is_open(note: Tag | str) -> bool:
    """Whether what follows ends the sentence."""
    return isinstance(note, Tag) and not re.search(r"[.!?)”]$", note.get_text().strip())


def _is_provenance(note: Tag | str) -> bool:
    return isinstance(note, Tag) and "provenance" in note.get("class", [])


def _shown(block: Tag, heading: str) -> list[Slide]:
    """The slides of what stands between paragraphs; none of solutions and of cells that only compute."""
    classes = block.get("class", [])
    if "solution" in classes or block.name not in ("div", "figure", "table", "ol", "ul", "dl", "pre"):
        return []
    figures = [each for each in [block, *block.find_all("figure")] if each.name == "figure"]
    if figures:
        return [_figure(each, heading) for each in figures if each.find_parent("figure") is None]
    if board := block.select_one("table.specbias-scoreboard"):
        return _scoreboard(board, heading)
    if "admonition" in classes:
        title = block.select_one(".admonition-title").extract()
        for part in block.find_all("section"):
            part.name = "div"  # reveal.js would take it for a slide
        return [Slide("exercise" if "exercise" in classes else "box", title.decode_contents(), [block])]
    if "cell" in classes:
        return _cell(block, heading)
    kinds = {"ol": "list", "ul": "list"} | ({"div": "equation"} if "math" in classes else {})
    return [Slide(kinds.get(block.name, "table"), heading, [block])]


def _figure(figure: Tag, heading: str) -> Slide:
    """A figure, with its caption below or beside it, whichever leaves it larger."""
    notes = [line.extract() for line in figure.select("p.provenance")]
    drawing = figure.select_one("svg[viewbox]")
    width, height = map(float, drawing["viewbox"].split()[2:]) if drawing else (2, 1)
    below, beside = (min(room[0] / width, room[1] / height) for room in (BELOW, BESIDE))
    if "specbias-figure" in figure.get("class", []):  # without a caption; its script stands next to it
        figure = figure.parent
    return Slide("figure beside" if beside > below else "figure", heading, [figure], notes)


def _cell(cell: Tag, heading: str) -> list[Slide]:
    """Code that the page shows, with what it prints; the output alone where the code is folded away."""
    output, classes = cell.select_one(".cell_output"), cell.get("class", [])
    if not {"tag_parameters", "tag_injected-parameters"}.isdisjoint(classes):
        return []
    if "tag_hide-input" not in classes:
        return [Slide("code", heading, [cell])]
    if output is None or not output.get_text(strip=True):
        return []
    return [Slide("table" if output.find("table") else "code", heading, [output])]


def _scoreboard(board: Tag, heading: str) -> list[Slide]:
    """The table in parts, without the measured values: these are notes."""
    rows = board.select("tbody tr")
    pages = -(-len(rows) // ROWS)
    slides = [Slide("table", heading, [copy.copy(board)]) for _ in range(pages)]
    for page, slide in enumerate(slides):
        for number, row in enumerate(slide.body[0].select("tbody tr")):
            name, *_, here, _ = row.find_all(["th", "td"])
            if number * pages // len(rows) == page:
                slide.notes.append(f"<p><b>{name.get_text()}</b>: {here.decode_contents()}</p>")
            else:
                row.decompose()
        for cell in slide.body[0].select("th:nth-child(4), td:nth-child(4), small"):
            cell.decompose()
    return slides


def _claims(article: Tag) -> dict[str, list[str]]:
    """What the scoreboard says, by the id of the figure that it names."""
    found = {}
    for row in article.select("table.specbias-scoreboard tbody tr"):
        name, claim, _, here, verdict = row.find_all(["th", "td"])
        if link := here.find("a"):
            figure = link["href"].removeprefix("#")
            number = article.select_one(f'[id="{figure}"] .caption-number')
            link.string = number.get_text(strip=True) if number else link.string
            text = f"<b>{name.get_text()}</b> {claim.decode_contents()}<br/><b>{verdict.get_text()}</b>"
            found.setdefault(figure, []).append(f"{text}: {here.decode_contents()}")
    return found


def _summary(heading: str, section: Tag, slides: list[Slide], claims: dict[str, list[str]]) -> list[Slide]:
    """What a section comes to: bold statements of its prose, and the claims that its figures test."""
    prose = [note for slide in slides for note in slide.notes if isinstance(note, Tag) and note.name == "p"]
    items = [sentence for note in prose for sentence in sentences(note) if _is_statement(sentence)]
    if section.find("h1", recursive=False) is None:  # what the first figure shows is the chapter's end
        own = [figure for figure in claims if section.find(id=figure)]
        items += [claim for figure in own for claim in claims[figure]]
    lengths = [len(BeautifulSoup(item, "html.parser").get_text()) for item in items]
    pages = [""] * -(-sum(lengths) // SUMMARY)
    for number, item in enumerate(items):
        middle = sum(lengths[:number]) + lengths[number] / 2
        pages[int(middle * len(pages) / sum(lengths))] += f"<li>{item}</li>"
    return [Slide("summary", heading, [f"<ul>{page}</ul>"]) for page in pages]


def _is_statement(sentence: str) -> bool:
    """Whether bold words begin it, or are more than a word that is stressed."""
    bold = BeautifulSoup(sentence, "html.parser").strong
    words = len(bold.get_text().split()) if bold else 0
    return words > 3 or (words > 1 and sentence.startswith("<strong>"))


def _sources(article: Tag, references: BeautifulSoup) -> list[Slide]:
    """The entries of the bibliography that the chapter cites, in the order of the citations."""
    links = article.select(".bibtex-citation a[href]")
    names = dict.fromkeys(link["href"].partition("#")[2] for link in links)
    entries = [entry for name in names if (entry := references.find(id=name))]
    items = "".join(f"<li>{''.join(map(str, entry.find_all('p')))}</li>" for entry in entries)
    return [Slide("sources", "Sources", [f"<ul>{items}</ul>"])] if items else []
