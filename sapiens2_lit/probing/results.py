"""Hold the results of a probing run: scores with intervals, facts, pictures, and comparisons."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from sapiens2_lit.probing.bootstrap import Score, interval_of, separate

Scores = dict[str, dict[str, Score]]  # by task and metric
BASELINES = ("random", "pixels", "position")


@dataclass
class ProbeResults:
    """All results of `sapiens2-lit probe`.

    Attributes:
        scores: By row, task and metric; `random`, `pixels` and `position` are among the rows.
        permuted: By row, the scores of its control.
        directions: By task and metric, whether more is better.
        facts: Versions, seeds, data, and weights and costs of each backbone.
        pictures: (H, W, 3) RGB test pictures.
        pca: By row, the same pictures as principal components.
    """

    scores: dict[str, Scores] = field(default_factory=dict)
    permuted: dict[str, Scores] = field(default_factory=dict)
    directions: dict[str, dict[str, bool]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    pictures: list[npt.NDArray[np.uint8]] = field(default_factory=list)
    pca: dict[str, list[npt.NDArray[np.uint8]]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the results in the form of results.json."""
        rows: dict[str, Any] = {}
        for label, scores in self.scores.items():
            rows[label] = as_numbers(scores)
            if label in self.permuted:
                rows[label]["permuted"] = as_numbers(self.permuted[label])
        return {
            "backbones": rows,
            "facts": self.facts,
            "directions": self.directions,
            "comparisons": comparisons(self),
            "controls": controls(self),
        }

    def to_json(self) -> str:
        """Return the text of results.json; unknown values are null."""
        return json.dumps(known(self.as_dict()), indent=2, ensure_ascii=False) + "\n"


def as_numbers(scores: Scores) -> dict[str, Any]:
    """Return scores in the form of results.json."""
    return {
        task: {name: score.as_dict() for name, score in metrics.items()} for task, metrics in scores.items()
    }


def known(value: Any) -> Any:
    """Return the same value with None for NaN and infinity, which JSON does not have."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: known(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [known(one) for one in value]
    return value


def comparisons(results: ProbeResults) -> list[dict[str, Any]]:
    """Compare every two rows on the first metric of every task, the better one first.

    `interval` is that of the paired difference: both rows are scored on the same resampled test images. `separate`
    tells whether the intervals of the two rows do not overlap: only then is one called better.
    """
    found = []
    for task, metrics in results.directions.items():
        name, more = next(iter(metrics.items()))
        rows = [(label, scores[task][name]) for label, scores in results.scores.items() if task in scores]
        rows.sort(key=lambda row: row[1].mean, reverse=more)
        for place, (label, score) in enumerate(rows):
            for other, worse in rows[place + 1 :]:
                low, high = interval_of(score.resampled - worse.resampled)
                found.append(
                    {
                        "task": task,
                        "metric": name,
                        "better": label,
                        "worse": other,
                        "difference": score.mean - worse.mean,
                        "interval": [low, high],
                        "separate": separate(score, worse),
                    }
                )
    return found


def controls(results: ProbeResults) -> list[dict[str, Any]]:
    """Check that each backbone's control stays within what position alone achieves, on the first metric of every task.

    `passes` is false if the control's interval lies entirely on the better side of that of position.
    """
    found = []
    for label, scores in results.permuted.items():
        for task, metrics in scores.items():
            name, more = next(iter(results.directions[task].items()))
            score, position = metrics[name], results.scores["position"][task][name]
            better = (score.mean > position.mean) == more
            found.append(
                {
                    "backbone": label,
                    "task": task,
                    "metric": name,
                    "permuted": score.mean,
                    "position": position.mean,
                    "passes": not (better and separate(score, position)),
                }
            )
    return found
