"""What each head sees, and where nothing is known."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sapiens2_lit.errors import SettingError
from sapiens2_lit.inference.model import InferenceModel
from sapiens2_lit.inference.predictor import Predictor
from sapiens2_lit.inference.to_original import restore_field
from sapiens2_lit.inference.views import whole_view

SIZE = (64, 48)


def test_heads_that_see_the_same_share_one_pass(make_model: Any, picture: Any) -> None:
    model = make_model("pose", "seg", "normal")
    passes: list[int] = []
    model.backbone.register_forward_hook(lambda module, args, output: passes.append(len(args[0])))
    box = [[2, 2, 30, 40]]
    Predictor(model, detector=None).predict(picture(80, 60))
    assert passes == [1]
    passes.clear()
    Predictor(model, dense_view="crop").predict(picture(80, 60), box)
    assert passes == [1]
    passes.clear()
    Predictor(model).predict(picture(80, 60), box)
    assert passes == [1, 1]
    passes.clear()
    Predictor(model, batch_size=3).predict([picture(80, 60)] * 2, [box * 2, box * 2])
    assert passes == [3, 1, 2]


def test_crops_are_pasted_back_and_the_rest_is_unknown(make_model: Any, picture: Any) -> None:
    predictor = Predictor(make_model("seg", "normal", "pointmap"), dense_view="crop")
    image = picture(100, 200)
    left, right = [20, 20, 30, 60], [60, 20, 30, 60]
    one = predictor.predict(image, [left]).maps["normal"]["normal"]
    two = predictor.predict(image, [left, right])
    other = predictor.predict(image, [right]).maps["normal"]["normal"]
    both = two.maps["normal"]["normal"]
    known = [np.isfinite(normals).all(axis=2) for normals in (one, other, both)]
    assert (known[0] & known[1]).any(), "the crops overlap"
    assert (known[2] == known[0] | known[1]).all()
    assert ((two.maps["seg"]["segmentation"] == 255) == ~known[2]).all()
    middle = 55  # between the two people
    columns = np.arange(200)
    np.testing.assert_allclose(both[:, columns < middle][known[0][:, columns < middle]],
                               one[:, columns < middle][known[0][:, columns < middle]], atol=1e-5)  # fmt: skip
    np.testing.assert_allclose(both[:, columns > middle][known[1][:, columns > middle]],
                               other[:, columns > middle][known[1][:, columns > middle]], atol=1e-5)  # fmt: skip
    assert two.values["pointmap"]["focal"].shape == (2,)
    assert two.focal == pytest.approx(np.median(two.values["pointmap"]["focal"]))
    nobody = predictor.predict(image, np.zeros((0, 4)))
    assert nobody.maps == {} and nobody.focal is None


def test_masks_leave_people_alone(
    maps_of: Any, every_head: InferenceModel, make_model: Any, picture: Any, tmp_path: Path
) -> None:
    image = picture(90, 70)
    plain = Predictor(every_head).predict(image)
    for head in ("seg", "matting"):
        masked = Predictor(every_head, mask_with=head).predict(image)
        if head == "seg":
            people = plain.maps["seg"]["segmentation"] != 0
        else:
            people = plain.maps["matting"]["alpha"][..., 0] >= 0.5
        for (name, key), values in maps_of(masked).items():
            before = plain.maps[name][key]
            if key in ("segmentation", "alpha", "foreground"):
                np.testing.assert_array_equal(values, before)
            else:
                np.testing.assert_array_equal(values[people], before[people])
                assert np.isnan(values[~people]).all()
        assert not people.all() or head == "seg"
    with pytest.raises(
        SettingError, match="mask_with: 'normal' is not a head of memory that tells people from background"
    ):
        Predictor(every_head, mask_with="normal")
    with pytest.raises(SettingError, match=r"'segm' is not a head.*heads that do: seg, matting"):
        Predictor(every_head, mask_with="segm")


def test_crops_are_as_wide_as_in_training(make_model: Any) -> None:
    model = make_model("pose")
    assert Predictor(model).box_padding == 1.25
    people = {"class_path": "PoseDataModule", "init_args": {"padding": 1.5, "image_size": [64, 48]}}
    model.config = {"data": people}
    assert Predictor(model).box_padding == 1.5
    masks = {"class_path": "SegmentationDataModule", "init_args": {}}
    model.config = {"data": {"init_args": {"datasets": {"masks": masks, "people": people}}}}
    assert Predictor(model).box_padding == 1.5
    assert Predictor(model, box_padding=1.0).box_padding == 1.0


def test_restoring_needs_no_view_of_the_input_s_bars(picture: Any) -> None:
    """Whatever stands in the bars beside a letterboxed image takes no part."""
    view = whole_view(0, (100, 150), SIZE)
    values = np.full((*SIZE, 1), np.nan, dtype=np.float32)
    values[view.shown] = 1
    assert (restore_field(values, view) == 1).all()
