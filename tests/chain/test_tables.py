"""What lies on disk is what was put there, or an error that says where it is not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.errors import InputError
from chain.tables import Column, Folder, Schema, Table, read_folder

BALANCES = Schema(
    "balances",
    ("account",),
    (
        Column("account", "text", "address"),
        Column("amount_raw", "uint256", "smallest units"),
        Column("change_raw", "int256", "smallest units"),
        Column("share", "float64", "of the total"),
        Column("seen", "bool", "whether it was seen"),
        Column("block", "int64", "number"),
    ),
)
UINT = st.one_of(st.integers(0, 2**256 - 1), st.integers(0, 2**70), st.sampled_from([0, 1, 2**53 + 1, 2**256 - 1]))
INT = st.one_of(st.integers(-(2**255), 2**255 - 1), st.integers(-(2**70), 2**70))


def balances(amounts: list[int], changes: list[int]) -> Table:
    n = len(amounts)
    return Table.of(
        BALANCES,
        {
            "account": [f"0x{i:040x}" for i in range(n)],
            "amount_raw": amounts,
            "change_raw": changes,
            "share": [i / 7 for i in range(n)],
            "seen": [i % 2 == 0 for i in range(n)],
            "block": list(range(n)),
        },
    )


def write(path: Path, table: Table) -> Path:
    Folder("snapshot", {"note": "a"}, {"balances": table}).write(path)
    return path


def read(path: Path) -> Table:
    return read_folder(path, "snapshot", {"balances": BALANCES}).tables["balances"]


@given(st.lists(UINT, max_size=20))
def test_unsigned_integers_become_the_nearest_float(values: list[int]) -> None:
    assert balances(values, [0] * len(values)).floats("amount_raw").tolist() == [float(v) for v in values]


@given(st.lists(INT, max_size=20))
def test_signed_integers_become_the_nearest_float(values: list[int]) -> None:
    assert balances([0] * len(values), values).floats("change_raw").tolist() == [float(v) for v in values]


def test_integers_that_straddle_a_tie_round_to_even_once() -> None:
    cases = [(2**53 + 1) << k for k in range(200)] + [((2**53 + 1) << k) + 1 for k in range(1, 200)]
    assert balances(cases, [0] * len(cases)).floats("amount_raw").tolist() == [float(v) for v in cases]


@given(values=st.lists(UINT, max_size=5))
def test_a_table_comes_back_exactly(values: list[int], tmp_path_factory: pytest.TempPathFactory) -> None:
    table = balances(values, [-1] * len(values))
    back = read(write(tmp_path_factory.mktemp("folder") / "s", table))
    assert back == table
    assert back.ints("amount_raw") == values
    assert back.rows() == table.rows()


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    first = write(tmp_path / "a", balances([1, 2], [3, 4]))
    second = write(tmp_path / "b", balances([1, 2], [3, 4]))
    for name in ("balances.parquet", "manifest.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_a_slice_converts_its_own_rows() -> None:
    table = balances([10, 20, 30], [0, 0, 0])
    assert table.where("account", f"0x{2:040x}").floats("amount_raw").tolist() == [30.0]
    assert Table(BALANCES, table.data.slice(1, 1)).floats("amount_raw").tolist() == [20.0]


def test_an_altered_file_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "s", balances([1], [1]))
    content = (path / "balances.parquet").read_bytes()
    (path / "balances.parquet").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"balances\.parquet is not what manifest\.json says"):
        read(path)


def test_a_truncated_parquet_file_with_a_matching_hash_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "s", balances([1], [1]))
    rewrite(path, (path / "balances.parquet").read_bytes()[:40])
    with pytest.raises(InputError, match=r"balances\.parquet is not a readable Parquet file"):
        read(path)


def test_a_key_that_stands_twice_names_both_rows(tmp_path: Path) -> None:
    table = balances([1, 2, 3], [1, 1, 1])
    twice = Table(BALANCES, pa.concat_tables([table.data, table.data.slice(1, 1)]))
    with pytest.raises(InputError, match=r"balances\.parquet, row 4: .* stands in row 2 too"):
        read(write(tmp_path / "s", twice))


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "s", balances([1], [1]))
    data = pq.read_table(path / "balances.parquet").drop_columns(["seen"])
    sink = pa.BufferOutputStream()
    pq.write_table(data, sink)
    rewrite(path, sink.getvalue().to_pybytes())
    with pytest.raises(InputError, match="has no column seen"):
        read(path)


def test_a_folder_that_is_there_is_never_overwritten(tmp_path: Path) -> None:
    path = write(tmp_path / "s", balances([1], [1]))
    with pytest.raises(InputError, match="already there"):
        write(path, balances([2], [2]))
    assert read(path).ints("amount_raw") == [1]


def test_nothing_half_written_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(InputError, match="No space left"):
        write(tmp_path / "s", balances([1], [1]))
    assert list(tmp_path.iterdir()) == []


def test_a_manifest_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "s", balances([1], [1]))
    with pytest.raises(InputError, match="is a snapshot, not a run"):
        read_folder(path, "run", {"balances": BALANCES})


def test_the_first_columns_of_a_table_can_be_its_key() -> None:
    key, other = (Column("market", "text", "name"), Column("token", "text", "address")), Column("rate", "float64", "")
    assert Schema.of("rates", key, other) == Schema("rates", ("market", "token"), (*key, other))


def test_values_of_a_column_are_of_its_kind() -> None:
    table = balances([2**256 - 1, 7], [-(2**255), 5])
    assert table.values("amount_raw") == [2**256 - 1, 7]
    assert table.values("change_raw") == [-(2**255), 5]
    assert table.values("account") == [f"0x{0:040x}", f"0x{1:040x}"]
    assert all(type(value) is bool for value in table.values("seen"))
    assert all(type(value) is float for value in table.values("share"))


def test_conversion_keeps_numpy_free_of_objects() -> None:
    assert balances([1], [1]).floats("amount_raw").dtype == np.float64


def rewrite(path: Path, content: bytes) -> None:
    """Put other bytes in the table's place, with a manifest that agrees."""
    import hashlib

    (path / "balances.parquet").write_bytes(content)
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["files"]["balances.parquet"] = hashlib.sha256(content).hexdigest()
    (path / "manifest.json").write_text(json.dumps(manifest))
