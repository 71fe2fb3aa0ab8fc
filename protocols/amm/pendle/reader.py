"""Reads Pendle markets at a pinned block: their state, the fee that Pendle's router pays, and the index of the yield.

Markets are those that the deployment lists, and those whose creation its factories logged, for the principal tokens
that lending markets list. Of these it takes those whose SY gives and takes its yield token one for one. Other ways out
of an SY (a vault's redemption, a rebasing token's balance) are exchanges of their own, at rates that move.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from chain.calls import Call, CallFailed
from chain.deployments import Deployment
from chain.errors import UnsupportedError
from chain.node import Block, Node, Progress
from protocols.amm.pendle.tables import EARLY, MARKETS, VERSIONS
from protocols.asking import NOBODY, Source
from protocols.reading import Reading, Rows

FACTORY = "factory"
"""What the role of a factory in a deployment begins with. Every other address there is a market."""

ROUTER = "0x888888888889758f76e7103c6cbf23abbf58f946"
"""Pendle's router, the same on every chain. Factories grant fees to those who call, and anybody may call it."""

# keccak256("CreateNewMarket(address,address,int256,int256)"), and with a fee of its own, since version 3
CREATED = (
    "0x166ae5f55615b65bbd9a2496e98d4e4d78ca15bd6127c0fe2dc27b76f6c03143",
    "0xae811fae25e2770b6bd1dcb1475657e8c3a976f91d1ebf081271db08eef920af",
)

_STATE = "readState(address)((int256,int256,int256,address,int256,uint256,uint256,uint256,uint256))"
_PREVIEWS = ("previewRedeem", "previewDeposit")


def read_deployment(
    node: Node, block: Block, deployment: Deployment, tokens: Sequence[str], progress: Callable[[str], Progress]
) -> Reading:
    """The markets of some of the tokens that are not empty and have not expired.

    Parameters
    ----------
    deployment
        Its address book entry: ``factory…`` for each version of the factories, and markets by any other name.

    Raises
    ------
    UnsupportedError
        If a market that the deployment lists is of another version, or its SY does not give its yield token one for
        one. One that a factory made is left out, with a note.
    """
    source = Source(node, block, deployment, progress)
    factories = [address for role, address in deployment.addresses.items() if role.startswith(FACTORY)]
    listed = {address for role, address in deployment.addresses.items() if not role.startswith(FACTORY)}
    made = source.scan(factories, (CREATED,), "looking for Pendle markets") if factories else []
    wanted = {"0x" + log.topics[1][-40:] for log in made if "0x" + log.topics[2][-40:] in tokens}
    rows: Rows = []
    notes: list[str] = []

    def leave_out(market: str, reason: str) -> None:
        if market in listed:
            raise UnsupportedError(
                f"Pendle market {market} of {deployment.name} {reason}; take it out of the deployment"
            )
        notes.append(f"Pendle market {market} is left out: it {reason}")

    for row, sy, exact in _rows(source, sorted(listed | wanted)):
        market = row["market"]
        if row["version"] not in VERSIONS:
            leave_out(
                market, f"is of version {row['version']}, and there are rules for {', '.join(map(str, VERSIONS))}"
            )
        elif row["expiry"] <= block.timestamp:
            notes.append(f"Pendle market {market} is left out: it has expired, and trades no more")
        elif not exact:
            leave_out(market, f"has an SY ({sy}) that does not give its yield token ({row['token']}) one for one")
        elif strangers := [token for token in (row["pt"], row["token"]) if token not in tokens]:
            notes.append(f"Pendle market {market} is left out: no lending market lists {strangers[0]}")
        elif row["total_pt_raw"] and row["total_sy_raw"]:
            rows.append(row)
    return Reading((), {MARKETS: rows}, notes)


def _rows(source: Source, markets: Sequence[str]) -> list[tuple[dict[str, Any], str, bool]]:
    """Each market's row, its SY, and whether that gives and takes its yield token one for one."""
    told = source.columns(
        {
            "state": [Call(market, _STATE, (ROUTER,)) for market in markets],
            "tokens": [Call(market, "readTokens()(address,address,address)") for market in markets],
            "version": [Call(market, "VERSION()(uint256)") for market in markets],
        },
        may_fail=("version",),
    )
    sys, yts = ([tokens[place] for tokens in told["tokens"]] for place in (0, 2))
    told |= source.columns(
        {
            "inside": [Call(sy, "yieldToken()(address)") for sy in sys],
            "rate": [Call(sy, "exchangeRate()(uint256)") for sy in sys],
            "index": [Call(yt, "pyIndexStored()(uint256)") for yt in yts],
        },
        may_fail=("inside", "rate"),  # anybody may make an SY
    )
    inside = [NOBODY if isinstance(token, CallFailed) else token for token in told["inside"]]
    current = [0 if isinstance(rate, CallFailed) else rate for rate in told["rate"]]
    amounts = [(1, state[1] // 7 + 1, state[1] + 1) for state in told["state"]]
    previews = source.columns(
        {
            name: [
                Call(sy, f"{name}(address,uint256)(uint256)", (token, amount))
                for sy, token, asked in zip(sys, inside, amounts, strict=True)
                for amount in asked
            ]
            for name in _PREVIEWS
        },
        may_fail=_PREVIEWS,
    )
    found = []
    for n, (market, state, (sy, pt, _)) in enumerate(zip(markets, told["state"], told["tokens"], strict=True)):
        total_pt, total_sy, _, _, scalar_root, expiry, fee, percent, rate = state
        version = told["version"][n]
        row = {
            "market": market,
            "version": EARLY if isinstance(version, CallFailed) else version,
            "pt": pt,
            "token": inside[n],
            "scalar_root_wad": scalar_root,
            "expiry": expiry,
            "ln_fee_rate_root_wad": fee,
            "reserve_fee_percent": percent,
            # pyIndexCurrent writes, so that it cannot be asked along with others; it never falls
            "py_index_wad": max(current[n], told["index"][n]),
            "total_pt_raw": total_pt,
            "total_sy_raw": total_sy,
            "last_ln_implied_rate_wad": rate,
        }
        asked = list(amounts[n])
        told_back = [previews[name][n * len(asked) : (n + 1) * len(asked)] for name in _PREVIEWS]
        exact = all(answers == asked for answers in told_back) and current[n] > 0
        found.append((row, sy, exact))
    return found
