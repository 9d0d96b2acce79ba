"""Predictions equal the Trainer's, in the original image's pixels, whatever the image's size."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch.utils.data import default_collate

from sapiens2_lit.codecs import UDPHeatmapCodec
from sapiens2_lit.datamodules import NormalDataModule, PoseDataModule
from sapiens2_lit.errors import DataError, SettingError
from sapiens2_lit.inference.averaging import resample_heatmaps, scaled_sizes
from sapiens2_lit.inference.model import InferenceModel
from sapiens2_lit.inference.prediction import Prediction
from sapiens2_lit.inference.predictor import Predictor
from sapiens2_lit.inference.restoring import restore_field, restore_vectors
from sapiens2_lit.inference.views import whole_view
from sapiens2_lit.module import SapiensModule

SIZE = (64, 48)


def as_module(model: InferenceModel, flip: bool) -> SapiensModule:
    """The same networks, in what a Trainer runs."""
    makers = {name: (lambda width, head=head: head) for name, head in model.named_heads()}
    module = SapiensModule(lambda: model.backbone, makers, flip_test=flip)
    module.backbone = model.backbone
    module.heads.update(dict(model.named_heads()))
    return module.eval()


def with_trainer(module: SapiensModule, batch: dict[str, Any]) -> dict[str, dict[str, torch.Tensor]]:
    with torch.no_grad():
        return module.predict_step(batch, 0)


def maps_of(prediction: Prediction) -> dict[tuple[str, str], np.ndarray]:
    return {(head, key): value for head, maps in prediction.maps.items() for key, value in maps.items()}


def channels_last(tensor: torch.Tensor) -> np.ndarray:
    array = tensor.numpy()
    return array if array.ndim == 2 else np.moveaxis(array, 0, 2)


@pytest.mark.parametrize("flip", [False, True])
def test_an_image_of_the_input_s_size_gives_what_the_trainer_gives(
    flip: bool, every_head: InferenceModel, picture: Any
) -> None:
    image = picture(*SIZE)
    found = Predictor(every_head, flip=flip).predict(image)
    batch = {
        "image": torch.from_numpy(image).permute(2, 0, 1)[None],
        "affine": torch.eye(3)[None, :2],
    }
    expected = with_trainer(as_module(every_head, flip), batch)
    (person,) = found.instances
    np.testing.assert_allclose(person.keypoints, expected["pose"]["keypoints"][0], rtol=0, atol=1e-5)
    assert person.score == pytest.approx(float(expected["pose"]["score"][0]), abs=1e-6)
    for (head, key), values in maps_of(found).items():
        tensor = expected[head][key][0]
        truth = channels_last(tensor)[..., 0] if key == "depth" else channels_last(tensor)
        assert values.shape == truth.shape, (head, key)
        np.testing.assert_allclose(values, truth, rtol=0, atol=1e-5, err_msg=f"{head} {key}")
    assert found.focal == pytest.approx(float(expected["pointmap"]["focal"][0]), rel=1e-6)
    assert found.values["pointmap"]["scale"] == pytest.approx(float(expected["pointmap"]["scale"][0]))


def test_people_are_found_where_the_trainer_finds_them(figures: Path, make_model: Any) -> None:
    """Through the datamodule's own crops, in pixels of the photographs."""
    model = make_model("pose")
    boxes = "annotations/val.json"
    data = PoseDataModule(str(figures), "coco17", SIZE, predict=boxes, num_workers=0)
    data.setup("predict")
    dataset = data.datasets["predict"]
    batch = default_collate([dataset[index] for index in range(len(dataset))])
    expected = with_trainer(as_module(model, True), batch)["pose"]
    content = json.loads((figures / boxes).read_text())
    paths = {image["id"]: figures / "images" / image["file_name"] for image in content["images"]}
    of = {key: [one["bbox"] for one in content["annotations"] if one["image_id"] == key] for key in paths}
    predictions = Predictor(model, flip=True, batch_size=3).predict(list(paths.values()), list(of.values()))
    people = [person for prediction in predictions for person in prediction.instances]
    assert len(people) == len(dataset) >= 6
    order = {int(image_id): row for row, image_id in enumerate(batch["image_id"])}
    for image_id, prediction in zip(paths, predictions, strict=True):
        (person,) = prediction.instances
        truth = expected["keypoints"][order[image_id]].numpy()
        np.testing.assert_allclose(person.keypoints, truth, rtol=0, atol=1e-4)


def test_letterboxed_fields_are_the_trainer_s_brought_back(
    make_model: Any, picture: Any, tmp_path: Path
) -> None:
    (tmp_path / "images").mkdir()
    Image.fromarray(picture(150, 90)).save(tmp_path / "images" / "a.png")
    data = NormalDataModule(str(tmp_path), SIZE, predict="images", num_workers=0)
    data.setup("predict")
    model = make_model("normal")
    batch = default_collate([data.datasets["predict"][0]])
    expected = with_trainer(as_module(model, False), batch)["normal"]["normal"][0]
    found = Predictor(model).predict(tmp_path / "images" / "a.png").maps["normal"]["normal"]
    restored = restore_vectors(channels_last(expected), whole_view(0, (150, 90), SIZE))
    np.testing.assert_allclose(found, restored, rtol=0, atol=1e-5)


def test_four_times_the_image_is_four_times_the_prediction(every_head: InferenceModel, picture: Any) -> None:
    small = picture(*SIZE)
    large = small.repeat(4, axis=0).repeat(4, axis=1)
    predictor = Predictor(every_head)
    first, second = predictor.predict([small, large])
    moved = 4 * (first.instances[0].keypoints[:, :2] + 0.5) - 0.5
    np.testing.assert_allclose(second.instances[0].keypoints[:, :2], moved, atol=1e-3)
    assert first.focal is not None and second.focal == pytest.approx(4 * first.focal, rel=1e-5)
    for (head, key), values in maps_of(first).items():
        found = second.maps[head][key]
        if key == "segmentation":
            with torch.no_grad():
                logits = every_head(torch.from_numpy(small).permute(2, 0, 1)[None])["seg"]
            wanted = F.interpolate(logits, scale_factor=4, mode="bilinear", align_corners=False)
            assert (
                found == wanted[0].argmax(dim=0).numpy()
            ).mean() > 0.995  # but for classes between two others
            continue
        tensor = torch.from_numpy(np.atleast_3d(values)).permute(2, 0, 1)[None]
        wanted = F.interpolate(tensor, scale_factor=4, mode="bilinear", align_corners=False)
        if key == "normal":
            wanted = F.normalize(wanted, dim=1)
        np.testing.assert_allclose(
            np.atleast_3d(found), wanted[0].permute(1, 2, 0), rtol=1e-4, atol=1e-4, err_msg=f"{head} {key}"
        )


def test_a_mirrored_image_gives_a_mirrored_prediction(every_head: InferenceModel, picture: Any) -> None:
    image = picture(*SIZE)
    predictor = Predictor(every_head, flip=True)
    first, second = predictor.predict([image, np.ascontiguousarray(image[:, ::-1])])
    swap = first.heads["pose"].skeleton.swap
    mirrored = first.instances[0].keypoints[list(swap)] * [-1, 1, 1] + [SIZE[1] - 1, 0, 0]
    np.testing.assert_allclose(second.instances[0].keypoints, mirrored, atol=1e-3)
    for head, key in (("normal", "normal"), ("pointmap", "pointmap"), ("albedo", "albedo")):
        sign = 1 if key == "albedo" else np.array([-1, 1, 1])
        np.testing.assert_allclose(
            second.maps[head][key], first.maps[head][key][:, ::-1] * sign, atol=1e-4, err_msg=key
        )


def test_several_scales_keep_shapes_and_say_which_heads_cannot(
    every_head: InferenceModel, picture: Any, caplog: pytest.LogCaptureFixture
) -> None:
    image = picture(90, 70)
    once = Predictor(every_head).predict(image)
    several = Predictor(every_head, scales=(0.75, 1.0, 1.34)).predict(image)
    assert "the head pointmap predicts at the size of the input alone" in caplog.text
    first, second = maps_of(once), maps_of(several)
    assert {key: value.shape for key, value in first.items()} == {
        key: value.shape for key, value in second.items()
    }
    assert not np.allclose(first["normal", "normal"], second["normal", "normal"])
    np.testing.assert_array_equal(first["pointmap", "pointmap"], second["pointmap", "pointmap"])
    np.testing.assert_allclose(np.linalg.norm(second["normal", "normal"], axis=2), 1, atol=1e-5)


def test_heatmaps_of_another_size_keep_their_keypoints() -> None:
    """An input resized by s shows pixel x at s (x + 0.5) - 0.5, its heatmaps follow UDP."""
    torch.manual_seed(0)
    sizes = (128, 96), (160, 112)
    maps = (32, 24), (40, 28)
    target, other = (UDPHeatmapCodec(size, grid, 2.0) for size, grid in zip(sizes, maps, strict=True))
    points = torch.cat([20 + 50 * torch.rand(1, 9, 2), torch.ones(1, 9, 1)], dim=2)
    scale = torch.tensor([112 / 96, 160 / 128])
    moved = torch.cat([scale * (points[..., :2] + 0.5) - 0.5, points[..., 2:]], dim=2)
    heatmaps, _ = other.encode(moved)
    found = target.decode(resample_heatmaps(heatmaps, sizes[1], sizes[0]))
    assert (found - points)[..., :2].abs().max() < 0.15
    same = resample_heatmaps(heatmaps, sizes[1], sizes[1])
    torch.testing.assert_close(same, heatmaps, rtol=0, atol=1e-5)


def test_batches_of_any_sizes_give_what_each_image_gives_alone(
    every_head: InferenceModel, picture: Any
) -> None:
    images = [picture(64, 48, 1), picture(40, 100, 2), picture(130, 61, 3)]
    boxes = [
        [[4, 4, 30, 50]],
        [[5, 5, 20, 30, 0.5], [40, 2, 50, 30, 0.9], [0, 0, 99, 40, 1]],
        np.zeros((0, 5)),
    ]
    predictor = Predictor(every_head, batch_size=2)
    together = predictor.predict(images, boxes)
    assert [len(one.instances) for one in together] == [1, 3, 0]
    for image, some, found in zip(images, boxes, together, strict=True):
        alone = predictor.predict(image, some)
        assert found.image_size == alone.image_size == image.shape[:2]
        for first, second in zip(found.instances, alone.instances, strict=True):
            np.testing.assert_allclose(first.keypoints, second.keypoints, atol=1e-3)
        for key, values in maps_of(found).items():
            if key[1] != "segmentation":
                np.testing.assert_allclose(
                    values, maps_of(alone)[key], rtol=1e-4, atol=1e-4, err_msg=str(key)
                )
    scores = [person.score for person in together[1].instances]
    again = predictor.predict(images[1], [[5, 5, 20, 30], [40, 2, 50, 30], [0, 0, 99, 40]])
    full = [person.score for person in again.instances]
    np.testing.assert_allclose(scores, np.array(full) * [0.5, 0.9, 1], rtol=1e-4)


def test_heads_that_see_the_same_share_one_pass(make_model: Any, picture: Any) -> None:
    model = make_model("pose", "seg", "normal")
    passes: list[int] = []
    model.backbone.register_forward_hook(lambda module, args, output: passes.append(len(args[0])))
    box = [[2, 2, 30, 40]]
    Predictor(model).predict(picture(80, 60))
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
    every_head: InferenceModel, make_model: Any, picture: Any, tmp_path: Path
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
        SettingError, match="mask_with: 'normal' is no head of memory that says where people are"
    ):
        Predictor(every_head, mask_with="normal")
    with pytest.raises(SettingError, match=r"'segm' is no head.*such are: seg, matting"):
        Predictor(every_head, mask_with="segm")


def test_a_detector_is_asked_where_no_boxes_are_given(make_model: Any, picture: Any) -> None:
    found = np.array([[1, 2, 30, 40, 0.5]])
    predictor = Predictor(make_model("pose"), detector=lambda image: found)
    (person,) = predictor.predict(picture(80, 60)).instances
    np.testing.assert_array_equal(person.box, found[0, :4])
    assert len(predictor.predict(picture(80, 60), [[0, 0, 5, 5], [1, 1, 5, 5]]).instances) == 2
    nobody = Predictor(make_model("pose"), detector=lambda image: np.zeros((0, 5)))
    assert nobody.predict(picture(80, 60)).instances == []


def test_images_come_as_arrays_paths_and_pil(make_model: Any, picture: Any, tmp_path: Path) -> None:
    predictor = Predictor(make_model("albedo"))
    image = picture(70, 50)
    Image.fromarray(image).save(tmp_path / "a.png")
    turned = Image.fromarray(np.rot90(image, 1))
    turned.getexif()[0x0112] = 6  # shown turned by 90 degrees clockwise
    turned.save(tmp_path / "turned.png", exif=turned.getexif())
    given = [image, tmp_path / "a.png", str(tmp_path / "a.png"), Image.open(tmp_path / "turned.png")]
    maps = [one.maps["albedo"]["albedo"] for one in predictor.predict(given)]
    for other in maps[1:]:
        np.testing.assert_allclose(other, maps[0], atol=1e-5)


@pytest.mark.parametrize(
    ("image", "boxes", "expected"),
    [
        (np.zeros((4, 4), np.uint8), None, r"found uint8 \(4, 4\), expected RGB"),
        (np.zeros((4, 4, 3), np.float32), None, "found float32"),
        (np.zeros((4, 0, 3), np.uint8), None, "0 x 4 pixels"),
        ("nowhere.jpg", None, "nowhere.jpg: the image does not exist"),
        (7, None, "found int"),
        (np.zeros((4, 4, 3), np.uint8), [[1, 2, 3]], r"shape \(1, 3\)"),
        (np.zeros((4, 4, 3), np.uint8), [[1, 2, 3, 4], [1, 2, 0, 4]], "box 1 is .* width and height above 0"),
        (np.zeros((4, 4, 3), np.uint8), [[1, 2, np.nan, 4]], "box 0"),
    ],
)
def test_what_is_no_image_and_no_box_is_named(
    image: Any, boxes: Any, expected: str, every_head: InferenceModel
) -> None:
    with pytest.raises(DataError, match=expected):
        Predictor(every_head).predict(image, boxes)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"batch_size": 0}, "batch_size: found 0"),
        ({"scales": ()}, "scales: found"),
        ({"scales": (1.0, -1)}, "scales: found"),
        ({"scales": (0.01,)}, "less than a patch of 16 pixels"),
        ({"dense_view": "box"}, "dense_view: found 'box'"),
        ({"box_padding": 0}, "box_padding: found 0"),
    ],
)
def test_settings_out_of_range_are_named(
    options: dict[str, Any], expected: str, every_head: InferenceModel
) -> None:
    with pytest.raises(SettingError, match=expected):
        Predictor(every_head, **options)


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


def test_sizes_are_multiples_of_the_patch() -> None:
    assert scaled_sizes((1024, 768), (1, 1.25, 1.001), 16) == [(1024, 768), (1280, 960)]


def test_boxes_of_as_many_images_as_there_are(every_head: InferenceModel, picture: Any) -> None:
    with pytest.raises(SettingError, match="those of 1 images, expected 2"):
        Predictor(every_head).predict([picture(64, 48)] * 2, [[[1, 2, 3, 4]]])
    with pytest.raises(DataError, match="image 2: box 0"):
        Predictor(every_head, batch_size=2).predict([picture(64, 48)] * 3, [None, None, [[1, 2, 0, 4]]])


def test_importing_the_package_needs_no_torch() -> None:
    code = (
        "import sys, sapiens2_lit; assert 'torch' not in sys.modules; assert 'load' in sapiens2_lit.__all__"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_bf16_is_close_to_float32(make_model: Any, picture: Any) -> None:
    model = make_model("normal", "pose")
    image = picture(*SIZE)
    exact = Predictor(model).predict(image)
    model.precision = "bf16"
    rough = Predictor(model).predict(image)
    first, second = (one.maps["normal"]["normal"] for one in (exact, rough))
    assert second.dtype == np.float32 and not np.array_equal(first, second)
    assert np.abs(first - second).mean() < 0.02


def test_restoring_needs_no_view_of_the_input_s_bars(picture: Any) -> None:
    """Whatever stands in the bars beside a letterboxed image takes no part."""
    view = whole_view(0, (100, 150), SIZE)
    values = np.full((*SIZE, 1), np.nan, dtype=np.float32)
    values[view.shown] = 1
    assert (restore_field(values, view) == 1).all()
