"""What README.md says is modelled and verified is what the code says, and what is unverified warns when it is used."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from protocols import registry
from protocols.catalogue import LOCAL_CHAIN, NONE, RECORDED, UNVERIFIED, Entry, catalogue, reader_caveat
from simulator.report import render
from simulator.run import read_run, simulate
from tests.catalogue import BEGIN, DATA, END, README, ROOT, count, table, with_table
from tests.protocols.aave_v2_pools import market_of as aave_v2
from tests.protocols.aave_v2_pools import simple_pool as aave_v2_pool
from tests.protocols.compound_v3_markets import simple_comet
from tests.simulator.books import Account, make_scenario, make_snapshot
from tests.simulator.command import strict_json, unwind
from tests.vectors.__main__ import CHECKERS, load

ENTRIES = [(folder, entry) for folder, entries in catalogue().items() for entry in entries]
BOOK = {"a": Account({"ETH": 1.0}, {"USD": 2_000.0}), "b": Account({"BTC": 0.1}, {"DAI": 700.0})}
WORDS = "the rules of aave_v3 3.1 are unverified"


def of(folder: str) -> dict[str, Entry]:
    """A folder's entries by version."""
    return {entry.version: entry for entry in reversed(catalogue()[folder])}


# --- the table ------------------------------------------------------------------------------------------------------


def test_the_table_in_the_page_is_the_one_that_the_code_gives() -> None:
    text = README.read_text("utf-8")
    assert text == with_table(text), "run python -m tests.catalogue"
    assert text.count(table()) == 1


def test_a_table_that_the_code_does_not_give_is_replaced() -> None:
    text = README.read_text("utf-8")
    edited = text.replace("| Aave v3 | 3.1 | **unverified** |", "| Aave v3 | 3.1 | verified |")
    assert edited != text
    assert with_table(edited) == text
    with pytest.raises(ValueError, match="table"):
        with_table(text.replace(END, ""))
    assert with_table(f"before {BEGIN} {END} after").startswith(f"before {BEGIN}\n| protocol | version |")


@pytest.mark.parametrize(
    ("name", "versions"),
    [
        ("Aave v3", {"3.0", "3.1", "3.2", "3.3", "3.4", "3.5", "3.6", "3.7"}),
        ("Spark", {"3.0"}),
        ("Aave v4", {"0.5.11"}),
        ("Aave v2", {"2.0"}),
        ("Compound v2", {"2"}),
        ("Venus core pool", {"10.0", "10.3"}),
        ("Compound v3", {"Comet", "CometWithExtendedAssetList"}),
        ("Morpho Blue", {"1.0"}),
        ("MetaMorpho", {"1.0", "1.1"}),
        ("Morpho Vault", {"2.0"}),
        ("Uniswap v2", {"1.0.1"}),
        ("Uniswap v3", {"1.0.1"}),
        ("Uniswap v4", {"1.0.2"}),
    ],
)
def test_every_protocol_and_version_has_a_row(name: str, versions: set[str]) -> None:
    assert {entry.version for _, entry in ENTRIES if entry.name == name} == versions
    assert all(f"| {name} | {version} |" in table() for version in versions)


def test_every_folder_is_in_the_catalogue_with_every_version_that_has_rules() -> None:
    for family in ("lending", "amm"):
        for name in registry.names(family):
            said = of(f"{family}/{name}")
            if find_spec(f"protocols.{family}.{name}.versions"):
                assert said.keys() == registry.part(family, name, "versions").VERSIONS.keys()


def test_what_has_no_reader_says_so() -> None:
    for folder, entry in ENTRIES:
        assert (entry.reader == NONE) == (not (ROOT / "protocols" / folder / "reader.py").exists())


# --- what it was held to --------------------------------------------------------------------------------------------


def test_every_recorded_file_is_named_and_every_file_named_is_recorded() -> None:
    there = {path.name.removesuffix(".json.gz") for path in DATA.iterdir()}
    assert there == {file for _, entry in ENTRIES for file in entry.recorded}


def test_cases_are_counted_in_the_files_and_each_file_is_of_its_protocol() -> None:
    for folder, entry in ENTRIES:
        documents = [load(DATA / f"{file}.json.gz") for file in entry.recorded]
        assert all(CHECKERS[document["protocol"]] for document in documents)
        assert (count(entry) > 0) == bool(entry.recorded)
        if folder != "tokens/metamorpho":
            assert count(entry) == sum(len(document["cases"]) for document in documents)
    vaults = load(DATA / "metamorpho.json.gz")["cases"]
    assert [count(entry) for entry in catalogue()["tokens/metamorpho"]] == [
        sum(case["vault_version"] == version for case in vaults) for version in ("1.0", "1.1")
    ]


@pytest.mark.parametrize(("folder", "entry"), ENTRIES, ids=lambda value: getattr(value, "version", str(value)))
def test_a_reader_that_was_compared_names_a_test_that_does_it(folder: str, entry: Entry) -> None:
    assert bool(entry.held_by) == (entry.reader in (LOCAL_CHAIN, RECORDED))
    if entry.held_by:
        text = (ROOT / "tests" / "protocols" / f"{entry.held_by}.py").read_text("utf-8")
        assert {LOCAL_CHAIN: "pytest.mark.localchain", RECORDED: "load_recording("}[entry.reader] in text
        assert folder.partition("/")[2] in text


def test_a_market_has_a_caveat_where_the_table_says_unverified_and_only_there() -> None:
    markets = [registry.markets(make_snapshot(BOOK, version=version))[0] for version in of("lending/aave_v3")]
    markets += [simple_comet(10**18, 10**9).market(version) for version in of("lending/compound_v3")]
    markets += [aave_v2(aave_v2_pool(10**18, 10**9))]
    for market in markets:
        entry = of(f"lending/{market.protocol}")[market.version]
        assert bool(market.caveat) == (not entry.recorded)
        assert (UNVERIFIED in market.caveat) == bool(market.caveat)


# --- what is unverified warns when it is used -----------------------------------------------------------------------


def test_what_a_reader_was_not_compared_for_is_said() -> None:
    assert reader_caveat("aave_v3", "3.6") == reader_caveat("compound_v3", "Comet") == ""
    assert "Aave v3 3.3" in reader_caveat("aave_v3", "3.3")
    assert UNVERIFIED in reader_caveat("aave_v3", "3.3")
    assert "another 1" in reader_caveat("another", "1")


def test_a_run_on_unverified_rules_says_so_in_text_in_json_and_in_the_report(tmp_path: Path) -> None:
    make_snapshot(BOOK, version="3.1").write(tmp_path / "book")
    stress = ("stress", "book", "--shock", "ETH=-40%", "--steps", "2")
    text = unwind(*stress, "--out", "run", folder=tmp_path)
    assert WORDS in text.stdout
    assert any(WORDS in note for note in strict_json(unwind(*stress, "--json", folder=tmp_path).stdout)["notes"])
    assert unwind("report", "run", folder=tmp_path).returncode == 0
    assert WORDS in (tmp_path / "run.html").read_text("utf-8")
    assert WORDS in unwind("info", "run", folder=tmp_path).stdout
    assert UNVERIFIED in unwind("info", "book", folder=tmp_path).stdout
    book = strict_json(unwind("info", "book", "--json", folder=tmp_path).stdout)
    assert list(book["unverified"]) == ["pool"]
    assert any(WORDS in note for note in read_run(tmp_path / "run").notes)


def test_a_run_on_verified_rules_does_not() -> None:
    run = simulate(make_snapshot(BOOK, version="3.6"), make_scenario({"ETH": 0.6}))
    assert not any(UNVERIFIED in note for note in run.notes)
    assert UNVERIFIED not in render(run)
