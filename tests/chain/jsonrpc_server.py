"""A JSON-RPC node on 127.0.0.1 with a made-up chain, which fails in every way that a test asks for.

What a node *is* (its limits, what it supports) are attributes of :class:`JsonRpcServer`; what goes wrong *once* is a
:class:`Fault` in its queue, one for each HTTP request to come, None for a request that goes well.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from eth_abi.abi import decode, encode

from chain.calls import AGGREGATOR

KEY = "s3cr3t-k3y-0123456789"
TRY_AGGREGATE = bytes.fromhex("bce38bd7")

Contract = Callable[[bytes, int], bytes]
"""What a contract returns for call data at a block number; raises :class:`Revert`."""


class Revert(Exception):
    """A contract reverts with these bytes."""

    def __init__(self, data: bytes = b"") -> None:
        self.data = data


class Refused(Exception):
    """The node answers a call with an error."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        self.error = {"code": code, "message": message} | ({} if data is None else {"data": data})


@dataclass
class FakeChain:
    """Blocks, contracts and logs that follow from their numbers."""

    chain_id: int = 1
    head: int = 1_000
    forked_at: int | None = None
    contracts: dict[str, Contract] = field(default_factory=dict)
    logs: list[dict[str, Any]] = field(default_factory=list)

    def hash(self, number: int) -> str:
        fork = "new" if self.forked_at is not None and number >= self.forked_at else "old"
        return f"0x{fork.encode().hex():0>48}{number:016x}"

    def number(self, block_hash: str) -> int | None:
        """The height of a block of this chain; None if it is of another."""
        number = int(block_hash[-16:], 16)
        return number if self.hash(number) == block_hash and number <= self.head else None

    def reorganise(self, number: int) -> None:
        """Replace every block from `number` on."""
        self.forked_at = number

    def header(self, number: int) -> dict[str, Any] | None:
        if number > self.head:
            return None
        return {"number": hex(number), "hash": self.hash(number), "timestamp": hex(1_700_000_000 + 12 * number)}

    def add_log(self, number: int, index: int, address: str, topics: list[str], data: str = "0x") -> None:
        self.logs.append(
            {"blockNumber": number, "logIndex": hex(index), "address": address, "topics": topics, "data": data}
        )


@dataclass(frozen=True)
class Fault:
    """How one HTTP request goes wrong.

    Attributes
    ----------
    status, headers, body
        An HTTP answer instead of the node's.
    hang
        Seconds before anything is answered.
    truncated
        Half of the body, then a closed connection.
    garbled
        Half of the body, as if it were whole.
    drop, reverse
        Positions of a batch that stay unanswered; whether a batch is answered in reverse order.
    error
        A JSON-RPC error for every call.
    whole
        One object instead of a batch of answers.
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: str | None = None
    hang: float = 0.0
    truncated: bool = False
    garbled: bool = False
    drop: tuple[int, ...] = ()
    reverse: bool = False
    error: dict[str, Any] | None = None
    whole: dict[str, Any] | None = None


class JsonRpcServer:
    """The server; a context manager.

    Attributes
    ----------
    faults
        What goes wrong with the next HTTP requests, in order.
    batch_limit
        Most calls in a batch; 1 means that batches are refused. None for no limit.
    reference
        How blocks may be named: ``"canonical"`` (EIP-1898 in full), ``"hash"`` (no requireCanonical) or ``"number"``.
    overrides
        What becomes of a state override: ``"honoured"``, ``"refused"`` or ``"ignored"``.
    bundle_gas
        After so many calls in one bundle the rest fail without a reason, as if out of gas. None for no limit.
    bundle_calls
        A bundle of more calls is refused as a whole.
    log_range, log_results
        Most blocks of a log query, and most logs.
    refusal
        The words for a log query over a limit.
    absent
        Methods that the node does not have.
    pruned_below
        Blocks whose state is gone.
    delay
        Seconds that every HTTP request takes.
    at_call
        Actions before the n-th JSON-RPC call (counted from 1).
    http_requests, rpc_calls
        Every HTTP request and every JSON-RPC call so far, as method and parameters.
    """

    def __init__(self, chain: FakeChain | None = None) -> None:
        self.chain = chain or FakeChain()
        self.faults: deque[Fault | None] = deque()
        self.batch_limit: int | None = None
        self.reference = "canonical"
        self.overrides = "honoured"
        self.bundle_gas: int | None = None
        self.bundle_calls: int | None = None
        self.log_range: int | None = None
        self.log_results: int | None = None
        self.refusal = "query returned more than 10000 results"
        self.absent: set[str] = set()
        self.pruned_below = 0
        self.delay = 0.0
        self.at_call: dict[int, Callable[[], None]] = {}
        self.http_requests: list[Any] = []
        self.rpc_calls: list[tuple[str, Any]] = []
        self.times: list[float] = []
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._thread = threading.Thread(target=lambda: self._server.serve_forever(poll_interval=0.01), daemon=True)

    @property
    def url(self) -> str:
        """The address, with a key in every part of it that may hold one."""
        return f"http://user-{KEY}:pass-{KEY}@127.0.0.1:{self.port}/v2/{KEY}/x?apikey={KEY}"

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def calls_of(self, method: str) -> list[Any]:
        """The parameters of every call of a method so far."""
        return [params for name, params in self.rpc_calls if name == method]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._server.shutdown()
        self._server.server_close()

    def answer(self, body: Any) -> Any:
        """The node's answer to a body without faults."""
        if isinstance(body, list):
            if self.batch_limit is not None and len(body) > self.batch_limit:
                return {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "batch too large"}}
            return [self._answer_one(one) for one in body]
        return self._answer_one(body)

    def _answer_one(self, body: dict[str, Any]) -> dict[str, Any]:
        method, params = body["method"], body["params"]
        self.rpc_calls.append((method, params))
        self.at_call.get(len(self.rpc_calls), lambda: None)()
        try:
            if method in self.absent or not hasattr(self, f"_{method}"):
                raise Refused(-32601, "the method does not exist/is not available")
            outcome = {"result": getattr(self, f"_{method}")(*params)}
        except Refused as refused:
            outcome = {"error": refused.error}
        return {"jsonrpc": "2.0", "id": body["id"], **outcome}

    def _eth_chainId(self) -> str:  # noqa: N802
        return hex(self.chain.chain_id)

    def _eth_getBlockByNumber(self, tag: str, _: bool) -> Any:  # noqa: N802
        heights = {"latest": self.chain.head, "safe": self.chain.head - 32, "finalized": self.chain.head - 64}
        return self.chain.header(heights[tag] if tag in heights else int(tag, 16))

    def _eth_getBalance(self, address: str, block: Any) -> str:  # noqa: N802
        return hex(int(address, 16) * 10**6 + self._number(block))

    def _eth_call(self, call: dict[str, str], block: Any, overrides: dict[str, Any] | None = None) -> str:
        number = self._number(block)
        if overrides and self.overrides == "refused":
            raise Refused(-32602, "too many arguments, want at most 2")
        contracts = dict(self.chain.contracts)
        if overrides and self.overrides == "honoured":
            assert overrides[AGGREGATOR]["code"].startswith("0x60")
            contracts[AGGREGATOR] = self.aggregator
        try:
            returned = self._run(contracts, call["to"], bytes.fromhex(call["data"][2:]), number)
        except Revert as revert:
            raise Refused(3, "execution reverted", "0x" + revert.data.hex()) from None
        return "0x" + returned.hex()

    def aggregator(self, data: bytes, number: int) -> bytes:
        """Multicall3's ``tryAggregate``."""
        assert data[:4] == TRY_AGGREGATE
        required, calls = decode(["bool", "(address,bytes)[]"], data[4:])
        assert not required
        if self.bundle_calls is not None and len(calls) > self.bundle_calls:
            raise Refused(-32000, "out of gas")
        results = []
        for spent, (target, payload) in enumerate(calls):
            if self.bundle_gas is not None and spent >= self.bundle_gas:
                results.append((False, b""))
                continue
            try:
                results.append((True, self._run(self.chain.contracts, target, payload, number)))
            except Revert as revert:
                results.append((False, revert.data))
        return encode(["(bool,bytes)[]"], [results])

    @staticmethod
    def _run(contracts: dict[str, Contract], target: str, data: bytes, number: int) -> bytes:
        contract = {address.lower(): code for address, code in contracts.items()}.get(target.lower())
        return contract(data, number) if contract else b""

    def _eth_getLogs(self, query: dict[str, Any]) -> list[dict[str, Any]]:  # noqa: N802
        start, end = int(query["fromBlock"], 16), int(query["toBlock"], 16)
        if self.log_range is not None and end - start + 1 > self.log_range:
            raise Refused(-32000, self.refusal)
        found = [
            {
                **log,
                "blockNumber": hex(log["blockNumber"]),
                "blockHash": log.get("blockHash", self.chain.hash(log["blockNumber"])),
            }
            for log in self.chain.logs
            if start <= log["blockNumber"] <= end and _matches(log, query)
        ]
        if self.log_results is not None and len(found) > self.log_results:
            raise Refused(-32000, self.refusal)
        return found

    def _number(self, block: Any) -> int:
        """The height of the block that a request names."""
        if isinstance(block, str):
            number = int(block, 16)
        elif self.reference == "number" or (self.reference == "hash" and "requireCanonical" in block):
            raise Refused(-32602, "invalid argument 1: json: cannot unmarshal object into Go value of type string")
        else:
            found = self.chain.number(block["blockHash"])
            if found is None:
                raise Refused(-32000, "hash is not currently canonical")
            number = found
        if number < self.pruned_below:
            raise Refused(-32000, f"missing trie node 00ff (path ) <nil> for {KEY}")
        return number

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # head and body in one packet, or each answer waits for an acknowledgement

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with server._lock:
                    server.http_requests.append(body)
                    server.times.append(time.monotonic())
                    fault = (server.faults.popleft() if server.faults else None) or Fault()
                    reply = _spoilt(server, body, fault)
                server._stopped.wait(server.delay + fault.hang)
                content = reply.encode()
                if fault.garbled:
                    content = content[: len(content) // 2]
                self.send_response(fault.status)
                for name, value in fault.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: len(content) // 2] if fault.truncated else content)
                self.close_connection = fault.truncated

            def handle(self) -> None:
                with contextlib.suppress(OSError):  # the client gave up or was killed
                    super().handle()

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


def _spoilt(server: JsonRpcServer, body: Any, fault: Fault) -> str:
    if fault.body is not None:
        return fault.body
    if fault.whole is not None:
        return json.dumps({"jsonrpc": "2.0", "id": None, "error": fault.whole})
    if fault.error is not None:
        errors = [{"jsonrpc": "2.0", "id": one["id"], "error": fault.error} for one in _listed(body)]
        return json.dumps(errors if isinstance(body, list) else errors[0])
    reply = server.answer(body)
    if isinstance(reply, list):
        reply = [one for position, one in enumerate(reply) if position not in fault.drop]
        reply = reply[::-1] if fault.reverse else reply
    return json.dumps(reply)


def _listed(body: Any) -> Iterable[dict[str, Any]]:
    return body if isinstance(body, list) else [body]


def _matches(log: dict[str, Any], query: dict[str, Any]) -> bool:
    topics = query.get("topics", [])
    return log["address"].lower() in [one.lower() for one in query["address"]] and all(
        wanted is None or (position < len(log["topics"]) and log["topics"][position] in _words(wanted))
        for position, wanted in enumerate(topics)
    )


def _words(wanted: str | list[str]) -> list[str]:
    return [wanted] if isinstance(wanted, str) else wanted
