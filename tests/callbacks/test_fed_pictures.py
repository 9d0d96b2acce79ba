"""What a run is fed, and what it says of points that it is not sure of."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from sapiens2_lit.callbacks.fed_pictures import BATCH, FedPictures, batch_sheet, named_parts
from sapiens2_lit.callbacks.pictures import columns_of, stack
from sapiens2_lit.heads import MattingHead, PoseHead, SegmentationHead
from sapiens2_lit.heads.base import Head
from sapiens2_lit.visualization.compare import READABLE, blank, compare, readable
from sapiens2_lit.vocabularies import IGNORED

SIZE = (64, 48)


class Module:
    """As much of a module as pictures ask."""

    def __init__(self, **heads: Head) -> None:
        self.heads = heads

    def named_heads(self) -> list[tuple[str, Head]]:
        return list(self.heads.items())


def person(score: float) -> dict[str, torch.Tensor]:
    points = torch.rand(1, 17, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor(
        [47.0, 63.0, 0.0]
    )
    points[..., 2] = score
    return {"keypoints": points}


def image() -> torch.Tensor:
    return torch.full((1, 3, *SIZE), 90, dtype=torch.uint8)


def strength(picture: np.ndarray) -> float:
    """How much is painted on the prediction's half."""
    half = picture[40:, picture.shape[1] // 2 + 4 :].astype(float)
    return float(np.abs(half - 90).max(axis=2).sum())


def test_points_below_the_threshold_are_faint_and_never_an_empty_panel() -> None:
    head = PoseHead(16, "coco17")
    batch = {"image": image(), **person(2.0)}
    sure, unsure, nothing = (strength(compare(head, batch, person(score), 0)) for score in (0.9, 0.1, 0.0))
    assert nothing == 0
    assert 0.15 * sure < unsure < 0.7 * sure
    assert "above 0.3" in head.remark({key: value[0] for key, value in person(0.1).items()})
    assert head.remark({key: value[0] for key, value in person(0.9).items()}) == ""


def test_predict_draws_no_unsure_points() -> None:
    head = PoseHead(16, "coco17")
    plain = image()[0].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(head.draw(plain, {"keypoints": person(0.1)["keypoints"][0]}), plain)


def test_nothing_is_painted_where_labels_do_not_count() -> None:
    """The padding of a letterbox, of classes and of mattes."""
    labels = torch.zeros(1, *SIZE, dtype=torch.long)
    labels[:, :16] = IGNORED
    batch = {"image": image(), "segmentation": labels}
    head = SegmentationHead(16)
    everywhere = torch.full_like(labels, 5)
    painted = compare(head, batch, {"segmentation": everywhere}, 0)
    inside = compare(head, batch, {"segmentation": torch.where(labels == IGNORED, 7, everywhere)}, 0)
    np.testing.assert_array_equal(painted, inside)
    alpha = torch.rand(1, 1, *SIZE)
    alpha[:, :, :16] = torch.nan
    matte = {"image": image(), "alpha": alpha}
    one, other = torch.full((1, 1, *SIZE), 0.5), torch.full((1, 1, *SIZE), 0.5)
    other[:, :, :16] = 1.0
    drawn = [
        compare(MattingHead(16), matte, {"alpha": one}, 0),
        compare(MattingHead(16), matte, {"alpha": other}, 0),
    ]
    np.testing.assert_array_equal(*drawn)


def test_small_pictures_are_drawn_on_an_enlarged_image() -> None:
    small = image()[0].permute(1, 2, 0).numpy()
    points = torch.tensor([[0.0, 0.0, 1.0], [47.0, 63.0, 1.0]])
    classes = torch.arange(SIZE[0] * SIZE[1]).reshape(SIZE)
    large, shown = readable(small, {"keypoints": points, "segmentation": classes, "score": torch.tensor(0.5)})
    times = large.shape[0] // SIZE[0]
    assert large.shape[0] >= READABLE and large.shape[1] == times * SIZE[1]
    # a pixel's middle stays its middle
    torch.testing.assert_close(shown["keypoints"][:, :2], (points[:, :2] + 0.5) * times - 0.5)
    assert shown["segmentation"].shape == large.shape[:2]
    torch.testing.assert_close(shown["segmentation"][times // 2 :: times, times // 2 :: times], classes)


def test_what_nobody_knows_how_to_scale_is_drawn_small() -> None:
    small = image()[0].permute(1, 2, 0).numpy()
    same, shown = readable(small, {"boxes": torch.zeros(3, 4)})
    assert same.shape == small.shape and shown["boxes"].shape == (3, 4)


def test_what_is_no_map_stays_as_it_is() -> None:
    counted = torch.zeros(1, *SIZE, dtype=torch.bool)
    focal = torch.tensor(3.0)
    assert blank(focal, counted, 0.0) is focal
    assert (blank(torch.ones(2, *SIZE), counted, 0.0) == 0).all()
    assert (blank(torch.ones(SIZE, dtype=torch.long), counted, 0.0) == IGNORED).all()


def test_a_batch_sheet_shows_each_sample_with_each_head_that_learns_from_it() -> None:
    labels = torch.zeros(3, *SIZE, dtype=torch.long)
    batch = {"image": image().expand(3, -1, -1, -1), "segmentation": labels, "sample": ["a", "b", "c"]}
    pose, seg = PoseHead(16, "coco17"), SegmentationHead(16)
    alone = batch_sheet(Module(seg=seg), batch, 8)  # type: ignore[arg-type]
    assert alone.shape == batch_sheet(Module(pose=pose, seg=seg), batch, 8).shape, "nobody labelled points"  # type: ignore[arg-type]
    assert batch_sheet(Module(seg=seg), batch, 1).shape[1] < alone.shape[1]  # type: ignore[arg-type]


def test_every_dataset_has_its_first_batch_on_the_sheet(tmp_path: Path) -> None:
    fed = FedPictures(2)
    fed.folder = tmp_path
    module = _sapiens_like(SegmentationHead(16))
    labels = torch.zeros(1, *SIZE, dtype=torch.long)
    heights = []
    for name in ("one", "two", "one"):
        fed.on_train_batch_start(None, module, {"image": image(), "segmentation": labels, "dataset": name}, 0)  # type: ignore[arg-type]
        heights.append(cv2.imread(str(tmp_path / BATCH)).shape[0])
    assert heights[0] < heights[1] == heights[2]
    both = {"batches": {"x": {"image": image()}, "y": {"depth": labels}}}
    assert list(named_parts(both)) == ["x"], "features alone cannot be drawn"


def _sapiens_like(head: Head) -> object:
    from sapiens2_lit.training.module import SapiensModule

    module = SapiensModule.__new__(SapiensModule)
    torch.nn.Module.__init__(module)
    module.named_heads = lambda: [("seg", head)]  # type: ignore[method-assign]
    return module


@pytest.mark.parametrize("width", [100, 400, 900])
def test_sheets_stay_within_what_a_screen_shows(width: int) -> None:
    pictures = [np.zeros((20, width, 3), np.uint8)] * 8
    assert 2 <= columns_of(pictures) <= 4
    assert stack({"pose": pictures[0], "seg": pictures[1]}).shape[0] > 40
