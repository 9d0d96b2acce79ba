"""Read all scores of a pool, independent of the order of their files."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sapiens2_lit.curation.kmeans import Points
from sapiens2_lit.curation.shards import Header, import_pyarrow, read_header
from sapiens2_lit.errors import DataError, SettingError

_SHOWN = 5


class Scores:
    """A table of pictures, sorted by path.

    Attributes:
        root: Folder of the pictures at the time of scoring.
        table: An Arrow table.
    """

    def __init__(self, root: Path, table: Any) -> None:
        self.root, self.table = root, table

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return list(self.table.column_names)

    @property
    def paths(self) -> list[str]:
        """Paths of the pictures, relative to `root`."""
        return list(self.table["path"].to_pylist())

    def take(self, rows: npt.NDArray[Any]) -> "Scores":
        """Return some rows.

        Args:
            rows: (M,) indices, or (N,) bool.
        """
        arrow = import_pyarrow()
        places = np.flatnonzero(rows) if rows.dtype == bool else rows
        return Scores(self.root, self.table.take(arrow.array(places)))

    def texts(self, column: str) -> list[Any]:
        """Return a column as a list; None where a picture has no value."""
        return list(self.table[column].to_pylist())

    def numbers(self, column: str) -> npt.NDArray[np.float64]:
        """Return a column of numbers or truth values, (N,); NaN where a picture has none.

        Raises:
            SettingError: It holds something else.
        """
        arrow = import_pyarrow()
        kind = self.table[column].type
        if not (
            arrow.types.is_integer(kind) or arrow.types.is_floating(kind) or arrow.types.is_boolean(kind)
        ):
            raise SettingError(f"cuts.{column}: the column holds {kind}, which has no minimum and maximum")
        values = self.table[column].cast(arrow.float64()).combine_chunks()
        return np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.float64)

    def embeddings(self) -> Points:
        """Return the embeddings (N, D), of length 1.

        Raises:
            DataError: Embeddings of several backbones are mixed.
        """
        column = self.table["embedding"].combine_chunks()
        flat = column.flatten().to_numpy(zero_copy_only=False)
        points = np.asarray(flat, dtype=np.float32).reshape(len(column), -1)
        return points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)


def read_scores(places: Sequence[Path], partial: bool = False) -> Scores:
    """Read the scores in some folders or files.

    Args:
        places: Folders that `curate score` wrote, or files of them.
        partial: Whether shards may be missing.

    Raises:
        DataError: A file is missing, damaged, of another version or with other columns; shards are missing; or a
            picture occurs twice.
    """
    arrow = import_pyarrow()
    files = sorted({file.resolve() for place in places for file in _files(place)})
    headers = {file: read_header(file) for file in files}
    _check_alike(headers)
    _check_complete(headers, partial)
    tables = []
    for file in files:
        try:
            tables.append(arrow.parquet.read_table(file))
        except (OSError, arrow.ArrowException) as error:
            raise DataError(f"{file}: is damaged: {error}; delete it and run `curate score` again") from error
        first, own = tables[0].schema.remove_metadata(), tables[-1].schema.remove_metadata()
        if own.names != first.names:
            other = sorted(set(own.names) ^ set(first.names))
            raise DataError(
                f"{file}: has other columns than {files[0].name}: {', '.join(other)} only in one of them"
            )
    table = arrow.concat_tables([one.replace_schema_metadata(None) for one in _same_embedding(tables)])
    table = table.sort_by("path")
    paths = table["path"].to_pylist()
    if twice := [one for one, other in pairwise(paths) if one == other]:
        raise DataError(f"{twice[0]}: is in two files of scores; give each picture's scores once")
    return Scores(Path(next(iter(headers.values())).root), table)


def _same_embedding(tables: Sequence[Any]) -> list[Any]:
    """Return tables with embeddings of the same length, which a shard without readable pictures does not know."""
    arrow = import_pyarrow()
    if "embedding" not in tables[0].column_names:
        return list(tables)
    length = max(one.schema.field("embedding").type.list_size for one in tables)
    found = []
    for one in tables:
        place = one.column_names.index("embedding")
        if one["embedding"].type.list_size != length:
            empty = arrow.array([None] * one.num_rows, arrow.list_(arrow.float16(), length))
            one = one.set_column(place, "embedding", empty)
        found.append(one)
    return found


def _files(place: Path) -> Iterable[Path]:
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise DataError(
            f"{place}: there is no such file or folder, expected one that `curate score` has written"
        )
    found = sorted(place.glob("part-*.parquet"))
    if not found:
        raise DataError(f"{place}: has no part-*.parquet, expected a folder that `curate score` has written")
    return found


def _check_alike(headers: dict[Path, Header]) -> None:
    first_file, first = next(iter(headers.items()))
    for file, header in headers.items():
        if header.settings != first.settings:
            raise DataError(
                f"{file}: was scored with {header.settings}, {first_file.name} with {first.settings}: expected the same"
            )
        if header.root != first.root:
            raise DataError(
                f"{file}: has scores of pictures in {header.root}, {first_file.name} of {first.root}: all paths of a "
                "list lie in one folder"
            )


def _check_complete(headers: dict[Path, Header], partial: bool) -> None:
    sizes = sorted({header.shards for header in headers.values()})
    if len(sizes) > 1:
        raise DataError(
            f"the files are of runs with {sizes} shards: run `curate score` again, so that all are of one run"
        )
    missing = sorted(set(range(sizes[0])) - {header.shard for header in headers.values()})
    if missing and not partial:
        shown = ", ".join(f"part-{shard:06}" for shard in missing[:_SHOWN])
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        raise DataError(
            f"{len(missing)} of {sizes[0]} shards are missing: {shown}{more}; run `curate score` again, or select from "
            "those that are there by --partial"
        )
