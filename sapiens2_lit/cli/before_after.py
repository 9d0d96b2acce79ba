"""Tell whether a pretraining helped: probe its start and its result side by side, and give a verdict."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Literal

from sapiens2_lit.atomic_write import write_whole
from sapiens2_lit.errors import SettingError
from sapiens2_lit.probing.results import ProbeResults
from sapiens2_lit.probing.run import probe
from sapiens2_lit.probing.settings import ProbeData, ProbeSettings
from sapiens2_lit.report.headlines import digits
from sapiens2_lit.report.probe_page import build_probe_page

START, RESULT = "start", "result"
FOLDER, PAGE, NUMBERS = "before_after", "report.html", "results.json"
SYNTHETIC_TASKS = ("segmentation", "normal", "albedo", "pose")
Verdict = Literal["better", "no difference", "worse"]


@dataclass(frozen=True)
class Comparison:
    """Settings of the probe that compares start and result at the end of a pretraining.

    Attributes:
        run: `auto` (if the run started from weights), `always` (random values are the start if it had none), or
            `never`.
        root: folder with labels, laid out as for `fit`; null for synthetic people.
        train_images: labeled images that the probes train on.
        test_images: labeled images that the probes are tested on.
        seeds: trainings of each probe.
        steps: optimizer steps of each training.
        batch_size: images per step.
    """

    run: Literal["auto", "always", "never"] = "auto"
    root: str | None = None
    train_images: int = 128
    test_images: int = 64
    seeds: int = 3
    steps: int = 300
    batch_size: int = 16

    def __post_init__(self) -> None:
        if self.run not in ("auto", "always", "never"):
            raise SettingError(f"comparison.run: found {self.run!r}, expected auto, always or never")
        for name, least in (
            ("train_images", 2),
            ("test_images", 10),
            ("seeds", 1),
            ("steps", 1),
            ("batch_size", 1),
        ):
            if getattr(self, name) < least:
                raise SettingError(
                    f"comparison.{name}: found {getattr(self, name)}, expected {least} or more"
                )

    def is_due(self, start: str | None) -> bool:
        """Whether there is something to compare."""
        return self.run == "always" or (self.run == "auto" and start is not None)

    def settings(self, image_size: tuple[int, int]) -> ProbeSettings:
        """Return the settings in the form of `sapiens2-lit probe`.

        Args:
            image_size: (height, width).
        """
        data = ProbeData(
            root=self.root,
            image_size=image_size,
            train_images=self.train_images,
            val_images=max(10, self.test_images // 2),
            test_images=self.test_images,
        )
        return ProbeSettings(
            data=data,
            tasks=SYNTHETIC_TASKS if self.root is None else None,
            probes=("linear",),
            seeds=self.seeds,
            steps=self.steps,
            batch_size=self.batch_size,
        )


def compare_with_start(
    settings: Comparison, start: str | None, result: Path, image_size: tuple[int, int], folder: Path
) -> str:
    """Probe start and result, write page and numbers below `folder`, and return the verdict as text.

    Args:
        settings: Size of the probe.
        start: Weights that the run started from; None for random values.
        result: The backbone that the run wrote.
        image_size: (height, width).
        folder: The run's folder.
    """
    backbones = {RESULT: str(result)} if start is None else {START: start, RESULT: str(result)}
    sys.stdout.write("probing the start and the result\n")
    sys.stdout.flush()
    place = folder / FOLDER
    results = probe(backbones, settings.settings(image_size), place)
    found = results.as_dict()
    lines = verdict_lines(found, START if start is not None else "random")
    write_whole(place / NUMBERS, results.to_json().encode())
    write_whole(place / PAGE, page_of(results, lines).encode())
    return "\n".join([*lines, f"the page: {place / PAGE}"])


def page_of(results: ProbeResults, lines: list[str]) -> str:
    """Return the probe's page with the verdict at the top."""
    page = build_probe_page(results.as_dict(), results.pictures, results.pca)
    told = "".join(f"<p>{escape(one)}</p>" for one in lines[1:])
    said = f"<section><h1>{escape(lines[0])}</h1>{told}</section>"
    head, body, rest = page.partition("<body>")
    return f"{head}{body}{said}{rest}" if body else said + page


def verdict_lines(found: Mapping[str, Any], start: str) -> list[str]:
    """Return the verdict in one line, then one line for each task.

    A task is better or worse if the 95 % interval of the paired difference on the same test images excludes 0.

    Args:
        found: Content of results.json.
        start: The row that the result is compared with.
    """
    tasks: dict[str, Verdict] = {}
    lines = []
    for one in found["comparisons"]:
        if {one["better"], one["worse"]} != {start, RESULT} or one["task"] == "retrieval":
            continue
        low, high = one["interval"]
        told = low > 0 or high < 0
        tasks[one["task"]] = "no difference" if not told else "better" if one["better"] == RESULT else "worse"
        before, after = (
            found["backbones"][row][one["task"]][one["metric"]]["mean"] for row in (start, RESULT)
        )
        lines.append(
            f"{one['task']}: {tasks[one['task']]} ({one['metric']} {digits(before)} before, {digits(after)} after; the "
            f"difference is within {digits(min(low, high))} to {digits(max(low, high))})"
        )
    return [
        overall(tasks),
        *lines,
        "The reconstruction loss is left out: it tells nothing about the features.",
    ]


def overall(tasks: Mapping[str, Verdict]) -> str:
    """Sum up the verdicts on all tasks in one line."""
    better = [task for task, verdict in tasks.items() if verdict == "better"]
    worse = [task for task, verdict in tasks.items() if verdict == "worse"]
    if worse and better:
        return f"better on {', '.join(better)}, worse on {', '.join(worse)}: keep the start for what became worse"
    if worse:
        return f"worse: keep the start ({', '.join(worse)})"
    return f"better ({', '.join(better)})" if better else "no difference"
