"""What a kind of claim is: how its tokens are recognised, and what each whole token is owed, by whom."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from chain.calls import Call, CallFailed
from chain.tables import Schema
from protocols.arithmetic import Number, floored, mul_div_down, rule
from protocols.reading import Rows
from protocols.walking import Ask

Losses = Literal["at once", "at withdrawal", "never"]
"""When what an issuer loses reaches holders. *At once*: one token is worth less from then on. *At withdrawal*: it is
worth what it was, and whoever comes when the rest is gone gets nothing. *Never*: the issuer owes all the same."""


@dataclass(frozen=True)
class Token:
    """A token that may be a claim.

    Attributes
    ----------
    address
        Of its contract.
    unit_raw
        Smallest units of one whole token.
    supply_raw
        Smallest units that there are.
    told
        What its contract answered to the getters of its kind, by their names there.
    native
        Address of the token that wraps the chain's own currency; empty where none is known.
    issuers
        Names of the snapshot's markets by their contracts' addresses.
    """

    address: str
    unit_raw: int
    supply_raw: int
    told: Mapping[str, Any]
    native: str
    issuers: Mapping[str, str]

    def issuer(self, contract: str) -> str:
        """The market of the snapshot that a contract belongs to, else the contract."""
        return self.issuers.get(contract, contract)


@dataclass(frozen=True)
class Claim:
    """What one whole token is worth in one thing.

    Attributes
    ----------
    underlying
        Address of the token that is owed; empty for what lies off the chain.
    amount_raw
        Smallest units of it for one whole token; 0 off the chain.
    backing_raw
        Smallest units of it behind all tokens; 0 off the chain.
    due_at
        Unix seconds from which it is owed; 0 at any time.
    """

    underlying: str
    amount_raw: int = 0
    backing_raw: int = 0
    due_at: int = 0


@dataclass(frozen=True)
class Found:
    """What a token is a claim on.

    Attributes
    ----------
    issuer
        Who owes it, as the table ``claims`` has it.
    claims
        One for each thing that is owed.
    supply_raw
        Where not all of the token's supply is a claim, how much is.
    rows
        What else is told of it, for tables of its kind.
    """

    issuer: str
    claims: Sequence[Claim]
    supply_raw: int | None = None
    rows: Mapping[Schema, Rows] = field(default_factory=dict)


Looking = Generator[Sequence[Ask], Sequence[Any], Found | None]
"""Looks into a token whose kind's getters answered; None if it is not of that kind after all."""


@dataclass(frozen=True)
class Kind:
    """A kind of claim.

    Attributes
    ----------
    name
        As the table ``claims`` has it.
    losses
        When the issuer's losses reach holders.
    getters
        Functions that a token of this kind has, by the name of what each gives. A token is of the first kind all of
        whose getters it answers.
    look
        How it is read.
    at
        The tokens of this kind by chain, where no function sets them apart; None where functions do.
    """

    name: str
    losses: Losses
    getters: Mapping[str, str]
    look: Callable[[Token], Looking]
    at: Mapping[int, frozenset[str]] | None = None


@rule
def proportional(shares: Number, supply: Number, backing: Number, _virtual: Number) -> Number:
    """A share of what there is, rounded down: UniswapV2Pair.burn, Curve's remove_liquidity, rETH.getEthValue,
    stETH.getPooledEthByShares, and vaults without virtual shares."""
    return floored(mul_div_down(shares, backing, supply))


MOST_LISTED = 64
"""Entries of a contract's list that are asked for: MetaMorpho's queues have at most 30."""


def failed(answers: Sequence[Any]) -> bool:
    """Whether a contract left anything unanswered."""
    return any(isinstance(answer, CallFailed) for answer in answers)


def or_zero(answer: Any) -> int:
    """A number; 0 from a contract that does not have it."""
    return 0 if isinstance(answer, CallFailed) else int(answer)


def balance(token: str, holder: str) -> Call:
    """What somebody has of a token."""
    return Call(token, "balanceOf(address)(uint256)", (holder,))


def addresses(**getters: str) -> dict[str, str]:
    """Signatures of getters without arguments that give an address."""
    return {name: f"{getter}()(address)" for name, getter in getters.items()}


def numbers(**getters: str) -> dict[str, str]:
    """Signatures of getters without arguments that give a number."""
    return {name: f"{getter}()(uint256)" for name, getter in getters.items()}
