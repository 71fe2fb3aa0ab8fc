"""Keys and values as people write them."""

from __future__ import annotations

import pytest

from chain.errors import InputError
from simulator.audit.grid import cells
from simulator.audit.settings import chosen, settings, split
from tests.simulator.books import Account, make_snapshot

KNOWN = settings(make_snapshot({"a": Account({"ETH": 10.0}, {"USD": 20_000.0})}))
THRESHOLD, BONUS, CAP = "pool/ETH.liquidation_threshold", "pool/ETH.liquidation_bonus", "pool/ETH.supply_cap"


@pytest.mark.parametrize(
    ("text", "raws"),
    [
        ("0.78:0.80:0.01", (7800, 7900, 8000)),
        ("0.78:0.805:0.01", (7800, 7900, 8000)),
        ("0.79:0.79:0.01", (7900,)),
        ("0.8, 0.7", (8000, 7000)),
        ("0.8,0.80,0.8000", (8000,)),
        ("0.81", (8100,)),
    ],
)
def test_values_are_a_range_with_both_ends_a_list_or_one(text: str, raws: tuple[int, ...]) -> None:
    assert chosen(KNOWN, split([f"{THRESHOLD}={text}"])) == {THRESHOLD: raws}


def test_numbers_serve_as_well_as_text_and_no_limit_is_a_value() -> None:
    assert chosen(KNOWN, {THRESHOLD: 0.81, BONUS: [1.05, 1.06]}) == {THRESHOLD: (8100,), BONUS: (10500, 10600)}
    assert chosen(KNOWN, {CAP: "1000,none"}) == chosen(KNOWN, {CAP: [1000, float("inf")]}) == {CAP: (1000, 0)}


def test_upper_and_lower_case_of_a_key_are_the_same() -> None:
    assert list(chosen(KNOWN, split(["POOL/eth.Liquidation_Bonus=1.06"]))) == [BONUS]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([THRESHOLD], "write KEY=LO:HI:STEP"),
        ([f"{THRESHOLD}="], "write KEY=LO:HI:STEP"),
        ([f"{THRESHOLD}=0.8", f"{THRESHOLD}=0.7"], "given already"),
        ([f"{THRESHOLD}=0.8", f"{THRESHOLD.lower()}=0.7"], "given already"),
        ([f"{THRESHOLD}=0.8:0.7:0.01"], "LO not above HI"),
        ([f"{THRESHOLD}=0.7:0.8"], "a range is LO:HI:STEP"),
        ([f"{THRESHOLD}=0.7:0.8:0"], "STEP above 0"),
        ([f"{THRESHOLD}=0.7:0.8:0.0000001"], "these are 1,000,001 values"),
        ([f"{THRESHOLD}=high"], "high is no number"),
        ([f"{THRESHOLD}=0.7,,0.8"], "nothing is no number"),
        ([f"{THRESHOLD}=nan"], "nan is no number"),
        ([f"{THRESHOLD}=none"], "liquidation_threshold is from 0 to 1, not Infinity"),
        ([f"{THRESHOLD}=78"], r"pool/ETH\.liquidation_threshold: liquidation_threshold is from 0 to 1, not 78"),
        ([f"{THRESHOLD}=0.78125"], "whole units of 1/10000"),
        ([f"{CAP}=none:5:1"], "a range is LO:HI:STEP"),
    ],
)
def test_what_is_no_value_is_refused(texts: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        chosen(KNOWN, split(texts))


def test_an_unknown_key_is_refused_with_those_that_are_near_first() -> None:
    with pytest.raises(InputError, match=r"no parameter pool/ETH\.threshold; there are pool/ETH\.\w+.* \(--list shows"):
        chosen(KNOWN, split(["pool/ETH.threshold=0.8"]))
    with pytest.raises(InputError, match=r"there are pool/ETH\.liquidation_threshold, "):
        chosen(KNOWN, split(["pool/ETH.liquidation_treshold=0.8"]))
    with pytest.raises(InputError, match=r"no parameter zzz; there are pool/ETH\.ltv, .* and \d+ more"):
        chosen(KNOWN, split(["zzz=1"]))


def test_cells_are_all_combinations_and_the_snapshots_own_values_are_the_first_and_stand_once() -> None:
    grid = cells(KNOWN, chosen(KNOWN, {THRESHOLD: "0.82:0.84:0.01", BONUS: "1.05,1.06"}))
    assert [cell.number for cell in grid] == list(range(6))
    assert [tuple(cell.raws.values()) for cell in grid] == [
        (8300, 10500), (8200, 10500), (8200, 10600), (8300, 10600), (8400, 10500), (8400, 10600),
    ]  # fmt: skip
    assert [tuple(cell.raws.values()) for cell in cells(KNOWN, {})] == [()]
