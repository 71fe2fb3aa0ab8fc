"""What is modelled of Pendle v2 markets, and what it was held to."""

from __future__ import annotations

from protocols.catalogue import RECORDED, Entry

CATALOGUE = (
    Entry(
        "Pendle v2 markets",
        "1 to 7",
        RECORDED,
        "test_pendle_reader",
        ("pendle",),
        (
            "markets of principal tokens that lending markets list, whose SY gives its yield token one for one and "
            "which lending markets list too; another is left out, with a note, or refused if the deployment lists it",
            "the fee is what Pendle's router pays",
            "the index of the yield stays as it was at the block",
            "after its expiry a market refuses every swap (MarketExpired), and redemption of the principal is not "
            "modelled",
            "rules compared with versions 1, 3, 6 and 7, whose sources trade as those of 2, 4 and 5 do; the "
            "reader with 3 and 7",
        ),
    ),
)
