"""What the columns of losses are called."""

from __future__ import annotations

SYSTEM = "all markets"
BAD_DEBT = "bad debt"

_SIDES = {"debt": "owed", "collateral": "pledged"}


class Output(str):
    """The name of an output, which no other has, that also says what it is.

    Attributes
    ----------
    measure
        Such as ``bad debt``.
    by
        What it is told apart by: ``all``, ``protocol``, ``market``, or the reserve as ``debt`` or as ``collateral``.
    of
        The market, or market/token; of a protocol, ``all of`` it.

    Examples
    --------
    >>> Output("aave-v3/WETH", "liquidated volume", "collateral")
    'liquidated volume: aave-v3/WETH pledged'
    """

    measure: str
    by: str
    of: str

    def __new__(cls, of: str, measure: str = BAD_DEBT, by: str | None = None) -> Output:
        by = by or ("all" if of == SYSTEM else "market")
        text = f"{of} {_SIDES[by]}" if by in _SIDES else of
        made = super().__new__(cls, text if measure == BAD_DEBT else f"{measure}: {text}")
        made.measure, made.by, made.of = measure, by, of
        return made
