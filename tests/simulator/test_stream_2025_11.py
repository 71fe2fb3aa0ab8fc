"""Stream and Elixir, November 2025: the graph, the bad debt beside the published one, and who bears it."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from chain.errors import InputError
from chain.snapshot import Snapshot
from fixtures.stream_2025_11.__main__ import main
from fixtures.stream_2025_11.build import build
from fixtures.stream_2025_11.files import MORPHO, rows
from fixtures.stream_2025_11.markets import SDEUSD_USDC, MorphoMarket, read_markets, years_behind
from fixtures.stream_2025_11.measure import (
    UNPRICED,
    WITHIN,
    Compared,
    at_end,
    at_oracle,
    compare,
    shock,
    vault_losses,
)
from fixtures.stream_2025_11.vaults import Supply, read_supplies
from simulator.book import read
from simulator.graph.exposure import ExposureGraph
from simulator.graph.reach import downstream, upstream
from simulator.run import Run, simulate
from simulator.scenario import Oracles, load_scenario

DATA = Path(__file__).parents[3] / "shared" / "data"
SCENARIO = "2025-11-stream"

needs_data = pytest.mark.skipif(not (DATA / MORPHO).exists(), reason="../shared/data is not there")


@pytest.fixture(scope="module")
def after() -> Snapshot:
    """Three months later, as the tables are."""
    return build(DATA, "file")


@pytest.fixture(scope="module")
def markets() -> list[MorphoMarket]:
    return read_markets(DATA, "file")


@pytest.fixture(scope="module")
def shocked(after: Snapshot) -> Run:
    return shock(after, load_scenario(SCENARIO))


@pytest.fixture(scope="module")
def compared(after: Snapshot, markets: Sequence[MorphoMarket], shocked: Run) -> dict[str, Compared]:
    return {each.market: each for each in compare(DATA, after, markets, shocked)}


@pytest.fixture(scope="module")
def before() -> Snapshot:
    """The night of the event."""
    return build(DATA, "event")


@pytest.fixture(scope="module")
def replayed(before: Snapshot) -> Run:
    return simulate(before, load_scenario(SCENARIO), workers=1)


# --- bad debt beside the published one ----------------------------------------------------------------------------


@needs_data
def test_bad_debt_of_every_market_is_the_published_one_but_of_the_one_that_is_not_counted(
    compared: dict[str, Compared],
) -> None:
    assert len(compared) == 17
    apart = {name for name, each in compared.items() if abs(each.ours - each.theirs) > WITHIN * each.theirs}
    assert apart == {"sdeUSD/USDC 0f95"}
    assert compared["xUSD.arb1/USDC 9e90"].ratio == pytest.approx(1.0044, abs=1e-4)
    assert compared["xUSD.plume/USDC 82e7"].ratio == pytest.approx(1.0211, abs=1e-4)
    assert compared["deUSD/USDC bd1a"].ratio == pytest.approx(1.0370, abs=1e-4)


@needs_data
def test_the_market_that_is_not_counted_owes_far_more_than_its_collateral_was_ever_believed_to_be_worth(
    compared: dict[str, Compared],
) -> None:
    apart = compared["sdeUSD/USDC 0f95"]
    assert (apart.theirs, apart.verdict) == (0.0, UNPRICED)
    assert apart.ours == pytest.approx(46.1e6, rel=1e-3)
    assert apart.at_market == pytest.approx(55.2e6, rel=1e-3)


@needs_data
def test_what_separates_economic_bad_debt_from_the_published_is_the_liquidators_incentive(
    compared: dict[str, Compared], markets: Sequence[MorphoMarket]
) -> None:
    (arbitrum,) = (market for market in markets if market.name == "xUSD.arb1/USDC 9e90")
    pledged = sum(collateral for _, _, collateral in arbitrum.borrowers) / 1e6
    incentive = 1 / (1 - 0.3 * (1 - 0.915))
    without = compared[arbitrum.name].ours - pledged * 1.26672304 * (1 - 1 / incentive)
    assert without == pytest.approx(compared[arbitrum.name].theirs, rel=1e-3)


@needs_data
def test_bad_debt_on_plume_was_a_week_older_than_the_totals_beside_it() -> None:
    behind = years_behind(DATA)
    assert behind["98866"] * 365 == pytest.approx(7.6, abs=0.1)
    assert max(behind["1"], behind["42161"]) * 365 * 24 < 0.1


@needs_data
def test_at_the_markets_price_nobody_is_paid_for_liquidating_and_nothing_is_realised(
    shocked: Run, compared: dict[str, Compared]
) -> None:
    assert len(shocked.tables["liquidatable"]) > 0
    assert len(shocked.tables["liquidations"]) == 0
    assert all(each.realised == 0.0 and each.at_market >= each.ours for each in compared.values())


# --- the event ----------------------------------------------------------------------------------------------------


@needs_data
def test_under_oracles_that_stand_still_nobody_becomes_liquidatable_while_the_market_falls(
    before: Snapshot, replayed: Run
) -> None:
    assert not any(at_oracle(before).values())
    assert len(replayed.tables["liquidatable"]) == 0
    assert not any(replayed.tables["prices"].bools("published"))
    economic, realised = at_end(replayed)
    assert economic == pytest.approx({"sdeUSD/USDC 0f95": 8.444e6, "xUSD.arb1/USDC 9e90": 0.632e6}, rel=1e-3)
    assert not any(realised.values())


@needs_data
def test_bad_debt_appears_when_each_token_falls_and_not_before(replayed: Run) -> None:
    steps = replayed.tables["steps"]
    bad = dict(zip(steps.ints("step"), steps.floats("bad_debt_economic_usd"), strict=True))
    assert bad[11] == 0.0
    assert 0.3e6 < bad[48] < 0.7e6  # of xUSD only
    assert bad[95] > 8e6


@needs_data
def test_what_the_public_calls_bad_debt_is_mostly_interest_after_the_event(
    replayed: Run, compared: dict[str, Compared]
) -> None:
    economic, _ = at_end(replayed)
    assert economic["xUSD.arb1/USDC 9e90"] < 0.16 * compared["xUSD.arb1/USDC 9e90"].theirs


# --- vaults -------------------------------------------------------------------------------------------------------


@needs_data
def test_suppliers_bear_all_of_a_markets_bad_debt_by_what_they_supplied(
    markets: Sequence[MorphoMarket], compared: dict[str, Compared]
) -> None:
    supplies = read_supplies(DATA, markets, "file")
    bad_debt = {each.market: each.ours for each in compared.values()}
    losses = vault_losses(supplies, markets, bad_debt)
    for market in ("sdeUSD/USDC 0f95", "xUSD.arb1/USDC 9e90"):
        shares = [each for each in losses if each.supply.market == market]
        assert sum(each.loss for each in shares) == pytest.approx(bad_debt[market], rel=2e-3)
        assert len({round(each.loss / each.supplied, 6) for each in shares if each.supplied > 1}) == 1


@needs_data
def test_mev_capital_loses_what_it_later_announced_of_what_was_left_of_its_vault(
    before: Snapshot, replayed: Run
) -> None:
    at_event = read_markets(DATA, "event")
    losses = vault_losses(read_supplies(DATA, at_event, "event"), at_event, at_end(replayed)[0])
    (loss,) = (each for each in losses if each.name == "MEV Capital USDC")
    assert loss.supply.version == "1.0"
    assert loss.loss / loss.total == pytest.approx(0.0086, abs=1e-4)
    (left,) = (
        float(row["total_assets_raw"]) / 1e6
        for row in rows(DATA, MORPHO, "block7_vault_tvl_daily")
        if (row["vault_name"], row["date"]) == (loss.name, "2025-11-11")
    )
    # 3.6 % was announced on 12 November, with eight days' interest in it
    assert loss.loss / left == pytest.approx(0.036, rel=0.06)


# --- the graph ----------------------------------------------------------------------------------------------------


@needs_data
def test_stream_reaches_every_chain_and_the_vaults(after: Snapshot) -> None:
    hit = set(downstream(ExposureGraph.of(after), "xUSD")["label"])
    assert {"deUSD", "sdeUSD", "xUSD.arb1", "xUSD.plume", "Adpend USDC share", "Not Gauntlet (arb1) share"} <= hit


@needs_data
def test_a_vault_depends_on_stream_through_its_market_and_deusd(before: Snapshot) -> None:
    found = upstream(ExposureGraph.of(before), "MEV Capital USDC share").set_index("label")
    assert {"sdeUSD", "deUSD", "xUSD", "issuer of deUSD, xUSD"} <= set(found.index)
    assert found.loc["xUSD", "usd"] == pytest.approx(2.59e6, rel=1e-3)


@needs_data
def test_silo_is_in_the_graph_by_its_deposits_and_says_what_it_is_not(after: Snapshot) -> None:
    deposit = "arb1:0xacb7432a4bb15402ce2afe0a7c9d5b738604f6f9"
    vault = "arb1:0x2ba39e5388ac6c702cb29aea78d52aa66832f1ee"
    hit = downstream(ExposureGraph.of(after), f"token:{deposit}").set_index("id")
    assert hit.loc[f"token:{vault}", "usd"] == pytest.approx(14.23e6, rel=1e-3)
    assert not [market for market in after.markets if market.protocol != "morpho_blue"]
    assert any("no Silo is stepped" in note for note in after.notes)
    assert any("BTC.b are left out" in note for note in after.notes)


# --- files --------------------------------------------------------------------------------------------------------


@needs_data
def test_the_snapshot_is_the_same_from_disk(tmp_path: Path, after: Snapshot) -> None:
    assert main(["--data", str(DATA), "--out", str(tmp_path / "book")]) == 0
    assert read(tmp_path / "book").digest == after.digest
    assert after.origin == "import"


@needs_data
def test_each_price_that_no_oracle_of_the_files_answered_is_noted(
    after: Snapshot, markets: Sequence[MorphoMarket]
) -> None:
    unanswered = [market for market in markets if market.row["oracle_price_raw"] == "0"]
    assert SDEUSD_USDC in {market.id for market in unanswered}
    for market in unanswered:
        assert any(note.startswith(f"{market.name}: oracle's price") for note in after.notes)


@needs_data
def test_an_oracle_that_is_hard_coded_stands_still_without_a_fault(after: Snapshot) -> None:
    free = load_scenario(SCENARIO).model_copy(update={"oracles": Oracles()})
    prices = shock(after, free).tables["prices"]
    published = {row["market"] for row in prices.rows() if row["published"]}
    assert "deUSD/USDC bd1a" not in published
    assert {"deUSD/USDC 1c6f", "xUSD.arb1/USDC 9e90"} <= published


# --- tables made by hand --------------------------------------------------------------------------------------------

ID = "0xab" + 62 * "0"
TABLES: dict[str, list[dict[str, Any]]] = {
    "block1_markets_graphql": [{
        "market_id": ID, "chain_id": 1, "collateral_symbol": "deUSD", "loan_symbol": "USDC", "lltv": 0.86,
        "collateral_address": "0xC0", "collateral_decimals": 18, "loan_address": "0x10", "loan_decimals": 6,
        "oracle_address": "0x0A", "irm_address": "0x1b", "fee": 0.0, "loan_price_usd": 1.0, "collateral_assets": 7,
        "supply_assets": 2_100_000_000, "borrow_assets": 2_000_000_000, "supply_apy": 3.0, "borrow_apy": 3.0,
        "supply_shares": 21, "borrow_shares": 1_000_003, "oracle_price_raw": 0,
    }],
    "block2_bad_debt_by_market": [{
        "market_unique_key": ID, "chain_id": 1,
        "L1_supply_assets": 2_100_000_000, "warning_total_supply_assets": 1_050_000_000,
    }],
    "block5_borrower_positions": [
        {"chain_id": 1, "user_address": "0xA1", "market_unique_key": ID, "borrow_assets_raw": 3, "collateral_raw": 11},
        {"chain_id": 1, "user_address": "0xA2", "market_unique_key": ID, "borrow_assets_raw": 1, "collateral_raw": 13},
        {"chain_id": 1, "user_address": "0xA3", "market_unique_key": ID, "borrow_assets_raw": 0, "collateral_raw": 17},
    ],
    "block8_plume_borrower_positions": [],
    "block5_liquidation_events": [
        {"market_unique_key": ID, "timestamp": 3, "seized_assets": 1, "repaid_assets": 2},
        {"market_unique_key": ID, "timestamp": 2, "seized_assets": 2 * 10**18, "repaid_assets": 1_916_000},
        {"market_unique_key": ID, "timestamp": 1, "seized_assets": 10**18, "repaid_assets": 9},
    ],
}  # fmt: skip


def put(folder: Path, tables: Mapping[str, list[dict[str, Any]]]) -> Path:
    """Writes tables as a folder of data; returns it."""
    (folder / MORPHO).mkdir()
    for name, content in tables.items():
        with (folder / MORPHO / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(content[0]) if content else ["user_address"])
            writer.writeheader()
            writer.writerows(content)
    return folder


def test_debts_are_shares_of_what_the_market_had_lent_at_the_time_of_its_bad_debt(tmp_path: Path) -> None:
    (market,) = read_markets(put(tmp_path, TABLES), "file")
    # supply doubled at 300 % a year: half a year, in which debt doubled too
    assert (market.supply_assets, market.borrow_assets) == (1_100_000_000, 1_000_000_000)
    assert market.borrowers == [("eth:0xa1", 750_002, 11), ("eth:0xa2", 250_000, 13)]
    assert (market.name, market.collateral, market.loan) == ("deUSD/USDC ab00", "eth:0xc0", "eth:0x10")


def test_a_price_that_no_oracle_answered_is_what_the_last_liquidation_above_dust_was_settled_at(tmp_path: Path) -> None:
    (market,) = read_markets(put(tmp_path, TABLES), "file")
    incentive = 1 / (1 - 0.3 * (1 - 0.86))
    assert market.price_raw / 1e24 == pytest.approx(1.916 * incentive / 2, rel=1e-12)
    assert "last liquidation" in market.price_from


def test_a_market_without_any_price_is_refused_by_its_id(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"market {ID}: the files have no price"):
        read_markets(put(tmp_path, TABLES | {"block5_liquidation_events": []}), "file")


def test_a_market_of_which_there_are_totals_only_has_one_borrower(tmp_path: Path) -> None:
    (market,) = read_markets(put(tmp_path, TABLES | {"block5_borrower_positions": []}), "file")
    assert market.borrowers == [("borrowers of 0xab00", 1_000_003, 7)]


def test_tables_of_another_shape_are_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="are not those that this was made for: KeyError"):
        build(put(tmp_path, TABLES | {"block5_borrower_positions": [{"somebody": "0xA1"}]}), "file")


def test_without_the_data_the_command_says_which_table_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--data", str(tmp_path)]) == 2
    assert "block1_markets_graphql.csv.gz cannot be read" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_supply_outside_the_known_vaults_has_no_terms() -> None:
    supply = Supply("m", "eth:0xab", "eth:0xab", "", 5, counted=False, cap=0, terms={}, total_assets=0, total_shares=0)
    (loss,) = vault_losses([supply], [_market()], {"m": 2.0})
    assert (loss.terms, loss.loss) == ("no vault of the file", 1.0)


def _market() -> MorphoMarket:
    row = {"market_id": "0x01", "collateral_decimals": "18", "loan_decimals": "0", "lltv": "0.86"}
    return MorphoMarket(row, "m", "eth:0xc0", "eth:0x10", 10**36, "made up", 10, 8, [])
