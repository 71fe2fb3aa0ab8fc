"""Replay recorded contract answers: ``python -m tests.vectors FILE…``, plain or gzipped JSON.

Exits 0 only if every case of every file agrees exactly and the fast form is within its tolerance. A case that is not
understood counts as a failure.
"""

from __future__ import annotations

import gzip
import json
import sys
from importlib import import_module
from pathlib import Path

from tests.vectors.outcome import Document, Outcome

CHECKERS = {
    "aave_v2": "aave_v2",
    "aave_v3": "aave_v3",
    "Aave v4 (hub and spoke)": "aave_v4",
    "adaptive_curve_irm": "adaptive_curve_irm",
    "Balancer V2 WeightedPool (real Vault.swap)": "balancer_weighted",
    "compound_v2": "compound_v2",
    "Compound III (Comet)": "compound_v3",
    "Curve StableSwap-NG (plain pool)": "curve_stableswap",
    "Curve classic StableSwap (3pool, 2020)": "curve_3pool_classic",
    "Curve Tricrypto-NG": "curve_tricrypto",
    "metamorpho": "metamorpho",
    "morpho_blue": "morpho_blue",
    "oracles": "oracles",
    "Pendle v2 market": "pendle",
    "uniswap_v2": "uniswap_v2",
    "uniswap_v3": "uniswap_v3",
    "uniswap_v4": "uniswap_v4",
    "vault_v2": "vault_v2",
    "venus_core": "venus_core",
}
"""The module that checks each protocol, by the name that its files give it."""


def load(path: Path) -> Document:
    """Read a vector file, gzipped or plain."""
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    document = json.loads(data)
    if not isinstance(document, dict) or not isinstance(document.get("cases"), list):
        raise ValueError("not a vector file: it has no list of cases")
    return document


def replay(document: Document) -> list[Outcome]:
    """Check every case of a file; as many outcomes as cases."""
    cases = document["cases"]
    checker = CHECKERS.get(str(document.get("protocol")))
    if checker is None:
        return [
            Outcome(str(c.get("id")), mismatch=f"no checker for protocol {document.get('protocol')!r}") for c in cases
        ]
    outcomes = list(import_module(f"tests.vectors.{checker}").check(document))
    if len(outcomes) != len(cases):
        raise AssertionError(f"{len(cases)} cases but {len(outcomes)} outcomes")
    return outcomes


def main(arguments: list[str]) -> int:
    if not arguments:
        print(__doc__)
        return 2
    total = exact = within = branches = 0
    for name in arguments:
        path = Path(name)
        try:
            outcomes = replay(load(path))
        except (OSError, ValueError) as error:
            print(f"{path.name}: cannot be read: {error}")
            total += 1
            continue
        agreed = [o for o in outcomes if not o.mismatch]
        branch = [o for o in agreed if o.branch_margin is not None]
        worst = max((o.fast_error for o in agreed if o.branch_margin is None), default=0.0)
        passed = sum(o.passed for o in outcomes)
        margin = f", their comparisons within {max(o.branch_margin or 0 for o in branch):.1e}" if branch else ""
        print(
            f"{path.name}: {len(agreed)} of {len(outcomes)} cases agree exactly; fast form off by at most {worst:.1e}; "
            f"{len(branch)} on a branch point take the other way{margin}"
        )
        for outcome in [o for o in outcomes if not o.passed][:5]:
            fast = f"fast form off by {outcome.fast_error:.1e}, branch margin {outcome.branch_margin}"
            print(f"  {outcome.case}: {outcome.mismatch or fast}")
        total, exact, within, branches = (
            total + len(outcomes),
            exact + len(agreed),
            within + passed,
            branches + len(branch),
        )
    failed = total - within
    print(f"total: {exact} of {total} exact, {within} within tolerance, {branches} on a branch point, {failed} failed")
    return 0 if failed == 0 and total > 0 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
