"""Who stands behind the accounts of a snapshot: proxies and Safes count as those who own them."""

from __future__ import annotations

from chain.snapshot import OWNERS, Snapshot


def people(snapshot: Snapshot) -> dict[str, str]:
    """Whom each account counts as, of those that somebody else owns.

    An account with one owner counts as that owner, and as the owner's owner where there is one. Several owners count as
    one together, named by how many of them it takes: two Safes of the same people are one.

    Returns
    -------
    By account; empty where the snapshot does not say. Owners that own each other in a circle count as themselves.
    """
    if OWNERS.name not in snapshot.tables:
        return {}
    owners: dict[str, list[str]] = {}
    threshold: dict[str, int] = {}
    for row in snapshot.tables[OWNERS.name].rows():
        owners.setdefault(row["account"], []).append(row["owner"])
        threshold[row["account"]] = row["threshold"]

    def person(account: str, above: tuple[str, ...] = ()) -> str:
        if account not in owners or account in above:
            return account
        found = sorted({person(owner, (*above, account)) for owner in owners[account]})
        return found[0] if len(found) == 1 else f"{threshold[account]} of {', '.join(found)}"

    return {account: person(account) for account in owners}
