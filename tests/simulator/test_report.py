"""The report is one page that needs nothing else and shows the run's figures; no text of the data becomes markup."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from chain.errors import InputError
from simulator.report import render, write_report
from simulator.run import Run, simulate
from simulator.summary import headline
from tests.simulator.books import ASSETS, ETH, Account, make_scenario, make_snapshot
from tests.simulator.test_cascade import BOOK, FALL

WRITTEN = "<script>alert('x')</script> & \"more\" https://example.org"
PLAIN = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "code", "table", "thead", "tbody", "tr"}
DRAWN = {"th", "td", "svg", "polyline", "text", "line", "g", "path", "rect", "circle", "span", "div", "caption"}


class Tags(HTMLParser):
    """Every tag of a page with its attributes, and all its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture(scope="module")
def run() -> Run:
    return simulate(make_snapshot(BOOK), make_scenario(FALL, steps=7, title="A fall & a rise"))


@pytest.fixture(scope="module")
def hostile() -> Run:
    """A run in which every text that comes from outside is markup."""
    assets = (replace(ETH, symbol=WRITTEN), *ASSETS[1:])
    book = {f"<b>{WRITTEN}</b>": Account({WRITTEN: 100.0}, {"USD": 238_000.0})}
    snapshot = replace(make_snapshot(book, assets=assets, pools=()), notes=(f"note {WRITTEN}",))
    liquidators = {"sell": "outside", "gas_usd": 0.0, "flash_fee": 0.0}
    scenario = make_scenario({ETH.address: 0.9}, title=WRITTEN, notes=[WRITTEN], liquidators=liquidators)
    made = simulate(snapshot, scenario)
    assert len(made.tables["liquidations"]) > 0
    return made


def assert_self_contained(page: str) -> None:
    tags = Tags(page)
    for tag, attributes in tags.tags:
        assert tag in PLAIN | DRAWN, f"<{tag}> has no place in a page without scripts and network"
        for name, value in attributes.items():
            assert not name.startswith("on")
            assert name not in ("src", "href", "xlink:href", "action", "data", "srcset")
            assert "//" not in (value or "")
    styles = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    assert all("url(" not in style and "@import" not in style for style in styles)


def test_the_page_needs_no_script_and_no_network(run: Run) -> None:
    page = render(run)
    assert page.startswith("<!doctype html>")
    assert_self_contained(page)
    assert "http" not in page
    assert "<script" not in page
    assert re.search(r"\b(src|href)\s*=", page) is None


def test_what_the_data_says_is_text_and_never_markup(hostile: Run) -> None:
    page = render(hostile)
    assert_self_contained(page)
    assert "<script" not in page
    text = " ".join(Tags(page).text)
    assert text.count(WRITTEN) >= 5


def test_the_page_shows_the_figures_of_the_run(run: Run) -> None:
    text = re.sub(r"\s+", " ", " ".join(Tags(render(run)).text))
    for line in headline(run):
        assert line.what in text
        assert f"{line.value:,.2f}".removesuffix(".00") in text
    largest = max(run.tables["liquidations"].rows(), key=lambda row: row["repaid_usd"])
    assert f"{largest['repaid_usd']:,.2f}" in text
    assert run.facts["scenario_digest"] in text
    assert run.facts["snapshot"]["digest"] in text
    assert text.count("A fall & a rise") >= 2


def test_every_note_is_on_the_page(run: Run) -> None:
    text = " ".join(Tags(render(run)).text)
    assert run.notes != []
    assert all(note in text for note in run.notes)


def test_the_same_run_gives_the_same_page(run: Run) -> None:
    again = simulate(make_snapshot(BOOK), make_scenario(FALL, steps=7, title="A fall & a rise"))
    assert render(again) == render(run)


def test_a_run_in_which_nothing_happened_has_a_page_too() -> None:
    page = render(simulate(make_snapshot({}), make_scenario(steps=1)))
    assert_self_contained(page)
    assert "nan" not in page.lower().replace("tenancy", "")


def test_a_page_is_written_over_an_older_one_and_leaves_nothing_else(run: Run, tmp_path: Path) -> None:
    page = tmp_path / "new" / "page.html"
    write_report(run, page)
    write_report(run, page)
    assert page.read_text(encoding="utf-8") == render(run)
    assert list(page.parent.iterdir()) == [page]


def test_a_page_that_cannot_be_written_says_so(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        write_report(run, tmp_path / "file" / "page.html")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="cannot write"):
        write_report(run, tmp_path / "folder")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]
