"""Contract calls come back as the contracts answered them, however the node lets them be bundled."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from eth_abi.abi import decode, encode

from chain.calls import MULTICALL3, Call, CallFailed, read
from chain.calls import encode as encode_call
from chain.contracts import TRY_AGGREGATE
from chain.errors import InputError, NodeError
from chain.node import Block, Node
from tests.chain.jsonrpc_server import Contract, Fault, JsonRpcServer, Revert

TOKEN = "0x" + "70" * 20
ODD = "0x" + "0d" * 20
BALANCE = "balanceOf(address)(uint256)"
BALANCE_SELECTOR = bytes.fromhex("70a08231")


def token(data: bytes, number: int) -> bytes:
    """A balance that tells account and block."""
    assert data[:4] == BALANCE_SELECTOR
    (account,) = decode(["address"], data[4:])
    return encode(["uint256"], [int(account, 16) * 10**6 + number])


def answering(types: list[str], values: list[Any]) -> Contract:
    return lambda data, number: encode(types, values)


def reverting(data: bytes) -> Contract:
    def contract(_: bytes, __: int) -> bytes:
        raise Revert(data)

    return contract


@pytest.fixture
def server() -> Iterator[JsonRpcServer]:
    with JsonRpcServer() as running:
        running.chain.contracts[TOKEN] = token
        yield running


def deploy_multicall3(server: JsonRpcServer) -> None:
    server.chain.contracts[MULTICALL3] = server.aggregator


def connect(server: JsonRpcServer, **options: Any) -> tuple[Node, Block]:
    node = Node(server.url, **({"cache_dir": None, "backoff": 0.001, "timeout": 5.0} | options))
    return node, node.pin(900)


def balances(count: int) -> list[Call]:
    return [Call(TOKEN, BALANCE, (f"0x{i:040x}",)) for i in range(count)]


def expected(count: int) -> list[int]:
    return [i * 10**6 + 900 for i in range(count)]


def test_thousands_of_reads_take_a_handful_of_requests(server: JsonRpcServer) -> None:
    node, block = connect(server)
    http, rpc = node.http_requests, node.rpc_calls
    assert read(node, block, balances(3_600)) == expected(3_600)
    assert node.http_requests - http <= 6
    assert node.rpc_calls - rpc <= 20


def test_encoding_and_decoding_thousands_of_reads_takes_well_under_a_second(
    server: JsonRpcServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, block = connect(server)
    read(node, block, balances(300))
    # A server that decodes and encodes as much would be measured along.
    answers = encode(["(bool,bytes)[]"], [[(True, b"\0" * 32)] * 225])
    monkeypatch.setattr(server, "aggregator", lambda data, number: answers)
    calls = [Call(TOKEN, BALANCE, (f"0x{i:040x}",)) for i in range(1000, 4600)]
    spent = time.thread_time()
    assert read(node, block, calls, bundle=225) == [0] * 3_600
    assert time.thread_time() - spent < 1.0


def test_the_aggregator_called_is_the_contract_that_the_project_ships(server: JsonRpcServer) -> None:
    node, block = connect(server)
    read(node, block, balances(2))
    call, _, override = server.calls_of("eth_call")[-1]
    assert call["data"].startswith("0x" + encode_call(Call(TOKEN, TRY_AGGREGATE, (False, []))).hex()[:8])
    assert list(override) == [call["to"]]


@pytest.mark.parametrize("overrides", ["refused", "ignored"])
def test_without_state_overrides_multicall3_serves(server: JsonRpcServer, overrides: str) -> None:
    server.overrides = overrides
    deploy_multicall3(server)
    node, block = connect(server)
    assert read(node, block, balances(600)) == expected(600)
    assert [params[0]["to"] for params in server.calls_of("eth_call")[-3:]] == [MULTICALL3] * 3


@pytest.mark.parametrize("overrides", ["refused", "ignored"])
def test_with_neither_the_calls_go_singly_in_batches(server: JsonRpcServer, overrides: str) -> None:
    server.overrides = overrides
    node, block = connect(server)
    assert read(node, block, balances(600)) == expected(600)
    assert {params[0]["to"] for params in server.calls_of("eth_call")[-600:]} == {TOKEN}
    assert node.http_requests <= 10


def test_how_calls_are_bundled_is_found_out_once(server: JsonRpcServer) -> None:
    server.overrides = "refused"
    deploy_multicall3(server)
    node, block = connect(server)
    read(node, block, balances(2))
    before = node.http_requests
    read(node, block, balances(3))
    assert node.http_requests - before == 1


@pytest.mark.parametrize("reference", ["hash", "number"])
def test_every_bundle_is_read_at_the_pinned_block(server: JsonRpcServer, reference: str) -> None:
    server.reference = reference
    node, block = connect(server)
    assert read(node, block, balances(600)) == expected(600)


def test_calls_that_fail_for_want_of_gas_are_asked_again_in_smaller_bundles(server: JsonRpcServer) -> None:
    server.bundle_gas = 40
    node, block = connect(server)
    assert read(node, block, balances(600)) == expected(600)
    before = node.rpc_calls
    more = [Call(TOKEN, BALANCE, (f"0x{i:040x}",)) for i in range(600, 750)]
    assert read(node, block, more) == [i * 10**6 + 900 for i in range(600, 750)]
    assert node.rpc_calls - before == 10, "the smaller size is remembered: 150 calls, 15 to a bundle"


def test_a_bundle_refused_as_a_whole_is_divided(server: JsonRpcServer) -> None:
    server.bundle_calls = 20
    node, block = connect(server)
    assert read(node, block, balances(600)) == expected(600)


def test_a_bundle_that_takes_too_long_is_divided(server: JsonRpcServer) -> None:
    node, block = connect(server, timeout=0.5)
    read(node, block, balances(2))
    server.faults.append(Fault(hang=9.0))
    assert read(node, block, balances(100)) == expected(100)
    assert len(server.http_requests[-1]) == 17, "a sixteenth of the calls in each"


def test_what_failed_with_gas_to_spare_need_not_be_asked_again(server: JsonRpcServer) -> None:
    server.chain.contracts[ODD] = reverting(b"")
    node, block = connect(server)
    tried = [Call(ODD, BALANCE, (TOKEN,))] * 300
    read(node, block, balances(2))
    before = len(server.calls_of("eth_call"))
    found = read(node, block, [*balances(300), *tried], require=False, again=False, bundle=1000)
    assert len(server.calls_of("eth_call")) - before == 1
    assert found[:300] == expected(300)
    assert all(isinstance(answer, CallFailed) for answer in found[300:])


def test_what_failed_for_want_of_gas_is_asked_again_even_then(server: JsonRpcServer) -> None:
    server.bundle_gas = 40
    node, block = connect(server)
    assert read(node, block, balances(300), require=False, again=False, bundle=300) == expected(300)


def test_a_failed_call_is_an_error_that_names_function_and_contract(server: JsonRpcServer) -> None:
    server.chain.contracts[ODD] = reverting(bytes.fromhex("08c379a0") + encode(["string"], ["not today"]))
    node, block = connect(server)
    with pytest.raises(CallFailed, match=f"balanceOf of contract {ODD} failed: reverted: not today"):
        read(node, block, [*balances(3), Call(ODD, BALANCE, (TOKEN,)), *balances(3)])


REASONS = {
    "reverted: paused": (bytes.fromhex("08c379a0") + encode(["string"], ["paused"]), BALANCE),
    "reverted: panic 0x11": (bytes.fromhex("4e487b71") + encode(["uint256"], [0x11]), BALANCE),
    "reverted with error 0xdeadbeef": (bytes.fromhex("deadbeef") + b"\1" * 32, BALANCE),
    "reverted without a reason": (b"", BALANCE),
    "reverted with error 0x08c379a0": (bytes.fromhex("08c379a0") + b"\1", BALANCE),
}


@pytest.mark.parametrize(("reason", "revert"), REASONS.items(), ids=REASONS)
@pytest.mark.parametrize("overrides", ["honoured", "refused"])
def test_the_reason_of_a_revert_is_told_in_words(
    server: JsonRpcServer, reason: str, revert: tuple[bytes, str], overrides: str
) -> None:
    server.overrides = overrides
    server.chain.contracts[ODD] = reverting(revert[0])
    node, block = connect(server)
    before, failed, after = read(
        node, block, [balances(1)[0], Call(ODD, revert[1], (TOKEN,)), balances(2)[1]], require=False
    )
    assert [before, after] == expected(2)
    assert isinstance(failed, CallFailed)
    assert failed.reason == reason
    assert failed.data == revert[0]
    assert failed.call == Call(ODD, revert[1], (TOKEN,))


@pytest.mark.parametrize("count", [0, 5])
def test_an_address_without_a_contract_is_told_apart_from_a_zero(server: JsonRpcServer, count: int) -> None:
    node, block = connect(server)
    (failed, *_) = read(node, block, [Call(ODD, BALANCE, (TOKEN,)), *balances(count)], require=False)
    assert isinstance(failed, CallFailed)
    assert "no contract was at that address" in failed.reason


def test_an_answer_of_other_types_is_a_failed_call(server: JsonRpcServer) -> None:
    server.chain.contracts[ODD] = answering(["uint256", "uint256"], [1, 2])
    node, block = connect(server)
    calls = [Call(ODD, "symbol()(string)"), Call(ODD, "f()(uint8,uint8,uint8)"), Call(ODD, "g()(uint256,uint256)")]
    text, three, pair = read(node, block, calls, require=False)
    assert isinstance(text, CallFailed)
    assert text.reason == "it returned 64 bytes that are not (string)"
    assert isinstance(three, CallFailed)
    assert pair == (1, 2)


def test_a_word_where_a_string_is_expected_is_a_failed_call_and_can_be_read_as_a_word(server: JsonRpcServer) -> None:
    server.chain.contracts[ODD] = answering(["bytes32"], [b"MKR"])
    node, block = connect(server)
    text, word = read(node, block, [Call(ODD, "symbol()(string)"), Call(ODD, "symbol()(bytes32)")], require=False)
    assert isinstance(text, CallFailed)
    assert word == b"MKR".ljust(32, b"\0")


def test_structs_arrays_and_several_values_are_decoded(server: JsonRpcServer) -> None:
    struct = ((7,), 2**127, ODD, True)
    server.chain.contracts[ODD] = answering(["((uint256),uint128,address,bool)", "address[]"], [struct, [TOKEN, ODD]])
    node, block = connect(server)
    (answer,) = read(
        node,
        block,
        [
            Call(
                ODD,
                "f(bytes32,(uint256,address)[])(((uint256),uint128,address,bool),address[])",
                (b"\1" * 32, [(1, TOKEN)]),
            )
        ],
    )
    assert answer == (struct, (TOKEN, ODD))


def test_one_value_comes_bare_and_none_as_an_empty_tuple(server: JsonRpcServer) -> None:
    server.chain.contracts[ODD] = answering(["uint256"], [5])
    node, block = connect(server)
    assert read(node, block, [Call(ODD, "a()(uint256)"), Call(ODD, "b()()")]) == [5, ()]


def test_shorthand_types_have_the_selector_of_their_full_names(server: JsonRpcServer) -> None:
    node, block = connect(server)
    server.chain.contracts[ODD] = lambda data, number: encode(["bytes4"], [data[:4]])
    short, full = read(node, block, [Call(ODD, "f(uint)(bytes4)", (1,)), Call(ODD, "f(uint256)(bytes4)", (1,))])
    assert short == full


@pytest.mark.parametrize(
    "signature",
    ["balanceOf", "balanceOf(address)", "balanceOf(address)(uint256", "balanceOf(adress)(uint256)", "f()()()", "()()",
     "f(address))(uint256)", "f(address) (uint256)", "f(uint256[)(uint256)"],
)  # fmt: skip
def test_a_signature_that_cannot_be_parsed_is_an_input_error(server: JsonRpcServer, signature: str) -> None:
    node, block = connect(server)
    with pytest.raises(InputError, match="is not a signature of the form"):
        read(node, block, [Call(TOKEN, signature, (TOKEN,))])


@pytest.mark.parametrize("args", [(), ("0x12",), (TOKEN, TOKEN), (5,)])
def test_arguments_that_do_not_fit_are_an_input_error_that_names_the_function(
    server: JsonRpcServer, args: tuple[Any, ...]
) -> None:
    node, block = connect(server)
    with pytest.raises(InputError, match=rf"do not fit balanceOf\(address\)\(uint256\) of contract {TOKEN}"):
        read(node, block, [Call(TOKEN, BALANCE, args)])


def test_no_calls_ask_nothing(server: JsonRpcServer) -> None:
    node, block = connect(server)
    before = node.http_requests
    assert read(node, block, []) == []
    assert node.http_requests == before


def test_a_node_that_cannot_call_is_an_error_and_no_failed_call(server: JsonRpcServer) -> None:
    node, block = connect(server)
    server.absent.add("eth_call")
    with pytest.raises(NodeError, match="refused eth_call: the method does not exist"):
        read(node, block, balances(5), require=False)


def test_progress_counts_calls(server: JsonRpcServer) -> None:
    node, block = connect(server, batch_size=2)
    told: list[tuple[int, int]] = []
    read(node, block, balances(1_100), progress=lambda done, total: told.append((done, total)))
    assert told == [(0, 1100), (500, 1100), (1000, 1100), (1100, 1100)]


def test_bundles_are_answered_from_the_cache_by_a_second_process(server: JsonRpcServer, tmp_path: Any) -> None:
    node, block = connect(server, cache_dir=tmp_path)
    read(node, block, balances(600))
    node, block = connect(server, cache_dir=tmp_path)
    before = node.http_requests
    assert read(node, block, balances(600)) == expected(600)
    assert node.http_requests == before
