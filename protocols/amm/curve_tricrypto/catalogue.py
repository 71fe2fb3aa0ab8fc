"""What is modelled of Curve tricrypto-ng, and what it was held to."""

from __future__ import annotations

from protocols.amm.curve_tricrypto.tables import NATIVE, VERIFIED
from protocols.catalogue import RECORDED, Entry

_LIMITS = (
    "pools that hold at least two of the tokens that lending markets list",
    "the moving average of a pool's price is read as of the block, a unit of its last decimal off what is stored",
    "claims of admin fees, which change balances without an exchange, are not modelled",
)
_HELD_BY = "test_curve_tricrypto_reader"
CATALOGUE = (
    Entry("Curve tricrypto-ng", VERIFIED, RECORDED, _HELD_BY, ("curve_tricrypto",), _LIMITS),
    Entry(
        "Curve tricrypto-ng",
        NATIVE,
        RECORDED,
        _HELD_BY,
        limits=(*_LIMITS, "its rules were compared with the swaps of the reader's recording only"),
    ),
)
