"""A scan finds every log once and in order, whatever ranges the node allows and however often it is interrupted."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chain.errors import NodeError, ReorgError
from chain.events import Log, scan
from chain.node import Block, Node
from tests.chain.jsonrpc_server import FakeChain, Fault, JsonRpcServer
from tests.chain.test_calls import TOKEN, token

POOL = "0x" + "AB" * 20
OTHER = "0x" + "cd" * 20
BORROW = "0x" + "b0" * 32
SUPPLY = "0x" + "50" * 32
HEAD = 300_000


def who(i: int) -> str:
    return f"0x{i:064x}"


@pytest.fixture
def server() -> Iterator[JsonRpcServer]:
    with JsonRpcServer(FakeChain(head=HEAD)) as running:
        running.chain.contracts[TOKEN] = token
        for i in range(300):
            number = (i * 7_919) % HEAD
            running.chain.add_log(number, 2 * i + 1, POOL, [BORROW, who(i)], "0x" + f"{i:064x}")
            running.chain.add_log(number, 2 * i, POOL, [SUPPLY, who(i)])
            running.chain.add_log(number, 2 * i + 5_000, OTHER, [BORROW, who(i)])
        yield running


def connect(server: JsonRpcServer, **options: Any) -> tuple[Node, Block]:
    node = Node(server.url, **({"cache_dir": None, "backoff": 0.001, "timeout": 5.0} | options))
    return node, node.pin(HEAD - 100)


def expected(address: str = POOL, topic: str = BORROW) -> list[Log]:
    logs = []
    for i in range(300):
        number = (i * 7_919) % HEAD
        if number <= HEAD - 100:
            position = {(POOL, BORROW): 2 * i + 1, (POOL, SUPPLY): 2 * i, (OTHER, BORROW): 2 * i + 5_000}[
                address, topic
            ]
            data = i.to_bytes(32, "big") if (address, topic) == (POOL, BORROW) else b""
            logs.append(Log(number, position, address.lower(), (topic, who(i)), data))
    return sorted(logs)


def ranges(server: JsonRpcServer) -> list[tuple[int, int]]:
    return [(int(query["fromBlock"], 16), int(query["toBlock"], 16)) for (query,) in server.calls_of("eth_getLogs")]


def test_all_logs_up_to_the_pinned_block_and_none_beyond_it(server: JsonRpcServer) -> None:
    node, block = connect(server)
    server.chain.add_log(block.number, 9_998, POOL, [BORROW, who(998)])
    server.chain.add_log(block.number + 1, 9_999, POOL, [BORROW, who(999)])
    logs = scan(node, block, POOL, [BORROW])
    assert logs[:-1] == expected()
    assert logs[-1] == Log(block.number, 9_998, POOL.lower(), (BORROW, who(998)), b"")


def test_several_contracts_and_several_topics_come_in_the_order_of_the_chain(server: JsonRpcServer) -> None:
    node, block = connect(server)
    logs = scan(node, block, [OTHER, POOL], [[SUPPLY, BORROW]])
    assert logs == sorted(expected() + expected(topic=SUPPLY) + expected(OTHER))


def test_a_topic_left_open_matches_anything(server: JsonRpcServer) -> None:
    node, block = connect(server)
    assert scan(node, block, POOL, [None, who(5)]) == [
        log for log in sorted(expected() + expected(topic=SUPPLY)) if log.topics[1] == who(5)
    ]


def test_a_scan_begins_where_it_is_told(server: JsonRpcServer) -> None:
    node, block = connect(server)
    assert scan(node, block, POOL, [BORROW], from_block=150_000) == [log for log in expected() if log.block >= 150_000]
    assert min(start for start, _ in ranges(server)) == 150_000
    assert scan(node, block, POOL, [BORROW], from_block=block.number + 1) == []


LIMITS: dict[str, Callable[[JsonRpcServer], None]] = {
    "10,000 blocks": lambda server: setattr(server, "log_range", 10_000),
    "2,048 blocks": lambda server: setattr(server, "log_range", 2_048),
    "30 results": lambda server: setattr(server, "log_results", 30),
    "1 result": lambda server: setattr(server, "log_results", 1),
}


@pytest.mark.parametrize("limit", LIMITS.values(), ids=LIMITS)
def test_whatever_the_node_limits_the_logs_are_the_same(
    server: JsonRpcServer, limit: Callable[[JsonRpcServer], None]
) -> None:
    limit(server)
    node, block = connect(server)
    assert scan(node, block, POOL, [BORROW]) == expected()


@pytest.mark.parametrize(
    "words",
    ["query returned more than 10000 results", "block range is too large", "limit exceeded", "query timeout exceeded",
     "words that nobody has heard before"],
)  # fmt: skip
def test_a_refusal_in_any_words_narrows_the_range(server: JsonRpcServer, words: str) -> None:
    server.log_range, server.refusal = 20_000, words
    node, block = connect(server)
    assert scan(node, block, POOL, [BORROW]) == expected()


def test_a_node_that_takes_too_long_over_a_range_is_asked_for_less_at_once(server: JsonRpcServer) -> None:
    node, block = connect(server, timeout=0.5)
    server.faults.append(Fault(hang=9.0))
    server.batch_limit = 1
    assert scan(node, block, POOL, [BORROW]) == expected()


def test_ranges_settle_at_a_round_limit_without_many_refusals(server: JsonRpcServer) -> None:
    server.log_range = 10_000
    node, block = connect(server)
    scan(node, block, POOL, [BORROW])
    asked = ranges(server)
    refused = [one for one in asked if one[1] - one[0] + 1 > 10_000]
    assert len(asked) - len(refused) == HEAD // 10_000
    assert len(refused) <= 5


def test_ranges_grow_while_the_node_takes_them(server: JsonRpcServer) -> None:
    node, block = connect(server)
    scan(node, block, POOL, [BORROW])
    assert ranges(server) == [(0, 99_999), (100_000, HEAD - 100)]


def test_one_block_that_is_refused_is_an_error(server: JsonRpcServer) -> None:
    server.log_range, server.refusal = 0, "block range is too large"
    node, block = connect(server)
    with pytest.raises(NodeError, match="refused eth_getLogs: block range is too large"):
        scan(node, block, POOL, [BORROW])
    assert len(ranges(server)) < 20


def test_a_node_without_logs_is_an_error_at_once(server: JsonRpcServer) -> None:
    server.absent.add("eth_getLogs")
    node, block = connect(server)
    with pytest.raises(NodeError, match="refused eth_getLogs: the method does not exist"):
        scan(node, block, POOL, [BORROW])
    assert len(ranges(server)) == 1


def test_a_reorganisation_during_a_scan_is_an_error_and_poisons_no_cache(server: JsonRpcServer, tmp_path: Path) -> None:
    server.log_range = 10_000
    node, block = connect(server, cache_dir=tmp_path)
    server.at_call[20] = lambda: server.chain.reorganise(100_000)
    with pytest.raises(ReorgError):
        scan(node, block, POOL, [BORROW])
    server.chain.forked_at = None
    before = len(ranges(server))
    node, block = connect(server, cache_dir=tmp_path)
    assert scan(node, block, POOL, [BORROW]) == expected()
    assert ranges(server)[before][0] == 0


CONTRADICTIONS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "it was removed by a reorganisation": lambda log: log | {"removed": True},
    "the block's hash is": lambda log: log | {"blockHash": "0x" + "ee" * 32},
    "blocks 0 to 99999 were asked for": lambda log: log | {"blockNumber": hex(100_000)},
    "was not asked for": lambda log: log | {"address": OTHER},
    "something that is not a list of logs": lambda log: {"blockNumber": None},
}


@pytest.mark.parametrize(("words", "spoil"), CONTRADICTIONS.items(), ids=CONTRADICTIONS)
def test_logs_that_contradict_the_question_or_the_block_are_an_error(
    server: JsonRpcServer, words: str, spoil: Callable[[dict[str, Any]], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = server._eth_getLogs

    def lie(query: dict[str, Any]) -> list[Any]:
        found = honest(query)
        # A second log of the same block, so that block hashes can be compared.
        return [*found, {**spoil({**found[0], "logIndex": "0xffff"})}]

    monkeypatch.setattr(server, "_eth_getLogs", lie)
    node, block = connect(server)
    with pytest.raises(NodeError, match=words):
        scan(node, block, POOL, [BORROW])


def test_a_log_returned_twice_is_an_error(server: JsonRpcServer) -> None:
    server.chain.logs.append(server.chain.logs[0])
    node, block = connect(server)
    with pytest.raises(NodeError, match="it was returned twice"):
        scan(node, block, POOL, [BORROW])


def test_a_log_of_the_pinned_block_with_another_hash_is_an_error(server: JsonRpcServer) -> None:
    node, block = connect(server)
    server.chain.add_log(block.number, 1, POOL, [BORROW, who(1)])
    server.chain.logs[-1]["blockHash"] = "0x" + "ee" * 32
    with pytest.raises(NodeError, match=f"the block's hash is {block.hash}"):
        scan(node, block, POOL, [BORROW])


def test_progress_counts_blocks(server: JsonRpcServer) -> None:
    node, block = connect(server)
    told: list[tuple[int, int]] = []
    scan(node, block, POOL, [BORROW], from_block=50_000, progress=lambda done, total: told.append((done, total)))
    assert told == [(100_000, 249_901), (249_901, 249_901)]


def test_a_finished_scan_is_not_asked_again(server: JsonRpcServer, tmp_path: Path) -> None:
    node, block = connect(server, cache_dir=tmp_path)
    scan(node, block, POOL, [BORROW])
    node, block = connect(server, cache_dir=tmp_path)
    before = len(server.rpc_calls)
    assert scan(node, block, [POOL.lower()], [BORROW]) == expected()
    assert len(server.rpc_calls) == before


def test_scans_for_different_things_are_not_confused(server: JsonRpcServer, tmp_path: Path) -> None:
    node, block = connect(server, cache_dir=tmp_path)
    assert scan(node, block, POOL, [BORROW]) == expected()
    assert scan(node, block, POOL, [SUPPLY]) == expected(topic=SUPPLY)
    assert scan(node, block, OTHER, [BORROW]) == expected(OTHER)


def test_an_interrupted_scan_goes_on_where_it_stopped_though_the_limits_changed(
    server: JsonRpcServer, tmp_path: Path
) -> None:
    server.log_range = 7_000
    node, block = connect(server, cache_dir=tmp_path, attempts=1)
    server.faults.extend([None] * 20 + [Fault(status=503)])
    with pytest.raises(NodeError):
        scan(node, block, POOL, [BORROW])
    finished = max(end for start, end in ranges(server) if end - start < 7_000)
    server.log_range = 3_000
    before = len(ranges(server))
    node, block = connect(server, cache_dir=tmp_path)
    assert scan(node, block, POOL, [BORROW]) == expected()
    assert min(start for start, _ in ranges(server)[before:]) == finished + 1


_READING = """
import json, sys
from pathlib import Path
from chain.calls import Call, read
from chain.events import scan
from chain.node import Node

url, cache, pool, borrow, token = sys.argv[1:]
node = Node(url, cache_dir=Path(cache), batch_size=4, backoff=0.001)
block = node.pin(299_900)
logs = scan(node, block, pool, [borrow])
accounts = sorted({"0x" + log.topics[1][-40:] for log in logs})
calls = [Call(token, "balanceOf(address)(uint256)", (account,)) for account in accounts]
print(json.dumps([[list(log[:4]) + [log.data.hex()] for log in logs], read(node, block, calls, bundle=5)]))
node.check_unchanged(block)
"""


def start_reading(server: JsonRpcServer, cache: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _READING, server.url, str(cache), POOL, BORROW, TOKEN]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def asked(server: JsonRpcServer) -> Counter[str]:
    """How often each question about the pinned block's contents was asked."""
    return Counter(json.dumps(call) for call in server.rpc_calls if call[0] in ("eth_getLogs", "eth_call"))


def test_a_reading_killed_at_random_moments_ends_with_the_same_answers_and_repeats_no_finished_request(
    server: JsonRpcServer, tmp_path: Path
) -> None:
    server.log_range = 10_000
    answers, _ = start_reading(server, tmp_path / "undisturbed").communicate(timeout=600)
    assert json.loads(answers)[0]
    once, requests = asked(server), len(server.http_requests)

    server.rpc_calls.clear()
    moments = random.Random(7)
    kills = 3
    for _ in range(kills):
        last = moments.randrange(3, requests // 3)
        # However slow this machine is, the reading gets no further than a few requests beyond the last.
        server.faults.extend([None] * (last + 2) + [Fault(hang=60)])
        reading = start_reading(server, tmp_path / "killed")
        end = len(server.http_requests) + last
        while len(server.http_requests) < end and reading.poll() is None:
            time.sleep(0.0005)
        time.sleep(moments.uniform(0.0, 0.02))
        reading.send_signal(signal.SIGKILL)
        reading.communicate()
        assert reading.returncode == -signal.SIGKILL
        server.faults.clear()
    assert start_reading(server, tmp_path / "killed").communicate(timeout=600)[0] == answers

    again = {question: n for question, n in (asked(server) - once).items() if not too_wide(question)}
    in_flight = 4  # calls in one HTTP request
    assert sum(again.values()) <= kills * in_flight
    assert asked(server).keys() >= {question for question in once if not too_wide(question)}


def too_wide(question: str) -> bool:
    """Whether it is a range that the node refuses, and that is tried anew by every process."""
    query = json.loads(question)[1][0]
    return "toBlock" in query and int(query["toBlock"], 16) - int(query["fromBlock"], 16) >= 10_000
