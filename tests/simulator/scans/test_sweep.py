"""What many price vectors put at risk is what each of them puts at risk alone, and what the contracts' rules say."""

from __future__ import annotations

import random

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.errors import InputError
from protocols import compiled
from protocols.lending.interface import Exposures
from simulator.book import Book, Token, open_book, value
from simulator.scans import screen
from simulator.scans.sweep import LANES, AtRisk, at_risk, sweep_of, which
from tests.protocols.lending_books import BOOKS
from tests.simulator.books import ETH, Account, make_snapshot
from tests.simulator.scans.positions import random_positions

FloatArray = npt.NDArray[np.float64]
seeds = st.integers(0, 2**32)
BOOK = {
    "long": Account({"ETH": 10.0}, {"USD": 20_000.0}),
    "short": Account({"USD": 50_000.0}, {"ETH": 11.0}),
    "mixed": Account({"ETH": 3.0, "BTC": 0.2}, {"USD": 9_000.0, "DAI": 5_000.0}),
    "idle": Account({"BTC": 1.0}, {}),
}


def moved(prices: FloatArray, vectors: int, seed: int) -> FloatArray:
    """Price vectors around these prices, from a third to three times."""
    return prices * np.exp(np.random.default_rng(seed).uniform(-1.1, 1.1, (vectors, len(prices))))


def naive(exposures: Exposures, prices_usd: FloatArray) -> AtRisk:
    """The same, one vector after the other, as a book values its accounts."""
    rows = []
    for prices in prices_usd:
        found = value(exposures, prices)
        below = found.debt_usd > found.limit_usd
        dollars = (found.collateral_usd[below], found.debt_usd[below], found.bad_debt_usd)
        rows.append((below.sum(), *(amounts.sum() for amounts in dollars)))
    counted, *sums = zip(*rows, strict=True)
    return AtRisk(np.array(counted), *(np.array(each) for each in sums))


def assert_same(found: AtRisk, expected: AtRisk) -> None:
    assert found.liquidatable.tolist() == expected.liquidatable.tolist()
    for name in ("collateral_usd", "debt_usd", "bad_debt_usd"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-9, atol=1e-6, err_msg=name)


@given(seeds, st.sampled_from([1, LANES - 1, LANES, LANES + 1]), st.integers(0, 130))
def test_every_vector_is_answered_as_if_it_were_alone(seed: int, vectors: int, accounts: int) -> None:
    exposures, prices = random_positions(seed, accounts)
    vectors_usd = moved(prices, vectors, seed)
    assert_same(at_risk(exposures, vectors_usd), naive(exposures, vectors_usd))


@given(seeds, st.floats(1e-6, 0.3))
def test_what_a_bound_lets_go_is_not_at_risk(seed: int, width: float) -> None:
    # vectors close together, where bounds decide about almost every account
    exposures, prices = random_positions(seed)
    vectors_usd = prices * np.exp(np.random.default_rng(seed).uniform(-width, width, (40, len(prices))))
    assert_same(at_risk(exposures, vectors_usd), naive(exposures, vectors_usd))


@given(seeds)
def test_the_accounts_that_are_named_are_those_that_are_counted(seed: int) -> None:
    exposures, prices = random_positions(seed)
    vectors_usd = moved(prices, 30, seed)
    assert which(exposures, vectors_usd).sum(axis=1).tolist() == at_risk(exposures, vectors_usd).liquidatable.tolist()


def test_at_its_limit_exactly_an_account_is_healthy() -> None:
    # powers of two, so that nothing is rounded
    exposures = Exposures(
        offsets=np.array([0, 2, 4]),
        reserve=np.array([0, 1, 0, 1]),
        supplied=np.array([8.0, 0.0, 0.0, 4.0]),
        debt=np.array([0.0, 4.0, 2.0, 0.0]),
        threshold=np.array([0.5, 0.0, 0.0, 0.5]),
        ltv=np.array([0.5, 0.0, 0.0, 0.5]),
        bonus=np.array([1.25, 1.0, 1.0, 1.25]),
    )
    below, at, above = np.nextafter(1.0, 0.0), 1.0, np.nextafter(1.0, 2.0)
    vectors = np.array([[below, 1.0], [at, 1.0], [above, 1.0]])
    assert which(exposures, vectors).tolist() == [[True, False], [False, False], [False, True]]
    assert at_risk(exposures, vectors).liquidatable.tolist() == [1, 0, 1]


def test_the_number_of_threads_changes_no_bit() -> None:
    exposures, prices = random_positions(7, accounts=5_000, reserves=11)
    vectors_usd = moved(prices, 300, 7)
    answers = []
    for count in range(1, compiled.numba().config.NUMBA_NUM_THREADS + 1):
        with screen.workers(count):
            answers.append([column.tobytes() for column in at_risk(exposures, vectors_usd)])
    assert len(answers) > 1, "one core has nothing to compare"
    assert all(answer == answers[0] for answer in answers)


@pytest.mark.parametrize("protocol", BOOKS)
def test_beyond_rounding_the_sweep_says_what_the_protocols_own_rules_say(protocol: str) -> None:
    asked = liquidatable = 0
    for seed in range(30):
        market = BOOKS[protocol](seed).market
        draw = random.Random(seed)
        tokens = [Token(address, f"T{row}", 18) for row, address in enumerate(market.tokens)]
        outside = np.array([draw.uniform(0.5, 2_000.0) for _ in tokens])
        book = Book(tokens, [market], [], outside, 0, [])
        vectors = outside * np.exp([[draw.uniform(-0.6, 0.6) for _ in tokens] for _ in range(12)])
        book_prices, now = book.oracle_usd(0), [market.price_raw(row) for row in range(len(tokens))]
        found = which(market.exposures(), vectors / outside * book_prices)
        assert found.sum(axis=1).tolist() == sweep_of(book, vectors).at_risk[0].liquidatable.tolist()
        for vector, said in zip(vectors / outside, found, strict=True):
            # prices of a market are in its numeraire, whose own price is always one
            own = 1.0 if market.numeraire is None else vector[market.numeraire]
            for row, price in enumerate(now):
                if row != market.numeraire:
                    market.set_price(row, max(round(price * vector[row] / own), 1))
            at = np.array([market.price_raw(row) / market.price_unit(row) for row in range(len(tokens))])
            worth = value(market.exposures(), at * book.numeraire_usd(0) * own)
            gap = np.abs(worth.limit_usd - worth.debt_usd)
            # dust: some tokens of these books have so few decimals that one unit is worth dollars
            dust = 5.0 * max(1.0, book.numeraire_usd(0))
            clear = gap > screen.MARGIN * worth.debt_usd + dust
            for account in np.flatnonzero(clear):
                assert market.is_liquidatable(int(account)) == said[account]
                asked += 1
                liquidatable += int(said[account])
    assert asked > 300
    assert 0.05 * asked < liquidatable < 0.95 * asked


def test_todays_outside_prices_give_todays_state_even_where_an_oracle_is_off() -> None:
    book = open_book(make_snapshot(BOOK, pools=()))
    book.markets[0].set_price(0, round(ETH.price_usd * 0.7e8))
    found = sweep_of(book, book.outside_usd * np.array([[1.0], [1.5]]))
    expected = naive(book.markets[0].exposures(), book.oracle_usd(0) * np.array([[1.0], [1.5]]))
    assert_same(found.at_risk[0], expected)
    assert found.at_risk[0].liquidatable.tolist() == [1, 1]


def test_a_sweep_is_a_row_a_vector_and_market() -> None:
    book = open_book(make_snapshot(BOOK, pools=()))
    frame = sweep_of(book, np.stack([book.outside_usd, book.outside_usd * [0.5, 1.0, 1.0, 1.0]])).frame()
    assert list(frame) == ["scenario", "market", *AtRisk._fields]
    assert frame["scenario"].tolist() == [0, 1]
    assert frame["liquidatable"].tolist() == [0, 2]
    assert frame["collateral_usd"][1] == pytest.approx(13.0 * ETH.price_usd / 2 + 0.2 * 60777.11, rel=1e-6)


def test_a_reserve_whose_oracle_is_silent_counts_for_nothing() -> None:
    book = open_book(make_snapshot(BOOK, pools=()))
    book.markets[0].set_price(1, 0)
    (found,) = sweep_of(book, book.outside_usd * np.array([[1.0], [2.0]])).at_risk
    assert_same(found, naive(book.markets[0].exposures(), book.oracle_usd(0) * np.array([[1.0], [2.0]])))
    assert found.liquidatable.tolist() == [1, 1]


@pytest.mark.parametrize("price", [0.0, -1.0, np.nan, np.inf])
def test_what_is_no_price_is_refused(price: float) -> None:
    book = open_book(make_snapshot(BOOK, pools=()))
    vectors = np.stack([book.outside_usd, book.outside_usd])
    vectors[1, 2] = price
    with pytest.raises(InputError, match="not a positive number"):
        sweep_of(book, vectors)
    if price == 0.0:
        return
    with pytest.raises(InputError, match="no number from 0 on"):
        which(book.markets[0].exposures(), vectors)


def test_vectors_of_another_shape_are_refused() -> None:
    book = open_book(make_snapshot(BOOK, pools=()))
    with pytest.raises(InputError, match=r"of shape \(vectors, 4\).*these are of shape \(3, 2\)"):
        sweep_of(book, np.ones((3, 2)))
