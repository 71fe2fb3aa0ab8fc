"""The rules of proposals, and what they are fed, against figures worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from chain.errors import InputError
from simulator.book import open_book
from simulator.onboarding import rules
from simulator.onboarding.depth import Depth
from simulator.onboarding.falls import deepest, fall_within, loans, noise
from simulator.onboarding.holders import holders
from tests.simulator import plain

DEPTH = 1e6


def test_at_the_proposed_bonus_a_liquidation_just_pays() -> None:
    for loss, fee, flash, gas in [(0.03, 0.1, 0.0005, 0.001), (0.0, 0.0, 0.0, 0.002), (0.1, 0.5, 0.0, 0.0)]:
        share = rules.bonus(loss, fee, flash, gas)
        assert (1 + share * (1 - fee)) * (1 - loss) == pytest.approx(1 + flash + gas)
    assert rules.bonus(0.0, 0.1, 0.0, 0.0) == 0.0
    for loss, fee in [(1.0, 0.1), (0.1, 1.0)]:
        with pytest.raises(InputError, match="no bonus pays"):
            rules.bonus(loss, fee, 0.0, 0.0)


def test_the_loss_that_a_bonus_pays_for_is_the_bonus_the_other_way_round() -> None:
    assert rules.loss_that_pays(rules.bonus(0.04, 0.1, 0.0005, 0.0), 0.1, 0.0005) == pytest.approx(0.04)
    # 5 %, of which the protocol keeps a tenth: 4.5 % more, or 4.31 % of what is received
    assert rules.loss_that_pays(0.05, 0.1, 0.0) == pytest.approx(0.0431, abs=5e-5)
    assert rules.loss_that_pays(0.0, 0.1, 0.01) == 0.0


def test_at_the_proposed_threshold_a_late_liquidation_just_repays_the_debt() -> None:
    share = rules.threshold(fall=0.1, deviation=0.01, bonus_share=0.05)
    left = 1.0 * (1 - 0.1) * (1 - 0.01)
    assert left == pytest.approx(share * 1.05)
    assert rules.threshold(0.0, 0.0, 0.05) == pytest.approx(0.952381, abs=1e-6)
    assert rules.ltv(0.8, 0.1) == pytest.approx(0.72)


def test_proposals_are_rounded_to_the_safe_side_and_stay_where_they_are_round() -> None:
    assert [rules.down(share) for share in (0.8249, 0.825, 0.8299, -0.1)] == [0.82, 0.825, 0.825, 0.0]
    assert [rules.up(share) for share in (0.0501, 0.05, 0.0549, 0.0)] == [0.055, 0.05, 0.055, 0.0]


# --- depth ----------------------------------------------------------------------------------------------------------


def test_depth_is_that_of_the_constant_product() -> None:
    """Selling D into reserves x, x y = k, brings D y / (x + D): D / (x + D) of it is lost."""
    pool = plain.constant_product("COL", "OWED", DEPTH)
    book = open_book(plain.without_fee(plain.aave({"a": (100.0, 50.0)}, pools=[pool])))
    depth = Depth(book, *(book.token_row[name] for name in ("0xcol", "0xowed")))
    for amount in (1e3, 1e5, 3e6):
        assert depth.loss(amount) == pytest.approx(amount / (DEPTH + amount), rel=1e-5)
        assert depth.brings(amount) == pytest.approx(amount * DEPTH / (DEPTH + amount), rel=1e-5)
    for loss in (0.01, 0.2, 0.5):
        assert depth.most(loss) == pytest.approx(DEPTH * loss / (1 - loss), rel=1e-4)


def test_where_no_pool_is_nothing_can_be_sold() -> None:
    book = open_book(plain.aave({"a": (100.0, 50.0)}))
    depth = Depth(book, *(book.token_row[name] for name in ("0xcol", "0xowed")))
    assert depth.loss(10.0) == 1.0
    assert depth.most(0.5) == 0.0


# --- falls and loans ------------------------------------------------------------------------------------------------


def test_falls_are_quantiles_of_the_price_at_a_step_and_at_its_lowest() -> None:
    falls = np.linspace(0.0, 0.5, 2001)
    ratio = np.stack([np.ones(2001), 1.0 - falls, 1.0 - falls / 2], axis=1)
    assert fall_within(ratio, 1, 0.95).value == pytest.approx(0.475, abs=1e-3)
    assert fall_within(ratio, 2, 0.95).value == pytest.approx(0.2375, abs=1e-3)
    assert deepest(ratio, 0.9).value == pytest.approx(0.45, abs=1e-3)
    moves = np.tile([1.0, math.exp(-0.02)], 500)
    assert noise(np.stack([np.ones(1000), moves], axis=1), 1) == pytest.approx(0.01)


def test_a_loan_is_liquidated_where_the_price_passes_its_threshold_and_lost_where_it_falls_on() -> None:
    # LTV 0.7, threshold 0.8: liquidatable below 0.875, lost below 0.7 * 1.05 = 0.735
    paths = np.array(
        [
            [1.0, 0.9, 0.9, 0.9],
            [1.0, 0.8, 0.9, 0.9],
            [1.0, 0.8, 0.7, 0.9],
            [1.0, 0.7, 0.9, 0.9],
            [1.0, 0.9, 0.9, 0.8],
            [1.0, 0.9, 0.9, 0.7],
        ]
    )
    at_once, later = loans(paths, 0.7, 0.8, 0.05, 1), loans(paths, 0.7, 0.8, 0.05, 2)
    assert (at_once.of, at_once.liquidated, at_once.lost) == (6, 5, 2)
    # a step later the third has fallen and the fourth has risen again
    assert (later.liquidated, later.lost) == (5, 2)
    assert at_once.chance.value == pytest.approx(5 / 6)
    assert at_once.chance_lost.low < 2 / 6 < at_once.chance_lost.high


def test_holders_are_counted_by_what_they_pledge() -> None:
    book = open_book(plain.aave({"a": (300.0, 50.0), "b": (100.0, 50.0)}))
    found = holders(book, book.token_row["0xcol"])
    assert (found.accounts, found.pledged, found.largest) == (2, pytest.approx(400.0), pytest.approx(300.0))
    assert found.concentration == pytest.approx(0.75**2 + 0.25**2)
    assert holders(book, book.token_row["0xowed"]) == (0, 0.0, 0.0, 0.0)
