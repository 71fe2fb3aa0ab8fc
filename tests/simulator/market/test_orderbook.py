"""An order book gives what its law says, never more than it has, and forgets what was sold by its half-life."""

from __future__ import annotations

from itertools import pairwise
from math import exp, log, sqrt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from chain.errors import InputError
from protocols.amm.revert import Revert
from simulator.book import open_book
from simulator.market.orderbook import VOLATILITY_HALF_LIFE_S, OrderBook, order_books
from simulator.scenario import BookLaw, scenario_from
from tests.simulator.books import ETH, USD, make_snapshot

UNITS = (10**9, 10**6)
MID = 2_500.0
DEPTH = 8_000.0

LAWS: dict[str, dict[str, Any]] = {
    "linear": {"law": "linear"},
    "square_root": {"law": "square_root", "volatility": 0.05, "factor": 0.8, "depth": 500.0},
    "floored": {"law": "floored", "floor": 0.4},
}
laws = pytest.mark.parametrize("name", LAWS)


def book(name: str = "linear", **terms: Any) -> OrderBook:
    law = BookLaw.model_validate({"token": "A", "quote": "B", "depth": DEPTH} | LAWS[name] | terms)
    return OrderBook("book", ("0xa", "0xb"), UNITS, law, MID, 0)


def psi(name: str, sold: float) -> float:
    """The law as it is published."""
    if name == "linear":
        return sold / DEPTH
    if name == "square_root":
        return 0.8 * 0.05 * sqrt(sold / 500.0)
    return (1 - 0.4) * (1 - exp(-sold / ((1 - 0.4) * DEPTH)))


# --- the laws -------------------------------------------------------------------------------------------------------


@laws
@pytest.mark.parametrize("sold", [0.001, 1.0, 60.0, 900.0])
def test_a_sale_takes_the_price_to_where_the_law_says(name: str, sold: float) -> None:
    made = book(name)
    made.swap(0, 1, round(sold * UNITS[0]))
    assert made.price(0, 1) * UNITS[0] / UNITS[1] == pytest.approx(MID * (1 - psi(name, sold)), rel=1e-12)
    assert made.price(1, 0) == pytest.approx(1 / made.price(0, 1), rel=1e-12)


@laws
@pytest.mark.parametrize("sold", [1.0, 60.0, 900.0])
def test_a_sale_gets_every_price_it_passes_through(name: str, sold: float) -> None:
    received = book(name).swap(0, 1, round(sold * UNITS[0])).received_raw
    area, _ = quad(lambda q: 1 - psi(name, q), 0.0, sold, epsabs=0.0, epsrel=1e-12)
    assert received == pytest.approx(MID * area * UNITS[1], rel=1e-9)
    assert received <= MID * area * UNITS[1]


@laws
def test_a_purchase_raises_the_price_as_a_sale_lowers_it(name: str) -> None:
    up, down = book(name), book(name)
    fill = up.swap(1, 0, round(50_000.0 * UNITS[1]))
    down.swap(0, 1, fill.received_raw)
    rose, fell = (made.price(0, 1) * UNITS[0] / UNITS[1] / MID - 1 for made in (up, down))
    assert rose == pytest.approx(-fell, rel=1e-8)
    assert rose > 0


@laws
@given(first=st.integers(1, 400 * UNITS[0]), second=st.integers(1, 400 * UNITS[0]))
def test_two_sales_get_what_one_gets_but_for_a_unit_each(name: str, first: int, second: int) -> None:
    at_once, in_parts = book(name), book(name)
    whole = at_once.swap(0, 1, first + second).received_raw
    parts = [in_parts.quote(0, 1, amount).received_raw and in_parts.swap(0, 1, amount) for amount in (first, second)]
    got = sum(fill.received_raw for fill in parts if fill)
    assert got == pytest.approx(whole, rel=1e-9, abs=2)


@laws
@given(
    before=st.integers(-(10**6), 10**6),
    amount=st.integers(10**6, 10**12),
    back=st.floats(0.0, 1.0),
    spread=st.sampled_from([0.0, 0.001]),
)
def test_nobody_leaves_a_book_with_more_than_he_brought(
    name: str, before: int, amount: int, back: float, spread: float
) -> None:
    made = book(name, half_spread=spread)
    if before:
        # others have moved the price first, either way
        made.swap(*((0, 1) if before > 0 else (1, 0)), abs(before) * 10**5)
    out = made.swap(0, 1, amount)
    returned = made.quote(1, 0, out.received_raw)
    assert returned.received_raw <= out.paid_raw
    assert returned.received_raw == pytest.approx(out.paid_raw * (1 - spread) ** 2, rel=1e-2, abs=2 * UNITS[0] / MID)


@laws
@given(side=st.integers(0, 1), start=st.integers(10**6, 10**11), size=st.integers(10**7, 10**11))
def test_a_quote_is_concave_in_its_size(name: str, side: int, start: int, size: int) -> None:
    made = book(name)
    made.swap(side, 1 - side, start)
    for sold, amount in ((0, size), (1, size)):
        half, whole = (made.quote(sold, 1 - sold, part).received_raw for part in (amount // 2, amount))
        assert 2 * half >= whole - 2 - 1e-9 * whole
        assert made.quote(sold, 1 - sold, amount).received_raw <= amount * made.price(sold, 1 - sold)


@laws
def test_a_quote_changes_nothing_and_a_swap_keeps_to_it(name: str) -> None:
    made = book(name)
    for sold, amount in ((0, 3 * UNITS[0]), (1, 90_000 * UNITS[1]), (0, 44 * UNITS[0])):
        quoted = [made.quote(sold, 1 - sold, amount) for _ in range(2)]
        assert quoted[0] == quoted[1] == made.swap(sold, 1 - sold, amount)


def test_a_book_keeps_account_of_what_came_and_went() -> None:
    made = book(half_spread=0.002)
    sale, purchase = made.swap(0, 1, 5 * UNITS[0]), made.swap(1, 0, 3_000 * UNITS[1])
    assert made.net_raw == [sale.paid_raw - purchase.received_raw, purchase.paid_raw - sale.received_raw]


# --- its end --------------------------------------------------------------------------------------------------------


@laws
@pytest.mark.parametrize("sold", [0, 1])
def test_an_exhausted_book_takes_less_than_was_offered_and_then_nothing(name: str, sold: int) -> None:
    made = book(name)
    most = made.reserves_raw()[1 - sold]
    fill = made.swap(sold, 1 - sold, 10**20)
    assert 0 < fill.paid_raw < 10**20
    assert fill.received_raw == pytest.approx(most, rel=1e-8)
    assert fill.received_raw <= most
    assert made.quote(sold, 1 - sold, 10**20).received_raw <= 1e-6 * fill.received_raw
    # whoever comes from the other side finds it full
    assert made.quote(1 - sold, sold, 10 * UNITS[1 - sold]).received_raw > 0


def test_a_floored_book_never_goes_below_its_floor_and_an_empty_linear_one_has_no_price() -> None:
    floored, linear = book("floored"), book("linear")
    for made in (floored, linear):
        made.swap(0, 1, 10**20)
    assert 0.4 < floored.price(0, 1) * UNITS[0] / UNITS[1] / MID < 0.41
    assert linear.price(0, 1) == pytest.approx(0.0, abs=1e-12)


def test_what_is_too_small_for_a_unit_is_refused() -> None:
    assert book().quote(1, 0, 1).received_raw == book().quote(0, 1, 0).received_raw == 0
    with pytest.raises(Revert, match="empty"):
        book().swap(1, 0, 1)


def test_nobody_arbitrages_a_book_whose_mid_is_the_outside_price() -> None:
    assert book().trade_to(0, 1, 1e-9) is None


# --- time -----------------------------------------------------------------------------------------------------------


@laws
def test_half_of_what_a_sale_moved_is_gone_after_the_half_life(name: str) -> None:
    made = book(name, half_life_s=120.0)
    made.swap(0, 1, 60 * UNITS[0])
    fell = 1 - made.price(0, 1) * UNITS[0] / UNITS[1] / MID
    for halved in (2, 4, 8):
        made.advance(made._timestamp + 120)
        assert 1 - made.price(0, 1) * UNITS[0] / UNITS[1] / MID == pytest.approx(fell / halved, rel=1e-12)


@laws
def test_a_book_follows_the_outside_price_and_keeps_its_displacement(name: str) -> None:
    made = book(name)
    made.swap(0, 1, 60 * UNITS[0])
    before = made.price(0, 1)
    made.follow(0.9 * MID, 60.0)
    assert made.price(0, 1) == pytest.approx(0.9 * before, rel=1e-12)


@laws
def test_what_the_outside_price_takes_over_is_no_displacement_any_more(name: str) -> None:
    for share, left in ((0.0, 1.0), (0.25, 0.75), (1.0, 0.0), (1.5, 0.0)):
        made = book(name)
        made.swap(0, 1, 60 * UNITS[0])
        fell = made.price(0, 1) * UNITS[0] / UNITS[1] / MID
        made.absorb(share * log(fell))
        assert made.price(0, 1) * UNITS[0] / UNITS[1] / MID == pytest.approx(fell**left, rel=1e-12)


def test_depth_is_inverse_to_realised_volatility_and_comes_back_as_that_calms() -> None:
    made = book("linear", volatility=0.04)
    assert made.depth == DEPTH
    # steady moves of 1 % a minute are 38 % a day: after many memories that is the realised volatility
    mid = MID
    for minute in range(600):
        mid *= 1.01 if minute % 2 else 1 / 1.01
        made.follow(mid, 60.0)
    realised = log(1.01) * sqrt(1440)
    assert made.depth == pytest.approx(DEPTH * 0.04 / realised, rel=1e-3)
    calmer = [made.depth]
    for _ in range(3):
        made.follow(mid, VOLATILITY_HALF_LIFE_S)
        calmer.append(made.depth)
    assert [b / a for a, b in pairwise(calmer)] == pytest.approx([sqrt(2)] * 3, rel=1e-12)
    for _ in range(40):
        made.follow(mid, VOLATILITY_HALF_LIFE_S)
    assert made.depth == DEPTH


def test_a_sale_into_a_crisis_moves_the_price_more() -> None:
    for name in LAWS:
        calm, crisis = (book(name, volatility=0.05) for _ in range(2))
        crisis.follow(0.8 * MID, 600.0)
        falls = []
        for made in (calm, crisis):
            was = made.price(0, 1)
            made.swap(0, 1, 20 * UNITS[0])
            falls.append(1 - made.price(0, 1) / was)
        assert falls[1] > 1.5 * falls[0]


def test_a_book_without_a_volatility_keeps_its_depth() -> None:
    made = book("linear")
    made.follow(0.5 * MID, 60.0)
    assert made.depth == DEPTH


# --- as scenarios declare it ----------------------------------------------------------------------------------------


def test_a_declared_book_starts_at_the_outside_price() -> None:
    whole = open_book(make_snapshot({}, ()))
    law = BookLaw(token="eth", quote=USD.address, law="linear", depth=100.0)
    (made,) = order_books(whole, [law])
    assert made.tokens == (ETH.address, USD.address)
    assert made.price(0, 1) == pytest.approx(ETH.price_usd / USD.price_usd * USD.unit / ETH.unit, rel=1e-12)
    with pytest.raises(InputError, match=r"venues\.books\.0: the snapshot has no token DOGE"):
        order_books(whole, [law.model_copy(update={"token": "DOGE"})])


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ({"law": "square_root"}, "the square-root law needs a volatility"),
        ({"law": "linear", "floor": 0.3}, "only the floored law has a floor"),
        ({"law": "floored", "factor": 2.0}, "only the square-root law has a factor"),
        ({"law": "linear", "quote": "eth"}, "token and quote are the same"),
        ({"law": "cubic"}, "law"),
        ({"law": "linear", "depth": 0.0}, "depth"),
    ],
)
def test_a_book_that_is_none_is_refused_by_its_field(terms: dict[str, Any], said: str) -> None:
    content = {"token": "ETH", "quote": "USD", "depth": 10.0} | terms
    with pytest.raises(InputError, match=rf"venues\.books\.0.*{said}"):
        scenario_from({"name": "x", "step_s": 60, "steps": 1, "venues": {"books": [content]}}, "test")
