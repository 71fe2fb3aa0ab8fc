"""A node's state at one block, forked in this process: contracts run, the node is only read.

Runs on pyrevm (the ``verify`` extra), which fetches what a call touches, slot by slot, and keeps it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from chain.blocktime import block_ms, blocks_in
from chain.calls import AGGREGATOR, Call, decode, encode
from chain.contracts import TRY_AGGREGATE, runtime
from chain.errors import InputError, NodeError, UnsupportedError, UnwindError
from chain.rpcurl import RpcUrl

GAS = 2**32
NOBODY = "0x" + "00" * 20
_BALANCE_SLOTS = 64
"""Storage slots tried when looking for a token's balances; the layouts in use put them far below."""
# ERC-7201 location of OpenZeppelin 5's upgradeable ERC-20, whose balances are at its start
_NAMESPACED = 0x52C63247E1F47DB19D5CE0460030C497F067CA4CEBF71BA98EEADABE20BACE00


class Reverted(UnwindError):
    """A contract reverted; `output` is what it gave as reason."""

    def __init__(self, what: str, output: str) -> None:
        super().__init__(f"{what} reverted: {output}")
        self.output = output


@dataclass(frozen=True)
class Log:
    """An event of a transaction."""

    address: str
    topics: tuple[bytes, ...]
    data: bytes


@dataclass(frozen=True)
class Receipt:
    """A transaction's output and events."""

    output: bytes
    logs: tuple[Log, ...]


class Fork:
    """State that starts as a block's and is then changed here only.

    Parameters
    ----------
    url
        The node's.
    block_hash, number, timestamp, chain_id
        The block.

    Raises
    ------
    InputError
        If pyrevm is not installed.
    """

    def __init__(self, url: RpcUrl, *, block_hash: str, number: int, timestamp: int, chain_id: int) -> None:
        try:
            import pyrevm
        except ImportError:
            raise InputError(
                "running contracts needs pyrevm; install it with: pip install 'unwind-defi[verify]'"
            ) from None
        self._pyrevm = pyrevm
        self._where = str(url)
        self._start = (chain_id, number, timestamp)
        environment = pyrevm.Env(cfg=pyrevm.CfgEnv(chain_id=chain_id))
        self._evm = self._guard(
            lambda: pyrevm.EVM(env=environment, fork_url=url.reveal(), fork_block=block_hash, gas_limit=GAS)
        )
        self._codes: dict[str, bytes] = {}
        self._balance_slots: dict[str, tuple[str, int]] = {}
        self.set_time(timestamp)

    def set_time(self, timestamp: int) -> None:
        """Let following calls run at a block time, unix seconds, and at the block number of a chain that kept its pace.

        Where the pace is not known the number stays: protocols that count blocks refuse such a chain.
        """
        chain_id, number, start = self._start
        with suppress(UnsupportedError):
            number += blocks_in(timestamp - start, block_ms(chain_id, start))
        self._evm.set_block_env(
            self._pyrevm.BlockEnv(number=number, timestamp=timestamp, gas_limit=GAS, prevrandao=bytes(32))
        )

    def set_code(self, address: str, code: bytes) -> None:
        """Put a contract's runtime code at an address; its storage and its balance stay."""
        if self._codes.get(address) != code:
            balance = self._guard(lambda: self._evm.get_balance(address))
            self._guard(lambda: self._evm.insert_account_info(address, self._pyrevm.AccountInfo(code=code)))
            self._guard(lambda: self._evm.set_balance(address, balance))
            self._codes[address] = code

    def answer_always(self, address: str, value: int) -> None:
        """Make a contract answer every call with five words, the value in the first two: what a price feed needs to say
        to those that ask for its latest answer, and to those that ask for its latest round, where it comes second."""
        # PUSH32 value, DUP1, PUSH1 0, MSTORE, PUSH1 32, MSTORE, PUSH1 160, PUSH1 0, RETURN
        self.set_code(address, b"\x7f" + value.to_bytes(32, "big") + bytes.fromhex("8060005260205260a06000f3"))

    def answer_by_argument(self, address: str, answers: Mapping[str, int]) -> None:
        """Make a contract answer every call by the address that is its first argument: what an oracle of many prices
        needs to say. Addresses it was given no answer for, here or before, get what its storage happens to hold."""
        # PUSH1 4, CALLDATALOAD, SLOAD, PUSH1 0, MSTORE, PUSH1 32, PUSH1 0, RETURN
        self.set_code(address, bytes.fromhex("6004355460005260206000f3"))
        for argument, value in answers.items():
            self._guard(lambda a=argument, v=value: self._evm.insert_account_storage(address, int(a, 16), v))

    def read(self, call: Call) -> Any:
        """The result of a call that changes nothing; raises Reverted."""
        checkpoint = self._evm.snapshot()
        try:
            return decode(call, self._message(NOBODY, call.target, encode(call)))
        finally:
            self._evm.revert(checkpoint)
            self._evm.reset_transient_storage()

    def read_all(self, calls: Sequence[Call]) -> list[Any]:
        """The results of several calls, run as one; raises Reverted if one fails."""
        self.set_code(AGGREGATOR, runtime("Aggregator"))
        bundle = [(call.target, encode(call)) for call in calls]
        answers = self.read(Call(AGGREGATOR, TRY_AGGREGATE, (True, bundle)))
        return [decode(call, data) for call, (_, data) in zip(calls, answers, strict=True)]

    def read_after(self, first: Call, calls: Sequence[Call]) -> list[Any]:
        """The results of several calls once another one has been made, which is then taken back; raises Reverted.

        For contracts that must be brought up to date before they tell how things are.
        """
        checkpoint = self._evm.snapshot()
        try:
            self._message(NOBODY, first.target, encode(first))
            return [decode(call, self._message(NOBODY, call.target, encode(call))) for call in calls]
        finally:
            self._evm.revert(checkpoint)
            self._evm.reset_transient_storage()

    def transact(self, sender: str, call: Call) -> Receipt:
        """Send a transaction and keep what it changed; raises Reverted, state then as before."""
        checkpoint = self._evm.snapshot()
        try:
            output = self._message(sender, call.target, encode(call))
        except BaseException:
            self._evm.revert(checkpoint)
            self._evm.reset_transient_storage()
            raise
        logs = tuple(
            Log(log.address.lower(), tuple(bytes.fromhex(t.removeprefix("0x")) for t in log.topics), bytes(log.data[1]))
            for log in self._evm.result.logs
        )
        self._evm.commit()
        self._evm.reset_transient_storage()
        return Receipt(output, logs)

    def deal(self, token: str, owner: str, amount_raw: int) -> None:
        """Give an account a token balance by writing the token's storage.

        Raises
        ------
        UnsupportedError
            If the balances are not found in any usual place.
        """
        from eth_utils.crypto import keccak

        def write(order: str, slot: int, value: int) -> int:
            key, base = bytes.fromhex(owner[2:]).rjust(32, b"\0"), slot.to_bytes(32, "big")
            index = int.from_bytes(keccak(key + base if order == "solidity" else base + key), "big")
            previous = int(self._guard(lambda: self._evm.storage(token, index)))
            self._evm.insert_account_storage(token, index, value)
            return previous

        if token not in self._balance_slots:
            probe = amount_raw or 1
            candidates = [("solidity", s) for s in (*range(_BALANCE_SLOTS), _NAMESPACED)]
            candidates += [("vyper", s) for s in range(_BALANCE_SLOTS)]
            for order, slot in candidates:
                if self.balance(token, owner) == probe:
                    probe += 1
                previous = write(order, slot, probe)
                if self.balance(token, owner) == probe:
                    self._balance_slots[token] = (order, slot)
                    break
                write(order, slot, previous)
            else:
                raise UnsupportedError(f"the balances of token {token} are not stored in any place known here")
        write(*self._balance_slots[token], amount_raw)

    def deal_native(self, owner: str, amount_raw: int) -> None:
        """Give an account a balance of the chain's own currency."""
        self._guard(lambda: self._evm.set_balance(owner, amount_raw))

    def balance(self, token: str, owner: str) -> int:
        """ERC-20 balance, smallest units."""
        return int(self.read(Call(token, "balanceOf(address)(uint256)", (owner,))))

    def _message(self, sender: str, target: str, data: bytes) -> bytes:
        return bytes(
            self._guard(lambda: self._evm.message_call(caller=sender, to=target, calldata=data, gas=GAS), target)
        )

    def _guard(self, action: Any, target: str = "") -> Any:
        """Run a pyrevm call; its errors may hold the node's URL, so only what they are about is kept."""
        try:
            return action()
        except RuntimeError as error:
            text = str(error)
            if "Revert" in text or "Halt" in text:
                output = text.partition("output: ")[2].partition(",")[0].strip(" })") or text.partition("(")[0]
                raise Reverted(target, output) from None
            raise NodeError(
                f"the fork of {self._where} failed on {target or 'the node'}; is the node still there?"
            ) from None
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            if type(error).__name__ != "PanicException":
                raise
            raise NodeError(f"{self._where} does not answer; check the node and its URL") from None
