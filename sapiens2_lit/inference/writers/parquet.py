"""Write results of the whole run as tables: one row for each person, or for each map."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from sapiens2_lit.atomic_write import unwritable_is_error, whole_file
from sapiens2_lit.errors import SettingError
from sapiens2_lit.inference.prediction import Array, Prediction, known
from sapiens2_lit.inference.sources import Frame
from sapiens2_lit.inference.writers.base import RunWriter
from sapiens2_lit.inference.writers.journal import read_lines
from sapiens2_lit.inference.writers.pose import (
    PIXEL_DIGITS,
    SCORE_DIGITS,
    people_of,
    rounded,
    rounded_keypoints,
)

ROWS = 4096  # in memory at a time, and in a group of the file
PICTURE = (
    ("file", "string"),
    ("name", "string"),
    ("time", "double"),
    ("width", "int32"),
    ("height", "int32"),
)


class Parquet(RunWriter):
    """OUT/HEAD/KEY.parquet, made from `.KEY.parquet.jsonl` beside it. Every row begins with its picture.

    Attributes:
        columns: Names and types of the other columns.

    Raises:
        SettingError: pyarrow is not installed.
    """

    name: ClassVar[str] = "parquet"
    columns: ClassVar[tuple[tuple[str, str], ...]]

    def __init__(self, head: str, key: str) -> None:
        super().__init__(head, key)
        import_pyarrow()

    def journal_of(self, folder: Path) -> Path:
        return folder / self.head / f".{self.key}.parquet.jsonl"

    def write(self, prediction: Prediction, frame: Frame, folder: Path) -> None:
        self.write_prepared(self.prepare(prediction, frame), prediction, frame, folder)

    def write_prepared(self, prepared: Any, prediction: Prediction, frame: Frame, folder: Path) -> None:
        if self.is_finished(frame.name, folder):
            return
        height, width = prediction.image_size
        picture = {
            "file": frame.file,
            "name": frame.name,
            "time": frame.time,
            "width": width,
            "height": height,
        }
        self.journal.add({**picture, "rows": prepared})

    def make_whole(self, folder: Path) -> None:
        pyarrow = import_pyarrow()
        types = {"doubles": pyarrow.list_(pyarrow.float64()), "longs": pyarrow.list_(pyarrow.int64())}
        columns = [(name, types.get(kind) or kind) for name, kind in (*PICTURE, *self.columns)]
        schema = pyarrow.schema(columns)
        path = folder / self.head / f"{self.key}.parquet"
        with (
            unwritable_is_error(path),
            whole_file(path) as temporary,
            pyarrow.parquet.ParquetWriter(temporary, schema, compression="zstd") as table,
        ):
            for rows in in_groups(self._rows(folder)):
                table.write_table(pyarrow.Table.from_pylist(rows, schema=schema))

    def _rows(self, folder: Path) -> Iterator[dict[str, Any]]:
        for entry in read_lines(self.journal_of(folder)):
            rows = entry.pop("rows")
            yield from ({**entry, **row} for row in rows)


class PeopleParquet(Parquet):
    """One row for each person, with numbers as in `PoseJson`. Pictures without people have no row."""

    columns = (
        ("person", "int32"), ("id", "int64"), ("score", "double"), ("doubt", "string"), ("people_from", "string"),
        ("box", "doubles"), ("keypoints_x", "doubles"), ("keypoints_y", "doubles"), ("keypoints_score", "doubles"),
    )  # fmt: skip

    def prepare(self, prediction: Prediction, frame: Frame) -> list[dict[str, Any]]:
        rows = []
        for place, person in enumerate(people_of(prediction, self.head)):
            x, y, score = zip(*rounded_keypoints(person.keypoints), strict=True)
            rows.append(
                {
                    "person": place,
                    "id": person.id,
                    "score": rounded(person.score, SCORE_DIGITS),
                    "doubt": person.doubt,
                    "people_from": prediction.people_from,
                    "box": [rounded(value, PIXEL_DIGITS) for value in person.box.tolist()],
                    "keypoints_x": x,
                    "keypoints_y": y,
                    "keypoints_score": score,
                }
            )
        return rows

    def about(self, prediction: Prediction) -> dict[str, Any]:
        info = prediction.heads.get(self.head)
        names = {} if info is None or info.skeleton is None else {"keypoints": list(info.skeleton.keypoints)}
        return {"unit": "pixels of the image", **names}


class MapParquet(Parquet):
    """One row of statistics for each map; other formats write the map itself under the same name."""

    columns = (
        ("known", "double"), ("least", "doubles"), ("mean", "doubles"), ("most", "doubles"), ("classes", "longs"),
        ("pixels", "longs"),
    )  # fmt: skip

    def prepare(self, prediction: Prediction, frame: Frame) -> list[dict[str, Any]]:
        return [describe_map(prediction.maps[self.head][self.key])]

    def about(self, prediction: Prediction) -> dict[str, Any]:
        info = prediction.heads.get(self.head)
        names = {} if info is None or info.classes is None else {"names": list(info.classes.names)}
        return names or {"statistics": "of known pixels, one a channel"}


def describe_map(values: Array) -> dict[str, Any]:
    """Return the share of known pixels, and least, mean and most of each channel; for classes their numbers of pixels.

    Args:
        values: (H, W) or (H, W, C).
    """
    there = known(values)
    found: dict[str, Any] = {"known": float(there.mean())}
    if values.dtype == np.uint8 and values.ndim == 2:
        counts = np.bincount(values[there], minlength=1)
        classes = np.flatnonzero(counts)
        return {**found, "classes": classes.tolist(), "pixels": counts[classes].tolist()}
    inside = values[there].reshape(int(there.sum()), -1).astype(np.float64)
    if len(inside):
        found["least"], found["most"] = inside.min(axis=0).tolist(), inside.max(axis=0).tolist()
        found["mean"] = inside.mean(axis=0).tolist()
    return found


def in_groups(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Yield lists of at most `ROWS` rows."""
    group: list[dict[str, Any]] = []
    for row in rows:
        group.append(row)
        if len(group) == ROWS:
            yield group
            group = []
    if group:
        yield group


def import_pyarrow() -> Any:
    """Import Apache Arrow.

    Raises:
        SettingError: It is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise SettingError("--formats parquet needs pyarrow: pip install 'sapiens2-lit[parquet]'") from error
    return pyarrow
