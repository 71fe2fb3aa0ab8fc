"""Options of commands, as people write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from chain.errors import InputError
from simulator.options import mapping, must_be_new


def test_keys_and_values_are_told_apart_by_the_equals_sign_and_spaces_do_not_count() -> None:
    assert mapping("--follow", ["wstETH=WETH", " USDC = USD "], "A=B") == {"wstETH": "WETH", "USDC": "USD"}
    assert mapping("--follow", [], "A=B") == {}


def test_of_several_equals_signs_the_first_counts_or_where_keys_may_have_them_the_last() -> None:
    assert mapping("--follow", ["a=b=c"], "A=B") == {"a": "b=c"}
    assert mapping("--set", ["a=b=c"], "A=B", str.rpartition) == {"a=b": "c"}


@pytest.mark.parametrize("text", ["wstETH", "wstETH=", "=WETH", "=", ""])
def test_a_text_without_a_key_or_a_value_is_refused_with_what_to_write(text: str) -> None:
    for parted in (str.partition, str.rpartition):
        with pytest.raises(InputError, match=r"^--peg .*: write A=B, such as wstETH=WETH$"):
            mapping("--peg", [text], "A=B, such as wstETH=WETH", parted)


def test_a_key_that_stands_twice_is_refused() -> None:
    with pytest.raises(InputError, match=r"^--follow A=C: A has been given already$"):
        mapping("--follow", ["A=B", "A=C"], "A=B")


def test_what_is_there_already_is_never_written_over(tmp_path: Path) -> None:
    must_be_new(None)
    must_be_new(tmp_path / "new")
    with pytest.raises(InputError, match="is already there; choose another folder"):
        must_be_new(tmp_path)
