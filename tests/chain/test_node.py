"""A reading is of one block, survives a bad connection, and never tells the key in the node's address."""

from __future__ import annotations

import email.utils
import logging
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from chain.errors import InputError, NodeError, ReorgError, UnwindError
from chain.node import AT_BLOCK, Block, Node
from chain.refusals import Refusal, RpcError, meaning
from chain.rpcurl import RpcUrl
from tests.chain.jsonrpc_server import KEY, Fault, JsonRpcServer


@pytest.fixture
def server() -> Iterator[JsonRpcServer]:
    with JsonRpcServer() as running:
        yield running


def connect(server: JsonRpcServer, **options: Any) -> Node:
    return Node(server.url, **({"cache_dir": None, "backoff": 0.001, "timeout": 5.0} | options))


def balances(count: int) -> list[tuple[str, list[Any]]]:
    return [("eth_getBalance", [f"0x{i:040x}", AT_BLOCK]) for i in range(1, count + 1)]


def expected(count: int, number: int) -> list[str]:
    return [hex(i * 10**6 + number) for i in range(1, count + 1)]


# Pinning


def test_a_pinned_block_has_number_hash_time_and_chain(server: JsonRpcServer) -> None:
    block = connect(server).pin(900)
    assert block == Block(900, server.chain.hash(900), 1_700_000_000 + 12 * 900, 1)


@pytest.mark.parametrize(("tag", "number"), [("latest", 1000), ("safe", 968), ("finalized", 936)])
def test_a_tag_pins_the_block_it_stands_for_now(server: JsonRpcServer, tag: str, number: int) -> None:
    assert connect(server).pin(tag).number == number


@pytest.mark.parametrize("block", ["pending", "19000000", -1, "0x10"])
def test_a_block_that_is_no_number_and_no_known_tag_is_refused(server: JsonRpcServer, block: Any) -> None:
    with pytest.raises(InputError, match="block must be a number or one of latest, safe, finalized"):
        connect(server).pin(block)


def test_a_block_that_the_node_does_not_have_is_an_error_at_once(server: JsonRpcServer) -> None:
    with pytest.raises(NodeError, match="does not have block 1001; ask for an earlier one"):
        connect(server).pin(1001)
    assert len(server.http_requests) == 1


def test_another_chain_than_expected_is_an_error_that_names_both(server: JsonRpcServer) -> None:
    assert connect(server).pin(900, chain_id=1).chain_id == 1
    with pytest.raises(NodeError, match="is on chain 1, not 10; give the address of a node of chain 10"):
        connect(server).pin(900, chain_id=10)


def test_something_that_is_not_ethereum_is_an_error(server: JsonRpcServer) -> None:
    server.chain.header = lambda number: {"height": number}  # type: ignore[method-assign]
    with pytest.raises(NodeError, match="a block without number, hash or timestamp"):
        connect(server).pin(900)


# One block


def test_every_read_names_the_pinned_block_by_its_hash_and_asks_that_it_be_canonical(server: JsonRpcServer) -> None:
    node = connect(server)
    block = node.pin(900)
    assert node.read(block, balances(3)) == expected(3, 900)
    assert [params[1] for params in server.calls_of("eth_getBalance")[-3:]] == [
        {"blockHash": block.hash, "requireCanonical": True}
    ] * 3


def test_a_node_without_require_canonical_is_read_by_hash_alone(server: JsonRpcServer) -> None:
    server.reference = "hash"
    node = connect(server)
    block = node.pin(900)
    assert node.read(block, balances(3)) == expected(3, 900)
    assert server.calls_of("eth_getBalance")[-1][1] == {"blockHash": block.hash}


def test_a_node_without_block_hashes_is_read_by_number_with_the_hash_checked_along(server: JsonRpcServer) -> None:
    server.reference = "number"
    node = connect(server)
    block = node.pin(900)
    assert node.read(block, balances(3)) == expected(3, 900)
    assert [one["method"] for one in server.http_requests[-1]] == ["eth_getBalance"] * 3 + ["eth_getBlockByNumber"]


def test_how_blocks_may_be_named_is_found_out_once(server: JsonRpcServer) -> None:
    node = connect(server)
    first, second = node.pin(900), node.pin(901)
    node.read(first, balances(1))
    before = node.http_requests
    node.read(first, balances(2))
    node.read(second, balances(2))
    assert node.http_requests - before == 2


def test_an_unchanged_chain_passes_the_check_at_the_end(server: JsonRpcServer) -> None:
    node = connect(server)
    node.check_unchanged(node.pin(900))


def test_a_reorganised_block_fails_the_check_at_the_end(server: JsonRpcServer) -> None:
    node = connect(server)
    block = node.pin(900)
    server.chain.reorganise(900)
    with pytest.raises(ReorgError, match=f"block 900 was {block.hash} and is now {server.chain.hash(900)}"):
        node.check_unchanged(block)


def test_a_reorganisation_of_later_blocks_is_none_of_our_business(server: JsonRpcServer) -> None:
    node = connect(server)
    block = node.pin(900)
    server.chain.reorganise(901)
    node.check_unchanged(block)
    assert node.read(block, balances(1)) == expected(1, 900)


def test_a_block_that_is_gone_fails_the_check_at_the_end(server: JsonRpcServer) -> None:
    node = connect(server, attempts=2)
    block = node.pin(900)
    server.chain.head = 899
    with pytest.raises(ReorgError, match=r"block 900 was .* and is gone"):
        node.check_unchanged(block)


def test_a_chain_id_that_changes_is_a_contradiction(server: JsonRpcServer) -> None:
    node = connect(server)
    block = node.pin(900)
    server.chain.chain_id = 10
    for act in (lambda: node.check_unchanged(block), lambda: node.pin(901), lambda: node.pin(900)):
        with pytest.raises(NodeError, match="contradicts itself: it was on chain 1, and is on chain 10"):
            act()


def test_pinning_a_number_again_after_a_reorganisation_is_an_error(server: JsonRpcServer) -> None:
    node = connect(server)
    assert node.pin(900) == node.pin(900)
    server.chain.reorganise(900)
    with pytest.raises(ReorgError):
        node.pin(900)
    assert node.pin(900).hash == server.chain.hash(900), "a new reading can begin"


@pytest.mark.parametrize("reference", ["canonical", "hash", "number"])
def test_a_reorganisation_between_reads_is_an_error_and_leaves_nothing_in_the_cache(
    server: JsonRpcServer, tmp_path: Path, reference: str
) -> None:
    server.reference = reference
    node = connect(server, cache_dir=tmp_path, batch_size=4)
    block = node.pin(900)
    server.at_call[len(server.rpc_calls) + 7] = lambda: server.chain.reorganise(890)
    with pytest.raises(ReorgError):
        node.read(block, balances(20))
    server.chain.forked_at = None
    before = len(server.rpc_calls)
    assert connect(server, cache_dir=tmp_path).read(block, balances(20)) == expected(20, 900)
    assert len([call for call in server.rpc_calls[before:] if call[0] == "eth_getBalance"]) >= 20


def test_a_lagging_node_behind_the_same_address_is_waited_for(server: JsonRpcServer) -> None:
    server.reference = "number"
    node = connect(server)
    block = node.pin(1000)
    node.read(block, balances(1))
    server.chain.head = 999
    server.at_call[len(server.rpc_calls) + 5] = lambda: setattr(server.chain, "head", 1000)
    assert node.read(block, balances(2)) == expected(2, 1000)


@pytest.mark.parametrize(
    "answer", [{"code": -32001, "message": "Resource not found"}, {"code": 1, "message": "header for hash not found"}]
)
def test_a_node_that_knows_the_block_no_longer_is_a_reorganisation_if_its_number_has_another(
    server: JsonRpcServer, answer: dict[str, Any]
) -> None:
    node = connect(server, attempts=2)
    block = node.pin(900)
    node.read(block, balances(1))
    server.chain.reorganise(900)
    server.faults.extend([Fault(error=answer)] * 2)
    with pytest.raises(ReorgError):
        node.read(block, balances(2))


def test_a_node_that_does_not_find_the_block_it_has_is_an_error(server: JsonRpcServer) -> None:
    node = connect(server, attempts=2)
    block = node.pin(900)
    server.faults.extend([Fault(error={"code": -32000, "message": "header not found"})] * 2)
    with pytest.raises(NodeError, match=r"header not found .*asked 2 times; pin an older block"):
        node.read(block, balances(2))


def test_pruned_state_is_an_error_that_names_the_archive_node(server: JsonRpcServer) -> None:
    server.pruned_below = 950
    node = connect(server)
    with pytest.raises(
        NodeError, match=r"no longer has the state of block 900 \(missing trie node .*use an archive node"
    ):
        node.read(node.pin(900), balances(1))


# The cache


def test_what_was_read_at_a_pinned_block_is_not_asked_again_by_another_process(
    server: JsonRpcServer, tmp_path: Path
) -> None:
    with connect(server, cache_dir=tmp_path) as node:
        first = node.read(node.pin(900), balances(250))
    with connect(server, cache_dir=tmp_path) as node:
        block = node.pin(900)
        before = node.http_requests
        assert node.read(block, balances(250)) == first
        assert node.http_requests == before


def test_answers_of_different_blocks_are_not_confused(server: JsonRpcServer, tmp_path: Path) -> None:
    node = connect(server, cache_dir=tmp_path)
    assert node.read(node.pin(900), balances(2)) == expected(2, 900)
    assert node.read(node.pin(901), balances(2)) == expected(2, 901)
    assert len(list(tmp_path.glob("1-90?-0x*.sqlite"))) == 2


def test_a_cached_answer_of_a_block_does_not_serve_for_its_replacement(server: JsonRpcServer, tmp_path: Path) -> None:
    old = connect(server, cache_dir=tmp_path).pin(900)
    connect(server, cache_dir=tmp_path).read(old, balances(2))
    server.chain.reorganise(900)
    node = connect(server, cache_dir=tmp_path)
    before = len(server.calls_of("eth_getBalance"))
    node.read(node.pin(900), balances(2))
    assert len(server.calls_of("eth_getBalance")) > before


def test_errors_are_not_cached(server: JsonRpcServer, tmp_path: Path) -> None:
    node = connect(server, cache_dir=tmp_path)
    block = node.pin(900)
    node.read(block, balances(1))
    server.faults.append(Fault(error={"code": -32000, "message": "something odd"}))
    (answer,) = node.read(block, [("eth_getBalance", ["0x" + "ab" * 20, AT_BLOCK])])
    assert isinstance(answer, RpcError)
    assert answer.kind is Refusal.OTHER
    (answer,) = node.read(block, [("eth_getBalance", ["0x" + "ab" * 20, AT_BLOCK])])
    assert answer.startswith("0x")


def test_null_is_not_cached_since_the_node_may_have_it_later(server: JsonRpcServer, tmp_path: Path) -> None:
    node = connect(server, cache_dir=tmp_path)
    block = node.pin(900)
    node.read(block, balances(1))
    question = [("eth_getBalance", ["0x" + "ab" * 20, AT_BLOCK])]
    server.faults.append(Fault(body='{"jsonrpc": "2.0", "id": 1, "result": null}'))
    assert node.read(block, question) == [None]
    assert node.read(block, question) != [None]


def test_the_same_question_twice_is_asked_once(server: JsonRpcServer) -> None:
    node = connect(server)
    block = node.pin(900)
    assert node.read(block, balances(2) + balances(2)) == expected(2, 900) * 2
    assert len(server.calls_of("eth_getBalance")) == 2 + 2  # two of them to learn how blocks may be named


def test_an_interrupted_read_goes_on_where_it_stopped(server: JsonRpcServer, tmp_path: Path) -> None:
    node = connect(server, cache_dir=tmp_path, batch_size=10, attempts=2)
    block = node.pin(900)
    node.read(block, balances(1))
    server.faults.extend([None, None, *[Fault(status=503)] * 2])
    with pytest.raises(NodeError):
        node.read(block, balances(50))
    before = len(server.calls_of("eth_getBalance"))
    assert node.read(block, balances(50)) == expected(50, 900)
    assert len(server.calls_of("eth_getBalance")) - before == 50 - 1 - 20


def test_progress_counts_up_to_the_whole(server: JsonRpcServer) -> None:
    node = connect(server, batch_size=10)
    told: list[tuple[int, int]] = []
    node.read(node.pin(900), balances(25), progress=lambda done, total: told.append((done, total)))
    assert told == [(0, 25), (10, 25), (20, 25), (25, 25)]


# A bad connection

OUTAGES = {
    "too many requests": Fault(status=429, body="slow down"),
    "service unavailable": Fault(status=503, body="<html>no healthy upstream</html>"),
    "bad gateway": Fault(status=502, body=""),
    "gateway timeout": Fault(status=504, body=""),
    "truncated body": Fault(truncated=True),
    "garbled JSON": Fault(garbled=True),
    "empty body": Fault(body=""),
    "JSON that is no answer": Fault(body='"hello"'),
    "a list of nonsense": Fault(body="[1, null]"),
    "rate limit in every answer": Fault(error={"code": -32005, "message": "daily request count exceeded"}),
    "rate limit instead of a batch": Fault(whole={"code": 429, "message": "Too Many Requests"}),
    "timeout in every answer": Fault(error={"code": -32000, "message": "request timed out"}),
    "internal error": Fault(error={"code": -32603, "message": "Internal error"}),
    "lagging": Fault(error={"code": -32000, "message": "header not found"}),
    "every answer missing": Fault(drop=tuple(range(100))),
}


@pytest.mark.parametrize("fault", OUTAGES.values(), ids=OUTAGES)
@pytest.mark.parametrize("count", [1, 30])
def test_a_passing_failure_is_waited_out(server: JsonRpcServer, fault: Fault, count: int) -> None:
    node = connect(server)
    block = node.pin(900)
    server.faults.extend([fault, fault])
    assert node.read(block, balances(count)) == expected(count, 900)


@pytest.mark.parametrize("fault", OUTAGES.values(), ids=OUTAGES)
def test_a_lasting_failure_is_an_error_after_so_many_attempts(server: JsonRpcServer, fault: Fault) -> None:
    node = connect(server, attempts=3)
    server.faults.extend([fault] * 10)
    with pytest.raises(
        NodeError, match=r"http://127\.0\.0\.1:\d+ .*\(asked 3 times; .*try again later|check the address"
    ):
        node.pin(900)
    assert len(server.http_requests) == 3


def test_a_node_that_hangs_is_asked_again_in_smaller_batches(server: JsonRpcServer) -> None:
    node = connect(server, timeout=0.5)
    block = node.pin(900)
    node.read(block, balances(1))
    server.faults.append(Fault(hang=9.0))
    assert node.read(block, balances(41)) == expected(41, 900)
    assert [len(batch) for batch in server.http_requests[-3:]] == [40, 20, 20]


def test_a_node_that_goes_on_hanging_is_an_error(server: JsonRpcServer) -> None:
    server.faults.extend([Fault(hang=9.0)] * 2)
    with pytest.raises(NodeError, match=r"did not answer within 0\.1 s \(asked 2 times; allow a longer timeout"):
        connect(server, timeout=0.1, attempts=2).pin(900)


def test_nobody_listening_is_an_error_that_says_so() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    node = Node(f"http://127.0.0.1:{port}/{KEY}", cache_dir=None, attempts=2, backoff=0.001)
    with pytest.raises(NodeError, match=rf"cannot connect to http://127\.0\.0\.1:{port}, .*check the address"):
        node.pin()


def test_answers_missing_from_a_batch_are_asked_for_again_and_only_they(server: JsonRpcServer) -> None:
    node = connect(server)
    block = node.pin(900)
    node.read(block, balances(1))
    server.faults.append(Fault(drop=(3, 7)))
    assert node.read(block, balances(20)) == expected(20, 900)
    assert [len(batch) for batch in server.http_requests[-2:]] == [19, 2]


def test_answers_in_another_order_are_matched_by_their_ids(server: JsonRpcServer) -> None:
    node = connect(server)
    block = node.pin(900)
    server.faults.extend([Fault(reverse=True), Fault(reverse=True, drop=(2,))])
    assert node.read(block, balances(20)) == expected(20, 900)


@pytest.mark.parametrize("limit", [1, 7])
def test_a_node_that_refuses_batches_is_asked_with_smaller_ones(server: JsonRpcServer, limit: int) -> None:
    server.batch_limit = limit
    node = connect(server)
    block = node.pin(900)
    assert node.read(block, balances(40)) == expected(40, 900)
    before = len(server.http_requests)
    node.read(block, balances(80))
    assert len(server.http_requests) - before <= 40 / (limit // 2 or 1) + 1
    assert all(len(batch) <= limit for batch in server.http_requests[before:] if isinstance(batch, list))


@pytest.mark.parametrize("status", [400, 413])
def test_a_body_that_is_too_large_is_sent_in_parts(server: JsonRpcServer, status: int) -> None:
    node = connect(server)
    block = node.pin(900)
    node.read(block, balances(1))
    server.faults.extend([Fault(status=status, body="too large")] * 2)
    assert node.read(block, balances(41)) == expected(41, 900)
    assert len(server.http_requests[-1]) == 10


def test_an_answer_too_large_for_a_batch_is_asked_for_in_a_smaller_one(server: JsonRpcServer) -> None:
    node = connect(server)
    block = node.pin(900)
    node.read(block, balances(1))
    server.faults.append(Fault(error={"code": -32003, "message": "response too large"}))
    assert node.read(block, balances(21)) == expected(21, 900)


def test_no_body_is_larger_than_nodes_take(server: JsonRpcServer) -> None:
    node = connect(server)
    block = node.pin(900)
    requests = [("eth_getBalance", ["0x" + f"{i:0400000x}", AT_BLOCK]) for i in range(1, 10)]
    assert node.read(block, requests) == expected(9, 900)
    assert max(len(str(body)) for body in server.http_requests) < 1_100_000


@pytest.mark.parametrize("wait", ["0.3", "date"])
def test_retry_after_is_honoured(server: JsonRpcServer, wait: str) -> None:
    header = email.utils.formatdate(time.time() + 2, usegmt=True) if wait == "date" else wait
    server.faults.append(Fault(status=429, headers={"Retry-After": header}))
    connect(server).pin(900)
    assert server.times[1] - server.times[0] >= (0.9 if wait == "date" else 0.3)


def test_a_node_that_asks_for_an_hour_of_patience_is_an_error_that_says_so(server: JsonRpcServer) -> None:
    server.faults.append(Fault(status=429, headers={"Retry-After": "3600"}))
    with pytest.raises(NodeError, match="asks to wait 3600 s"):
        connect(server).pin(900)
    assert len(server.http_requests) == 1


def test_pauses_between_attempts_grow(server: JsonRpcServer) -> None:
    server.faults.extend([Fault(status=503)] * 3)
    connect(server, backoff=0.05).pin(900)
    pauses = [later - earlier for earlier, later in zip(server.times, server.times[1:], strict=False)]
    assert [pause >= least for pause, least in zip(pauses, [0.05, 0.1, 0.2], strict=True)] == [True] * 3
    assert sum(pauses) < 5


def test_calls_are_spaced_out_to_the_rate_asked_for(server: JsonRpcServer) -> None:
    node = connect(server, requests_per_second=100)
    block = node.pin(900)
    node.read(block, balances(60))
    node.check_unchanged(block)
    # All but the last two calls; the rest is for the way of a request to the server.
    assert server.times[-1] - server.times[0] >= (2 + 2 + 60) / 100 - 0.05


@pytest.mark.parametrize(
    ("code", "message"),
    [(-32601, "the method eth_getBalance does not exist/is not available"), (3, "execution reverted: rate limit")],
)
def test_a_definite_error_is_not_asked_again(server: JsonRpcServer, code: int, message: str) -> None:
    node = connect(server)
    server.faults.append(Fault(error={"code": code, "message": message}))
    with pytest.raises(RpcError, match=rf"refused eth_getBalance: .* \(code {code}\)"):
        node.ask("eth_getBalance", "0x" + "00" * 20, "latest")
    assert len(server.http_requests) == 1


def test_http_requests_and_calls_are_counted_apart(server: JsonRpcServer) -> None:
    node = connect(server, batch_size=50)
    block = node.pin(900)
    server.faults.extend([None, Fault(status=503)])
    node.read(block, balances(120))
    assert node.http_requests == len(server.http_requests) == 1 + 1 + 1 + 3
    assert node.rpc_calls == 2 + 2 + 50 + 120


@pytest.mark.parametrize(
    "options", [{"attempts": 0}, {"batch_size": 0}, {"timeout": 0.0}, {"backoff": -1.0}, {"requests_per_second": 0.0}]
)
def test_limits_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="must be positive"):
        Node("http://127.0.0.1:1", cache_dir=None, **options)


# What a node's words mean

WORDS = [
    (-32005, "query returned more than 10000 results", Refusal.TOO_MUCH),
    (-32005, "daily request count exceeded, request rate limited", Refusal.BUSY),
    (429, "Your app has exceeded its compute units per second capacity", Refusal.BUSY),
    (
        -32602,
        "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range",
        Refusal.TOO_MUCH,
    ),
    (-32000, "exceed maximum block range: 5000", Refusal.TOO_MUCH),
    (-32614, "eth_getLogs is limited to a 10,000 range", Refusal.TOO_MUCH),
    (-32000, "requested too many blocks from 1 to 4097, maximum is set to 2048", Refusal.TOO_MUCH),
    (-32000, "block range is too large", Refusal.TOO_MUCH),
    (-32005, "limit exceeded", Refusal.TOO_MUCH),
    (-32000, "query timeout exceeded", Refusal.TIMEOUT),
    (-32000, "execution aborted (timeout = 5s)", Refusal.TIMEOUT),
    (-32000, "out of gas", Refusal.TOO_MUCH),
    (-32000, "gas required exceeds allowance (50000000)", Refusal.TOO_MUCH),
    (3, "execution reverted: out of gas", Refusal.REVERTED),
    (-32015, "VM execution error.", Refusal.REVERTED),
    (-32000, "missing trie node 6f1a (path ) state 0x6f1a is not available, not found", Refusal.PRUNED),
    (-32000, "required historical state unavailable (reexec=128)", Refusal.PRUNED),
    (4444, "pruned history unavailable", Refusal.PRUNED),
    (-32000, "historical state abcd is not available", Refusal.PRUNED),
    (-32000, "header not found", Refusal.UNKNOWN_BLOCK),
    (-32000, "header for hash not found", Refusal.UNKNOWN_BLOCK),
    (-32001, "Block with such an ID is pruned", Refusal.PRUNED),
    (-32000, "hash is not currently canonical", Refusal.NOT_CANONICAL),
    (-32600, "batch too large", Refusal.BATCH),
    (-32001, "Resource not found", Refusal.UNKNOWN_BLOCK),
    (-32603, "EVM error InvalidFEOpcode", Refusal.REVERTED),
    (-32601, "the method eth_foo does not exist/is not available", Refusal.NO_METHOD),
    (-32602, "too many arguments, want at most 2", Refusal.OTHER),
    (-32602, "invalid argument 1: json: cannot unmarshal object into Go value of type string", Refusal.OTHER),
]


@pytest.mark.parametrize(("code", "message", "kind"), WORDS, ids=[message[:40] for _, message, _ in WORDS])
def test_the_words_of_nodes_are_understood(code: int, message: str, kind: Refusal) -> None:
    assert meaning(code, message) is kind


# The key in the address


def hang_up(server: JsonRpcServer) -> None:
    server._server.shutdown()
    server._server.server_close()


def go_wrong(server: JsonRpcServer, fault: Fault) -> None:
    server.faults.extend([fault] * 9)


FAILURES: dict[str, Callable[[JsonRpcServer], Any]] = {
    **{name: partial(go_wrong, fault=fault) for name, fault in OUTAGES.items()},
    "hang": lambda server: server.faults.extend([Fault(hang=9.0)] * 9),
    "nobody listening": hang_up,
    "web page": lambda server: server.faults.append(Fault(body=f"<!doctype html><p>{KEY}")),
    "unauthorised": lambda server: server.faults.append(Fault(status=401, body=f"bad key {KEY}")),
    "forbidden": lambda server: server.faults.append(Fault(status=403, body=f"bad key {KEY}")),
    "not found": lambda server: server.faults.append(Fault(status=404, body=f"/v2/{KEY}")),
    "redirects in a circle": lambda server: server.faults.extend([Fault(status=307, headers={"Location": "?"})] * 99),
    "an error that quotes the key": lambda server: server.faults.append(
        Fault(error={"code": -32000, "message": f"invalid project id {KEY} at {server.url}"})
    ),
    "pruned": lambda server: setattr(server, "pruned_below", 10**6),
    "reorganised": lambda server: server.at_call.update({5: lambda: server.chain.reorganise(0)}),
    "contradicting chain id": lambda server: server.at_call.update({8: lambda: setattr(server.chain, "chain_id", 5)}),
}


def read_all(node: Node) -> None:
    block = node.pin(900)
    node.read(block, balances(3))
    node.check_unchanged(block)


@pytest.mark.parametrize("fail", FAILURES.values(), ids=FAILURES)
def test_no_failure_tells_the_key(
    server: JsonRpcServer, fail: Callable[[JsonRpcServer], Any], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    node = connect(server, attempts=2, timeout=0.2, cache_dir=tmp_path)
    fail(server)
    with pytest.raises(UnwindError) as caught:
        read_all(node)
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert KEY not in told
    assert f"http://127.0.0.1:{server.port}" in str(caught.value)
    assert KEY not in caplog.text
    assert "http" in caplog.text or fail is hang_up
    node.close()
    assert all(KEY.encode() not in file.read_bytes() for file in tmp_path.iterdir())


def test_a_good_reading_tells_the_key_in_no_log_and_no_file(
    server: JsonRpcServer, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    node = connect(server, cache_dir=tmp_path)
    node.read(node.pin(900), balances(3))
    assert "POST" in caplog.text
    assert KEY not in caplog.text
    assert KEY not in repr(node) + str(node) + repr(vars(node)) + repr(vars(node._transport))
    assert all(KEY.encode() not in file.read_bytes() for file in tmp_path.iterdir())


@pytest.mark.parametrize(
    ("url", "text", "shown"),
    [
        ("https://h.io/v2/abcdef123", "POST /v2/abcdef123 HTTP/1.1", "POST /*** HTTP/1.1"),
        ("https://h.io/v2/abcdef123", "bad key ABCDEF123 for v2", "bad key *** for v2"),
        ("https://h.io/eth", "eth_call is not supported", "eth_call is not supported"),
        ("https://h.io?k=secret-1&k=secret-2", "secret-2, secret-1", "***, ***"),
        ("https://h.io/a%2fb%41cdefg", "/a%2FbAcdefg", "/***"),
        ("https://u:pw@h.io", "https://u:pw@h.io as u with pw", "https://u:***@h.io as u with ***"),
        ("https://h.io", "https://h.io said no", "https://h.io said no"),
    ],
)
def test_the_secret_parts_of_an_address_are_blotted_out_and_nothing_else(url: str, text: str, shown: str) -> None:
    assert RpcUrl(url).scrub(text) == shown
    assert str(RpcUrl(url)) == "https://h.io"


@pytest.mark.parametrize(
    "url",
    [f"ws://host/{KEY}", f"/{KEY}", f"http://{KEY}:port/x", f"http://[{KEY}/", f"https:///{KEY}", f"{KEY}", ""],
)
def test_an_address_that_is_no_http_url_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(InputError, match="not an http:// or https:// URL") as caught:
        Node(url, cache_dir=None)
    assert KEY not in "".join(traceback.format_exception(caught.value, chain=True)).replace(repr(url), "")
    assert caught.value.__context__ is None


def test_importing_the_client_does_not_import_the_heavy_libraries() -> None:
    heavy = "{'web3', 'eth_abi', 'requests', 'tenacity'}"
    code = f"import sys, chain.node, chain.calls, chain.events; print(sorted({heavy} & {{*sys.modules}}))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
