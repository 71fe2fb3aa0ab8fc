"""Claims are looked through to what they are claims on: rates multiply, shares add up, circles come to an end."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.errors import InputError
from chain.snapshot import CLAIMS
from chain.tables import Table
from simulator.book import open_book
from simulator.graph.claims import Claims, read_claims
from tests.simulator.graph.toys import Claim, Coin, Toy, snapshot_of


def claims_of(toy: Toy) -> Claims:
    snapshot = snapshot_of(toy)
    book = open_book(snapshot)
    return read_claims(snapshot, book.tokens, book.outside_usd)


CHAIN = Toy(
    coins=(Coin("ETH", 2_000.0), Coin("stETH"), Coin("vault", decimals=6), Coin("USD", 1.0, 6)),
    claims=(Claim("stETH", "ETH", 1.25, 40.0, "lido"), Claim("vault", "stETH", 3.0, 7.0, "curator")),
)
ETH, STETH, VAULT, USD = range(4)


def test_the_rates_of_a_path_of_claims_multiply() -> None:
    amounts = claims_of(CHAIN).amounts.toarray()
    assert amounts[VAULT, ETH] == pytest.approx(3.75, rel=1e-12)
    assert amounts[VAULT, STETH] == pytest.approx(3.0, rel=1e-12)
    assert amounts[USD, USD] == 1.0
    assert amounts[ETH, VAULT] == 0.0


def test_what_no_oracle_prices_is_worth_what_it_is_a_claim_on() -> None:
    assert open_book(snapshot_of(CHAIN)).outside_usd.tolist() == pytest.approx([2_000.0, 2_500.0, 7_500.0, 1.0])


def test_a_token_without_a_price_or_a_claim_that_gives_one_is_refused() -> None:
    with pytest.raises(InputError, match="no oracle of the snapshot prices lonely"):
        open_book(snapshot_of(Toy(coins=(Coin("lonely"),))))


def test_depth_is_the_longest_path_down() -> None:
    claims = [*CHAIN.claims, Claim("mixed", "ETH", 0.5, 1.0, "x"), Claim("mixed", "vault", 0.25, 1.0, "x")]
    toy = Toy(coins=(*CHAIN.coins, Coin("mixed")), claims=claims)
    assert claims_of(toy).depth.tolist() == [0, 1, 2, 0, 3]


def test_a_claim_on_several_things_is_split_by_their_worth() -> None:
    toy = Toy(
        coins=(Coin("ETH", 2_000.0), Coin("USD", 1.0, 6), Coin("lp", decimals=9)),
        claims=(Claim("lp", "ETH", 0.5, 3.0, "pool"), Claim("lp", "USD", 3_000.0, 3.0, "pool")),
    )
    assert claims_of(toy).bases.toarray()[2].tolist() == pytest.approx([0.25, 0.75, 0.0])


def test_what_is_partly_off_the_chain_is_partly_its_own_base() -> None:
    toy = Toy(
        coins=(Coin("USD", 1.0, 6), Coin("fund", 4.0)),
        claims=(Claim("fund", "USD", 1.0, 3.0, "manager"), Claim("fund", "", 0.0, 3.0, "manager")),
    )
    assert claims_of(toy).bases.toarray()[1].tolist() == pytest.approx([0.25, 0.75])


def test_claims_on_each_other_alone_are_bases_and_with_a_leak_they_are_not() -> None:
    coins = (Coin("USD", 1.0, 6), Coin("xUSD", 1.0), Coin("deUSD", 1.0))
    closed = (Claim("xUSD", "deUSD", 1.0, 5.0, "x"), Claim("deUSD", "xUSD", 1.0, 5.0, "e"))
    found = claims_of(Toy(coins=coins, claims=closed))
    assert found.bases.toarray().tolist() == np.eye(3).tolist()
    # 40 % of xUSD is dollars: whatever goes round, dollars come out in the end
    leaking = (Claim("xUSD", "deUSD", 0.6, 5.0, "x"), Claim("xUSD", "USD", 0.4, 5.0, "x"), closed[1])
    found = claims_of(Toy(coins=coins, claims=leaking))
    assert found.bases.toarray()[1:, 0].tolist() == pytest.approx([1.0, 1.0])
    assert found.depth.tolist() == [0, 2, 2]


def test_a_claim_on_a_token_that_the_snapshot_does_not_have_is_refused_by_row() -> None:
    snapshot = snapshot_of(CHAIN)
    rows = snapshot.tables[CLAIMS.name].rows()
    rows[1]["underlying"] = "0xstranger"
    broken = replace(snapshot, tables={**snapshot.tables, CLAIMS.name: Table.from_rows(CLAIMS, rows)})
    with pytest.raises(InputError, match="table claims, row 1: 0xstranger is not in table tokens"):
        read_claims(broken, open_book(snapshot).tokens, open_book(snapshot).outside_usd)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_token_is_wholly_a_claim_on_base_assets(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, 7))
    claims = []
    for token in range(1, size):
        below = data.draw(st.lists(st.integers(0, token - 1), unique=True, max_size=3))
        claims += [Claim(f"t{token}", f"t{u}", data.draw(st.floats(0.01, 9.0)), 1.0, f"i{token}") for u in below]
    toy = Toy(coins=[Coin(f"t{n}", 1.5 + n, 6 + n) for n in range(size)], claims=claims)
    found = claims_of(toy)
    assert np.asarray(found.bases.sum(axis=1)).ravel() == pytest.approx(np.ones(size), rel=1e-9)
    is_base = np.array([all(c.token != f"t{n}" for c in claims) for n in range(size)])
    assert not found.bases.toarray()[:, ~is_base].any()
    assert found.depth[is_base].tolist() == [0] * int(is_base.sum())
    assert (found.depth[~is_base] > 0).all()
