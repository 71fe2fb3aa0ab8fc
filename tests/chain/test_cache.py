"""What was put into the cache is there afterwards, whatever happened to the process or to the file."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chain.cache import Cache
from chain.errors import InputError

A, B = Cache.key("a"), Cache.key("b")


def test_an_answer_is_there_after_the_file_is_opened_again(tmp_path: Path) -> None:
    Cache(tmp_path / "sub" / "c.sqlite").put({A: {"deep": [1, None, "x"]}, B: 2**300})
    assert Cache(tmp_path / "sub" / "c.sqlite").get([B, A, Cache.key("c")]) == {A: {"deep": [1, None, "x"]}, B: 2**300}


def test_keys_differ_when_any_part_differs() -> None:
    parts = [("m", 1, "0xa"), ("m", 2, "0xa"), ("m", 1, "0xb"), ("m", 1), ("m", "1", "0xa"), ("m1", "0xa")]
    assert len({Cache.key(*each) for each in parts}) == len(parts)


def test_without_a_file_answers_are_kept_in_memory() -> None:
    cache = Cache(None)
    cache.put({A: 1})
    assert cache.get([A]) == {A: 1}
    assert Cache(None).get([A]) == {}


def test_clear_forgets_everything(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "c.sqlite")
    cache.put({A: 1, B: 2})
    cache.clear()
    assert cache.get([A, B]) == {}


def test_a_folder_that_cannot_be_made_is_an_input_error_that_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"cannot use the cache file .*c\.sqlite: .*choose another cache folder"):
        Cache(tmp_path / "file" / "c.sqlite")


def test_a_file_that_cannot_be_opened_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "c.sqlite").mkdir()
    with pytest.raises(InputError, match="cannot use the cache file"):
        Cache(tmp_path / "c.sqlite")


@pytest.mark.parametrize(
    "content", [b"this is no database, but it is long enough to be looked at" * 50, b"SQLite format 3\0"]
)
def test_a_file_that_is_no_database_is_replaced(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "c.sqlite"
    path.write_bytes(content)
    cache = Cache(path)
    cache.put({A: 1})
    assert Cache(path).get([A]) == {A: 1}


def test_a_file_damaged_in_the_middle_is_replaced_or_the_damaged_answer_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    answers = {Cache.key(i): os.urandom(300).hex() for i in range(500)}
    cache = Cache(path)
    cache.put(answers)
    cache.close()
    content = bytearray(path.read_bytes())
    content[8192:40960] = os.urandom(32768)
    path.write_bytes(content)
    cache = Cache(path)
    found = cache.get(answers)
    assert len(found) < len(answers)
    assert all(answers[key] == answer for key, answer in found.items())
    cache.put(answers)
    assert Cache(path).get(answers) == answers


def test_an_answer_whose_checksum_does_not_hold_counts_as_unknown(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    Cache(path).put({A: "abc", B: "def"})
    with sqlite3.connect(path) as db:
        (packed,) = db.execute("SELECT answer FROM answers WHERE key = ?", (A,)).fetchone()
        db.execute("UPDATE answers SET answer = ? WHERE key = ?", (packed[:-1] + bytes([packed[-1] ^ 1]), A))
    assert Cache(path).get([A, B]) == {B: "def"}


def _fill(path: Path, who: int) -> None:
    cache = Cache(path)
    for i in range(50):
        cache.put({Cache.key(who, i): [who, i]})


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    writers = [multiprocessing.get_context("spawn").Process(target=_fill, args=(path, who)) for who in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * 4
    assert len(Cache(path).get(Cache.key(who, i) for who in range(4) for i in range(50))) == 200


_WRITER = """
import sys
from pathlib import Path
from chain.cache import Cache
cache = Cache(Path(sys.argv[1]))
i = 0
while True:
    cache.put({Cache.key(i): i})
    print(i, flush=True)
    i += 1
"""


def test_a_killed_process_loses_nothing_that_it_had_put(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    for _ in range(3):
        writer = subprocess.Popen([sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        first = writer.stdout.readline()
        time.sleep(0.05)
        writer.send_signal(signal.SIGKILL)
        # The last line may have been cut short.
        last = int((first + writer.stdout.read()).rpartition("\n")[0].split("\n")[-1])
        writer.wait()
        writer.stdout.close()
        assert Cache(path).get(map(Cache.key, range(last + 1))) == {Cache.key(i): i for i in range(last + 1)}
