"""Who owns the accounts that are contracts: Safes, DSProxies, and whatever else says who its owner is.

Accounts of different markets that have an owner in common are one debtor. Owners that are contracts are looked into in
their turn. An account that is no contract, or does not say, has no owner but itself: Instadapp's accounts, which many
may be allowed to use, are such.

Sources: OwnerManager.getOwners and getThreshold (Safe); DSAuth.owner and DSProxy.cache (ds-proxy); Ownable.owner.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from chain.calls import Call, CallFailed
from protocols.asking import NOBODY
from protocols.reading import Rows
from protocols.walking import Walk

DEPTH = 3
"""Contracts from an account up to its last owner that are looked into."""
MOST = 64
"""Owners of one account that are kept; a longer list is no wallet's."""

_OWNERS, _THRESHOLD = "getOwners()(address[])", "getThreshold()(uint256)"
_OWNER, _CACHE = "owner()(address)", "cache()(address)"


def walk_owners(accounts: Iterable[str]) -> Walk[Rows]:
    """Rows of the table ``owners`` of some accounts, and of their owners as far as these are contracts.

    Two functions are tried of each account, and one more of those that answer.
    """
    rows: Rows = []
    level, known = sorted(set(accounts)), set[str]()
    further: list[tuple[str, str, list[str]]] = []
    for depth in range(DEPTH + 1):
        if not level and not further:
            break
        asks = [Call(account, signature) for account in level for signature in (_OWNERS, _OWNER)]
        asks += [Call(account, signature) for account, signature, _ in further]
        answers = yield asks
        for (account, signature, owners), answer in zip(further, answers[2 * len(level) :], strict=True):
            rows += _rows(account, signature, owners, answer)
        known |= set(level)
        pairs = zip(answers[0 : 2 * len(level) : 2], answers[1 : 2 * len(level) : 2], strict=True)
        further = [found for account, pair in zip(level, pairs, strict=True) if (found := _found(account, *pair))]
        owned = {owner for _, _, owners in further for owner in owners}
        level = sorted(owned - known) if depth < DEPTH - 1 else []
    return rows


def _found(account: str, several: Any, one: Any) -> tuple[str, str, list[str]] | None:
    """The account, what it is to be asked further, and its owners; None without any."""
    if not isinstance(several, CallFailed) and 0 < len(several) <= MOST:
        return account, _THRESHOLD, list(dict.fromkeys(several))
    if not isinstance(one, CallFailed) and one not in (NOBODY, account):
        return account, _CACHE, [one]
    return None


def _rows(account: str, signature: str, owners: Sequence[str], answer: Any) -> Rows:
    answered = not isinstance(answer, CallFailed)
    if signature == _THRESHOLD:
        # a list of owners without a threshold is no Safe's
        kind, threshold = "safe", int(answer) if answered else 0
        if not 0 < threshold <= len(owners):
            return []
    else:
        kind, threshold = "ds_proxy" if answered else "ownable", 1
    return [{"account": account, "owner": owner, "kind": kind, "threshold": threshold} for owner in owners]


def accounts_of(rows: Iterable[tuple[Sequence[str], Rows]]) -> list[str]:
    """Accounts in rows of several tables, of which the columns of the key are given, each once."""
    return sorted({row["account"] for key, found in rows if "account" in key for row in found})
