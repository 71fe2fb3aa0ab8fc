"""Which Comet contracts are modelled, how each was checked, and how they name their errors."""

from __future__ import annotations

from dataclasses import dataclass

from chain.errors import UnsupportedError

UNVERIFIED = "unverified"


@dataclass(frozen=True, slots=True)
class Version:
    """One of the contracts that deployments run.

    They differ in how many assets they list and where they keep them: liquidation is the same source in both.

    Attributes
    ----------
    name
        The contract's name in its repository.
    verified_by
        The vectors of this contract's own answers that the rules reproduce (without ``.json.gz``), or ``unverified``.
    """

    name: str
    verified_by: str


COMET = "Comet"
EXTENDED = "CometWithExtendedAssetList"

VERSIONS = {version.name: version for version in (Version(COMET, UNVERIFIED), Version(EXTENDED, "compound_v3"))}


def version_of(name: str) -> Version:
    """The version of that name; raises UnsupportedError for one that has no rules."""
    if name not in VERSIONS:
        raise UnsupportedError(f"no rules for Compound v3 version {name!r}; there are rules for {', '.join(VERSIONS)}")
    return VERSIONS[name]


(
    OK,
    PAUSED,
    NOT_LIQUIDATABLE,
    NOT_FOR_SALE,
    BAD_PRICE,
    TOO_MUCH_SLIPPAGE,
    INSUFFICIENT_RESERVES,
    ARITHMETIC_PANIC,
    DIVISION_PANIC,
) = range(9)
"""Why a call reverts; 0 if it does not."""

_NAMES = {
    OK: "",
    PAUSED: "Paused",
    NOT_LIQUIDATABLE: "NotLiquidatable",
    NOT_FOR_SALE: "NotForSale",
    BAD_PRICE: "BadPrice",
    TOO_MUCH_SLIPPAGE: "TooMuchSlippage",
    INSUFFICIENT_RESERVES: "InsufficientReserves",
    ARITHMETIC_PANIC: "Panic(0x11)",
    DIVISION_PANIC: "Panic(0x12)",
}


def revert_name(code: int) -> str:
    """The custom error that the contract reverts with; empty for OK."""
    return _NAMES[code]
