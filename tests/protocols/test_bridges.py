"""What canonical bridges hold of a token is read for each of them, on the chain where they are."""

from __future__ import annotations

from typing import Any

from chain.calls import Call, encode
from chain.node import Node
from protocols.bridges import ESCROWS, walk_escrows
from protocols.reading import Rows
from protocols.walking import walked
from tests.chain.jsonrpc_server import FakeChain, JsonRpcServer
from tests.protocols.made_up_contracts import BLOCK, contract

TOKEN, OTHER = "0x" + "a1" * 20, "0x" + "b2" * 20
HOLDS = "balanceOf(address)(uint256)"
BASE, PREDICATE = "0x3154cf16ccdb4c6d922629664174b904d80f2c35", "0x40ec5b33f54e0e8a33a975908c5ba1c14e5bbbdf"


def escrows(held: dict[str, int], chain_id: int = 1) -> tuple[Rows, int]:
    """The rows of a token of which escrows hold so much and of one that does not answer; and how many requests."""
    told = {encode(Call("", HOLDS, (escrow,))): contract({HOLDS: amount}) for escrow, amount in held.items()}
    nothing = contract({HOLDS: 0})

    def token(data: bytes, sent: int) -> Any:
        return told.get(data, nothing)(data, sent)

    chain = FakeChain(contracts={TOKEN: token, OTHER: contract({})})
    with JsonRpcServer(chain) as server, Node(server.url, cache_dir=None) as node:
        block = node.pin(BLOCK)
        before = node.http_requests
        return walked(node, block, walk_escrows(chain_id, [TOKEN, OTHER])), node.http_requests - before


def test_a_token_has_a_row_for_each_escrow_that_holds_some() -> None:
    rows, _ = escrows({BASE: 700, PREDICATE: 30})
    assert rows == [
        {"token": TOKEN, "escrow": BASE, "bridged_to": "Base", "held_raw": 700},
        {"token": TOKEN, "escrow": PREDICATE, "bridged_to": "Polygon PoS", "held_raw": 30},
    ]


def test_where_no_bridge_is_known_nothing_is_asked() -> None:
    assert escrows({BASE: 700}, chain_id=7) == ([], 0)


def test_every_escrow_is_an_address_in_lower_case() -> None:
    for known in ESCROWS.values():
        for escrow in known:
            assert len(bytes.fromhex(escrow.removeprefix("0x"))) == 20
            assert escrow == escrow.lower()
