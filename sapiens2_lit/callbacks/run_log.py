"""Write the metrics of a run to one file, whatever other loggers there are."""

import csv
import io
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.utilities import rank_zero_only

from sapiens2_lit.atomic_write import unwritable_is_error, write_whole

NAME = "metrics.csv"
STEP = "step"
Row = dict[str, str]

_log = logging.getLogger(__name__)


class RunLog(CSVLogger):
    """Writes `FOLDER/metrics.csv`: one row for each logged step, with TensorBoard's names as columns.

    As the first logger of a Trainer it also decides where checkpoints and the configuration go: Lightning asks the
    first one.

    Args:
        folder: Of the run.
        goes_on: Whether to keep the rows before the first step logged now; else an existing file is replaced.
    """

    def __init__(self, folder: Path, goes_on: bool = False) -> None:
        super().__init__(folder.parent, name="", version=folder.name)
        self.table = MetricsTable(folder / NAME, goes_on)

    @property
    def experiment(self) -> Any:
        """The table."""
        return self.table

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        self.table.write(step or 0, metrics)

    @rank_zero_only
    def log_hyperparams(self, params: Any = None) -> None:
        """Do nothing: `config.yaml` has them."""

    @rank_zero_only
    def save(self) -> None:
        """Do nothing: each row is written at once."""

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Do nothing: each row is written at once."""


class MetricsTable:
    """A CSV file with one row for each step, which is complete after each call of `write`.

    Args:
        path: Of the file.
        goes_on: Whether to keep existing rows, except those of steps that are written again.
    """

    def __init__(self, path: Path, goes_on: bool = False) -> None:
        self.path = path
        self.columns = [STEP]
        self.last: Row = {}
        self.offset = 0  # where the last row begins
        self._new = not goes_on
        self._read = False

    def write(self, step: int, values: Mapping[str, Any]) -> None:
        """Add values to the row of a step; rows of later steps, from an earlier run that went further, are dropped.

        Raises:
            SettingError: The file cannot be written.
        """
        if not self._read:
            self._begin()
        row = {STEP: str(step)} | {name: str(value) for name, value in values.items()}
        known = int(self.last.get(STEP, -1))
        new = [name for name in row if name not in self.columns]
        if step < known or new:
            self.columns += new
            self._replace([other for other in read_rows(self.path) if int(other[STEP]) < step])
            self._put(self.last | row if step == known else row)
        elif step == known:
            self._put(self.last | row)
        else:
            self.offset = self.path.stat().st_size
            self._put(row)

    def _begin(self) -> None:
        """Read existing rows, or begin a new file."""
        self._read = True
        rows = [] if self._new or not self.path.exists() else self._rows_before()
        self.columns = list(dict.fromkeys([STEP, *(name for row in rows for name in row)]))
        last = rows.pop() if rows else {}
        self._replace(rows)
        if last:
            self._put(last)

    def _rows_before(self) -> list[Row]:
        try:
            return read_rows(self.path)
        except (ValueError, KeyError, csv.Error) as error:
            aside = self.path.with_name(f"{self.path.name}.old")
            self.path.replace(aside)
            _log.warning(
                "%s is not a table of this program (%s): renamed to %s.", self.path, error, aside.name
            )
            return []

    def _replace(self, rows: list[Row]) -> None:
        """Write the whole file: the names of its columns, and these rows."""
        names = {name: name for name in self.columns}
        write_whole(self.path, self._lines([names, *rows]))
        self.offset = self.path.stat().st_size

    def _put(self, row: Row) -> None:
        """Write a row in the place of the last one."""
        with unwritable_is_error(self.path), self.path.open("r+b") as file:
            file.seek(self.offset)
            file.truncate()
            file.write(self._lines([row]))
        self.last = row

    def _lines(self, rows: list[Row]) -> bytes:
        text = io.StringIO(newline="")
        csv.DictWriter(text, self.columns, restval="", lineterminator="\n").writerows(rows)
        return text.getvalue().encode()


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a `metrics.csv`, sorted by step, without empty cells and without an incomplete last row.

    Raises:
        ValueError: A row has no valid step.
        KeyError: There is no column of steps.
    """
    text = path.read_text(encoding="utf-8")
    lines = csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1], newline=""))
    rows = [{name: value for name, value in line.items() if name and value} for line in lines]
    return sorted(rows, key=lambda row: int(row[STEP]))
