"""What the reader brings from recorded Pendle markets is what their own views say, and goes on as the contracts did.

Markets of versions 3 and 7, made by their factories and traded with for two days, one of them at a fee that Pendle's
router alone pays. Swaps were then made on a fork with those that the reader takes, through their SY, past the expiry of
one of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
from eth_abi.abi import encode as abi_encode

from chain.calls import Call, encode, read
from chain.errors import UnsupportedError
from chain.fork import Receipt, Reverted
from chain.node import Node
from chain.snapshot import Snapshot
from protocols.amm.pendle.onfork import OnFork
from protocols.amm.pendle.pool import PT, TOKEN, PendleMarket
from protocols.amm.pendle.reader import _STATE, ROUTER, read_deployment
from protocols.amm.pendle.tables import MARKETS, load
from protocols.amm.revert import Revert
from tests.protocols.recorded_chain import load_recording
from tests.protocols.recorded_swaps import RecordedFork, read_recorded, replay, snapshot_of, swaps_of

RECORDING = load_recording("pendle")
ADDRESS = RECORDING["pools"]
NAME = {address: name for name, address in ADDRESS.items()}
READ = {"dollars": 1, "vault": 7, "bitcoin": 7}
LISTED = ("USD", "ETH", "BTC", "vETH", *(f"PT {name}" for name in ADDRESS if name != "unlisted"))


@pytest.fixture(scope="module")
def recorded() -> Iterator[tuple[Node, Snapshot]]:
    with read_recorded(RECORDING, read_deployment, "pendle", RECORDING["factories"], LISTED) as found:
        yield found


@pytest.fixture
def markets(recorded: tuple[Node, Snapshot]) -> dict[str, PendleMarket]:
    return {market.name: market for market in load(recorded[1])}


def test_the_markets_of_listed_principal_tokens_are_found_in_both_versions_and_an_empty_one_left_out(
    recorded: tuple[Node, Snapshot],
) -> None:
    assert {NAME[row["market"]]: row["version"] for row in recorded[1].tables[MARKETS.name].rows()} == READ


def test_what_is_left_out_is_named_with_the_reason(recorded: tuple[Node, Snapshot]) -> None:
    notes = " / ".join(sorted(recorded[1].notes))
    for name, reason in (
        ("expired", "it has expired"),
        ("stranger", f"no lending market lists {RECORDING['tokens']['OTHER']}"),
        ("strange", f"does not give its yield token ({RECORDING['tokens']['ETH']}) one for one"),
    ):
        assert any(ADDRESS[name] in note and reason in note for note in recorded[1].notes), notes
    assert len(recorded[1].notes) == 3


def test_a_market_that_the_deployment_lists_is_refused_if_its_sy_is_strange_and_read_if_not() -> None:
    addresses = {"mine": ADDRESS["dollars"]}
    with read_recorded(RECORDING, read_deployment, "pendle", addresses, LISTED) as (_, snapshot):
        assert [market.name for market in load(snapshot)] == [ADDRESS["dollars"]]
    addresses |= {"strange": ADDRESS["strange"]}
    with (
        pytest.raises(UnsupportedError, match=ADDRESS["strange"]),
        read_recorded(RECORDING, read_deployment, "pendle", addresses, LISTED),
    ):
        pass


def test_a_market_whose_sy_does_not_answer_is_left_out_and_the_others_read() -> None:
    calls = RECORDING["calls"]
    silent = RecordedFork(RECORDING).read(Call(ADDRESS["dollars"], "readTokens()(address,address,address)"))[0]
    mute: dict[str, Any] = defaultdict(lambda: {"revert": "0x"})
    with read_recorded(
        {**RECORDING, "calls": {**calls, silent: mute}}, read_deployment, "pendle", RECORDING["factories"], LISTED
    ) as (_, snapshot):
        assert {NAME[market.name] for market in load(snapshot)} == READ.keys() - {"dollars"}
        assert any(ADDRESS["dollars"] in note and silent in note for note in snapshot.notes)


def test_every_market_is_what_its_views_say(recorded: tuple[Node, Snapshot], markets: dict[str, PendleMarket]) -> None:
    node = recorded[0]
    block = node.pin(RECORDING["block"])
    for market in markets.values():

        def view(contract: str, signature: str, *arguments: Any) -> Any:
            return read(node, block, [Call(contract, signature, arguments)])[0]

        state, terms = market.state, market.terms
        total_pt, total_sy, _, _, scalar_root, expiry, fee, percent, rate = view(market.name, _STATE, ROUTER)
        assert state == (total_pt, total_sy, rate)
        sy, pt, yt = view(market.name, "readTokens()(address,address,address)")
        assert market.tokens == (pt, view(sy, "yieldToken()(address)"))
        assert terms[:4] == (scalar_root, expiry, fee, percent)
        assert terms.py_index == view(yt, "pyIndexCurrent()(uint256)")
        assert market.now == RECORDING["timestamp"]
    index = markets[ADDRESS["vault"]].terms.py_index
    assert index > 10**18


def test_the_fee_is_what_pendle_s_router_pays_and_not_everybody(
    recorded: tuple[Node, Snapshot], markets: dict[str, PendleMarket]
) -> None:
    node = recorded[0]
    block = node.pin(RECORDING["block"])
    calls = [Call(ADDRESS[name], _STATE, (RECORDING["stranger"],)) for name in READ]
    others = {name: state[6] for name, state in zip(READ, read(node, block, calls), strict=True)}
    ours = {name: markets[ADDRESS[name]].terms.ln_fee_rate_root for name in READ}
    assert ours.pop("vault") < others.pop("vault")
    assert ours == others


def test_every_swap_made_on_the_fork_gives_what_it_gave_there(markets: dict[str, PendleMarket]) -> None:
    assert replay(RECORDING, markets) == 58
    for market in markets.values():
        assert [str(value) for value in market.state] == RECORDING["end"][market.name]


def test_what_the_contracts_refused_then_is_refused_with_the_same_reason(markets: dict[str, PendleMarket]) -> None:
    replay(RECORDING, markets)
    reasons = []
    for event in RECORDING["refused"]:
        with pytest.raises(Revert) as caught:
            markets[event["pool"]].swap(PT, TOKEN, int(event["amount"]))
        reasons.append(str(caught.value))
    assert reasons == [event["reason"] for event in RECORDING["refused"]]
    assert set(reasons) == {"MarketProportionTooHigh", "MarketZeroNetLPFee", "MarketExpired"}


class MarketOnFork(RecordedFork):
    """A fork that answers as recorded; its SY gives one for one, and its market no more PT than recorded."""

    def transact(self, sender: str, call: Call) -> Receipt:
        contract, data = call.args
        if data[:4] == BUY and int.from_bytes(data[36:68], "big") > self.returns:
            raise Reverted(contract, "0x")
        super().transact(sender, call)
        return Receipt(abi_encode(["bytes"], [abi_encode(["uint256"] * 2, [self.returns, 7])]), ())


BUY = encode(Call(ROUTER, "swapSyForExactPt(address,uint256,bytes)()", (ROUTER, 0, b"")))[:4]


def test_the_hand_asks_for_the_swap_of_the_row_as_the_router_and_passes_through_the_sy(
    markets: dict[str, PendleMarket],
) -> None:
    fork = MarketOnFork(RECORDING)
    contract = OnFork(fork)  # type: ignore[arg-type]
    for event, row in swaps_of(RECORDING, markets):
        fork.returns, fork.sent = int(event["received"]), []
        market, paid = row["venue"], row["amount_raw"]
        assert contract.swap(row | {"received_raw": fork.returns}) == (paid, fork.returns)
        assert fork.dealt[-1] == (row["token_in"], paid)
        sy, *_ = fork.read(Call(market, "readTokens()(address,address,address)"))
        if event["i"] == PT:
            asked = [
                Call(row["token_in"], "transfer(address,uint256)()", (market, paid)),
                Call(market, "swapExactPtForSy(address,uint256,bytes)()", (ROUTER, paid, b"")),
                Call(sy, "redeem(address,uint256,address,uint256,bool)()",
                     (ROUTER, fork.returns, row["token_out"], 0, False)),
            ]  # fmt: skip
        else:
            asked = [
                Call(sy, "deposit(address,address,uint256,uint256)()", (ROUTER, row["token_in"], paid, 0)),
                Call(market, "skim()()"),
                Call(sy, "transfer(address,uint256)()", (market, fork.returns)),
                Call(market, "swapSyForExactPt(address,uint256,bytes)()", (ROUTER, fork.returns, b"")),
            ]
        assert fork.sent == [(call.target, encode(call)) for call in asked]


def test_a_market_that_gives_one_more_than_the_run_says_is_noticed(markets: dict[str, PendleMarket]) -> None:
    fork = MarketOnFork(RECORDING)
    contract = OnFork(fork)  # type: ignore[arg-type]
    row = next(row for event, row in swaps_of(RECORDING, markets) if event["i"] == TOKEN)
    fork.returns = 1001
    assert contract.swap(row | {"received_raw": 1000}) == (row["amount_raw"], 1001)


def test_a_snapshot_without_markets_has_none() -> None:
    assert load(snapshot_of({}, RECORDING)) == []
