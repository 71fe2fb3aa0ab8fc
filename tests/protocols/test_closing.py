"""What compiled loops take a liquidation for, held to the exact markets.

The markets round to units of tokens and to claims, which is allowed for in units (`Book.grain`); the relative 1e-6 is
for prices and ratios that contracts cut to few digits, such as a discounted price of 8 decimals. Aave decides by a
number that up to 3.4 has an average threshold in whole basis points in it, so that here it is the contract's own.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols import compiled, registry
from protocols.lending import closing as closing_module
from protocols.lending.aave_v3.rules import OWN, Constants
from protocols.lending.closing import WHOLE, Closing, ClosingTerms, Pair, accepted, closing, code_of, received
from protocols.lending.compound_v3.state import BASE
from protocols.lending.interface import Offer
from tests.protocols.compound_books import USDC, simple_book
from tests.protocols.compound_v3_markets import simple_comet
from tests.protocols.lending_books import BOOKS
from tests.protocols.lending_books.book import entries_of

seeds = st.integers(0, 2**40)
waits = st.sampled_from([0, 12, 3_600, 7 * 86_400])
shares = st.just(Fraction(1)) | st.fractions(Fraction(1, 50), 1, max_denominator=50)
every_protocol = pytest.mark.parametrize("protocol", BOOKS)
RELATIVE = 1e-6
NO_LIMIT = 1e30


class Case(NamedTuple):
    """One offer of the exact market and the terms that a compiled loop has for it; values in the unit of account."""

    book: Any
    offer: Offer
    terms: Closing
    debt: float
    collateral: float

    def slack(self, answer: Any) -> float:
        """What roundings of units may come to; every debt's are in what the account owes."""
        units = 4 * sum(self.book.price(r) for r in range(len(self.book.market.tokens)))
        return float(units + self.book.grain(self.offer, answer) * self.book.price(self.offer.collateral))

    def paid(self, answer: Any) -> float:
        return float(answer.repaid_raw * self.book.price(self.offer.debt))

    def got(self, answer: Any) -> float:
        return float(answer.received_raw * self.book.price(self.offer.collateral))

    def kept(self, answer: Any) -> float:
        return float(answer.fee_raw * self.book.price(self.offer.collateral))


def cases(protocol: str, seed: int, seconds: int) -> Iterator[Case]:
    """Every paid offer for an account of a random book at random prices."""
    book = BOOKS[protocol](seed, seconds, flush=True)
    book.move_prices(seed, 0.6, 1.4)
    market, exposures = book.market, book.market.exposures()
    of_market = market.closing_terms()
    for account in book.accounts():
        rows = range(exposures.offsets[account], exposures.offsets[account + 1])
        entry = {int(exposures.reserve[row]): row for row in rows}
        supplied, debt = (
            {r: float(book.value({r: amount})) for r, amount in of(account).items()}
            for of in (book.supplies, book.debts)
        )
        owed = sum(debt.values())
        for offer in market.offers(account):
            c, d = entry[offer.collateral], offer.debt
            pair = Pair(
                # protocols that decide by another number have no use for it
                book.market.health_raw(account) / 1e18,
                owed,
                debt[d],
                supplied[offer.collateral],
                float(exposures.threshold[c]),
                float(exposures.bonus[c]),
                own_fee(book, of_market, account, offer.collateral),
            )
            terms = closing(of_market.code, of_market.parameters, pair)
            yield Case(book, offer, terms, debt[d], supplied[offer.collateral])


def own_fee(book: Any, of_market: ClosingTerms, account: int, collateral: int) -> float:
    """The fee of the configuration that an account of Aave v4 still has; else the reserve's."""
    if book.market.protocol != "aave_v4":
        return float(of_market.fee[collateral])
    positions, configs = book.market.state()[2], book.configs
    entry = next(e for e in entries_of(positions, account) if positions.reserve[e] == collateral)
    return float(configs.fee_bps[positions.config[entry]]) / 1e4


def is_for_lack_of_cash(refusal: str) -> bool:
    return "Liquidity" in refusal


# --- against the exact markets ------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", [name for name, book in BOOKS.items() if not book.absorbs])
def test_the_largest_repayment_and_what_is_received_for_it_are_the_exact_market_s(protocol: str) -> None:
    seen: list[float] = []

    @settings(max_examples=70)
    @given(seeds, waits)
    def law(seed: int, seconds: int) -> None:
        for case in cases(protocol, seed, seconds):
            market, offer = case.book.market, case.offer
            if is_for_lack_of_cash(market.terms(offer, 2**256 - 1).refusal):
                continue
            exact = market.terms(offer, offer.most_raw)
            assert not exact.refusal
            repaid, slack = accepted(case.terms, NO_LIMIT, case.debt, case.collateral), case.slack(exact)
            assert repaid == pytest.approx(case.paid(exact), rel=RELATIVE, abs=slack)
            assert received(case.terms, repaid) == pytest.approx(case.got(exact), rel=RELATIVE, abs=2 * slack)
            kept = repaid * case.terms.bonus - received(case.terms, repaid)
            assert kept == pytest.approx(case.kept(exact), rel=RELATIVE, abs=2 * slack)
            seen.append(repaid)

    law()
    assert len(seen) >= 50


@pytest.mark.parametrize("protocol", [name for name, book in BOOKS.items() if not book.absorbs])
def test_a_part_is_accepted_where_the_exact_market_accepts_it(protocol: str) -> None:
    seen = {True: 0, False: 0}

    @settings(max_examples=70)
    @given(seeds, shares)
    def law(seed: int, share: Fraction) -> None:
        for case in cases(protocol, seed, 0):
            market, offer = case.book.market, case.offer
            if is_for_lack_of_cash(market.terms(offer, 2**256 - 1).refusal):
                continue
            amount = max(int(offer.most_raw * share), 1)
            wanted = float(amount * case.book.price(offer.debt))
            exact = market.terms(offer, amount)
            repaid, slack = accepted(case.terms, wanted, case.debt, case.collateral), case.slack(exact)
            if abs(wanted - min(case.debt, case.collateral / case.terms.bonus)) <= slack:
                continue  # the market's roundings decide whether this is all
            if not exact.refusal:
                seen[True] += 1
                assert repaid == pytest.approx(case.paid(exact), rel=RELATIVE, abs=slack)
                assert received(case.terms, repaid) == pytest.approx(case.got(exact), rel=RELATIVE, abs=2 * slack)
                continue
            if exact.refusal not in ("MustNotLeaveDust()", "103"):
                assert wanted <= slack, "it rounds to nothing"
                continue
            # what is refused is cut to what is not
            seen[False] += 1
            assert repaid < wanted
            least = int((repaid * (1 - RELATIVE) - slack) / float(case.book.price(offer.debt)))
            if repaid > 10 * slack:
                assert not market.terms(offer, least).refusal

    law()
    assert seen[True] >= 20
    assert (seen[False] > 0) == (protocol in ("aave_v3", "aave_v4"))


@every_protocol
def test_compiled_terms_are_those_of_the_source(protocol: str) -> None:
    of_market = BOOKS[protocol](5).market.closing_terms()
    draw = np.random.default_rng(5)
    count = 300
    owed, health = 10 ** draw.uniform(0, 8, count), draw.uniform(0.1, 1.0, count)
    debt, collateral = owed * draw.uniform(0.05, 1, count), owed * draw.uniform(0, 2, count)
    columns = health, owed, debt, collateral, draw.uniform(0.5, 0.9, count), draw.uniform(1.0, 1.1, count)
    fast, plain = (np.empty((count, 6)) for _ in range(2))
    for loop, out in ((compiled.fast(every_term), fast), (every_term, plain)):
        loop(of_market.code, of_market.parameters, *columns, float(of_market.fee[0]), out)
    # the source rounds as the contracts do, to 1e-8 US dollars or finer
    np.testing.assert_allclose(fast, plain, rtol=1e-9, atol=1e-7)
    assert fast[:, 0].any()


def every_term(
    code: int, parameters: Any, health: Any, owed: Any, debt: Any, collateral: Any, threshold: Any, bonus: Any,
    fee: float, out: Any,
) -> None:  # fmt: skip
    for i in range(len(health)):
        pair = Pair(health[i], owed[i], debt[i], collateral[i], threshold[i], bonus[i], fee)
        terms = closing(code, parameters, pair)
        out[i, 0], out[i, 1], out[i, 2], out[i, 3] = terms.most_usd, terms.bonus, terms.fee_share, terms.leftover_usd
        out[i, 4] = accepted(terms, 0.7 * debt[i], debt[i], collateral[i])
        out[i, 5] = received(terms, out[i, 4])


@every_protocol
def test_a_market_goes_by_its_own_protocol_s_rule_and_has_a_fee_for_each_reserve(protocol: str) -> None:
    market = BOOKS[protocol](1).market
    terms = market.closing_terms()
    assert (terms.code == WHOLE) == (protocol in ("compound_v3", "morpho_blue"))
    pair = Pair(0.97, 9_000.0, 8_000.0, 7_000.0, 0.8, 1.06, 0.1)
    own = Closing(8_000.0, 1.06, 0.0, 0.0)
    if terms.code != WHOLE:
        own = registry.part("lending", protocol, "closing").closing(terms.parameters, pair)
    assert closing(terms.code, terms.parameters, pair) == own
    assert terms.fee.shape == (len(market.tokens),)
    assert terms.parameters.dtype == terms.fee.dtype == np.float64
    assert set(BOOKS) == set(registry.names("lending"))


NEW = {
    "__init__.py": "",
    "tables.py": "SCHEMAS = ()",
    "closing.py": """
from protocols.arithmetic import rule
from protocols.lending.interface import Closing

@rule
def closing(parameters, pair):
    return Closing(parameters[0] * pair.debt_usd, pair.bonus, 0.125, 0.0)
""",
}
SCRIPT = """
import sys
import protocols.lending
protocols.lending.__path__.append(sys.argv[1])
from protocols.lending.closing import Pair, closing, code_of
codes = [code_of(name) for name in ("aave_v2", "brand_new", "venus_core", "compound_v3")]
assert len(set(codes)) == 4, codes
print(*closing(code_of("brand_new"), [0.25], Pair(0.9, 400.0, 200.0, 300.0, 0.8, 1.25, 0.5)))
"""


def test_a_rule_is_there_because_its_folder_is_there(tmp_path: Path) -> None:
    (tmp_path / "brand_new").mkdir()
    for name, code in NEW.items():
        (tmp_path / "brand_new" / name).write_text(code)
    done = subprocess.run([sys.executable, "-c", SCRIPT, tmp_path], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("50.0 1.25 0.125 0.0\n", "")
    source = Path(closing_module.__file__).read_text("utf-8")
    assert not [name for name in registry.names("lending") if name in source]


# --- the branches of each close factor ----------------------------------------------------------------------------


def aave_v3(
    version: int, health: float, owed: float, debt: float, collateral: float, constants: Constants = OWN
) -> Closing:
    pair = Pair(health, owed, debt, collateral, 0.8, 1.05, 0.1)
    return closing(code_of("aave_v3"), np.array([version, *constants], dtype=np.float64), pair)


@pytest.mark.parametrize("version", [33, 35, 37])
def test_aave_v3_since_3_3_lets_half_of_all_debt_go_unless_something_is_small_or_health_is_0_95(version: int) -> None:
    just_above, at = 0.95 + 1e-9, 0.95
    half_of_the_account, all_of_it = 6_000.0, 10_000.0
    assert aave_v3(version, just_above, 12_000.0, 10_000.0, 11_000.0).most_usd == half_of_the_account
    assert aave_v3(version, at, 12_000.0, 10_000.0, 11_000.0).most_usd == all_of_it
    assert aave_v3(version, just_above, 12_000.0, 10_000.0, 2_000.0).most_usd == half_of_the_account
    assert aave_v3(version, just_above, 12_000.0, 10_000.0, 1_999.99).most_usd == all_of_it
    assert aave_v3(version, just_above, 2_500.0, 2_000.0, 3_000.0).most_usd == 1_250.0
    assert aave_v3(version, just_above, 2_500.0, 1_999.99, 3_000.0).most_usd == 1_999.99
    # a debt below half of the account's is repaid whole
    assert aave_v3(version, just_above, 30_000.0, 10_000.0, 40_000.0).most_usd == all_of_it


@pytest.mark.parametrize("version", [30, 32])
def test_aave_v3_before_3_3_lets_half_of_the_one_debt_go_unless_health_is_0_95(version: int) -> None:
    assert aave_v3(version, 0.95 + 1e-9, 12_000.0, 1_000.0, 900.0).most_usd == 500.0
    assert aave_v3(version, 0.95, 12_000.0, 1_000.0, 900.0).most_usd == 1_000.0
    assert aave_v3(version, 0.95, 12_000.0, 1_000.0, 900.0).leftover_usd == 0.0


@pytest.mark.parametrize("version", [30, 32, 33, 37])
@pytest.mark.parametrize("constants", [Constants(10_000), Constants(close_factor_hf_threshold_wad=10**18)])
@given(health=st.floats(0.0, 1.0), owed=st.floats(1e-2, 1e9), share=shares, collateral=st.floats(1e-2, 1e9))
def test_a_close_factor_of_1_or_for_nobody_lets_every_debt_of_aave_v3_go_whole(
    version: int, constants: Constants, health: float, owed: float, share: Fraction, collateral: float
) -> None:
    debt = float(share) * owed
    terms = aave_v3(version, health, owed, debt, collateral, constants)
    assert terms.most_usd == pytest.approx(debt, rel=1e-12, abs=2e-8)


@pytest.mark.parametrize("version", [30, 32, 33, 37])
def test_another_close_factor_of_aave_v3_is_of_what_half_is_of_and_starts_where_it_says(version: int) -> None:
    three_tenths_below_half = Constants(3_000, 5 * 10**17)
    for health, share in ((0.99, 0.3), (0.5 + 1e-9, 0.3), (0.5, 1.0)):
        assert aave_v3(version, health, 1e4, 1e4, 2e4, three_tenths_below_half).most_usd == pytest.approx(share * 1e4)


def test_aave_v3_since_3_3_wants_1_000_dollars_left_of_both_or_nothing_of_one() -> None:
    terms = aave_v3(36, 0.9, 3_000.0, 3_000.0, 2_625.0)
    assert terms.leftover_usd == 1_000.0
    assert accepted(terms, 1_500.0, 3_000.0, 2_625.0) == 1_500.0
    # 1,600 dollars take 1,680 of the collateral, and 945 would be left
    assert accepted(terms, 1_600.0, 3_000.0, 2_625.0) == pytest.approx(1_625.0 / 1.05)
    assert accepted(terms, 2_500.0, 3_000.0, 2_625.0) == 2_500.0, "all of the collateral"
    assert accepted(terms, 2_100.0, 3_000.0, 9_000.0) == 2_000.0, "1,000 dollars of debt are left"
    assert accepted(terms, 3_000.0, 3_000.0, 9_000.0) == 3_000.0, "all of the debt"
    assert accepted(terms, 500.0, 900.0, 9_000.0) == 0.0
    assert received(terms, 1_000.0) == pytest.approx(1_045.0), "a tenth of the bonus is the protocol's"


def test_nothing_is_accepted_for_a_collateral_that_cannot_be_seized() -> None:
    # a market that a pool of Venus lacks has no incentive there
    assert accepted(Closing(500.0, 0.0, 0.0, 0.0), 500.0, 1_000.0, 1_000.0) == 0.0


def test_aave_v2_lets_half_of_a_debt_go_whatever_the_health() -> None:
    for health in (0.2, 0.95, 0.999):
        pair = Pair(health, 5_000.0, 1_000.0, 10.0, 0.8, 1.05, 0.0)
        terms = closing(code_of("aave_v2"), np.array([5_000.0]), pair)
        assert terms == pytest.approx(Closing(500.0, 1.05, 0.0, 0.0))
        assert closing(code_of("aave_v2"), np.array([8_000.0]), pair).most_usd == pytest.approx(800.0)


def aave_v4(health: float, debt: float, collateral: float) -> Closing:
    """A target of 1.05; the bonus is highest, 5 %, at a health factor of 0.9 and 40 % of that at 1."""
    parameters = np.array([1.05e18, 0.9e18, 4_000.0])
    return closing(code_of("aave_v4"), parameters, Pair(health, debt, debt, collateral, 0.8, 1.05, 0.1))


def test_aave_v4_lets_go_what_restores_the_target_health_factor() -> None:
    for health in (0.93, 0.95, 0.99):
        debt, collateral = 100_000.0, 100_000.0 * health / 0.8
        terms = aave_v4(health, debt, collateral)
        repaid = accepted(terms, NO_LIMIT, debt, collateral)
        assert (collateral - repaid * terms.bonus) * 0.8 / (debt - repaid) == pytest.approx(1.05, rel=1e-12)


def test_aave_v4_gives_the_more_bonus_the_less_healthy_the_account() -> None:
    assert aave_v4(0.9, 1e5, 1e5).bonus == aave_v4(0.5, 1e5, 1e5).bonus == 1.05
    assert aave_v4(0.95, 1e5, 1e5).bonus == pytest.approx((1.05 + 1.02) / 2)
    assert aave_v4(1.0 - 1e-9, 1e5, 1e5).bonus == pytest.approx(1.02)


def test_aave_v4_takes_whole_what_would_leave_less_than_1_000_dollars() -> None:
    debt, collateral = 1_500.0, 1_500.0 * 0.95 / 0.8
    assert aave_v4(0.95, debt, collateral).most_usd == pytest.approx(debt)
    # beside other collateral: to the target health factor some of this one would be left
    terms = aave_v4(0.9, 100_000.0, 60_500.0)
    assert terms.most_usd * terms.bonus == pytest.approx(60_500.0)


def test_compound_v2_takes_its_share_of_what_is_seized_and_venus_of_the_bonus() -> None:
    book = simple_book(10**9, 10**9)
    for protocol, share in (("compound_v2", 1.06 * (1 - 0.028)), ("venus_core", 1.06 - 0.06 * 0.3)):
        of_market = book.market(protocol).closing_terms()
        own = Pair(0.9, 2_000.0, 1_000.0, 5_000.0, 0.8, 1.06, float(of_market.fee[USDC]))
        terms = closing(of_market.code, of_market.parameters, own)
        assert terms.most_usd == pytest.approx(500.0)
        assert received(terms, 100.0) == pytest.approx(100.0 * share)
        without = closing(of_market.code, of_market.parameters, own._replace(bonus=1.0))
        assert without.bonus == 1.0, "no bonus, no error"


# --- where the contract goes other ways ---------------------------------------------------------------------------


def test_what_morpho_writes_off_is_what_the_collateral_does_not_repay() -> None:
    written_off: list[float] = []

    @settings(max_examples=70)
    @given(seeds)
    def law(seed: int) -> None:
        for case in cases("morpho_blue", seed, 0):
            settlement = case.book.market.settle(case.offer, case.offer.most_raw)
            lost = float(case.book.value(dict(settlement.deficits_raw)))
            unpaid = case.debt - accepted(case.terms, NO_LIMIT, case.debt, case.collateral)
            assert unpaid == pytest.approx(lost, rel=RELATIVE, abs=case.slack(settlement.terms) + RELATIVE * case.debt)
            written_off.append(lost)

    law()
    assert sum(lost > 0 for lost in written_off) >= 10
    assert 0 in written_off


def test_what_a_comet_s_reserves_lose_is_what_the_discounted_collateral_does_not_repay() -> None:
    seen: list[float] = []

    @settings(max_examples=70)
    @given(seeds)
    def law(seed: int) -> None:
        book: Any = BOOKS["compound_v3"](seed)
        book.move_prices(seed, 0.3, 1.2)
        market = book.market
        market._configuration = market._configuration._replace(target_reserves_raw=10**40)
        for account in book.accounts():
            if not market.is_liquidatable(account):
                continue
            debt, repaid = book.value(book.debts(account)), repayments(book, account)
            unpaid = float(debt) - sum(repaid.values())
            if unpaid < 1e-3 * debt:
                continue
            before = market.protocol_reserves_raw()
            market.settle(market.offers(account)[0], 0)
            for collateral, payment in repaid.items():
                # a little less, so that a price rounded to 8 decimals does not ask for more than there is
                amount = int(payment * (1 - RELATIVE) / float(book.price(BASE))) - 2
                if amount > 0:
                    assert not market.settle(Offer(-1, collateral, BASE, amount), amount).terms.refusal
            lost = float((before - market.protocol_reserves_raw()) * book.price(BASE))
            assert unpaid == pytest.approx(lost, abs=3 * RELATIVE * float(debt))
            seen.append(lost)

    law()
    assert len(seen) >= 10


def repayments(book: Any, account: int) -> dict[int, float]:
    """What is repaid of a Comet's account for each of its collaterals in turn, by the terms of compiled loops."""
    of_market, exposures = book.market.closing_terms(), book.market.exposures()
    supplies, left, repaid = book.supplies(account), float(book.value(book.debts(account))), {}
    for entry in range(exposures.offsets[account], exposures.offsets[account + 1]):
        r = int(exposures.reserve[entry])
        if r == BASE or not supplies[r]:
            continue
        worth = float(book.value({r: supplies[r]}))
        collateral = float(exposures.threshold[entry]), float(exposures.bonus[entry]), float(of_market.fee[r])
        terms = closing(of_market.code, of_market.parameters, Pair(0.5, left, left, worth, *collateral))
        repaid[r] = accepted(terms, NO_LIMIT, left, worth)
        left -= repaid[r]
    return repaid


def test_whoever_buys_of_a_comet_gets_the_bonus_of_the_terms() -> None:
    comet = simple_comet(10**18, 1_500 * 10**6)
    comet.reserves.price_raw[1] = 1_600 * 10**8
    market = comet.market()
    of_market, exposures = market.closing_terms(), market.exposures()
    # half of a penalty of 5 %
    pair = Pair(0.96, 1_498.5, 1_498.5, 1_600.0, 0.9, exposures.bonus[1], 0.0)
    terms = closing(of_market.code, of_market.parameters, pair)
    assert terms.bonus == pytest.approx(1 / 0.975)
    market.settle(market.offers(0)[0], 0)
    answer = market.terms(Offer(-1, 1, BASE, 0), 1_000 * 10**6)
    assert answer.received_raw / 1e18 * 1_600.0 == pytest.approx(received(terms, 999.0), rel=RELATIVE)
