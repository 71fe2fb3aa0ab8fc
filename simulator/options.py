"""Options of commands, read and checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from chain.errors import InputError


def mapping(
    option: str,
    texts: Sequence[str],
    form: str,
    parted: Callable[[str, str], tuple[str, str, str]] = str.partition,
) -> dict[str, str]:
    """What the ``KEY=VALUE`` texts of an option say, by key.

    Parameters
    ----------
    option
        Such as ``--follow``.
    texts
        One for each time that the option is given.
    form
        What an error tells to write instead.
    parted
        At which equals sign: `str.partition` at the first, `str.rpartition` at the last, where a key may have others.

    Raises
    ------
    InputError
        If a text lacks its key, its equals sign or its value, or a key has been given already.
    """
    found: dict[str, str] = {}
    for text in texts:
        key, equals, value = (part.strip() for part in parted(text, "="))
        if not (key and equals and value):
            raise InputError(f"{option} {text}: write {form}")
        if key in found:
            raise InputError(f"{option} {text}: {key} has been given already")
        found[key] = value
    return found


def must_be_new(out: Path | None) -> None:
    """Raise InputError if what is to be written, if anything is, is there already."""
    if out is not None and out.exists():
        raise InputError(f"{out} is already there; choose another folder or remove it first")
