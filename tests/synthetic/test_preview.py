"""Labels as pictures."""

from dataclasses import replace

import numpy as np
import pytest

from sapiens2_lit.synthetic.dataset.frame import Frame
from sapiens2_lit.synthetic.dataset.generate import generate
from sapiens2_lit.synthetic.dataset.layout import TASKS
from sapiens2_lit.synthetic.dataset.preview import EMPTY, TALLEST, preview, views


@pytest.fixture(scope="module")
def frame() -> Frame:
    return generate(0, 1, (128, 96))


def test_every_label_has_a_view_of_its_own(frame: Frame) -> None:
    found = views(frame)
    assert len(found) == 9
    assert all(view.shape == (128, 96, 3) and view.dtype == np.uint8 for view in found.values())
    pictures = [view.tobytes() for view in found.values()]
    assert len(set(pictures)) == 9
    assert sum(len(views(frame, (task,))) - 1 for task in TASKS) == 8


def test_what_has_no_label_is_grey(frame: Frame) -> None:
    found = views(frame)
    for title in ("segmentation", "normal", "depth", "point map", "albedo"):
        assert (found[title][~frame.valid] == EMPTY).all()
        assert (found[title][frame.valid] != EMPTY).any(axis=1).mean() > 0.99


def test_normals_have_the_usual_colors(frame: Frame) -> None:
    for normal, color in (
        ((0, 0, -1), (128, 128, 255)),
        ((1, 0, 0), (255, 128, 128)),
        ((0, -1, 0), (128, 255, 128)),
    ):
        field = np.broadcast_to(np.float32(normal), frame.normal.shape)
        assert (views(replace(frame, normal=field), ("normal",))["normal"][frame.valid] == color).all()


def test_near_is_brighter(frame: Frame) -> None:
    bright = views(frame)["depth"].astype(float).mean(axis=2)[frame.valid]
    depth = frame.depth[frame.valid]
    near, far = depth < np.quantile(depth, 0.1), depth > np.quantile(depth, 0.9)
    assert bright[near].mean() > bright[far].mean() + 50


def test_occluded_keypoints_are_faint(frame: Frame) -> None:
    def change(v: float) -> float:
        points = {
            name: np.where([[False, False, True]], v, p) for name, p in frame.people[0].keypoints.items()
        }
        drawn = views(replace(frame, people=[replace(frame.people[0], keypoints=points)]), ("pose",))
        return float(np.abs(drawn["308 keypoints"].astype(int) - frame.image).mean())

    assert change(2) > change(1) > 0 == change(0)


def test_large_pictures_are_shrunk_and_rows_kept_apart(frame: Frame) -> None:
    large = generate(0, 0, (400, 300))
    assert {view.shape for view in views(large).values()} == {(TALLEST, 240, 3)}
    one, two = preview([frame]), preview([frame, frame])
    assert two.shape[0] > 2 * one.shape[0]
    assert two.shape[1] == one.shape[1] > 9 * 96


@pytest.mark.parametrize("size", [(16, 16), (40, 400), (400, 40)])
def test_views_have_room_for_their_titles_and_fit_a_sheet(size: tuple[int, int]) -> None:
    for view in views(generate(0, 0, size)).values():
        assert 96 <= view.shape[1] <= 320
