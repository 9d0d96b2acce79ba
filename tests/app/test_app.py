"""The page that shows checkpoints, by its functions, by its interface, and in a browser."""

import shutil
import socket
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.cli.main import main
from sapiens2_lit.heads import NormalHead, PointmapHead, PoseHead
from sapiens2_lit.inference.model import InferenceModel
from sapiens2_lit.inference.predictor import Predictor

gradio = pytest.importorskip("gradio")

from sapiens2_lit.app.page import build_page  # noqa: E402
from sapiens2_lit.app.views import view  # noqa: E402


def predictor(seed: int, *, points: bool = True) -> Predictor:
    torch.manual_seed(seed)
    heads = {"pose": partial(PoseHead, skeleton="coco17"), "normal": NormalHead}
    if points:
        heads["pointmap"] = partial(PointmapHead, image_size=(64, 48))
    backbone = Sapiens2("test", (64, 48))
    built = {name: make(backbone.embed_dim) for name, make in heads.items()}
    return Predictor(InferenceModel(backbone, built))


def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (80, 60, 3), dtype=np.uint8)


def test_every_head_has_a_picture_and_points_a_surface(tmp_path: Path) -> None:
    found = view(predictor(0), picture(), tmp_path, "model")
    assert [caption for _, caption in found.pictures] == ["pose", "normal", "pointmap"]
    assert all(image.dtype == np.uint8 and len(image) == 80 for image, _ in found.pictures)
    assert any("17 keypoints" in line for line in found.numbers)
    assert any("focal length" in line for line in found.numbers)
    assert found.surface is not None
    assert len(trimesh.load(found.surface, force="mesh").vertices) > 0


def test_without_a_point_map_there_is_no_surface(tmp_path: Path) -> None:
    assert view(predictor(0, points=False), picture(), tmp_path, "model").surface is None


def test_without_any_checkpoint_the_command_says_what_it_needs(
    capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    assert main(["app", str(tmp_path / "nothing.ckpt")]) == 1
    assert "nothing.ckpt" in capsys.readouterr().err


def test_a_browser_shows_two_checkpoints_side_by_side(tmp_path: Path) -> None:
    """Drops a picture, and waits for the results of both."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="the extra `browser` is not installed")
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("there is no Chromium")
    Image.fromarray(picture()).save(tmp_path / "picture.png")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    page = build_page({"first": predictor(0), "second": predictor(1, points=False)})
    page.launch(server_name="127.0.0.1", server_port=port, quiet=True, prevent_thread_lock=True)
    try:
        with sync_api.sync_playwright() as play:
            opened = play.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
            tab = opened.new_page(viewport={"width": 1200, "height": 1400})
            tab.goto(f"http://127.0.0.1:{port}")
            tab.locator("input[type=file]").first.set_input_files(tmp_path / "picture.png")
            tab.wait_for_function("document.querySelectorAll('.grid-wrap img').length >= 5", timeout=120_000)
            assert tab.get_by_text("first").count()
            assert tab.get_by_text("second").count()
            values = [box.input_value() for box in tab.locator("textarea").all()]
            assert sum("17 keypoints" in value for value in values) == 2
            tab.screenshot(path=tmp_path / "app.png", full_page=True)
            opened.close()
    finally:
        page.close()
