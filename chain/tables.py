"""Tidy tables in a folder, with a manifest: the form in which snapshots and runs lie on disk.

A folder holds one Parquet file a table and ``manifest.json``, which has the SHA-256 of every file. Integers of any
size up to 256 bits survive exactly: they are stored as 32 bytes, big-endian, in Parquet's ``FIXED_LEN_BYTE_ARRAY``.
The same content gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from chain.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Kept = TypeVar("Kept")
Kind = Literal["uint256", "int256", "int64", "float64", "bool", "text"]

MANIFEST = "manifest.json"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, what kind of value it holds, and what it means (with its unit)."""

    name: str
    kind: Kind
    meaning: str


@dataclass(frozen=True)
class Schema:
    """The columns of one table, and which of them name a row."""

    name: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]

    @classmethod
    def of(cls, name: str, key: Sequence[Column], *columns: Column) -> Schema:
        """A table whose first columns name a row, which are the key, and the others follow."""
        return cls(name, tuple(column.name for column in key), (*key, *columns))

    def column(self, name: str) -> Column:
        """The column of that name."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"table {self.name} has no column {name}")


class Table:
    """Rows under one schema.

    Read a column by what it is to be used as: :meth:`ints` for exact integers, :meth:`floats` for float64 arrays
    (converted without a Python loop), :meth:`texts`, :meth:`bools`; :meth:`values` for whatever its kind is.
    """

    def __init__(self, schema: Schema, data: pa.Table) -> None:
        self.schema = schema
        self.data = data
        self._kept: dict[Hashable, Any] = {}

    @classmethod
    def of(cls, schema: Schema, columns: Mapping[str, Sequence[Any]]) -> Table:
        """A table from one sequence a column; raises KeyError for a column that is missing or unknown."""
        import pyarrow as pa

        names = [column.name for column in schema.columns]
        if set(names) != set(columns):
            raise KeyError(f"table {schema.name} takes columns {names}, got {sorted(columns)}")
        arrays = [_encode(column.kind, columns[column.name]) for column in schema.columns]
        return cls(schema, pa.table(arrays, schema=_arrow_schema(schema)))

    @classmethod
    def from_rows(cls, schema: Schema, rows: Iterable[Mapping[str, Any]]) -> Table:
        """A table from one mapping a row."""
        rows = list(rows)
        return cls.of(schema, {c.name: [row[c.name] for row in rows] for c in schema.columns})

    def __len__(self) -> int:
        return int(self.data.num_rows)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Table) and self.schema == other.schema and bool(self.data.equals(other.data))

    __hash__ = None  # type: ignore[assignment]  # a table is compared by content

    def ints(self, name: str) -> list[int]:
        """Exact integers of a column."""
        kind = self.schema.column(name).kind
        column = self.data.column(name)
        if kind in ("uint256", "int256"):
            signed = kind == "int256"
            return [int.from_bytes(value, "big", signed=signed) for value in column.to_pylist()]
        return [int(value) for value in column.to_pylist()]

    def floats(self, name: str) -> npt.NDArray[np.float64]:
        """A column as float64, each value the nearest to the exact integer."""
        kind = self.schema.column(name).kind
        column = self.data.column(name)
        if kind in ("uint256", "int256"):
            return words_to_float(_words(column), signed=kind == "int256")
        return np.asarray(column.to_numpy(), dtype=np.float64)

    def texts(self, name: str) -> list[str]:
        """Text of a column."""
        return [str(value) for value in self.data.column(name).to_pylist()]

    def bools(self, name: str) -> list[bool]:
        """Truth values of a column."""
        return [bool(value) for value in self.data.column(name).to_pylist()]

    def values(self, name: str) -> list[Any]:
        """A column as Python values of its kind, integers exact."""
        if self.schema.column(name).kind in ("uint256", "int256"):
            return self.ints(name)
        values: list[Any] = self.data.column(name).to_pylist()
        return values

    def where(self, name: str, value: Any) -> Table:
        """The rows in which a text, int64 or bool column has a value."""
        import pyarrow.compute as pc

        return self.kept(
            ("where", name, value),
            lambda: Table(self.schema, self.data.filter(pc.equal(self.data.column(name), value))),
        )

    def kept(self, key: Hashable, make: Callable[[], Kept]) -> Kept:
        """What is made of the table, the first time; a table never changes, and neither must that."""
        if key not in self._kept:
            self._kept[key] = make()
        found: Kept = self._kept[key]
        return found

    def rows(self) -> list[dict[str, Any]]:
        """All rows as mappings, integers exact."""
        columns = {c.name: self.values(c.name) for c in self.schema.columns}
        return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]

    def frame(self) -> pd.DataFrame:
        """The table as a DataFrame: big integers as Python ints in object columns."""
        import pandas as pd

        return pd.DataFrame({c.name: self.values(c.name) for c in self.schema.columns})


def _arrow_schema(schema: Schema) -> pa.Schema:
    import pyarrow as pa

    kinds = {
        "uint256": pa.binary(32),
        "int256": pa.binary(32),
        "int64": pa.int64(),
        "float64": pa.float64(),
        "bool": pa.bool_(),
        "text": pa.string(),
    }
    return pa.schema(
        [
            pa.field(c.name, kinds[c.kind], nullable=False, metadata={"kind": c.kind, "meaning": c.meaning})
            for c in schema.columns
        ]
    )


def _encode(kind: Kind, values: Sequence[Any]) -> pa.Array:
    import pyarrow as pa

    if kind in ("uint256", "int256"):
        signed = kind == "int256"
        return pa.array([int(v).to_bytes(32, "big", signed=signed) for v in values], pa.binary(32))
    plain = {"int64": pa.int64(), "float64": pa.float64(), "bool": pa.bool_(), "text": pa.string()}[kind]
    return pa.array(values, plain)


def _words(column: pa.ChunkedArray) -> npt.NDArray[np.uint8]:
    """The bytes of a 32-byte column, shape (rows, 32)."""
    array = column.combine_chunks()
    if hasattr(array, "chunks"):
        array = array.chunk(0) if array.num_chunks else array
    if len(array) == 0:
        return np.empty((0, 32), dtype=np.uint8)
    raw = np.frombuffer(array.buffers()[1], dtype=np.uint8)
    start = array.offset * 32
    return raw[start : start + len(array) * 32].reshape(len(array), 32)


def words_to_float(words: npt.NDArray[np.uint8], *, signed: bool = False) -> npt.NDArray[np.float64]:
    """Nearest float64 (ties to even) of 256-bit big-endian integers.

    Parameters
    ----------
    words
        Shape (n, 32).
    signed
        Whether the integers are in two's complement.

    Notes
    -----
    The 64 leading bits are gathered, whatever is below them is folded into the lowest bit ("sticky"), and one
    conversion of a 64-bit integer rounds once. Adding four float limbs would round several times.
    """
    limbs = words.reshape(-1, 4, 8).view(">u8").reshape(-1, 4).astype(np.uint64)
    negative = (limbs[:, 0] >> np.uint64(63)).astype(bool) if signed else np.zeros(len(limbs), dtype=bool)
    if negative.any():
        flipped = ~limbs[negative]
        carry = np.ones(len(flipped), dtype=np.uint64)
        for i in (3, 2, 1, 0):
            flipped[:, i] += carry
            carry = ((flipped[:, i] == 0) & (carry == 1)).astype(np.uint64)
        limbs[negative] = flipped
    nonzero = limbs != 0
    lead = np.where(nonzero.any(axis=1), nonzero.argmax(axis=1), 3)
    rows = np.arange(len(limbs))
    top = limbs[rows, lead]
    following = np.where(lead < 3, limbs[rows, np.minimum(lead + 1, 3)], np.uint64(0))
    # numpy has no count-leading-zeros; frexp of the top limb gives its length, one too many where it rounds up
    length = np.frexp(top.astype(np.float64))[1].astype(np.int64)
    length -= ((length > 0) & ((top >> np.clip(length - 1, 0, 63).astype(np.uint64)) == 0)).astype(np.int64)
    length = np.minimum(length, 64)
    shift = np.where(top == 0, 0, 64 - length).astype(np.uint64)
    joined = np.where(
        shift == 0, top, (top << shift) | (following >> (np.uint64(64) - np.maximum(shift, np.uint64(1))))
    )
    lost = np.where(shift == 0, following, following << shift) != 0
    below = np.zeros(len(limbs), dtype=bool)
    for i in (2, 3):
        below |= (lead + 1 < i) & (limbs[:, i] != 0)
    sticky = (lost | below).astype(np.uint64)
    value = np.ldexp((joined | sticky).astype(np.float64), 64 * (3 - lead) - shift.astype(np.int64))
    value[negative] *= -1.0
    return np.asarray(value, dtype=np.float64)


# --- folders ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Folder:
    """Tables and a manifest, as read from disk or ready to be written.

    Attributes
    ----------
    kind
        ``snapshot`` or ``run``.
    facts
        What the manifest says besides the files: JSON values.
    tables
        By name.
    """

    kind: str
    facts: Mapping[str, Any]
    tables: Mapping[str, Table]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the manifest, and through it of every file: names this content."""
        return hashlib.sha256(_manifest_bytes(self, _file_bytes(self))).hexdigest()

    def write(self, path: Path) -> None:
        """Write to a new folder, whole or not at all.

        Raises
        ------
        InputError
            If the folder is there already or cannot be made.
        """
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise InputError(f"{path} is already there; choose another folder or remove it first")
        files = _file_bytes(self)
        manifest = _manifest_bytes(self, files)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
        except OSError as error:
            raise InputError(f"cannot write to {path.parent}: {error.strerror}") from None
        try:
            for name, content in [*files.items(), (MANIFEST, manifest)]:
                with (draft / name).open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
            draft.chmod(0o755)
            if path.exists():
                path.rmdir()
            draft.rename(path)
        except BaseException as error:
            shutil.rmtree(draft, ignore_errors=True)
            if isinstance(error, OSError):
                raise InputError(f"cannot write {path}: {error.strerror}") from None
            raise


def _file_bytes(folder: Folder) -> dict[str, bytes]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = {}
    for name, table in sorted(folder.tables.items()):
        sink = pa.BufferOutputStream()
        pq.write_table(table.data, sink, compression="zstd", version="2.6", write_statistics=False)
        files[f"{name}.parquet"] = sink.getvalue().to_pybytes()
    return files


def _manifest_bytes(folder: Folder, files: Mapping[str, bytes]) -> bytes:
    manifest = {
        "format": FORMAT,
        "kind": folder.kind,
        **folder.facts,
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }
    return json.dumps(manifest, indent=2, sort_keys=True).encode() + b"\n"


def manifest_kind(path: Path) -> str:
    """What a folder says that it holds (``snapshot``, ``run``); raises InputError where it has no readable manifest."""
    return str(_manifest(path).get("kind"))


def _manifest(path: Path) -> dict[str, Any]:
    file = path / MANIFEST
    try:
        manifest = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{path} is neither a snapshot nor a run: it has no {MANIFEST}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read: {error}") from None
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
        raise InputError(f"{file} is not a manifest: it lists no files")
    return manifest


def _checked_manifest(path: Path, kind: str) -> dict[str, Any]:
    """The manifest of a folder of some kind; raises InputError if it is of another kind or format."""
    manifest = _manifest(path)
    if manifest.get("kind") != kind:
        raise InputError(f"{path} is a {manifest.get('kind')}, not a {kind}")
    if manifest.get("format") != FORMAT:
        raise InputError(
            f"{path / MANIFEST} has format {manifest.get('format')!r}; this version of unwind reads {FORMAT}"
        )
    return manifest


def read_folder(path: Path, kind: str, schemas: Mapping[str, Schema]) -> Folder:
    """Read a folder back, every file checked against the manifest and its schema.

    Raises
    ------
    InputError
        Naming the file, and the row where there is one: a missing, truncated or altered file, a column that is not
        there, a key that stands twice.
    """
    manifest = _checked_manifest(path, kind)
    tables = {}
    for file_name, expected in sorted(manifest["files"].items()):
        name = file_name.removesuffix(".parquet")
        file = path / file_name
        if name not in schemas:
            raise InputError(f"{file}: no table of this name is known to this version of unwind")
        try:
            content = file.read_bytes()
        except OSError as error:
            raise InputError(f"{file} cannot be read: {error.strerror}; make the {kind} again") from None
        if hashlib.sha256(content).hexdigest() != expected:
            raise InputError(f"{file} is not what {MANIFEST} says it is (its SHA-256 differs); make the {kind} again")
        tables[name] = _read_table(file, content, schemas[name])
    facts = {k: v for k, v in manifest.items() if k not in ("format", "kind", "files")}
    return Folder(kind, facts, tables)


def _read_table(file: Path, content: bytes, schema: Schema) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # without threads: one that is still ending when the process does would abort it
        data = pq.ParquetFile(pa.BufferReader(content), pre_buffer=False).read(use_threads=False)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{file} is not a readable Parquet file: {error}") from None
    wanted = _arrow_schema(schema)
    for field in wanted:
        if field.name not in data.column_names:
            raise InputError(f"{file} has no column {field.name}")
        if data.schema.field(field.name).type != field.type:
            found = data.schema.field(field.name).type
            raise InputError(f"{file}: column {field.name} is {found}, should be {field.type}")
        if data.column(field.name).null_count:
            row = data.column(field.name).is_null().to_pylist().index(True)
            raise InputError(f"{file}, row {row + 1}: column {field.name} is empty")
    table = Table(schema, data.select(wanted.names).cast(wanted))
    seen: dict[tuple[Any, ...], int] = {}
    keys = [table.values(name) for name in schema.key]
    for row, key in enumerate(zip(*keys, strict=True), start=1):
        if key in seen:
            raise InputError(
                f"{file}, row {row}: {dict(zip(schema.key, key, strict=True))} stands in row {seen[key]} too"
            )
        seen[key] = row
    return table
