"""The results of a probing run: scores with intervals, facts, pictures, and what may be said of them."""

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
    """All that `sapiens2-lit probe` found.

    Attributes:
        scores: by row, task and metric; `random`, `pixels` and `position` among the rows.
        permuted: by row, the scores of its control.
        directions: by task and metric, whether more is better.
        facts: versions, seeds, data, and of each backbone its weights and costs.
        pictures: (H, W, 3) RGB of test pictures.
        pca: by row, the same pictures by principal components.
    """

    scores: dict[str, Scores] = field(default_factory=dict)
    permuted: dict[str, Scores] = field(default_factory=dict)
    directions: dict[str, dict[str, bool]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    pictures: list[npt.NDArray[np.uint8]] = field(default_factory=list)
    pca: dict[str, list[npt.NDArray[np.uint8]]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the results as results.json has them."""
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
        """Return the text of results.json; what is not known is null."""
        return json.dumps(known(self.as_dict()), indent=2, ensure_ascii=False) + "\n"


def as_numbers(scores: Scores) -> dict[str, Any]:
    return {
        task: {name: score.as_dict() for name, score in metrics.items()} for task, metrics in scores.items()
    }


def known(value: Any) -> Any:
    """Return the same without NaN and infinity, which JSON has not."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: known(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [known(one) for one in value]
    return value


def comparisons(results: ProbeResults) -> list[dict[str, Any]]:
    """Every two rows on the first metric of every task, the better one first.

    `interval` is of the paired difference: both rows are scored on the same resampled test images. `separate` says
    whether the two rows' own intervals have no value in common: only then is one said to be better.
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
    """Whether the control of each backbone stays within what position alone reaches, on the first metric of every task.

    `passes` is false where the control's interval lies wholly on the better side of that of position.
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
