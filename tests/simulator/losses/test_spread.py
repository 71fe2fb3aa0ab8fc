"""Losses reach who holds claims, by the issuer's rule and after the cushions; every figure here is computed by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chain.errors import InputError
from chain.snapshot import CLAIMS, ORACLE_PARTS
from chain.tables import Column, Schema, Table
from protocols.oracles.kind import Part
from protocols.oracles.tables import rows as part_rows
from protocols.tokens.shares import assets_down
from simulator.run import simulate
from simulator.summary import headline
from tests.simulator.books import STEP_S, Played, make_scenario, play
from tests.simulator.graph.toys import Coin, Loans, Toy, snapshot_of
from tests.simulator.losses.books import (
    COL,
    FIRST,
    LIF,
    LOST,
    SECOND,
    UNIT,
    USD,
    VAULT,
    Held,
    address,
    chain,
    mark,
    run,
    scenario,
    with_held,
    without_tables,
)

HALVED = {"COL": 0.5}
FIRST_MARK = 1.0 - LOST / 1000.0
VAULT_MARK = 0.8 * FIRST_MARK + 0.2


def lost(played: Played, market: str) -> float:
    """What a market has written off, whole tokens."""
    return sum(row["amount_raw"] for row in played.record.deficits if row["market"] == market) / UNIT


# --- along claims -------------------------------------------------------------------------------------------------


def test_a_loss_in_one_market_travels_through_a_vault_into_the_next_market() -> None:
    played = run(chain(), HALVED)
    assert lost(played, "first") == pytest.approx(LOST, rel=1e-12)
    # step 1 ends with the loss; from step 2 on claims are worth less
    assert mark(played, "first", 1) == 1.0
    assert mark(played, "first", 2) == pytest.approx(FIRST_MARK, rel=1e-12)
    assert mark(played, address("VAULT"), 2) == pytest.approx(VAULT_MARK, rel=1e-12)
    # the debt of 80 is more than 86 % of 100 shares at their new worth: they are taken at the incentive
    assert 100.0 * VAULT_MARK * 0.86 < 80.0
    (taken,) = (row for row in played.record.liquidations if row["market"] == "second")
    assert (taken["step"], taken["account"]) == (2, "b")
    assert taken["collateral_usd"] == pytest.approx(100.0 * VAULT_MARK, rel=1e-12)
    left = 80.0 - 100.0 * VAULT_MARK / LIF
    assert lost(played, "second") == pytest.approx(left, rel=1e-9)
    # and the round after reaches those who supplied the second market
    assert mark(played, "second", 2) == 1.0
    assert mark(played, "second", 3) == pytest.approx(1.0 - left / 100.0, rel=1e-9)


def test_losses_that_are_never_passed_on_stop_there() -> None:
    played = run(chain("never"), HALVED)
    assert lost(played, "first") == pytest.approx(LOST, rel=1e-12)
    assert mark(played, "first", 4) == pytest.approx(FIRST_MARK, rel=1e-12)
    assert mark(played, address("VAULT"), 4) == 1.0
    assert lost(played, "second") == 0.0


def test_without_spreading_claims_keep_their_worth() -> None:
    played = run(chain(), HALVED, contagion={"spreads": False})
    assert played.record.marks == []
    assert lost(played, "first") > 0.0 == lost(played, "second")


def test_economic_bad_debt_is_at_the_worth_of_claims() -> None:
    nobody = {"gas_usd": 1e12, "sell": "outside"}
    written_down = {"write_downs": [{"issuer": "the vault", "share": 0.5}]}
    played = play(chain(), make_scenario(None, steps=1, liquidators=nobody, contagion=written_down))
    assert played.record.steps[0]["bad_debt_economic_usd"] == pytest.approx(80.0 - 50.0 / LIF, rel=1e-9)


# --- cushions -----------------------------------------------------------------------------------------------------


def cushioned(**amounts: float) -> Played:
    return run(chain(), HALVED, contagion={"cushions": [{"market": "first", "token": "USD"} | amounts]})


def test_cushions_pay_in_their_order_and_holders_lose_what_is_left() -> None:
    played = cushioned(module_usd=400.0, slash=0.3, surplus_usd=70.0, insurance_usd=30.0)
    (row,) = (row for row in played.record.losses if row["market"] == "first")
    assert row["amount_raw"] / UNIT == pytest.approx(LOST, rel=1e-12)
    assert (row["module_usd"], row["surplus_usd"], row["insurance_usd"]) == pytest.approx((120.0, 70.0, 30.0))
    assert row["holders_usd"] == pytest.approx(LOST - 220.0, rel=1e-12)
    assert mark(played, "first", 2) == pytest.approx(1.0 - (LOST - 220.0) / 1000.0, rel=1e-12)


def test_a_cushion_that_is_large_enough_leaves_claims_whole() -> None:
    played = cushioned(surplus_usd=1000.0)
    assert played.record.marks == []
    assert lost(played, "first") == pytest.approx(LOST, rel=1e-12)
    assert lost(played, "second") == 0.0


def test_stakers_who_could_leave_after_the_first_loss_do_not_pay_the_next() -> None:
    loans = Loans("first", "COL", "USD", {"a": (1000.0, 800.0), "c": (2000.0, 800.0)}, supplied=400.0)
    book = with_held(snapshot_of(Toy((COL, USD), loans=(loans,))), [Held("first", "USD", 2000.0, "first")], ("first",))
    falls = {"COL": [0.5, 0.5, 0.25]}
    second = 800.0 - 2000.0 * 0.25 / LIF

    def paid(cooldown_s: float | None) -> list[float]:
        cushion = {"market": "first", "token": "USD", "module_usd": 1e6}
        cushion |= {} if cooldown_s is None else {"cooldown_s": cooldown_s}
        played = run(book, falls, 5, contagion={"cushions": [cushion]})  # type: ignore[arg-type]
        return [row["module_usd"] for row in played.record.losses]

    assert paid(None) == pytest.approx([LOST, second], rel=1e-9)
    assert paid(10.0 * STEP_S) == pytest.approx([LOST, second], rel=1e-9)
    assert paid(2.0 * STEP_S) == pytest.approx([LOST, 0.0], rel=1e-9)


# --- shocks that are no prices ------------------------------------------------------------------------------------


def test_a_write_down_of_an_issuer_reaches_its_claims_and_of_a_token_all_claims_on_it() -> None:
    by_issuer = run(chain(), contagion={"write_downs": [{"issuer": "the vault", "share": 0.1, "at_s": 2 * STEP_S}]})
    assert mark(by_issuer, address("VAULT"), 1) == 1.0
    assert mark(by_issuer, address("VAULT"), 2) == pytest.approx(0.9, rel=1e-12)
    assert mark(by_issuer, "first", 4) == 1.0
    by_token = run(chain(), contagion={"write_downs": [{"token": "first", "share": 0.1}]})
    assert mark(by_token, "first", 1) == pytest.approx(0.9, rel=1e-12)
    assert mark(by_token, address("VAULT"), 1) == pytest.approx(0.8 * 0.9 + 0.2, rel=1e-12)
    outside = {row["token"]: row["outside_usd"] for row in by_token.record.prices if row["step"] == 1}
    assert outside[address("VAULT")] == pytest.approx(0.92, rel=1e-12)


def test_a_depeg_of_one_token_is_a_price_and_no_loss_of_its_issuer() -> None:
    played = run(chain(), {"VAULT": 0.9})
    assert played.record.marks == []
    assert {row["outside_usd"] for row in played.record.prices if row["token"] == address("VAULT")} == {0.9}


def test_an_unbacked_mint_dilutes_every_unit_alike() -> None:
    played = run(chain(), contagion={"mints": [{"token": "VAULT", "share": 0.25, "at_s": 2 * STEP_S}]})
    assert mark(played, address("VAULT"), 1) == 1.0
    assert mark(played, address("VAULT"), 2) == pytest.approx(1.0 / 1.25, rel=1e-12)


def test_backing_beyond_what_is_owed_is_diluted_and_lost_first() -> None:
    held = [Held("first", "USD", 1000.0, "first"), Held("VAULT", "USD", 150.0, "the minter", supply=150.0)]
    book = with_held(snapshot_of(Toy((COL, USD, VAULT), loans=(SECOND, FIRST))), held, ("first",))
    claims = [row | ({"supply_raw": 100 * UNIT} if row["issuer"] == "the minter" else {}) for row in claim_rows(book)]
    book = replace(book, tables=dict(book.tables) | {CLAIMS.name: Table.from_rows(CLAIMS, claims)})

    def worth(**shock: Any) -> float:
        return mark(run(book, contagion=shock, steps=1), address("VAULT"), 1)

    # one and a half stand behind each unit
    assert worth(mints=[{"token": "VAULT", "share": 0.5}]) == 1.0
    assert worth(mints=[{"token": "VAULT", "share": 1.0}]) == pytest.approx(0.75, rel=1e-12)
    assert worth(write_downs=[{"issuer": "the minter", "share": 0.3}]) == 1.0
    assert worth(write_downs=[{"issuer": "the minter", "share": 0.5}]) == pytest.approx(0.75, rel=1e-12)


def claim_rows(book: Any) -> list[dict[str, Any]]:
    return list(book.tables[CLAIMS.name].rows())


# --- before it is written off -------------------------------------------------------------------------------------


def stuck(**contagion: Any) -> Played:
    """Nobody can liquidate in `first` when its collateral halves."""
    return run(chain(), HALVED, contagion={"freezes": [{"market": "first"}]} | contagion)


def test_what_is_not_covered_any_more_counts_as_lost_where_the_market_knows_of_it() -> None:
    assert stuck().record.marks == []
    played = stuck(unrealised=True)
    assert lost(played, "first") == 0.0
    assert mark(played, "first", 1) == 1.0
    assert mark(played, "first", 2) == pytest.approx(FIRST_MARK, rel=1e-9)
    # `second` liquidates who pledged the vault's shares, as it would after a write-off
    assert mark(played, address("VAULT"), 2) == pytest.approx(VAULT_MARK, rel=1e-9)
    assert [row["account"] for row in played.record.liquidations] == ["b"]


def test_what_is_written_off_counts_once_whoever_knew_of_it_before() -> None:
    known = run(chain(), HALVED, contagion={"unrealised": True})
    assert mark(known, "first", 4) == pytest.approx(mark(run(chain(), HALVED), "first", 4), rel=1e-9)


def test_cushions_cover_what_is_not_written_off_yet_first() -> None:
    cushion = {"market": "first", "token": "USD", "surplus_usd": 11.0}
    played = stuck(unrealised=True, cushions=[cushion])
    assert mark(played, "first", 2) == pytest.approx(1.0 - (LOST - 11.0) / 1000.0, rel=1e-9)
    # and they are not spent by it
    assert mark(played, "first", 4) == mark(played, "first", 2)


def test_what_was_not_covered_at_the_start_is_no_news() -> None:
    short = Loans("first", "COL", "USD", {"a": (1000.0, 1100.0)}, supplied=200.0)
    held = [Held("first", "USD", 1300.0, "first")]
    book = with_held(snapshot_of(Toy((COL, USD), loans=(short,))), held, ("first",))
    contagion = {"unrealised": True, "freezes": [{"market": "first"}]}
    assert run(book, contagion=contagion).record.marks == []
    fallen = run(book, {"COL": 0.9}, contagion=contagion)
    assert mark(fallen, "first", 2) == pytest.approx(1.0 - 100.0 / LIF / 1300.0, rel=1e-9)


def test_rates_that_contracts_answer_do_not_know_of_it() -> None:
    book = with_rate(chain(), UNIT)
    contagion = {"unrealised": True, "freezes": [{"market": "first"}]}
    assert oracle_raw(run(book, HALVED, contagion=contagion), 4) == 10**18 * UNIT


# --- circles ------------------------------------------------------------------------------------------------------


def circle(left: float) -> Any:
    """Two tokens each backed by the other alone, but for what is `left` of one behind a hundred, in dollars."""
    held = [
        Held("VAULT", "OTHER", 100.0, "one", supply=100.0),
        Held("OTHER", "VAULT", 100.0 - left, "the other", supply=100.0),
        *([Held("OTHER", "USD", left, "the other", supply=100.0)] if left else []),
    ]
    return with_held(snapshot_of(Toy((COL, USD, VAULT, Coin("OTHER", 1.0)), loans=(FIRST, SECOND))), held)


def test_a_circle_with_nothing_else_behind_it_is_worth_all_or_nothing() -> None:
    played = run(circle(0.0), steps=1)
    for symbol in ("VAULT", "OTHER"):
        assert mark(played, address(symbol), 1) == 1.0
        assert mark(played, address(symbol), 1, "least") == 0.0
    # the run is on the greatest
    assert {row["outside_usd"] for row in played.record.prices} == {1.0}


def test_a_circle_with_something_behind_it_has_one_worth_and_passes_losses_round() -> None:
    book = circle(40.0)
    assert run(book, steps=1).record.marks == []
    played = run(book, steps=1, contagion={"write_downs": [{"issuer": "one", "share": 0.1}]})
    # v = o - 0.1, o = 0.6 v + 0.4: v = 0.75, o = 0.85
    for symbol, worth in (("VAULT", 0.75), ("OTHER", 0.85)):
        assert mark(played, address(symbol), 1) == pytest.approx(worth, rel=1e-12)
        assert mark(played, address(symbol), 1, "least") == pytest.approx(worth, rel=1e-12)


def test_a_closed_circle_that_loses_anything_is_worth_nothing() -> None:
    played = run(circle(0.0), steps=1, contagion={"write_downs": [{"issuer": "one", "share": 0.01}]})
    assert mark(played, address("VAULT"), 1) == pytest.approx(0.0, abs=1e-12)


# --- what contracts say -------------------------------------------------------------------------------------------


SUPPLY, ASSETS, SAMPLE, VIRTUAL = 987_654_321_987_654_321_987, 1_012_345_678_901_234_567_891, 10**18, 1
"""A vault's shares, what stands behind them, its oracle's sample, and its virtual shares, as its decimals have them."""


def priced_by_its_rate() -> Any:
    """A book of `second` and of a vault with numbers that round."""
    book = with_held(snapshot_of(Toy((COL, USD, VAULT), loans=(SECOND,))), [Held("VAULT", "USD", 1.0, "the vault")])
    rate = int(assets_down(SAMPLE, SUPPLY, ASSETS, VIRTUAL))
    claims = [row | {"supply_raw": SUPPLY, "backing_raw": ASSETS, "amount_raw": rate} for row in claim_rows(book)]
    book = replace(book, tables=dict(book.tables) | {CLAIMS.name: Table.from_rows(CLAIMS, claims)})
    return with_rate(book, rate)


def with_rate(book: Any, rate: int) -> Any:
    """The book with `second` priced by the vault's rate alone, as MorphoChainlinkOracleV2 does without feeds."""
    vault = Part("ERC-4626 rate", address("VAULT"), "", 18, rate, 0, {"sample_raw": SAMPLE})
    parameters = {"scale_factor": 10**18, "base_sample_raw": SAMPLE, "quote_sample_raw": 1}
    tree = Part("Morpho oracle", "0xoraclesecond", "", 36, 10**18 * rate, 0, parameters, {"base vault": vault})
    price = {"price_raw": 10**18 * rate}
    tables = {
        name: [row | (price if row["market"] == "second" else {}) for row in book.tables[name].rows()]
        for name in ("oracles", "morpho_blue.markets")
    }
    made = {name: Table.from_rows(book.tables[name].schema, rows) for name, rows in tables.items()}
    made[ORACLE_PARTS.name] = Table.from_rows(ORACLE_PARTS, part_rows("0xoraclesecond", tree))
    return replace(book, tables=dict(book.tables) | made)


def oracle_raw(played: Played, step: int) -> int:
    rows = (row for row in played.record.prices if (row["market"], row["step"]) == ("second", step))
    return next(int(row["oracle_raw"]) for row in rows if row["token"] == address("VAULT"))


def test_a_rate_that_an_oracle_reads_falls_as_the_vault_converts_to_the_unit() -> None:
    shock = {"write_downs": [{"issuer": "the vault", "share": 0.0625, "at_s": 2 * STEP_S}]}
    played = run(priced_by_its_rate(), contagion=shock)
    rate = int(assets_down(SAMPLE, SUPPLY, ASSETS, VIRTUAL))
    assert oracle_raw(played, 1) == 10**18 * rate
    after = int(assets_down(SAMPLE, SUPPLY, ASSETS - -(-ASSETS // 16), VIRTUAL))
    assert oracle_raw(played, 2) == 10**18 * after
    assert after < rate * 0.9376
    minted = run(priced_by_its_rate(), contagion={"mints": [{"token": "VAULT", "share": 0.5}]})
    assert oracle_raw(minted, 1) == 10**18 * int(assets_down(SAMPLE, SUPPLY + round(0.5 * SUPPLY), ASSETS, VIRTUAL))


@pytest.mark.parametrize("rule", ["at withdrawal", "never"])
def test_a_rate_stays_where_losses_do_not_count_at_once(rule: str) -> None:
    book = priced_by_its_rate()
    claims = [row | {"losses": rule} for row in claim_rows(book)]
    book = replace(book, tables=dict(book.tables) | {CLAIMS.name: Table.from_rows(CLAIMS, claims)})
    played = run(book, contagion={"write_downs": [{"issuer": "the vault", "share": 0.5}]})
    assert oracle_raw(played, 4) == oracle_raw(run(book), 4)
    # the market, though, gives for it what will be had at withdrawal
    worth = {"at withdrawal": 0.5, "never": 1.0}[rule]
    assert mark(played, address("VAULT"), 4) == pytest.approx(worth, rel=1e-12)


def test_a_position_that_is_no_token_counts_in_a_vaults_rate_as_what_can_be_had_for_it() -> None:
    """The vault's rate is over all of its backing, four fifths of which is in `first`."""
    assert int(assets_down(SAMPLE, 500 * UNIT, 500 * UNIT, 1)) == UNIT
    played = run(with_rate(chain(), UNIT), HALVED)
    assert oracle_raw(played, 1) == 10**18 * UNIT
    written_off = sum(r["amount_raw"] for r in played.record.deficits if r["market"] == "first")
    gone = -(-written_off * 400 // 1000)
    assert oracle_raw(played, 2) == 10**18 * int(assets_down(SAMPLE, 500 * UNIT, 500 * UNIT - gone, 1))


# --- vaults that have supplied to markets ---------------------------------------------------------------------------


def test_a_metamorpho_vault_loses_what_its_shares_of_its_markets_lose_and_who_holds_it_by_its_part() -> None:
    held = [
        Held("VAULT", "USD", 500.0, "the vault"),
        Held("OUTER", "USD", 250.0, "outer"),
    ]
    coins = (COL, USD, VAULT, Coin("OUTER", 1.0))
    book = with_held(snapshot_of(Toy(coins, loans=(FIRST, SECOND))), held)
    # 400 of the thousand in `first`; the outer vault holds a fifth of the inner one
    shares = 400 * UNIT * 10**6
    allocation = {
        "vault": "the vault",
        "market": "first",
        "supply_shares": shares,
        "market_supply_assets": 1000 * UNIT,
        "market_supply_shares": 1000 * UNIT * 10**6,
    }
    inner = _table("metamorpho.allocations", [allocation, allocation | {"market": "", "supply_shares": 7}])
    outer = _table("vault_v2.allocations", [{"vault": "outer", "target": "the vault", "claimed_raw": 100 * UNIT}])
    played = run(replace(book, tables=dict(book.tables) | {inner.schema.name: inner, outer.schema.name: outer}), HALVED)
    assert mark(played, address("VAULT"), 1) == 1.0
    assert mark(played, address("VAULT"), 2) == pytest.approx(1.0 - 0.4 * LOST / 500.0, rel=1e-12)
    assert mark(played, address("OUTER"), 2) == pytest.approx(1.0 - 0.4 * LOST * 0.2 / 250.0, rel=1e-12)


def _table(name: str, rows: list[dict[str, Any]]) -> Table:
    columns = [Column(c, "text" if isinstance(v, str) else "uint256", "") for c, v in rows[0].items()]
    return Table.from_rows(Schema(name, ("vault",), tuple(columns)), rows)


# --- laws ---------------------------------------------------------------------------------------------------------


def test_without_losses_claims_change_nothing() -> None:
    with_, without = (run(book, {"COL": 0.99}) for book in (chain(), plain()))
    for table in ("steps", "prices", "liquidations", "liquidity"):
        assert getattr(with_.record, table) == getattr(without.record, table)


def plain() -> Any:
    """The book of the chain without its claims; the markets' supplies were no tokens before."""
    return without_tables(snapshot_of(Toy((COL, USD, VAULT), loans=(FIRST, SECOND))), CLAIMS.name)


def test_a_run_says_which_claims_go_round_in_a_circle() -> None:
    notes = simulate(circle(0.0), scenario(steps=1)).notes
    assert any("OTHER, VAULT" in note and "circle" in note for note in notes)
    assert not any("circle" in note for note in simulate(circle(40.0), scenario(steps=1)).notes)


def test_the_summary_says_what_cushions_paid_and_which_claims_lost() -> None:
    cushions = {"cushions": [{"market": "first", "token": "USD", "surplus_usd": 11.0}]}
    lines = {line.what: line for line in headline(simulate(chain(), scenario(HALVED, contagion=cushions)))}
    assert lines["paid by cushions"].value == pytest.approx(11.0)
    # the supply of the first market, the vault, and the supply of the second
    assert lines["claims that lost"].value == 3
    assert "claims that lost" not in {line.what for line in headline(simulate(chain(), scenario()))}


def test_the_same_run_twice_is_the_same() -> None:
    crash = scenario(HALVED, contagion={"cushions": [{"market": "first", "token": "USD", "surplus_usd": 11.0}]})
    first, second = (simulate(chain(), crash) for _ in range(2))
    assert {name: t.rows() for name, t in first.tables.items()} == {n: t.rows() for n, t in second.tables.items()}
    assert len(first.tables["marks"].rows()) > 0


@pytest.mark.parametrize(
    ("contagion", "named"),
    [
        ({"write_downs": [{"issuer": "nobody", "share": 0.1}]}, "nobody owes no claim"),
        ({"write_downs": [{"token": "NONE", "share": 0.1}]}, "no token NONE"),
        ({"mints": [{"token": "NONE", "share": 0.1}]}, "no token NONE"),
        ({"cushions": [{"market": "third", "token": "USD"}]}, "no market third"),
        ({"freezes": [{"market": "first", "tokens": ["VAULT"]}]}, "no token VAULT"),
    ],
)
def test_what_is_not_there_is_said(contagion: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        run(chain(), contagion=contagion)


@pytest.mark.parametrize(
    ("contagion", "named"),
    [
        ({"write_downs": [{"share": 0.1}]}, "an issuer or a token"),
        ({"runs": [{"market": "first", "token": "USD", "per_hour": 1.0}]}, "what they run for"),
        ({"freezes": [{"market": "first", "from_s": 5.0, "until_s": 5.0}]}, "later than from_s"),
        ({"cushions": [{"market": "first", "token": t} for t in ("USD", "usd")]}, "stands in two"),
    ],
)
def test_what_a_scenario_cannot_mean_is_refused(contagion: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        scenario(contagion=contagion)
