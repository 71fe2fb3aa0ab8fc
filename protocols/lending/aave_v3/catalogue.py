"""What is modelled of Aave v3, and what it was held to. Spark runs the contracts of v3.0."""

from __future__ import annotations

from protocols.catalogue import LOCAL_CHAIN, UNVERIFIED, Entry, files
from protocols.lending.aave_v3.versions import V32, V34, VERSIONS, Version

_READ = {"3.0": "test_aave_v3_0_reader", "3.6": "test_aave_v3_reader"}
"""Versions of which contracts are on the local chain, and the tests that compare the reader with them."""


def _limits(version: Version) -> tuple[str, ...]:
    limits = ["stable-rate debt and a closed sequencer sentinel are refused"]
    if version.code < V32:
        limits.append("an e-mode with a price source of its own is refused")
    if version.code < V34:
        limits.append("accounts that owe a token whose debt has rules of its own (GHO) are left out, with a note")
    return tuple(limits)


_SPARK = VERSIONS["3.0"]
_NOT_SPARKS = "a deployment of Aave v3.0 and read as that: Aave's contracts were compared, not Spark's own bytecode"
CATALOGUE = (
    *(
        Entry(
            "Aave v3",
            version.name,
            LOCAL_CHAIN if version.name in _READ else UNVERIFIED,
            _READ.get(version.name, ""),
            files(version.verified_by),
            _limits(version),
        )
        for version in VERSIONS.values()
    ),
    Entry(
        "Spark",
        _SPARK.name,
        LOCAL_CHAIN,
        _READ[_SPARK.name],
        files(_SPARK.verified_by),
        (_NOT_SPARKS, *_limits(_SPARK)),
    ),
)
