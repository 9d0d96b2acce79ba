"""`sapiens2-lit predict --images VIDEO` from end to end: people with numbers, overlays, and going on."""

import json
import os
import re
import resource
import signal
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from sapiens2_lit.checkpoints import released_state, write_weights
from sapiens2_lit.cli.main import main
from sapiens2_lit.inference import detect
from sapiens2_lit.inference.from_released import METADATA
from sapiens2_lit.inference.output import Output
from sapiens2_lit.inference.video import VideoFile

from .conftest import MakeVideo, spoil

BACKBONE = {
    "class_path": "sapiens2_lit.backbones.Sapiens2",
    "init_args": {"size": "test", "image_size": [64, 48]},
}
HEADS = {"pose": {"class_path": "sapiens2_lit.heads.PoseHead", "init_args": {"skeleton": "coco17"}}}
HEADS["seg"] = {"class_path": "sapiens2_lit.heads.SegmentationHead", "init_args": {}}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, make_model: Any) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("models")
    for task, head in HEADS.items():
        config = {"model": {"backbone": BACKBONE, "heads": {task: head}}}
        state = released_state(make_model(task).state_dict(), task)
        write_weights(state, folder / f"{task}.safetensors", metadata={METADATA: json.dumps(config)})
    return {task: str(folder / f"{task}.safetensors") for task in HEADS}


def predict(model: str, images: Path, out: Path, *options: object) -> int:
    arguments = ["--model", model, "--images", images, "--out", out, "--device", "cpu", *options]
    return main(["predict", *map(str, arguments)])


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


class Walker(detect.Detector):
    """A detector to whom the brightness of a frame says where two people are."""

    def find(self, image: np.ndarray) -> tuple[Any, Any]:
        import torch

        step = (float(image[-8:, -8:].mean()) - 20) / 6
        boxes = torch.tensor([[step, 2.0, step + 20, 40], [40 - step, 4.0, 60 - step, 44]])
        return boxes, torch.tensor([0.9, 0.8])


@pytest.fixture
def walker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "sapiens2_lit.inference.detect.build_detector",
        lambda name, device, threshold, weights: Walker(threshold=threshold),
    )


@pytest.mark.usefixtures("walker")
def test_people_of_a_video_keep_their_numbers(
    models: dict[str, str], make_video: MakeVideo, tmp_path: Path
) -> None:
    video = make_video("walk.mp4", 12)
    out = tmp_path / "out"
    formats = ["--formats", "json", "coco", "overlay", "--detector", "any", "--smooth"]
    assert predict(models["pose"], video, out, *formats) == 0
    found = files(out)
    names = {f"pose/keypoints/walk/{index:06}.json" for index in range(12)}
    names |= {"pose/overlay/walk.mp4", "pose/coco_results.json", "pose/coco_images.json"}
    assert set(found) == names | {"pose/.coco_results.jsonl", "pose/about.json", "videos/walk.json"}
    for index in range(12):
        person = json.loads(found[f"pose/keypoints/walk/{index:06}.json"])
        assert [one["id"] for one in person["people"]] == [1, 2]
        assert person["time"] == pytest.approx(index / 25)
    results = json.loads(found["pose/coco_results.json"])
    assert [result["image_id"] for result in results] == [place // 2 + 1 for place in range(24)]
    overlay = VideoFile(out / "pose" / "overlay" / "walk.mp4")
    assert [time for _, time, _ in overlay.frames()] == pytest.approx(np.arange(12) / 25)
    assert overlay.rate == 25
    summary = json.loads(found["videos/walk.json"])
    assert (summary["frames"], summary["problem"]) == (12, None)


def test_a_corrupt_frame_is_reported_and_the_rest_is_done(
    models: dict[str, str], make_video: MakeVideo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = make_video("walk.mp4", 30)
    spoil(video, 14)
    out = tmp_path / "out"
    assert predict(models["seg"], video, out, "--formats", "png", "overlay-frames") == 1
    problem = json.loads((out / "videos" / "walk.json").read_text())["problem"]
    assert "could not be decoded and left out" in problem
    assert problem in capsys.readouterr().err
    masks, overlays = (list((out / "seg" / kind / "walk").iterdir()) for kind in ("segmentation", "overlay"))
    assert 20 <= len(masks) == len(overlays) < 30


def test_resuming_a_video(
    models: dict[str, str], make_video: MakeVideo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_video("in/a.mp4", 6)
    make_video("in/b.mp4", 6)
    cv2.imwrite(str(tmp_path / "in" / "photo.png"), np.full((50, 40, 3), 90, dtype=np.uint8))
    whole, out = tmp_path / "whole", tmp_path / "out"
    formats = ["--formats", "png", "overlay", "--batch-size", 2]
    assert predict(models["seg"], tmp_path / "in", whole, *formats) == 0
    expected = files(whole)
    assert {"seg/overlay/a.mp4", "seg/overlay/b.mp4", "seg/overlay/photo.jpg"} <= set(expected)

    written: list[str] = []
    add = Output.add

    def stop_at(name: str | None) -> None:
        def stopping(self: Output, frame: Any, made: Any) -> None:
            if frame.name == name:
                os.kill(os.getpid(), signal.SIGINT)
            written.append(frame.name)
            add(self, frame, made)

        monkeypatch.setattr(Output, "add", stopping)

    stop_at("b/000002")
    assert predict(models["seg"], tmp_path / "in", out, *formats) == 130
    left = files(out)
    assert {"seg/overlay/a.mp4", "videos/a.json", "seg/segmentation/b/000002.png"} <= set(left)
    assert not [name for name in left if "unfinished" in name or name.endswith("b.mp4")]
    assert {name: expected[name] for name in left} == left, "what is there is as it should be"

    written.clear()
    stop_at(None)
    assert predict(models["seg"], tmp_path / "in", out, *formats, "--resume") == 0
    assert written == [f"b/{index:06}" for index in range(6)], "a video whose overlay is drawn is done whole"
    assert files(out) == expected

    (out / "seg" / "segmentation" / "b" / "000004.png").unlink()
    (out / "videos" / "b.json").unlink()
    written.clear()
    assert predict(models["seg"], tmp_path / "in", out, "--formats", "png", "--resume") == 0
    assert written == ["b/000004"], "without, frame by frame"
    assert files(out)["seg/segmentation/b/000004.png"] == expected["seg/segmentation/b/000004.png"]


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("pose", ["--track"], "--track: there is no video in"),
        ("seg", ["--smooth"], "--smooth: no head of .* predicts keypoints"),
        ("pose", ["--threshold", "0.3"], "has no effect without --detector"),
        ("pose", ["--detector_weights", "a.pth"], "has no effect without --detector torchvision/NAME"),
        ("pose", ["--detector", "self"], "tells people from background"),
        ("pose", ["--detector", "none", "--tiles", "2"], "here no detector is used"),
        ("pose", ["--detector", "self", "--tiles", "none"], "tells people from background"),
        ("pose", ["--mask_with", "seg", "--tiles", "0"], "tiles: found '0', expected auto, or 1 to 32"),
        ("pose", ["--tiles", "2"], "but no mask finds people here"),
        ("pose", ["--person_score", "2"], "person_score: found 2.0, expected 0 to 1"),
        ("pose", ["--detector", "torchvision/none"], "torchvision has fasterrcnn"),
    ],
)
def test_options_without_effect_are_errors(
    models: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    model: str,
    options: list[str],
    message: str,
) -> None:
    cv2.imwrite(str(tmp_path / "photo.png"), np.zeros((50, 40, 3), dtype=np.uint8))
    options = [models.get(option, option) for option in options]
    assert predict(models[model], tmp_path / "photo.png", tmp_path / "out", *options) == 1
    error = capsys.readouterr().err
    assert re.search(message, error), error


def test_a_full_disk_ends_the_command_with_a_message(
    models: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As if the disk were full: no file may grow beyond 30 kB."""
    for name, size in (("a", 50), ("b", 300), ("c", 50)):
        cv2.imwrite(str(tmp_path / f"{name}.jpg"), np.zeros((size, size, 3), dtype=np.uint8))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, limits[1]))
    try:
        assert predict(models["seg"], tmp_path, tmp_path / "out", "--formats", "npy", "--batch-size", 1) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    error = capsys.readouterr().err
    assert "b.npy cannot be written: " in error
    assert "Make room or choose another folder; existing files are complete." in error
    left = set(files(tmp_path / "out"))
    assert left - {"seg/segmentation/c.npy"} == {"seg/about.json", "seg/segmentation/a.npy"}, (
        "c was under way"
    )
    for name in left - {"seg/about.json"}:
        assert np.load(tmp_path / "out" / name).shape == (50, 50)
    assert predict(models["seg"], tmp_path, tmp_path / "out", "--formats", "npy", "--resume") == 0
    assert len(list((tmp_path / "out" / "seg" / "segmentation").iterdir())) == 3
