"""Store scores as Parquet files, one for each slice of the sorted list of pictures."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sapiens2_lit.atomic_write import own_file, unwritable_is_error
from sapiens2_lit.errors import DataError, SettingError

VERSION = 1  # increased whenever the meaning of a column changes
HEADER = b"sapiens2_lit.curation"


@dataclass(frozen=True)
class Header:
    """The metadata of a file of scores.

    Attributes:
        version: Of the columns.
        root: Folder of the pictures.
        shard: Index of the slice, from 0.
        shards: Number of slices.
        digest: Of the slice's names and file sizes.
        settings: Of the stages that made the columns.
    """

    version: int
    root: str
    shard: int
    shards: int
    digest: str
    settings: dict[str, Any]


def shard_file(folder: Path, shard: int) -> Path:
    """Return the path of a shard's file."""
    return folder / f"part-{shard:06}.parquet"


def write_shard(path: Path, header: Header, columns: dict[str, str], rows: list[dict[str, Any]]) -> None:
    """Write rows completely or not at all.

    Args:
        path: Of the file.
        header: Its metadata.
        columns: Types by name.
        rows: Values by column; missing ones are null.

    Raises:
        SettingError: The folder cannot be written to, or is full.
    """
    arrow = import_pyarrow()
    arrays = {name: _array(arrow, kind, [row.get(name) for row in rows]) for name, kind in columns.items()}
    table = arrow.table(arrays).replace_schema_metadata({HEADER: json.dumps(asdict(header))})
    with unwritable_is_error(path), own_file(path) as temporary:
        arrow.parquet.write_table(table, temporary, compression="zstd")


def _array(arrow: Any, kind: str, values: list[Any]) -> Any:
    if kind == "boxes":
        return arrow.array(values, arrow.list_(arrow.list_(arrow.float32())))
    if kind != "embedding":
        return arrow.array(values, getattr(arrow, {"double": "float64", "bool": "bool_"}.get(kind, kind))())
    length = next((len(value) for value in values if value is not None), 1)
    missing = np.array([value is None for value in values])
    flat = np.concatenate([np.zeros(length, np.float16) if value is None else value for value in values])
    return arrow.FixedSizeListArray.from_arrays(arrow.array(flat), length, mask=arrow.array(missing))


def read_header(path: Path) -> Header:
    """Return the metadata of a file of scores.

    Raises:
        DataError: It is another kind of file, damaged, or of another version.
    """
    arrow = import_pyarrow()
    try:
        schema = arrow.parquet.read_schema(path)
    except (OSError, arrow.ArrowException) as error:
        raise DataError(f"{path}: is damaged or not a Parquet file: {error}") from error
    try:
        found = json.loads((schema.metadata or {})[HEADER])
        version = found["version"]
    except (KeyError, TypeError, ValueError):
        raise DataError(
            f"{path}: was not written by `sapiens2-lit curate score`: it has no such header; its columns are "
            f"{', '.join(schema.names[:8])}"
        ) from None
    if version != VERSION:
        raise DataError(
            f"{path}: has scores of version {version}, expected {VERSION}: run `curate score` again into a new folder"
        )
    try:
        return Header(**found)
    except TypeError as error:
        raise DataError(
            f"{path}: its header has other fields than those of version {VERSION}: {error}"
        ) from error


def import_pyarrow() -> Any:
    """Import Apache Arrow with Parquet.

    Raises:
        SettingError: It is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise SettingError("curate needs pyarrow: pip install 'sapiens2-lit[parquet]'") from error
    return pyarrow
