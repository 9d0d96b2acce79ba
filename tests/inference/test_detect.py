"""Detectors answer with boxes of people alone, in pixels of the image, each once."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sapiens2_lit.errors import SettingError, WeightsError
from sapiens2_lit.inference.detect import (
    Detector,
    TorchvisionDetector,
    TransformersDetector,
    build_detector,
    find_person,
)

IMAGE = np.random.default_rng(0).integers(0, 256, (80, 120, 3), dtype=np.uint8)
PERSON = 1


class Fake(nn.Module):
    """Finds what it is told, in the way of torchvision."""

    def __init__(self, *found: tuple[float, ...]) -> None:
        super().__init__()
        self.found = torch.tensor(found).reshape(-1, 6)
        self.seen: list[Tensor] = []

    def forward(self, images: list[Tensor]) -> list[dict[str, Tensor]]:
        self.seen += images
        return [
            {"boxes": self.found[:, :4], "labels": self.found[:, 4].long(), "scores": self.found[:, 5]}
            for _ in images
        ]


def test_people_alone_the_surest_first() -> None:
    model = Fake(
        (10, 10, 40, 70, 1, 0.6), (50, 5, 90, 60, 1, 0.9), (0, 0, 9, 9, 2, 0.99), (5, 5, 9, 9, 1, 0.4)
    )
    found = TorchvisionDetector(model, PERSON)(IMAGE)
    np.testing.assert_allclose(found, [[50, 5, 40, 55, 0.9], [10, 10, 30, 60, 0.6]])
    assert found.dtype == np.float32
    (pixels,) = model.seen
    assert pixels.shape == (3, 80, 120)
    np.testing.assert_allclose(pixels.permute(1, 2, 0) * 255, IMAGE, atol=1e-4)


def test_of_two_boxes_on_one_person_the_better_stays() -> None:
    model = Fake((10, 10, 50, 50, 1, 0.6), (10, 10, 50, 52, 1, 0.8), (30, 10, 70, 50, 1, 0.7))
    assert TorchvisionDetector(model, PERSON)(IMAGE)[:, 4] == pytest.approx([0.8, 0.7])
    assert len(TorchvisionDetector(model, PERSON, nms=1.0)(IMAGE)) == 3


def test_boxes_end_at_the_image() -> None:
    model = Fake((-10, -5, 40, 300, 1, 0.9), (130, 5, 200, 60, 1, 0.9), (30, 30, 30, 60, 1, 0.9))
    np.testing.assert_allclose(TorchvisionDetector(model, PERSON)(IMAGE), [[0, 0, 40, 80, 0.9]])


def test_nobody_is_no_error() -> None:
    assert TorchvisionDetector(Fake(), PERSON)(IMAGE).shape == (0, 5)


@pytest.mark.parametrize("setting", [{"threshold": -0.1}, {"nms": 1.1}])
def test_settings_are_checked(setting: dict[str, float]) -> None:
    with pytest.raises(SettingError, match=f"detector: {next(iter(setting))} is"):
        TorchvisionDetector(Fake(), PERSON, **setting)


def test_labels_are_found_by_name() -> None:
    assert find_person({0: "N/A", 1: "Person", 2: "bicycle"}, "d") == 1
    assert find_person({0: "cyclist", 1: "pedestrian"}, "d") == 1
    assert find_person({0: "LABEL_0"}, "d") == 0
    with pytest.raises(SettingError, match=r"d finds cat, dog, but no person or people"):
        find_person({0: "cat", 1: "dog"}, "d")


@pytest.mark.slow
def test_torchvision_loads_its_weights_from_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real way, offline: a file of the right name where torch.hub keeps its downloads."""
    from torchvision.models import get_model, get_model_weights

    name = "ssdlite320_mobilenet_v3_large"
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    weights = get_model_weights(name).DEFAULT
    model = get_model(name, weights=None, weights_backbone=None)
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(model.state_dict(), folder / Path(weights.url).name)
    detector = build_detector(f"torchvision/{name}", threshold=0.0)
    check(detector)
    assert isinstance(detector, TorchvisionDetector)
    assert detector.person == 1
    for key, value in detector.model.state_dict().items():
        assert torch.equal(value, model.state_dict()[key])


NAME = "ssdlite320_mobilenet_v3_large"


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("classes", [91, 2])
def test_torchvision_takes_weights_of_a_file(tmp_path: Path, suffix: str, classes: int) -> None:
    """Without a network or a cache: COCO's classes, or a detector that was trained further on people alone."""
    from safetensors.torch import save_file
    from torchvision.models import get_model

    state = get_model(NAME, weights=None, weights_backbone=None, num_classes=classes).state_dict()
    file = tmp_path / f"mine{suffix}"
    torch.save(state, file) if suffix == ".pth" else save_file(state, file)
    detector = build_detector(f"torchvision/{NAME}", threshold=0.0, weights=file)
    assert isinstance(detector, TorchvisionDetector)
    assert (detector.person, detector.input_side) == (1, 320)
    for key, value in detector.model.state_dict().items():
        assert torch.equal(value, state[key])


def test_a_file_of_another_network_is_refused(tmp_path: Path) -> None:
    from torchvision.models import get_model

    with pytest.raises(
        WeightsError, match=r"--detector_weights .*nothing.pth: no such file; expected tensors of"
    ):
        build_detector(f"torchvision/{NAME}", weights=tmp_path / "nothing.pth")
    torch.save({"a": torch.zeros(2)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=rf"not weights of torchvision's {NAME}"):
        build_detector(f"torchvision/{NAME}", weights=tmp_path / "other.pth")
    five = get_model(NAME, weights=None, weights_backbone=None, num_classes=5)
    torch.save(five.state_dict(), tmp_path / "five.pth")
    with pytest.raises(SettingError, match="has 5 classes; expected the 91 of torchvision, or two"):
        build_detector(f"torchvision/{NAME}", weights=tmp_path / "five.pth")
    with pytest.raises(SettingError, match="only for detectors of torchvision"):
        build_detector("PekingU/rtdetr_r50vd", weights=tmp_path / "five.pth")


@pytest.fixture
def yolos(tmp_path: Path) -> Path:
    """A folder as `save_pretrained` leaves it, of a tiny model that was never trained."""
    transformers = pytest.importorskip("transformers")
    config = transformers.YolosConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=[32, 48],
        patch_size=16,
        num_detection_tokens=6,
        id2label={0: "cat", 1: "person"},
        label2id={"cat": 0, "person": 1},
    )
    torch.manual_seed(0)
    transformers.YolosForObjectDetection(config).save_pretrained(tmp_path)
    size = {"shortest_edge": 32, "longest_edge": 48}
    transformers.YolosImageProcessor(size=size, pad_size={"height": 48, "width": 48}).save_pretrained(
        tmp_path
    )
    return tmp_path


def test_transformers_loads_a_folder(yolos: Path) -> None:
    detector = build_detector(str(yolos), threshold=0.0, nms=1.0)
    assert isinstance(detector, TransformersDetector)
    assert detector.person == 1
    assert detector.input_side == 48
    check(detector)
    everything = detector.processor.post_process_object_detection(
        detector.model(**detector.processor(images=IMAGE, return_tensors="pt")),
        threshold=0.0,
        target_sizes=[(80, 120)],
    )[0]
    assert len(detector(IMAGE)) <= int((everything["labels"] == 1).sum())


def check(detector: Detector) -> None:
    """Boxes lie inside the image, whatever its size, and answers repeat."""
    for image in (IMAGE, np.ascontiguousarray(IMAGE[:40, :20])):
        found = detector(image)
        assert found.shape[1] == 5
        assert (found[:, :2] >= 0).all()
        assert (found[:, 2:4] > 0).all()
        assert (found[:, 0] + found[:, 2] <= image.shape[1] + 1e-3).all()
        assert (found[:, 1] + found[:, 3] <= image.shape[0] + 1e-3).all()
        assert (np.diff(found[:, 4]) <= 0).all()
        np.testing.assert_array_equal(detector(image), found)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"torchvision/yolo: torchvision has fasterrcnn"):
        build_detector("torchvision/yolo")
    pytest.importorskip("transformers")
    with pytest.raises(WeightsError, match=r"--detector .*: not found, or not an object detector"):
        build_detector(str(tmp_path))
