"""A swap that the contract refuses."""

from __future__ import annotations

from chain.errors import UnwindError


class Revert(UnwindError):
    """The contract would revert; the message is its own revert reason, word for word."""
