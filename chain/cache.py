"""Answers at one pinned block, kept on disk so that an interrupted reading goes on where it stopped.

One SQLite file a chain and block. Every :meth:`Cache.put` is one transaction in write-ahead mode: a process killed at
any moment loses at most the answers it was about to put, and several processes may use the same file at once. Only
answers that cannot change are put here (those of a block named by its hash), so nothing ever expires; a file may be
deleted at any time at the price of asking again.

A file that is damaged is no loss either: it is replaced by an empty one. A folder that cannot be written to is an
:class:`~chain.errors.InputError`, because silently reading without a cache would cost the user hours when interrupted.
"""

from __future__ import annotations

import hashlib
import json
import logging
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from chain.errors import InputError

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

# Part of every key: raise it when what is stored under a key changes its form.
_FORMAT = 1
_LOCK_TIMEOUT_S = 60.0


class Cache:
    """Answers by key.

    Parameters
    ----------
    path
        The SQLite file, made with its folder if missing. None keeps the answers in memory.

    Raises
    ------
    InputError
        If the file cannot be made, read or written; also from every method.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._db = self._guarded(self._open)

    @staticmethod
    def key(*parts: Any) -> bytes:
        """The key of what `parts` (anything that JSON can hold) identify."""
        return hashlib.sha256(json.dumps([_FORMAT, *parts], sort_keys=True).encode()).digest()

    def get(self, keys: Iterable[bytes]) -> dict[bytes, Any]:
        """The answers that are known among `keys`."""
        wanted = list(keys)
        rows = self._run(lambda db: [row for key in wanted if (row := _select(db, key)) is not None])
        return {key: answer for key, packed in rows for answer in _unpack(packed)}

    def put(self, answers: Mapping[bytes, Any]) -> None:
        """Keep `answers` (values that JSON can hold), all or none of them."""
        rows = [(key, _pack(answer)) for key, answer in answers.items()]

        def insert(db: sqlite3.Connection) -> None:
            with db:
                db.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?)", rows)

        self._run(insert)

    def clear(self) -> None:
        """Forget every answer."""

        def delete(db: sqlite3.Connection) -> None:
            with db:
                db.execute("DELETE FROM answers")

        self._run(delete)

    def close(self) -> None:
        """Release the file."""
        self._db.close()

    def _open(self) -> sqlite3.Connection:
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(self._path or ":memory:", timeout=_LOCK_TIMEOUT_S)
        try:
            _switch_to_wal(db)
            db.execute("PRAGMA synchronous=NORMAL")
            with db:
                db.execute("CREATE TABLE IF NOT EXISTS answers (key BLOB PRIMARY KEY, answer BLOB) WITHOUT ROWID")
        except BaseException:
            db.close()
            raise
        return db

    def _run(self, action: Callable[[sqlite3.Connection], _T]) -> _T:
        return self._guarded(lambda: action(self._db))

    def _guarded(self, action: Callable[[], _T]) -> _T:
        """`action`, once more with an empty file if the file turns out to be damaged."""
        try:
            return action()
        except (OSError, sqlite3.OperationalError) as error:
            raise self._unusable(error) from error
        except sqlite3.DatabaseError as error:
            _log.warning("replacing the damaged cache file %s (%s)", self._path, error)
        try:
            self._discard()
            return action()
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from error

    def _discard(self) -> None:
        if self._path is None:
            return
        opened = hasattr(self, "_db")
        if opened:
            self._db.close()
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        if opened:
            self._db = self._open()

    def _unusable(self, error: Exception) -> InputError:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return InputError(
            f"cannot use the cache file {self._path}: {reason}; choose another cache folder, or free space"
        )


def _switch_to_wal(db: sqlite3.Connection) -> None:
    """Write-ahead mode; tried again while another process opens the file, for which SQLite itself does not wait."""
    deadline = time.monotonic() + _LOCK_TIMEOUT_S
    while True:
        try:
            db.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.005)


def _select(db: sqlite3.Connection, key: bytes) -> tuple[bytes, bytes] | None:
    row: tuple[bytes, bytes] | None = db.execute("SELECT key, answer FROM answers WHERE key = ?", (key,)).fetchone()
    return row


def _pack(answer: Any) -> bytes:
    return zlib.compress(json.dumps(answer, separators=(",", ":")).encode(), level=1)


def _unpack(packed: bytes) -> list[Any]:
    """The answer, or nothing if its checksum (zlib's own) does not hold: then it is asked for again."""
    try:
        return [json.loads(zlib.decompress(packed))]
    except (zlib.error, ValueError):
        return []
