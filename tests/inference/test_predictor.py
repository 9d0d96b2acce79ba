"""What a predictor takes: images and boxes of any kind and number, settings, precisions."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sapiens2_lit.errors import DataError, SettingError
from sapiens2_lit.inference.model import InferenceModel
from sapiens2_lit.inference.predictor import Predictor

SIZE = (64, 48)


def test_batches_of_any_sizes_give_what_each_image_gives_alone(
    maps_of: Any, every_head: InferenceModel, picture: Any
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


def test_boxes_of_as_many_images_as_there_are(every_head: InferenceModel, picture: Any) -> None:
    with pytest.raises(SettingError, match="boxes of 1 images, expected 2"):
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
