"""Claims: notebooks as IPython and nbformat write them, tables as HTML and Markdown parsers read them."""

from __future__ import annotations

import nbformat
import pytest
import yaml
from bs4 import BeautifulSoup
from IPython.core.formatters import DisplayFormatter
from markdown_it import MarkdownIt

from specbias.claims import CHAPTERS, VERDICTS, Claim, Scoreboard, collect, load_claims, scoreboard_table

ENTRY = {
    "id": "SB1",
    "chapter": "spectral-bias",
    "source": "Forum thread",
    "figure": "",
    "claim": "Errors < 1 & falling.",
    "published": "a few",
    "verdict": "partly",
}
CLAIMS = [
    Claim(**ENTRY),
    Claim(**ENTRY | {"id": "SB2", "figure": "Fig. 2"}),
    Claim(**ENTRY | {"id": "MS1", "chapter": "multistage"}),
]


def written(tmp_path, *entries):
    path = tmp_path / "claims.yaml"
    path.write_text(yaml.safe_dump(list(entries)), encoding="utf-8")
    return path


def board(*ids: str) -> Scoreboard:
    scoreboard = Scoreboard("spectral-bias", CLAIMS)
    for claim_id in ids:
        scoreboard.report(claim_id, f"7 ± 1 for {claim_id}", "reproduced", figure="fig-loss")
    return scoreboard


def notebook(tmp_path, *shown):
    """A notebook whose cells display these objects, through IPython's own formatter."""
    book = nbformat.v4.new_notebook()
    for value in shown:
        data, metadata = DisplayFormatter().format(value)
        output = nbformat.v4.new_output("execute_result", data=data, metadata=metadata, execution_count=1)
        book.cells.append(nbformat.v4.new_code_cell("board", outputs=[output], execution_count=1))
    book.cells.append(nbformat.v4.new_markdown_cell("The end."))
    path = tmp_path / "chapter.ipynb"
    nbformat.write(book, path)
    nbformat.validate(nbformat.read(path, as_version=4))
    return path


def rows(html: str) -> dict[str, list[str]]:
    soup = BeautifulSoup(html, "html.parser")
    return {
        row["id"]: [cell.get_text() for cell in row.find_all(["th", "td"])] for row in soup.select("tr[id]")
    }


def test_the_book_lists_every_claim_of_every_source():
    claims = load_claims("book/claims.yaml")
    numbered = {
        f"{prefix}{n}"
        for prefix, last in (("SB", 11), ("SF", 11), ("EL", 11), ("MS", 8), ("SI", 6))
        for n in range(1, last + 1)
    }
    assert {claim.id for claim in claims} == numbered
    assert {claim.chapter for claim in claims} == set(CHAPTERS)


def test_claims_are_read_as_written(tmp_path):
    assert load_claims(written(tmp_path, ENTRY)) == [Claim(**ENTRY)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"verdict": "true"},
            "entry 2: verdict must be one of reproduced, partly, differs, not yet measured, got 'true'",
        ),
        ({"chapter": "intro"}, "entry 2: chapter must be one of .*got 'intro'"),
        ({"published": 12}, "entry 2: published must be text .* got 12"),
        ({"claim": " "}, "entry 2: claim must be text"),
        ({"colour": "red"}, "entry 2: the keys must be id, .* got .*colour"),
        ({"id": "SB1"}, "id 'SB1' comes 2 times"),
    ],
)
def test_bad_entries_are_named(tmp_path, change, message):
    path = written(tmp_path, ENTRY, ENTRY | {"id": "SB2"} | change)
    with pytest.raises(ValueError, match=message) as caught:
        load_claims(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"), [("a: [", "not valid YAML"), ("a: 1", "must hold a list.* got dict")]
)
def test_bad_files_are_named(tmp_path, text, message):
    path = tmp_path / "claims.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        load_claims(path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("SB7", "1", "partly"), "'SB7' is not a claim of spectral-bias, which has: SB1, SB2"),
        (("MS1", "1", "partly"), "'MS1' is not a claim of spectral-bias"),
        (("SB1", "1", "partly"), "'SB1' was reported before: '7 ± 1 for SB1'"),
        (("SB2", "1", "good"), "verdict for SB2 must be one of .* got 'good'"),
        (("SB2", "", "partly"), "measured for SB2 must be a text"),
        (("SB2", 3, "partly"), "measured for SB2 must be a text.* got 3"),
    ],
)
def test_bad_reports_are_named(arguments, message):
    scoreboard = board("SB1")
    with pytest.raises(ValueError, match=message):
        scoreboard.report(*arguments)
    assert list(scoreboard.reports) == ["SB1"]


def test_unknown_chapter_is_named():
    with pytest.raises(ValueError, match="chapter must be one of .*got 'intro'"):
        Scoreboard("intro", CLAIMS)


def test_reports_travel_with_the_notebook(tmp_path):
    reports = collect(notebook(tmp_path, "text", board("SB2", "SB1")))
    assert reports == [
        {
            "id": claim_id,
            "published": "a few",
            "measured": f"7 ± 1 for {claim_id}",
            "verdict": "reproduced",
            "figure": "fig-loss",
        }
        for claim_id in ("SB1", "SB2")
    ]


def test_only_formats_that_sphinx_knows_are_displayed():
    data, _ = DisplayFormatter().format(board("SB1", "SB2"))
    assert set(data) == {"text/plain", "text/html"}
    assert data["text/plain"] == "spectral-bias: 2 reproduced"


def test_a_claim_without_a_report_is_flagged():
    data, _ = DisplayFormatter().format(board("SB2"))
    for text in data.values():
        assert "Nothing was reported for SB1." in text
    data, _ = DisplayFormatter().format(board("SB1", "SB2"))
    assert "Nothing was reported" not in data["text/html"]


def test_a_chapter_shows_its_own_claims_only():
    table = rows(DisplayFormatter().format(board("SB1", "SB2"))[0]["text/html"])
    assert list(table) == ["claim-SB1", "claim-SB2"]
    assert table["claim-SB1"][0] == "SB1"
    assert "Errors < 1 & falling." in table["claim-SB1"][1]
    assert table["claim-SB1"][2:] == ["a few", "7 ± 1 for SB1 (figure)", "✓ reproduced"]


def test_the_scoreboard_joins_claims_and_reports(tmp_path):
    html = scoreboard_table(CLAIMS, collect(notebook(tmp_path, board("SB2"))))
    table = rows(html)
    assert {key: cells[-1] for key, cells in table.items()} == {
        "claim-SB1": "… not yet measured",
        "claim-SB2": "✓ reproduced",
        "claim-MS1": "… not yet measured",
    }
    soup = BeautifulSoup(html, "html.parser")
    assert soup.p.get_text() == "3 claims: 1 reproduced, 2 not yet measured."
    assert [link["href"] for link in soup.find_all("a")] == [
        "spectral-bias.html",
        "spectral-bias.html#fig-loss",
    ]


def test_the_scoreboard_is_one_piece_of_html_in_markdown():
    tokens = MarkdownIt().parse(f"Before.\n\n{scoreboard_table(CLAIMS, [])}\n\nAfter.")
    assert {token.type for token in tokens[3:-3]} == {"html_block"}


def test_the_scoreboard_refuses_reports_of_unknown_claims():
    with pytest.raises(ValueError, match="do not exist: SB9"):
        scoreboard_table(CLAIMS, [{"id": "SB9", "verdict": VERDICTS[0]}])
