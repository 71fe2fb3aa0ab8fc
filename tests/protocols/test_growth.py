"""How much balances grow along a path, held to what the markets themselves say as time passes."""

from __future__ import annotations

import numpy as np
import pytest

from protocols.lending.growth import growth
from tests.protocols.lending_books import BOOKS

DAY = 86_400
RATES_OF_THEIR_OWN = ("aave_v2", "aave_v4")
"""Stable debts, and premiums that bear no interest."""


@pytest.mark.parametrize("protocol", BOOKS)
def test_balances_grow_as_the_market_lets_them_and_the_market_stays_as_it_is(protocol: str) -> None:
    grown = 0
    for seed in range(12):
        book = BOOKS[protocol](seed, 3_600)
        before, timestamps = book.market.state(), [book.now, book.now + DAY, book.now + 30 * DAY]
        was = book.market.exposures()
        factors = growth(book.market, timestamps)
        assert book.market.state() == before
        assert all((now == then).all() for now, then in zip(book.market.exposures(), was, strict=True))
        assert factors.supplied.shape == factors.debt.shape == (3, len(book.market.tokens))
        assert (factors.supplied[0] == 1.0).all()
        assert (factors.debt[0] == 1.0).all()
        for row, timestamp in enumerate(timestamps):
            book.market.advance(timestamp)
            now = book.market.exposures()
            for factor, later, then in (
                (factors.supplied[row], now.supplied, was.supplied),
                (factors.debt[row], now.debt, was.debt),
            ):
                pair = later, factor[was.reserve] * then
                if protocol in RATES_OF_THEIR_OWN:
                    pair = tuple(np.bincount(was.reserve, weights=part) for part in pair)
                np.testing.assert_allclose(*pair, rtol=1e-9)
                nobody = np.bincount(was.reserve, weights=then, minlength=len(factor)) == 0
                assert (factor[nobody] == 1.0).all()
                assert (factor >= 1.0 - 1e-12).all()
        grown += int((factors.debt[2] > 1.0).sum())
    assert grown > 0
