"""Run a probing from sources to results."""

import logging
import math
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from sapiens2_lit.backbones.base import Backbone
from sapiens2_lit.inference.model import find_device
from sapiens2_lit.probing.bootstrap import Score, draw_weights, score_all
from sapiens2_lit.probing.datasets import build_task
from sapiens2_lit.probing.features import StoredFeatures
from sapiens2_lit.probing.folders import choose_tasks
from sapiens2_lit.probing.pca import pca_pictures
from sapiens2_lit.probing.pictures import TaskLabels, View, exchange, find_views, read_view
from sapiens2_lit.probing.probes import Budget, Job, evaluate, train
from sapiens2_lit.probing.results import ProbeResults
from sapiens2_lit.probing.retrieval import effective_rank, retrieval_metrics, retrieve_parts
from sapiens2_lit.probing.settings import SPLITS, Kind, ProbeSettings
from sapiens2_lit.probing.sources import random_row, read_sources
from sapiens2_lit.probing.table import Row, count, make_rows
from sapiens2_lit.probing.tasks import ProbeTask, SegmentationProbe

RETRIEVAL = "retrieval"
_SHOWN = 6  # test pictures
_log = logging.getLogger(__name__)


def probe(
    backbones: Mapping[str, str | Backbone] | Sequence[str],
    settings: ProbeSettings | None = None,
    folder: str | Path | None = None,
) -> ProbeResults:
    """Probe several frozen backbones on the tasks with labels in the data.

    Args:
        backbones: Sources, each also as `label=SOURCE`; or a mapping from labels to sources and `Backbone`s.
        settings: The data and the budget; None for synthetic people.
        folder: For pixels and feature maps, which are deleted at the end; None for the system's temporary folder.

    Returns:
        Scores with intervals, facts and pictures; `as_dict()` is the content of results.json.

    Raises:
        SettingError, DataError, WeightsError: Naming what does not fit, before anything is computed.
    """
    settings = settings or ProbeSettings()
    device = find_device(settings.device)
    sources = read_sources(backbones, settings.data.image_size)
    random = random_row(sources[0], settings.random, settings.data.image_size)
    tasks = {name: build_task(name, settings.data) for name in choose_tasks(settings.data, settings.tasks)}
    found = find_views(settings.data, tasks)
    rows = make_rows(sources, random, settings.data.image_size)
    if folder is not None:
        Path(folder).mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".probe-", dir=folder, ignore_cleanup_errors=True) as work:
        views = {
            name: read_view(view, tasks, settings.data, Path(work) / name) for name, view in found.items()
        }
        run = _Run(settings, device, tasks, views, Path(work))
        for row in rows:
            run.add(row)
        run.results.facts = {**run.facts(), "backbones": {row.label: row.facts for row in rows}}
        return run.results


class _Run:
    """Everything that all rows share, and the results so far."""

    def __init__(
        self,
        settings: ProbeSettings,
        device: torch.device,
        tasks: Mapping[str, ProbeTask],
        views: Mapping[str, View],
        work: Path,
    ) -> None:
        self.settings, self.device, self.tasks, self.views = settings, device, tasks, views
        self.cache = work / "features" if settings.cache is None else Path(settings.cache).expanduser()
        self.budget = Budget(settings.steps, settings.batch_size, settings.weight_decay)
        self.bias = {
            name: task.setup(view.tasks[name]["train"].labels)
            for view in views.values()
            for name, task in tasks.items()
            if name in view.tasks
        }
        self.exchanged = {
            name: {split: exchange(one, seed) for seed, (split, one) in enumerate(by_split.items())}
            for view in views.values()
            for name, by_split in view.tasks.items()
        }
        self.speeds: dict[str, float] = {}  # images per second by fingerprint, for rows with stored maps
        self.results = ProbeResults(directions=self.directions())
        self.show_pictures()

    def directions(self) -> dict[str, dict[str, bool]]:
        """Return whether more is better, for every metric of the table."""
        found = {}
        for name, task in self.tasks.items():
            own = dict(task.directions)
            several = len(self.settings.probes) > 1
            small = {f"small/{one}": more for one, more in own.items()} if several else {}
            found[name] = own | small
        if "segmentation" in self.tasks:
            found[RETRIEVAL] = {"mIoU": True, "mAcc": True}
        return found

    def add(self, row: Row) -> None:
        """Compute one row."""
        _log.info("%s: features", row.label)
        extractor = row.extractor(self.device)
        stored = {
            name: StoredFeatures(extractor, view, self.cache, self.device, self.settings.cache_limit_gb)
            for name, view in self.views.items()
        }
        del extractor
        self.results.scores[row.label] = {}
        row.facts |= {"learning_rates": {}, "probe_parameters": {}}
        self.note_costs(row, stored)
        for view_name, view in self.views.items():
            for name, by_split in view.tasks.items():
                _log.info("%s: %s", row.label, name)
                features = stored[view_name]
                self.results.scores[row.label][name] = self.score_task(row, name, features, by_split)
                if row.control:
                    own = self.results.permuted.setdefault(row.label, {})
                    own[name] = self.score_kind(row, name, "linear", features, self.exchanged[name], None)
                if name == "segmentation":
                    self.results.scores[row.label][RETRIEVAL] = self.score_retrieval(features, by_split)
        self.draw(row, stored)

    def score_task(
        self, row: Row, name: str, stored: StoredFeatures, labels: Mapping[str, TaskLabels]
    ) -> dict[str, Score]:
        """Return all metrics of a task by all kinds of probes."""
        found: dict[str, Score] = {}
        for kind in self.settings.probes:
            prefix = "small/" if kind == "small" and len(self.settings.probes) > 1 else ""
            scores = self.score_kind(row, name, kind, stored, labels, f"{name}/{kind}")
            found |= {f"{prefix}{metric}": score for metric, score in scores.items()}
        return found

    def score_kind(
        self,
        row: Row,
        name: str,
        kind: Kind,
        stored: StoredFeatures,
        labels: Mapping[str, TaskLabels],
        note: str | None,
    ) -> dict[str, Score]:
        """Train one kind of probe with every seed, choose the learning rate on the validation split, and test it."""
        task, rates = self.tasks[name], list(self.settings.learning_rates)
        features = {split: stored.split(split) for split in SPLITS}
        job = Job(
            task, kind, features["train"], stored.channels, labels["train"], self.bias[name], self.device
        )
        sweep = train(job, rates, 0, self.budget)
        validated = evaluate(sweep, task, features["val"], labels["val"], self.device)
        goodness = [worst_if_nan(task.goodness(added(one)).item()) for one in validated]
        best = goodness.index(max(goodness))
        tested = [evaluate(sweep, task, features["test"], labels["test"], self.device)[best]]
        for seed in range(1, self.settings.seeds):
            again = train(job, [rates[best]], seed, self.budget)
            tested += evaluate(again, task, features["test"], labels["test"], self.device)
        if note is not None:
            row.facts["learning_rates"][note] = rates[best]
            row.facts["probe_parameters"][note] = count(sweep) // len(rates)
        weights = draw_weights(len(next(iter(tested[0].values()))), self.settings.bootstrap)
        return score_all(tested, task.metrics, weights)

    def score_retrieval(self, stored: StoredFeatures, labels: Mapping[str, TaskLabels]) -> dict[str, Score]:
        """Score the parts of the nearest training patches."""
        task = self.tasks["segmentation"]
        found = retrieve_parts(
            stored.split("train"), labels["train"], stored.split("test"), labels["test"], task.channels
        )
        weights = draw_weights(len(found["confusion"]), self.settings.bootstrap)
        return score_all([found], retrieval_metrics, weights)

    def note_costs(self, row: Row, stored: Mapping[str, StoredFeatures]) -> None:
        """Note the row's grid, channels, speed and effective rank."""
        name, features = next(iter(stored.items()))
        speeds = [one.images_per_second for one in stored.values() if not math.isnan(one.images_per_second)]
        key = f"{row.facts.get('fingerprint')} {row.size}"
        if speeds:
            self.speeds[key] = speeds[0]
        pictures = min(256, len(self.views[name].images["train"]))
        row.facts |= {
            "grid": list(features.grid),
            "channels": features.channels,
            "images_per_second": self.speeds.get(key) if row.source is not None else None,
            "effective_rank": effective_rank(features.split("train"), pictures),
        }

    def people(self, name: str, split: str) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Return rows of a view, and where people are in them, (N, H, W) bool; None if no label tells."""
        for task_name, by_split in self.views[name].tasks.items():
            labels, task = by_split[split].labels, self.tasks[task_name]
            if isinstance(task, SegmentationProbe):
                return by_split[split].rows, labels["valid"] & (labels["classes"] != 0)
        for task_name, by_split in self.views[name].tasks.items():
            if task_name != "pose":
                return by_split[split].rows, by_split[split].labels["valid"]
        return None

    def shown(self) -> tuple[str, torch.Tensor, torch.Tensor]:
        """Return the view whose pictures are shown, the test rows, and where people are in them."""
        for name in self.views:
            if (found := self.people(name, "test")) is not None:
                return name, found[0][:_SHOWN], found[1][:_SHOWN]
        name = next(iter(self.views))
        images = self.views[name].images["test"][:_SHOWN]
        return name, torch.arange(len(images)), torch.ones(len(images), *images.shape[-2:], dtype=torch.bool)

    def show_pictures(self) -> None:
        name, rows, _ = self.shown()
        images = self.views[name].images["test"][rows]
        self.results.pictures = list(images.permute(0, 2, 3, 1).numpy().copy())

    def draw(self, row: Row, stored: Mapping[str, StoredFeatures]) -> None:
        """Draw the pictures of a row's principal components."""
        name, rows, masks = self.shown()
        images = self.views[name].images["train"]
        whole = torch.ones(len(images), *images.shape[-2:], dtype=torch.bool)
        train_rows, train_masks = self.people(name, "train") or (torch.arange(len(images)), whole)
        if row.source is not None:
            features = stored[name]
            self.results.pca[row.label] = pca_pictures(
                features.split("train"), train_rows, train_masks, features.split("test"), rows, masks,
                self.settings.data.image_size,
            )  # fmt: skip

    def facts(self) -> dict[str, Any]:
        """Return versions, budget and data."""
        data = self.settings.data
        sizes = {
            name: {split: int(one.groups.max()) + 1 for split, one in by_split.items()}
            for view in self.views.values()
            for name, by_split in view.tasks.items()
        }
        return {
            "versions": {
                **{name: version(name) for name in ("sapiens2-lit", "torch", "numpy")},
                "python": platform.python_version(),
            },
            "device": str(self.device),
            "seeds": list(range(self.settings.seeds)),
            "steps": self.settings.steps,
            "batch_size": self.settings.batch_size,
            "learning_rates": list(self.settings.learning_rates),
            "weight_decay": self.settings.weight_decay,
            "probes": list(self.settings.probes),
            "bootstrap": self.settings.bootstrap,
            "data": {
                "root": data.root or f"synthetic people, seed {data.seed}",
                "image_size": list(data.image_size),
                "label_stride": data.label_stride,
                "fingerprint": {name: view.fingerprint for name, view in self.views.items()},
                "images": sizes,
            },
        }


def added(statistics: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return sums over all images, (1, ...)."""
    return {
        name: value.sum(dim=0, keepdim=True).reshape(1, *(value.shape[1:] or (1,)))
        for name, value in statistics.items()
    }


def worst_if_nan(value: float) -> float:
    """Return the value, or minus infinity for NaN."""
    return -math.inf if math.isnan(value) else value
