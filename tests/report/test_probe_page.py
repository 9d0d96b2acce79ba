"""What the page of `probe` says: rankings where intervals are apart, and nothing where they are not."""

from typing import Any

import numpy as np

from sapiens2_lit.report.probe_page import build_probe_page
from sapiens2_lit.report.probe_words import conclusions


def found(**rows: tuple[float, float, float]) -> dict[str, Any]:
    """Results of one task by (mean, low, high) of each row; the comparisons of the best row alone."""
    scores = {
        label: {"normal": {"mean_angle": {"mean": mean, "std": 0.1, "interval": [low, high]}}}
        for label, (mean, low, high) in rows.items()
    }
    best = min(rows, key=lambda label: rows[label][0])
    pairs = [
        {
            "task": "normal",
            "metric": "mean_angle",
            "better": best,
            "worse": label,
            "difference": rows[best][0] - row[0],
            "interval": [-1.0, -0.5],
            "separate": row[1] > rows[best][2],
        }
        for label, row in rows.items()
        if label != best
    ]
    facts = {"parameters": 10, "tflop": 0.5, "patch_size": 16, "channels": 4, "effective_rank": 2.0}
    control = {
        "backbone": "A<b>",
        "task": "normal",
        "metric": "mean_angle",
        "permuted": 30.0,
        "position": 31.0,
    }
    return {
        "backbones": scores,
        "directions": {"normal": {"mean_angle": False}},
        "comparisons": pairs,
        "controls": [{**control, "passes": False}],
        "facts": {
            "versions": {"torch": "2"},
            "device": "cpu",
            "seeds": [0],
            "steps": 3,
            "batch_size": 2,
            "learning_rates": [0.1],
            "bootstrap": 100,
            "data": {
                "root": "people",
                "image_size": [64, 48],
                "images": {"normal": {"train": 8, "val": 4, "test": 10}},
                "fingerprint": {"whole": "abc"},
            },
            "backbones": {label: dict(facts) for label in rows},
        },
    }


def test_sentences_rank_only_what_is_apart_and_warn() -> None:
    rows = {"A<b>": (20.0, 19.0, 21.0), "B": (20.5, 19.5, 21.5), "random": (30.0, 29.0, 31.0)}
    said = " ".join(conclusions(found(**rows)))
    assert "A<b> is lowest with 20.0000 and better than random" in said
    assert "cannot be ranked against B" in said
    assert "One seed" in said
    assert "Warning: trained on labels of other pictures, these beat position alone: A<b> on normal" in said
    assert "random initialization here" not in said


def test_what_does_not_beat_random_initialization_is_said() -> None:
    said = " ".join(conclusions(found(A=(29.5, 28.0, 31.0), random=(30.0, 29.0, 31.0))))
    assert "A does not beat random initialization here" in said


def test_the_page_escapes_names_and_shows_all_parts() -> None:
    rows = {"A<b>": (20.0, 19.0, 21.0), "random": (30.0, 29.0, 31.0)}
    picture = np.zeros((8, 6, 3), dtype=np.uint8)
    page = build_probe_page(found(**rows), [picture], {"A<b>": [picture]})
    assert "A<b>" not in page and "A&lt;b&gt;" in page
    assert page.count("<circle") == 2 and page.count("data:image/jpeg") == 2
    assert "19 to 21" in page and 'class="warning"' in page
