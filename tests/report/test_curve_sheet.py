"""Curves as a picture: the right numbers at the right steps, and nothing that a picture cannot show."""

import numpy as np
import pytest

from sapiens2_lit.report.curve_sheet import curves_of, draw_panels, panels_of, ticks
from sapiens2_lit.report.headlines import digits, headlines

ZERO = {"val/pose/AP": "0.0", "val/pose/AP50": "0.0"}
ROWS = [
    {"step": "0", "train/loss": "2.0", "lr/heads": "0.1"},
    {"step": "1", "train/loss": "1.0", "val/loss": "1.5", "val/score": "0.2", **ZERO},
    {"step": "3", "train/loss": "nan", "val/loss": "1.2", "val/score": "0.2", **ZERO},
]


def test_steps_are_those_of_checkpoints_and_nan_is_left_out() -> None:
    curves = curves_of(ROWS)
    assert curves["train/loss"] == [(1, 2.0), (2, 1.0)]
    assert curves["val/score"] == [(2, 0.2), (4, 0.2)]


def test_of_equal_scores_the_later_is_marked_and_equal_curves_are_shown_once() -> None:
    panels = {panel.title: panel for panel in panels_of(curves_of(ROWS))}
    assert panels["score"].best == (4, 0.2)
    assert set(panels["loss"].curves) == {"train", "val"}
    assert "pose/AP" in panels and "pose/AP50" not in panels
    lower = {panel.title: panel for panel in panels_of(curves_of(ROWS), False, "val/loss")}
    assert lower["loss"].curves


def test_a_picture_has_a_place_for_every_panel_and_ink_in_each() -> None:
    panels = panels_of(curves_of(ROWS))
    picture = draw_panels(panels)
    assert picture.dtype == np.uint8 and picture.shape == (2 * 250, 3 * 400, 3)
    assert len(panels) == 4
    for place in range(4):
        row, column = divmod(place, 3)
        part = picture[row * 250 : (row + 1) * 250, column * 400 : (column + 1) * 400]
        assert (part < 200).any(axis=2).sum() > 100
    assert (picture[250:, 400:] == 255).all(), "there is no fifth panel"


def test_a_curve_of_one_value_or_one_point_can_be_drawn() -> None:
    rows = [{"step": "4", "val/score": "0", "val/seg/mIoU": "0.5"}]
    assert draw_panels(panels_of(curves_of(rows)), "run").shape[0] == 280


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3.2, 17), (1e-6, 2e-6), (5, 5), (0, 10000)])
def test_ticks_are_round_and_inside(low: float, high: float) -> None:
    found = ticks(low, high)
    assert 1 <= len(found) <= 6
    margin = 1e-6 * max(abs(low), abs(high))
    assert all(low - margin <= value <= high + margin for value in found)
    assert all(len(f"{value:.4g}") <= 9 for value in found)


def test_the_score_comes_first_and_every_head_has_its_main_number() -> None:
    metrics = {
        "pose/AR": 0.3, "pose/AP": 0.2, "pose/PCK@0.1": 0.4, "pose/PCK@0.1/nose": 0.9, "seg/dice": 0.5, "seg/mIoU": 0.6,
        "depth/AbsRel": float("nan"), "depth/RMSE": 0.3, "loss": 1.0, "score": 0.25,
    }  # fmt: skip
    first = {"pose": ["AP", "PCK@0.1"], "seg": ["mIoU"], "depth": ["AbsRel"]}
    assert headlines(metrics, first, 4) == ["score", "pose/AP", "seg/mIoU", "depth/RMSE"]
    everything = headlines(metrics, first, 50)
    assert everything[:3] == ["score", "pose/AP", "pose/PCK@0.1"]
    assert "pose/PCK@0.1/nose" not in everything and "depth/AbsRel" not in everything


NUMBERS = [(0.22340425848960876, "0.2234"), (0, "0.0000"), (3.2e-5, "3.2e-05"), (41.68951, "41.6895")]


@pytest.mark.parametrize(("value", "text"), NUMBERS)
def test_numbers_have_four_digits(value: float, text: str) -> None:
    assert digits(value) == text
