"""What identifies a Uniswap v4 pool."""

from __future__ import annotations

from typing import NamedTuple

from chain.errors import InputError

NATIVE = "0x" + "0" * 40
"""The chain's own currency, as PoolManager calls it: Currency.ADDRESS_ZERO. Also the address of no hooks."""


class PoolKey(NamedTuple):
    """The contract that holds a pool, and the key under which it does: PoolManager keeps no keys, and asks for the key
    in every call.

    Attributes
    ----------
    manager
        Address of the PoolManager.
    currency0, currency1
        Addresses; `NATIVE` for the chain's own currency.
    fee_pips
        The liquidity providers' fee, hundredths of a basis point.
    tick_spacing
        Distance of usable ticks.

    Examples
    --------
    >>> key = PoolKey("0x" + "aa" * 20, NATIVE, "0x" + "bb" * 20, 500, 10)
    >>> read_key(key.name) == key
    True
    """

    manager: str
    currency0: str
    currency1: str
    fee_pips: int
    tick_spacing: int

    @property
    def name(self) -> str:
        """The key in one line, which is what the pool is called here."""
        return "/".join(map(str, self))

    @property
    def arguments(self) -> tuple[str, str, int, int, str]:
        """The struct PoolKey, without hooks."""
        return self.currency0, self.currency1, self.fee_pips, self.tick_spacing, NATIVE

    @property
    def pool_id(self) -> bytes:
        """PoolIdLibrary.toId."""
        from eth_abi.abi import encode
        from eth_utils.crypto import keccak

        return keccak(encode(["address", "address", "uint24", "int24", "address"], self.arguments))


def read_key(name: str) -> PoolKey:
    """The key that a pool is called by.

    Raises
    ------
    InputError
        If it is no such name.
    """
    parts = name.split("/")
    addresses, numbers = parts[:3], parts[3:]
    if len(parts) != 5 or any(len(a) != 42 or a[:2] != "0x" for a in addresses) or not all(map(str.isdecimal, numbers)):
        raise InputError(f"{name!r} is no Uniswap v4 pool: manager/currency0/currency1/fee/tickSpacing is expected")
    manager, currency0, currency1 = addresses
    return PoolKey(manager, currency0, currency1, int(numbers[0]), int(numbers[1]))
