"""On Ray the stages of commands leave, byte for byte, what one process leaves, also where a worker is killed."""

import json
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.checkpoints import released_state, write_weights
from sapiens2_lit.cli import predict_on_ray
from sapiens2_lit.cli.main import main
from sapiens2_lit.curation.score import score
from sapiens2_lit.engines.nodes import what_is_missing
from sapiens2_lit.engines.ray_engine import RayEngine, RayOptions, connect, import_ray, ray_engine
from sapiens2_lit.engines.units import BuildJob, Unit
from sapiens2_lit.engines.worker import MOST_STARTS, Answer, Worker, raise_error
from sapiens2_lit.errors import DataError, Interrupted, SettingError, UntrustedError
from sapiens2_lit.heads import PoseHead
from sapiens2_lit.inference.from_released import METADATA
from sapiens2_lit.inference.model import InferenceModel
from sapiens2_lit.synthetic.dataset.dataset import make_dataset
from sapiens2_lit.synthetic.dataset.manifest import Settings

pytest.importorskip("pyarrow")
SETTINGS = Settings(size=(48, 32), seed=3, tasks=("segmentation",))
FORMATS = ["--formats", "json", "coco", "parquet", "--batch_size", "2", "--detector", "none", "--device", "cpu"]
Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def connected() -> Iterator[None]:
    """One Ray of two CPUs for all tests here, which commands find connected."""
    pytest.importorskip("ray")
    ray = import_ray()
    connect(ray, "local", num_cpus=2)
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven pictures, of which one is broken."""
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for index in range(6):
        Image.fromarray(rng.integers(0, 255, (50 + index, 40, 3), dtype=np.uint8)).save(folder / f"{index}.png")
    (folder / "broken.png").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(0)
    network = InferenceModel(Sapiens2("test", (64, 48)), {"pose": PoseHead(32, "coco17")})
    backbone = {"class_path": "sapiens2_lit.backbones.Sapiens2"}
    backbone["init_args"] = {"size": "test", "image_size": [64, 48]}  # type: ignore[assignment]
    head = {"class_path": "sapiens2_lit.heads.PoseHead", "init_args": {"skeleton": "coco17"}}
    config = {"model": {"backbone": backbone, "heads": {"pose": head}}}
    path = tmp_path_factory.mktemp("model") / "pose.safetensors"
    write_weights(
        released_state(network.state_dict(), "pose"), path, metadata={METADATA: json.dumps(config)}
    )
    return str(path)


class Here:
    """Runs units in this process, through all that workers of Ray do; `crash` is called before each, in the worker."""

    concurrency = 2

    def __init__(self, notes: Path) -> None:
        self.notes = notes

    def run(self, build: BuildJob, units: Sequence[Unit]) -> Iterator[Any]:
        worker = Worker(pickle.loads(pickle.dumps(build)), self.notes, Path.cwd())
        for unit in reversed(units):
            (answer,) = worker({"unit": [pickle.dumps(unit)]})["answer"]
            raise_error(found := pickle.loads(answer))
            yield found.value


def tree(folder: Path) -> dict[str, bytes]:
    """All files, hidden ones, too."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.mark.slow
def test_predict_with_a_worker_killed(
    connected: None, model: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    killed = tmp_path / "killed"
    base = predict_on_ray.PartJob

    class Killed(base):  # type: ignore[valid-type,misc]
        """Dies by SIGKILL with its second part half done."""

        def __call__(self, shard: Any) -> Any:
            if shard.index == 2 and not killed.exists():
                from sapiens2_lit.inference.output import Output

                killed.touch()
                Output.close = lambda output: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[method-assign,assignment]
            return super().__call__(shard)

    monkeypatch.setattr(predict_on_ray, "PartJob", Killed)
    given = ["predict", "--model", model, "--images", str(photos), *FORMATS, "--output"]
    assert main([*given, str(tmp_path / "one")]) == 1, "one picture is broken"
    said = capsys.readouterr()
    assert main([*given, str(tmp_path / "ray"), "--engine", "ray", "--concurrency", "1"]) == 1
    assert killed.exists()
    assert tree(tmp_path / "ray") == tree(tmp_path / "one")
    again = capsys.readouterr()
    assert again.out == said.out.replace("one", "ray")
    assert "broken.png" in again.err


@pytest.mark.slow
def test_synth(connected: None, tmp_path: Path) -> None:
    given = ["--num", "33", "--size", "48", "32", "--tasks", "segmentation"]
    assert main(["synth", str(tmp_path / "one"), *given, "--workers", "1"]) == 0
    assert main(["synth", str(tmp_path / "ray"), *given, "--engine", "ray", "--concurrency", "2"]) == 0
    assert tree(tmp_path / "ray") == tree(tmp_path / "one")
