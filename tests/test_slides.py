"""Slides: what a chapter's text gives, and how they behave in a browser without a network."""

from __future__ import annotations

import importlib.util
import re

import pytest
from bs4 import BeautifulSoup
from click.testing import CliRunner

from browser import chromium_browser, watched_pages
from specbias.rerun import main
from specbias.slides.deck import slides_html
from tiny_book import HEADER, make_tiny_book

FIGURE = """
```{code-cell} ipython3
---
mystnb:
  figure:
    caption: "**Line %(number)d.** After {cite:t}`someone`, of $x^%(number)d$; see {ref}`lines`."
    name: fig-line-%(number)d
tags: [hide-input]
---
HTML('<figure class="specbias-figure"><div><svg role="img" aria-label="a line" viewBox="0 0 %(width)d 50">'
     '<path d="M0 0L%(width)d 50" stroke="currentColor"/></svg></div><p class="provenance">live</p></figure>')
```
"""

CHAPTER = (
    HEADER
    + """\

# Waves

*Does a wave come back?* Answered after {cite:t}`someone`: claim SB1.

```{code-cell} ipython3
:tags: [parameters, hide-input]

count: int = 3  # how many [1..100]
```

```{code-cell} ipython3
:tags: [remove-cell]

from IPython.display import HTML
from myst_nb import glue
from specbias.claims import Scoreboard

board = Scoreboard("spectral-bias")
board.report("SB1", measured=f"{count} waves", verdict="reproduced", figure="fig-line-1")
glue("total", f"{count} waves", display=False)
```

(lines)=
## Lines

Before the lines, {term}`wave` by wave, as {numref}`fig-line-1` shows.
"""
    + FIGURE % {"number": 1, "width": 150}
    + """
There are {glue:text}`total`. **All waves come back**, as $e^{ikx}$ does.
But the word **never** is stressed only.
"""
    + FIGURE % {"number": 2, "width": 60}
    + """
## Formulas

A wave is

$$ u(x) = e^{ikx} $$

with a wavenumber $k$. See {doc}`notation`.

```{code-cell} ipython3
print("shown", count)
```

```{admonition} Try it here
:class: tip

It is elsewhere.
```

In order:

"""
    + "".join(f"{number}. A reason as long as a line of text on a slide may be.\n" for number in range(1, 15))
    + """
## Words

Only words stand here. They are a slide.

## Scoreboard

```{code-cell} ipython3
:tags: [hide-input]

board
```

## Exercises

```{exercise}
:label: ex-one

Count the waves of {numref}`fig-line-2`.
```

```{dropdown} Hint
Begin with one.
```

```{solution-start} ex-one
:class: dropdown
```

There are secretly three.

```{solution-end}
```
"""
)


def specbias(*arguments):
    return CliRunner().invoke(main, arguments)


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    root = make_tiny_book(tmp_path_factory.mktemp("slides") / "tiny")
    (root / "book" / "spectral-bias.md").write_text(CHAPTER)
    notation = "# Notation\n\n```{glossary}\nwave\n  What comes back.\n```\n"
    (root / "book" / "notation.md").write_text(notation)
    return root


@pytest.fixture(scope="module")
def deck(book):
    """The file, and what the command said."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(book)
        result = specbias("slides", "spectral-bias")
    assert result.exit_code == 0, result.stderr
    return book / "_build" / "slides" / "spectral-bias.html", result


@pytest.fixture(scope="module")
def slides(deck):
    return BeautifulSoup(deck[0].read_text(), "html.parser").select(".slides > section")


@pytest.fixture(scope="module")
def new_page():
    with chromium_browser() as browser, watched_pages(browser) as new_page:
        yield new_page


def opened(page, address):
    page.set_viewport_size({"width": 1280, "height": 720})
    page.goto(address)
    page.wait_for_function("() => window.Reveal?.isReady()")
    return page


def shown(slide):
    return " ".join(slide.select_one(".body").get_text(" ").split())


def said(slide):
    return " ".join(slide.select_one(".notes").get_text(" ").split())


def test_there_is_a_slide_for_everything_and_in_its_order(slides):
    kinds = [slide["class"][0] for slide in slides]
    assert kinds == [
        *("title", "figure", "figure", "summary", "equation", "code"),
        *("list", "text", "table", "exercise", "sources"),
    ]
    headings = [slide.find(["h1", "h2"]).get_text().strip() for slide in slides]
    sections = re.findall(r"^## (.*)$", CHAPTER, re.MULTILINE)
    assert [name for name in sections if any(name in heading for heading in headings)] == sections[:-1]
    assert headings[-2].startswith("Exercise")


def test_every_figure_is_on_one_slide_of_its_own_with_its_caption(slides):
    names = re.findall(r"^    name: (fig-.*)$", CHAPTER, re.MULTILINE)
    assert [figure["id"] for slide in slides for figure in slide.select("figure[id]")] == names
    assert all(len(slide.select("figure[id]")) == ("figure" in slide["class"]) for slide in slides)
    wide, square = (slide for slide in slides if "figure" in slide["class"])
    assert ("beside" in wide["class"], "beside" in square["class"]) == (False, True)
    assert "Line 1. After One [2020]" in shown(wide)
    assert said(wide) == (
        "Before the lines, wave by wave, as Fig. 1 shows. There are 3 waves . All waves come back ,"
        " as \\(e^{ikx}\\) does. But the word never is stressed only. live"
    )


def test_the_question_opens_and_statements_and_claims_close_a_section(slides):
    assert shown(slides[0]) == "Does a wave come back?"
    assert said(slides[0]) == "Answered after One [2020] : claim SB1."
    statement, claim = slides[3].select("li")
    assert statement.get_text() == "All waves come back, as \\(e^{ikx}\\) does."
    assert claim.get_text() == "SB1 There are three waves. (A text)✓ reproduced: 3 waves (Fig. 1)"
    assert claim.a["href"] == "#fig-line-1"


def test_a_formula_stands_in_its_sentence_and_an_exercise_without_its_solution(slides):
    equation, exercise = (next(s for s in slides if kind in s["class"]) for kind in ("equation", "exercise"))
    assert re.fullmatch(r"A wave is \\\[.*\\\] with a wavenumber .* See Notation \.", shown(equation))
    assert (shown(exercise), said(exercise)) == ("Count the waves of Fig. 2 .", "Hint: Begin with one.")
    text = " ".join(slide.get_text() for slide in slides)
    assert "secretly" not in text
    assert not re.search(r"\{[a-z:]+\}`|```", text), "a role that was not resolved"
    assert "Some One. A text. 2020." in shown(slides[-1])
    code = next(slide for slide in slides if "code" in slide["class"])
    assert (shown(code)[-7:], said(code)) == ("shown 3", "Try it here: It is elsewhere.")


def test_the_command_says_what_it_wrote_and_executes_nothing_twice(deck, book, monkeypatch):
    path, result = deck
    assert f"{path}  (11 slides, " in result.stdout
    notebook = book / "_build" / "executed" / "spectral-bias.ipynb"
    before = notebook.stat().st_mtime_ns
    monkeypatch.chdir(book)
    assert specbias("slides", "--output", "elsewhere").exit_code == 0
    assert (book / "elsewhere" / "spectral-bias.html").is_file()
    assert notebook.stat().st_mtime_ns == before


def test_a_preset_is_named_on_its_own_slide_and_leaves_the_books_run_alone(deck, book, monkeypatch):
    (book / "params" / "quick" / "spectral-bias.yaml").write_text("count: 4\n")
    notebook = book / "_build" / "executed" / "spectral-bias.ipynb"
    before = notebook.stat().st_mtime_ns
    monkeypatch.chdir(book)
    assert specbias("slides", "--preset", "quick", "--output", "quick").exit_code == 0
    second = BeautifulSoup((book / "quick" / "spectral-bias.html").read_text(), "html.parser").select(
        "section"
    )[1]
    assert (second.h2.get_text(), shown(second)) == ("This run", "parameter this run default count 4 3")
    assert notebook.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["spectral-bais"], "did you mean spectral-bias?"),
        (["--preset", "qick"], "did you mean quick?"),
        (["--output", "book/index.md"], "nothing can be written in book/index.md"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(book, monkeypatch, arguments, expected):
    monkeypatch.chdir(book)
    result = specbias("slides", *arguments)
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
    assert expected in result.stderr


def test_without_the_package_the_command_says_how_to_install_it(book, monkeypatch):
    monkeypatch.chdir(book)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    result = specbias("slides")
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
    assert "pip install" in result.stderr


def test_the_file_asks_for_nothing_and_the_next_key_moves_on(deck, new_page):
    page, asked = new_page(1280), []
    page.on("request", lambda request: asked.append(request.url))
    opened(page, deck[0].as_uri())
    for number in range(11):
        assert page.evaluate("Reveal.getIndices().h") == number
        assert page.locator(".slides > section.present .body").is_visible()
        page.keyboard.press("ArrowRight")
    assert page.evaluate("Reveal.isLastSlide()")
    assert [url for url in asked if not url.startswith("data:")] == [deck[0].as_uri()]


SPILLED = """() => [...document.querySelectorAll(".slides > section")].flatMap((slide, number) => {
  Reveal.slide(number);
  const over = [slide, slide.querySelector(".body")].some((box) => box.scrollHeight > box.clientHeight);
  const size = parseFloat(getComputedStyle(slide).fontSize);
  const raw = [...slide.querySelectorAll(".math")].some((formula) => !formula.querySelector("mjx-container"));
  return over || raw || size < 16 ? [`${number}: ${over} ${raw} ${size}`] : [];
})"""


def test_no_slide_spills_over_however_long_its_list(deck, new_page):
    page = opened(new_page(1280), deck[0].as_uri())
    assert page.evaluate(SPILLED) == []
    assert page.evaluate("parseFloat(document.querySelector('section.list').style.fontSize)") < 1


def test_figures_fill_their_slides(deck, new_page):
    page = opened(new_page(1280), deck[0].as_uri())
    for number, least in ((1, (1190, 390)), (2, (780, 640))):
        page.evaluate(f"Reveal.slide({number})")
        box = page.locator("section.present .specbias-figure path").bounding_box()
        assert box["width"] >= least[0]
        assert box["height"] >= least[1]
        assert box["y"] + box["height"] < 720


def test_the_speaker_sees_the_notes_with_their_formulas(deck, new_page):
    page = opened(new_page(1280), deck[0].as_uri())
    page.keyboard.press("ArrowRight")
    with page.expect_popup() as window:
        page.keyboard.press("s")
    notes = window.value.locator(".speaker-controls-notes .value")
    notes.locator("mjx-container svg").wait_for()
    assert "Before the lines" in notes.inner_text()
    window.value.close()


def test_printing_gives_a_page_for_each_slide(deck, new_page):
    page = opened(new_page(1280), f"{deck[0].as_uri()}?print-pdf")
    page.wait_for_selector(".pdf-page")
    printed = page.pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type /Page\b(?!s)", printed)) == 11


def test_d_turns_dark_and_back(deck, new_page):
    page = opened(new_page(1280), deck[0].as_uri())
    colours = []
    for _ in range(3):
        colours.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        page.keyboard.press("d")
    assert colours == ["rgb(255, 255, 255)", "rgb(20, 24, 30)", "rgb(255, 255, 255)"]


@pytest.mark.parametrize("page", ["", "<article><p>No heading.</p></article>"])
def test_a_page_that_is_no_chapter_is_refused(page):
    with pytest.raises(ValueError, match="an <article> with an <h1>"):
        slides_html(page)


def test_links_that_lead_nowhere_are_text():
    body = '<h1>A</h1><p><em>Why?</em></p><p>See <a href="other.html#x">x</a>, <a href="#y">y</a>.</p>'
    assert "<a " not in slides_html(f"<article><section>{body}</section></article>")
