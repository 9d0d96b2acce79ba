"""Read finished and unfinished runs from disk: settings, curves, best score, test metrics, pictures."""

import csv
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from sapiens2_lit.errors import SettingError
from sapiens2_lit.report.curve_sheet import curves_of
from sapiens2_lit.report.curves import Curve

SAME_ANYWAY = ("output", "ckpt_path", "config", "trainer.logger", "verify", "weights_only", "report", "trust")
_STEP = re.compile(r"step=(\d+)$")


@dataclass(frozen=True)
class Run:
    """One run.

    Attributes:
        name: That tells it from the others.
        folder: `OUTPUT/version_N`.
        settings: Flat: `data.init_args.batch_size` and so on.
        curves: Of `metrics.csv`, with steps from 1.
        monitor: The metric that chooses the best checkpoint, and whether more is better.
        tested: Metrics of the last `test`, by name.
    """

    name: str
    folder: Path
    settings: dict[str, Any]
    curves: dict[str, Curve] = field(default_factory=dict)
    monitor: tuple[str, bool] = ("val/score", True)
    tested: dict[str, float] = field(default_factory=dict)

    @property
    def best(self) -> tuple[int, float] | None:
        """Step and score of the best validation; None without any."""
        name, higher = self.monitor
        curve = self.curves.get(name)
        if not curve:
            return None
        value = (max if higher else min)(value for _, value in curve)
        return next(point for point in reversed(curve) if point[1] == value)

    @property
    def steps(self) -> int:
        """Number of logged steps."""
        return max((curve[-1][0] for curve in self.curves.values()), default=0)

    def at_best(self) -> dict[str, float]:
        """Return the heads' validation metrics at the best step, by name."""
        if self.best is None:
            return {}
        found = {name: dict(curve).get(self.best[0]) for name, curve in self.curves.items()}
        return {name: value for name, value in found.items() if value is not None and name.startswith("val/")}

    def pictures(self) -> dict[str, Path]:
        """Return the last pictures of validation, by head."""
        steps = [
            (int(found[1]), path)
            for path in self.folder.glob("pictures/step=*")
            if (found := _STEP.search(path.name))
        ]
        last = max(steps)[1] if steps else None
        return {} if last is None else {path.stem: path for path in sorted(last.glob("*.png"))}


def find_runs(places: Sequence[Path]) -> list[Run]:
    """Return the runs in folders: each folder is a run, or has some (`version_N`).

    Raises:
        SettingError: A folder does not exist, has no run, or has one that cannot be read.
    """
    folders: list[Path] = []
    for place in places:
        if not place.is_dir():
            raise SettingError(f"{place}: no such folder; expected a run (version_N), or a folder of runs")
        inside = [path.parent for path in place.glob("version_*/config.yaml")]
        found = [place] if (place / "config.yaml").is_file() else sorted(inside, key=number_of)
        if not found:
            raise SettingError(
                f"{place}: there is no run in it, expected config.yaml or version_N/config.yaml"
            )
        folders += [folder for folder in found if folder not in folders]
    return [read_run(folder, name) for folder, name in zip(folders, names_of(folders), strict=True)]


def number_of(folder: Path) -> int:
    """Return N of `version_N`, which sorts 10 behind 9."""
    found = re.search(r"\d+$", folder.name)
    return int(found[0]) if found else -1


def names_of(folders: Sequence[Path]) -> list[str]:
    """Return the folders' paths without their common start."""
    parts = [folder.resolve().parts for folder in folders]
    shared = 0
    while (
        len(folders) > 1
        and len({part[shared] for part in parts if len(part) > shared + 1}) == 1
        and all(len(part) > shared + 1 for part in parts)
    ):
        shared += 1
    return ["/".join(part[shared if len(folders) > 1 else -2 :]) for part in parts]


def read_run(folder: Path, name: str) -> Run:
    """Return a run from disk.

    Raises:
        SettingError: Naming the file that cannot be read.
    """
    content = _yaml(folder / "config.yaml")
    chosen = content.get("checkpoint") or {}
    tested = folder / "test" / "metrics.json"
    return Run(
        name,
        folder,
        flat(content),
        _curves(folder / "metrics.csv"),
        (str(chosen.get("monitor", "val/score")), chosen.get("mode", "max") == "max"),
        _tested(tested) if tested.is_file() else {},
    )


def flat(settings: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Return nested settings as one level of names with dots."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        name = f"{before}{key}"
        if name in SAME_ANYWAY:
            continue
        found |= flat(value, f"{name}.") if isinstance(value, Mapping) and value else {name: value}
    return found


def differing(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """Return settings that are not the same in all runs, each with its values; None where a run does not have it."""
    names = list(dict.fromkeys(name for run in runs for name in run.settings))
    values = {name: [run.settings.get(name) for run in runs] for name in names}
    return {name: found for name, found in values.items() if any(one != found[0] for one in found)}


def _yaml(path: Path) -> Mapping[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingError(
            f"{path}: expected the configuration of a run: {' '.join(str(error).split())}"
        ) from error
    if not isinstance(content, Mapping):
        raise SettingError(f"{path}: found {type(content).__name__}, expected the configuration of a run")
    return content


def _curves(path: Path) -> dict[str, Curve]:
    if not path.is_file():
        return {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [
                {key: value for key, value in row.items() if key and value} for row in csv.DictReader(file)
            ]
        return curves_of([row for row in rows if "step" in row])
    except (OSError, ValueError, csv.Error) as error:
        raise SettingError(f"{path}: expected the numbers of a run: {error}") from error


def _tested(path: Path) -> dict[str, float]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        metrics = content["metrics"]
        measured = Path(content.get("checkpoint") or "").name
        kept = path.parents[1] / "checkpoints"
        if measured and not (kept / measured).exists():  # the run has replaced that checkpoint
            return {}
        return {name: math.nan if value is None else float(value) for name, value in metrics.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SettingError(f"{path}: expected what `test` has written: {error}") from error
