"""The page that shows checkpoints, by its functions, by its interface, and in a browser."""

import base64
import re
import shutil
import socket
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.cli.main import main
from sapiens2_lit.errors import DataError
from sapiens2_lit.heads import NormalHead, PointmapHead, PoseHead
from sapiens2_lit.inference.model import InferenceModel
from sapiens2_lit.inference.predictor import Predictor

gradio = pytest.importorskip("gradio")

from sapiens2_lit.app.page import Page, build_page, launch_options  # noqa: E402
from sapiens2_lit.app.people import AUTO, DRAWN, WHOLE, boxes_of  # noqa: E402
from sapiens2_lit.app.tools import surface_canvas  # noqa: E402
from sapiens2_lit.app.views import View, view, write_results  # noqa: E402


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


def views(seed: int, folder: Path, threshold: float | None = None) -> dict[str, View]:
    """What each head of a model shows of the picture, taken for one person."""
    one, image = predictor(seed), picture()
    found = one.predict(image, [[0, 0, 60, 80]])
    return {
        name: view(one, name, found, image, threshold, folder / f"{name}.glb")
        for name, _ in one.model.named_heads()
    }


def test_every_head_has_an_overlay_that_lies_on_the_picture(tmp_path: Path) -> None:
    found = views(0, tmp_path)
    assert [*found] == ["pose", "normal", "pointmap"]
    assert all(one.overlay.shape == (80, 60, 3) and one.overlay.dtype == np.uint8 for one in found.values())
    assert "17 keypoints" in found["pose"].legend
    assert "focal length" in found["pointmap"].legend
    assert "near" in found["pointmap"].legend
    assert 'data-tool="relight"' in found["normal"].tool
    assert 'data-tool="surface"' in found["pointmap"].tool
    surface = found["pointmap"].surface
    assert surface is not None
    assert found["pose"].surface is None
    assert len(trimesh.load(surface, force="mesh").vertices) > 0


def test_a_surface_to_turn_has_the_points_in_front_of_the_camera() -> None:
    """A wall of 300 x 400 pixels with a hole: fewer vertices than 16 bits count, in the picture's colors."""
    y, x = np.mgrid[:400, :300].astype(np.float32)
    points = np.stack([(x - 150) / 100, (y - 200) / 100, np.full(x.shape, 4.0)], axis=2)
    points[100:200, 50:150] = np.nan
    image = np.zeros((400, 300, 3), np.uint8)
    image[:200, :, 0] = 255
    html = surface_canvas(image, points)

    def data(key: str, kind: str) -> np.ndarray:
        coded = re.search(f'data-{key}="([^"]*)"', html)
        assert coded is not None
        return np.frombuffer(base64.b64decode(coded[1]), kind).reshape(-1, 3)

    positions, colors, triangles = data("positions", "<i2"), data("colors", "u1"), data("triangles", "<u2")
    assert len(positions) == len(colors) < 65536 and triangles.max() == len(positions) - 1
    assert 0.8 < len(positions) / (200 * 150 * (1 - 1 / 12)) < 1.01
    assert (positions[colors[:, 0] == 255, 1] >= positions[colors[:, 0] == 0, 1].max()).all(), "up is up"
    assert "data-positions" in surface_canvas(image, np.full_like(points, np.nan)), (
        "nothing to show is no error"
    )


def test_a_threshold_decides_which_keypoints_are_drawn(tmp_path: Path) -> None:
    none, every = (views(0, tmp_path, threshold)["pose"].overlay for threshold in (1.0, 0.0))
    assert (none == picture()).all()
    assert (every != picture()).any()


def test_boxes_come_from_who_was_asked() -> None:
    image = picture()
    assert boxes_of(AUTO, "[]", image, None) is None
    assert np.array_equal(boxes_of(WHOLE, "[]", image, None), [[0, 0, 60, 80]])
    assert np.array_equal(boxes_of(DRAWN, "[[1, 2, 30, 40]]", image, None), [[1, 2, 30, 40]])
    for drawn in ("[]", "[[1, 2]]", "nonsense"):
        with pytest.raises(DataError, match="boxes: "):
            boxes_of(DRAWN, drawn, image, None)


def test_results_of_a_picture_are_whole_in_the_archive(tmp_path: Path) -> None:
    one, image = predictor(0), picture()
    found = one.predict(image)
    file = write_results({"model": (one, found)}, image, tmp_path / "results.zip", 0.3)
    with zipfile.ZipFile(file) as archive:
        assert {"model/pose.png", "model/people.json"} <= set(archive.namelist())
        with archive.open("model/normal_normal.npy") as stream:
            assert np.array_equal(np.load(stream), found.maps["normal"]["normal"], equal_nan=True)


def test_the_page_predicts_and_draws_anew(tmp_path: Path) -> None:
    Image.fromarray(picture()).save(tmp_path / "picture.png")
    page = Page({"first": predictor(0), "second": predictor(1, points=False)}, 50, None)
    state, *shown = page.predict(str(tmp_path / "picture.png"), WHOLE, "[]", 0.3)
    assert len(shown) == 4 * 5, "a slider, a legend, a tool and a surface for each of five heads"
    assert np.array_equal(page.show(state, 0.3)[0][1], shown[0][1])


def test_without_any_checkpoint_the_command_says_what_it_needs(
    capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    assert main(["app", str(tmp_path / "nothing.ckpt")]) == 1
    assert "nothing.ckpt" in capsys.readouterr().err


def test_a_browser_shows_two_checkpoints_side_by_side(tmp_path: Path) -> None:
    """Drops a picture, waits for both results, drags the lamp, and draws a box; nothing is fetched from elsewhere."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("there is no Chromium")
    Image.fromarray(picture()).save(tmp_path / "picture.png")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    page = build_page({"first": predictor(0), "second": predictor(1, points=False)})
    options = {"server_name": "127.0.0.1", "server_port": port, "quiet": True, "prevent_thread_lock": True}
    page.launch(**options, **launch_options())
    elsewhere: list[str] = []
    try:
        with sync_api.sync_playwright() as play:
            opened = play.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
            tab = opened.new_page(viewport={"width": 390, "height": 844})
            tab.set_default_timeout(120_000)
            tab.on("request", lambda request: elsewhere.append(request.url) if "://" in request.url else None)
            tab.goto(f"http://127.0.0.1:{port}")
            tab.locator("input[type=file]").first.set_input_files(tmp_path / "picture.png")
            tab.get_by_text("17 keypoints").first.wait_for()
            assert tab.locator(".model-card").count() == 2
            assert tab.evaluate("document.documentElement.scrollWidth") <= 390, "nothing is cut off"
            tab.get_by_role("tab", name="normal", exact=True).click()
            lamp = tab.locator("[data-tool=relight] .lamp").first
            lamp.wait_for()
            before = lamp.get_attribute("style")
            lamp.press("ArrowRight")
            tab.wait_for_function(
                "before => document.querySelector('[data-tool=relight] .lamp').getAttribute('style') !== before",
                arg=before,
            )
            tab.get_by_label("boxes I draw").click()
            frame = tab.locator(".boxes svg").bounding_box()
            assert frame is not None
            tab.mouse.move(frame["x"] + 5, frame["y"] + 5)
            tab.mouse.down()
            tab.mouse.move(frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2)
            tab.mouse.up()
            assert tab.locator(".boxes rect").count() == 1
            opened.close()
    finally:
        page.close()
    assert all(f"//127.0.0.1:{port}" in url for url in elsewhere)
