"""How often a chain makes blocks: what protocols that count blocks need for a future that has none yet."""

from __future__ import annotations

from bisect import bisect_right

from chain.errors import UnsupportedError

_SINCE_GENESIS = 0
MILLISECONDS: dict[int, tuple[tuple[int, int], ...]] = {
    # Ethereum: proof of work took 13.3 s on average in 2020 to 2022; the merge, 15 September 2022, set slots of 12 s.
    1: ((_SINCE_GENESIS, 13_300), (1_663_224_179, 12_000)),
    # BNB Smart Chain: 3 s, then Lorentz (29 April 2025), Maxwell (30 June 2025) and Fermi (14 January 2026).
    56: ((_SINCE_GENESIS, 3_000), (1_745_903_100, 1_500), (1_751_250_600, 750), (1_768_357_800, 450)),
    # A development node has no pace of its own; Ethereum's.
    31_337: ((_SINCE_GENESIS, 12_000),),
}
"""By chain id: since when (unix seconds), and milliseconds from one block to the next."""


def block_ms(chain_id: int, timestamp: int) -> int:
    """Milliseconds from one block to the next on a chain at a time.

    Raises
    ------
    UnsupportedError
        For a chain whose pace is not known here.
    """
    if chain_id not in MILLISECONDS:
        listed = ", ".join(map(str, MILLISECONDS))
        raise UnsupportedError(
            f"how often chain {chain_id} makes blocks is not known here, and a protocol that counts blocks needs it; "
            f"known are chains {listed}"
        )
    paces = MILLISECONDS[chain_id]
    return paces[bisect_right(paces, timestamp, key=lambda pace: pace[0]) - 1][1]


def blocks_in(seconds: int, milliseconds: int) -> int:
    """How many whole blocks of this length fit into a time."""
    return seconds * 1000 // milliseconds
