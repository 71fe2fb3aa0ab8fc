"""JSON-RPC calls to one node over HTTP: batches, retries with backoff and jitter, a rate limit, counters.

The transport is web3.py's ``HTTPProvider``, used raw: its middleware would ask for the chain id twice with every call,
and its own retries know neither ``Retry-After`` nor errors inside an answer. Messages of the HTTP libraries hold the
whole address, so none of them is passed on: errors are told in this module's words, and raised outside ``except``
blocks so that no exception chain carries the originals.
"""

from __future__ import annotations

import itertools
import json
import logging
import time
import warnings
from collections.abc import Callable, Sequence
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from chain.errors import InputError, NodeError
from chain.refusals import Refusal, RpcError, meaning
from chain.rpcurl import RpcUrl

if TYPE_CHECKING:
    from tenacity import RetryCallState

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

Request = tuple[str, list[Any]]
"""A JSON-RPC method and its parameters."""

LONGEST_WAIT_S = 120.0
_LONGEST_BACKOFF_S = 30.0
_LONGEST_QUOTE = 200

_GATEWAY_TIMEOUTS = frozenset({408, 504, 524})
_MEND = {
    Refusal.UNREACHABLE: "check the address, and that the node is up",
    Refusal.BUSY: "limit the requests per second, or try again later",
    Refusal.TIMEOUT: "allow a longer timeout, or try again later",
    Refusal.UNKNOWN_BLOCK: "pin an older block, such as 'finalized', or try again later",
}


class Transient(NodeError):
    """A failure that may pass, so that the same question is worth asking again."""

    def __init__(self, message: str, kind: Refusal = Refusal.BUSY, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.kind = kind
        self.retry_after = retry_after
        self.final = False  # whether all attempts were used up


class _BatchRefused(NodeError):
    """The node takes no batch, or none of this size."""


class Transport:
    """One node, spoken to over HTTP.

    Parameters
    ----------
    url
        Address of the node; a secret but for scheme and host.
    requests_per_second
        Upper limit on JSON-RPC calls per second, each call of a batch counted, as providers do; None for no limit.
    attempts
        How often in a row a node may fail to answer anything before that is an error.
    timeout
        Seconds to wait for a connection or for the next bytes of an answer.
    batch_size
        Most calls in one HTTP request, to begin with.
    backoff
        Seconds before the second attempt; doubled for each further one, with jitter. A node's ``Retry-After`` is
        honoured up to ``LONGEST_WAIT_S``.

    Attributes
    ----------
    batch_limit
        Most calls in one HTTP request now; halved whenever the node refuses a batch or a batch times out.
    http_requests, rpc_calls
        How many HTTP requests were made, and how many JSON-RPC calls they held, repetitions included.
    """

    def __init__(
        self,
        url: RpcUrl,
        *,
        requests_per_second: float | None,
        attempts: int,
        timeout: float,
        batch_size: int,
        backoff: float,
    ) -> None:
        rate_fits = requests_per_second is None or requests_per_second > 0
        if attempts < 1 or batch_size < 1 or timeout <= 0 or backoff < 0 or not rate_fits:
            raise InputError(
                "attempts, batch size, timeout and requests per second must be positive, backoff not negative; got "
                f"{attempts}, {batch_size}, {timeout}, {requests_per_second}, {backoff}"
            )
        self._url = url
        self._rate = requests_per_second
        self._attempts = attempts
        self._timeout = timeout
        self._backoff = backoff
        self.batch_limit = batch_size if self._rate is None else max(1, min(batch_size, int(self._rate)))
        self._free_at = 0.0
        self.http_requests = 0
        self.rpc_calls = 0

    def send(self, requests: Sequence[Request], *, splittable: bool = False) -> list[Any]:
        """The answer to each request, in order: the JSON result, or an :class:`RpcError` as a value.

        Parameters
        ----------
        splittable
            Whether the caller can ask for less at a time. Then a call that times out on its own is answered with an
            :class:`RpcError` at once, instead of being asked again.

        Raises
        ------
        NodeError
            If the node cannot be reached, does not speak JSON-RPC, or did not answer in all attempts.
        """
        answers: dict[int, Any] = {}
        while waiting := [i for i in range(len(requests)) if i not in answers]:
            answers.update(self.patiently(lambda: self._send_some(requests, waiting, splittable)))
        return [answers[i] for i in range(len(requests))]

    def patiently(self, action: Callable[[], _T]) -> _T:
        """The result of `action`, repeated with growing pauses as long as it raises :class:`Transient`."""
        from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential, wait_random

        backoff = wait_exponential(multiplier=self._backoff, max=_LONGEST_BACKOFF_S) + wait_random(0, self._backoff)

        def pause(state: RetryCallState) -> float:
            return max(backoff(state), _problem(state).retry_after)

        def stop(state: RetryCallState) -> bool:
            return stop_after_attempt(self._attempts)(state) or _problem(state).retry_after > LONGEST_WAIT_S

        def give_up(state: RetryCallState) -> _T:
            problem = _problem(state)
            asked = f"asked {state.attempt_number} times; " if state.attempt_number > 1 else ""
            problem.args = (f"{problem} ({asked}{_MEND[problem.kind]})",)
            problem.final = True
            raise problem

        def tell(state: RetryCallState) -> None:
            _log.info("%s; asking again in %.1f s", _problem(state), state.upcoming_sleep)

        return Retrying(
            retry=retry_if_exception(lambda error: isinstance(error, Transient) and not error.final),
            wait=pause,
            stop=stop,
            before_sleep=tell,
            retry_error_callback=give_up,
        )(action)

    def _send_some(self, requests: Sequence[Request], waiting: Sequence[int], splittable: bool) -> dict[int, Any]:
        """Answers to at least one of the `waiting` requests, by position; the batch shrinks until the node takes it."""
        while True:
            chunk = waiting[: self.batch_limit]
            try:
                answers = self._exchange([requests[i] for i in chunk], splittable)
            except _BatchRefused:
                self.batch_limit = max(1, len(chunk) // 2)
                continue
            except Transient as problem:
                if problem.kind is Refusal.TIMEOUT:
                    if splittable and len(chunk) == 1:
                        return {chunk[0]: self._timed_out(requests[chunk[0]][0])}
                    self.batch_limit = max(1, len(chunk) // 2)
                raise
            return {chunk[i]: answer for i, answer in answers.items()}

    def _exchange(self, requests: Sequence[Request], splittable: bool) -> dict[int, Any]:
        """One HTTP request; the answers that came back, by position. At least one, or an exception."""
        elements = self._elements(self._post(requests), len(requests))
        answers: dict[int, Any] = {}
        problem = Transient(f"{self._url} left calls unanswered")
        alone = len(requests) == 1
        for element in elements:
            position = 0 if alone else _position(element, len(requests))
            if position is None or not isinstance(element, dict):
                continue
            if error := element.get("error"):
                refusal = self._rpc_error(requests[position][0], error)
                if refusal.kind is Refusal.BATCH and not alone:
                    raise _BatchRefused(str(refusal))
                if refusal.kind in _MEND and not (refusal.kind is Refusal.TIMEOUT and splittable):
                    problem = Transient(str(refusal), refusal.kind)
                else:
                    answers[position] = refusal
            elif "result" in element:
                answers[position] = element["result"]
        if not answers:
            raise problem
        return answers

    def _elements(self, body: Any, count: int) -> list[Any]:
        """The answers in a body: a list for a batch, else one object."""
        if isinstance(body, dict) and count == 1:
            return [body]
        if isinstance(body, list) and count > 1:
            return body
        if isinstance(body, dict) and body.get("error"):
            refusal = self._rpc_error("a batch", body["error"])
            if refusal.kind in (Refusal.BUSY, Refusal.TIMEOUT):
                raise Transient(str(refusal), refusal.kind)
            raise _BatchRefused(str(refusal))
        raise Transient(f"{self._url} answered something that is not JSON-RPC")

    def _post(self, requests: Sequence[Request]) -> Any:
        """The JSON body of the answer to one HTTP request."""
        from web3.exceptions import Web3TypeError

        self._await_turn(len(requests))
        self.http_requests += 1
        self.rpc_calls += len(requests)
        # Ids count from 1 in every HTTP request, so that an answer's id says which call it belongs to.
        self._provider.request_counter = itertools.count(1)
        problem: Exception | None = None
        try:
            with warnings.catch_warnings():
                # web3 warns of answers without an id; here they count as unanswered.
                warnings.simplefilter("ignore", RuntimeWarning)
                if len(requests) == 1:
                    body = self._provider.make_request(*requests[0])
                else:
                    body = self._provider.make_batch_request(list(requests))
        except Web3TypeError:  # a parameter that JSON cannot hold: the caller's mistake, not the node's
            raise
        except Exception as error:
            body, problem = self._explain(error, batch=len(requests) > 1)
        if problem is not None:
            raise problem
        return body

    @cached_property
    def _provider(self) -> Any:
        from requests import Session
        from web3 import HTTPProvider

        return HTTPProvider(
            self._url.reveal(),
            request_kwargs={"timeout": self._timeout},
            session=Session(),
            exception_retry_configuration=None,
        )

    def close(self) -> None:
        """Drop the connection; the next request makes a new one."""
        self.__dict__.pop("_provider", None)

    def _await_turn(self, calls: int) -> None:
        """Space requests so that calls do not exceed the rate, averaged from one request to the next."""
        if self._rate is None:
            return
        time.sleep(max(0.0, self._free_at - time.monotonic()))
        self._free_at = time.monotonic() + calls / self._rate

    def _explain(self, error: Exception, *, batch: bool) -> tuple[Any, Exception | None]:
        """A body after all, or what went wrong, in words that hold no part of the address but scheme and host."""
        import requests

        if isinstance(error, requests.HTTPError) and error.response is not None:
            return self._http_error(error.response, batch=batch)
        if isinstance(error, json.JSONDecodeError) and error.doc.lstrip().startswith("<"):
            return None, NodeError(
                f"{self._url} answered with a web page, not JSON-RPC; check that the address is a node's RPC endpoint"
            )
        if isinstance(error, requests.exceptions.SSLError):
            return None, NodeError(f"{self._url}: no secure connection (TLS failed); check the address and certificate")
        if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidSchema):
            return None, InputError(f"the RPC address at {self._url} cannot be used; check its spelling")
        # A body that stalls half-way is reported as a ConnectionError that wraps the time-out.
        if isinstance(error, requests.Timeout) or "timed out" in str(error):
            return None, Transient(f"{self._url} did not answer within {self._timeout:g} s", Refusal.TIMEOUT)
        if isinstance(error, requests.ConnectionError):
            return None, Transient(f"cannot connect to {self._url}, or it hung up", Refusal.UNREACHABLE)
        if isinstance(error, requests.exceptions.ChunkedEncodingError | ValueError):
            return None, Transient(f"{self._url} sent a truncated or garbled answer", Refusal.UNREACHABLE)
        return None, Transient(f"{self._url} answered something that is not JSON-RPC ({type(error).__name__})")

    def _http_error(self, response: Any, *, batch: bool) -> tuple[Any, Exception | None]:
        """What an HTTP status other than success means; often the body still is a JSON-RPC answer."""
        status = response.status_code
        said = f"{self._url} answered HTTP {status}"
        body = _json_rpc(response.content)
        retry_after = _seconds(response.headers.get("Retry-After", ""))
        if status == 429:
            asks = f" and asks to wait {retry_after:.0f} s" if retry_after else ""
            return None, Transient(f"{said} (too many requests){asks}", Refusal.BUSY, retry_after)
        if status in _GATEWAY_TIMEOUTS:
            return None, Transient(f"{said} (gateway timeout)", Refusal.TIMEOUT, retry_after)
        if status >= 500 and (
            not isinstance(body, dict) or self._rpc_error("", body["error"]).kind in (Refusal.BUSY, Refusal.OTHER)
        ):
            return None, Transient(said, Refusal.BUSY, retry_after)
        if body is not None:
            return body, None
        if batch and status in (400, 413):
            return None, _BatchRefused(said)
        if status == 413:
            return {"error": {"code": status, "message": "request too large"}}, None
        if status in (401, 403):
            return None, NodeError(f"{said} (access refused); check the API key in the address")
        return None, NodeError(f"{said}; check that the address is a node's RPC endpoint")

    def _rpc_error(self, method: str, error: Any) -> RpcError:
        fields = error if isinstance(error, dict) else {"message": error}
        code = fields.get("code") if isinstance(fields.get("code"), int) else None
        data = fields.get("data")
        words = str(fields.get("message", ""))
        if isinstance(data, str) and not data.startswith("0x"):
            words = f"{words} {data}".strip()
        shown = self._url.scrub(words)[:_LONGEST_QUOTE]
        return RpcError(str(self._url), method, shown, kind=meaning(code, words), code=code, data=data)

    def _timed_out(self, method: str) -> RpcError:
        reason = f"no answer within {self._timeout:g} s"
        return RpcError(str(self._url), method, reason, kind=Refusal.TIMEOUT)


def _problem(state: RetryCallState) -> Transient:
    problem = state.outcome.exception() if state.outcome else None
    assert isinstance(problem, Transient)
    return problem


def _position(element: Any, count: int) -> int | None:
    """Which call of a batch an answer belongs to, by its id."""
    number = element.get("id") if isinstance(element, dict) else None
    return number - 1 if isinstance(number, int) and 1 <= number <= count else None


def _json_rpc(content: bytes) -> Any:
    """The body of an HTTP error, if it is a JSON-RPC answer; else None."""
    try:
        body = json.loads(content)
    except ValueError:
        return None
    return body if isinstance(body, list) or (isinstance(body, dict) and body.get("error")) else None


def _seconds(retry_after: str) -> float:
    """How long a ``Retry-After`` header asks to wait: a number of seconds, or a date."""
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (ValueError, TypeError):
        return 0.0
