"""The worth of claims solves their system: laws over random tables, and sizes that real ones will not reach."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from simulator.losses.claims import AT_ONCE, AT_WITHDRAWAL, NEVER, NOTHING, Claims, Shock


def claims(tokens: int, rows: list[tuple[int, int, float, float, str]]) -> Claims:
    """Claims of (token, underlying, backing, owed, rule), of equal worth within a token."""
    token, underlying, backing, owed, losses = (list(column) for column in zip(*rows, strict=True))
    count = np.bincount(token, minlength=tokens)
    return Claims(
        tokens,
        np.array(token),
        np.array(underlying),
        np.array(backing, dtype=np.float64),
        np.array(owed, dtype=np.float64),
        1.0 / count[token],
        ["issuer"] * len(rows),
        losses,
        [0] * len(rows),
        [0] * len(rows),
    )


@st.composite
def shocked(draw: Any) -> tuple[Claims, Shock]:
    tokens = draw(st.integers(2, 6))
    place = st.integers(0, tokens - 1)
    part = st.integers(0, 8).map(lambda eighths: eighths / 8)
    pairs = draw(st.lists(st.tuples(place, place | st.just(NOTHING)), min_size=1, max_size=10, unique=True))
    rows = []
    for token, underlying in pairs:
        owed = draw(st.integers(1, 8)) / 4
        rows.append(
            (token, underlying, owed * (1.0 + draw(part)), owed, draw(st.sampled_from([AT_ONCE, AT_WITHDRAWAL, NEVER])))
        )
    made = claims(tokens, rows)
    lost = np.array([draw(part) for _ in rows]) * made.backing
    minted, kept = (np.array([draw(part) for _ in range(tokens)]) for _ in range(2))
    return made, Shock(lost, minted, 1.0 - kept / 2)


def swept(made: Claims, shock: Shock, worth: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The worth of tokens from the worth of tokens, claim by claim, as the module's text says."""
    result = shock.kept.copy()
    for token in range(made.tokens):
        rows = made.rows_of(token)
        if not len(rows):
            continue
        paid = 0.0
        for row in rows:
            spared, under = made.losses[row] == NEVER, made.underlying[row]
            m = 1.0 if spared or under == NOTHING else worth[under]
            left = made.backing[row] * m - (0.0 if spared else shock.lost[row])
            paid += made.share[row] * float(np.clip(left / (made.owed[row] * (1.0 + shock.minted[token])), 0.0, 1.0))
        result[token] *= paid
    return result


@given(shocked())
def test_both_solutions_solve_it_and_bound_every_sweep_from_their_side(given_: tuple[Claims, Shock]) -> None:
    made, shock = given_
    marks = made.marks(shock)
    for worth in (marks.greatest, marks.least):
        assert np.allclose(swept(made, shock, worth), worth, atol=1e-9)
        assert ((worth >= 0.0) & (worth <= 1.0)).all()
    assert (marks.least <= marks.greatest + 1e-9).all()
    above, below = np.ones(made.tokens), np.zeros(made.tokens)
    for _ in range(50):
        above, below = swept(made, shock, above), swept(made, shock, below)
        assert (above >= marks.greatest - 1e-9).all()
        assert (below <= marks.least + 1e-9).all()


@given(shocked(), st.integers(0, 8))
def test_who_loses_more_is_worth_no_more(given_: tuple[Claims, Shock], eighths: int) -> None:
    made, shock = given_
    more = Shock(shock.lost + made.backing * eighths / 8, shock.minted, shock.kept)
    for less, now in zip(made.marks(more).__dict__.values(), made.marks(shock).__dict__.values(), strict=True):
        assert (less <= now + 1e-9).all()


def test_a_claim_follows_what_it_is_a_claim_on_unless_it_has_a_path_of_its_own() -> None:
    # 0 is no claim; 1 is on 0; 2 is half on 1, half off the chain; 3 is on 2; 4 and 5 are on each other
    rows = [(1, 0), (2, 1), (2, NOTHING), (3, 2), (4, 5), (5, 4)]
    made = claims(6, [(token, under, 1.0, 1.0, AT_ONCE) for token, under in rows])
    path = np.ones((3, 6))
    path[1:, 0] = 0.6, 1.5
    moved = made.carried(path, {0})
    assert moved[:, 1].tolist() == [1.0, 0.6, 1.5]
    assert moved[:, 2].tolist() == [1.0, 0.8, 1.25]
    assert moved[:, 3].tolist() == moved[:, 2].tolist()
    assert moved[:, 4:].tolist() == np.ones((3, 2)).tolist()
    own = made.carried(path, {0, 1})
    assert own[:, 1:].tolist() == np.ones((3, 5)).tolist()


def test_ten_thousand_claims_five_deep_are_marked_in_a_moment() -> None:
    size, wide = 10_000, 2_000
    made = claims(size, [(token, token + wide, 1.0, 1.0, AT_ONCE) for token in range(size - wide)])
    lost = np.zeros(size - wide)
    lost[-1] = 0.25
    began = time.perf_counter()
    marks = made.marks(Shock(lost, np.zeros(size), np.ones(size)))
    assert np.flatnonzero(marks.greatest < 1.0).tolist() == [wide * n - 1 for n in range(1, size // wide)]
    assert set(marks.greatest.tolist()) == {0.75, 1.0}
    assert time.perf_counter() - began < 10.0
