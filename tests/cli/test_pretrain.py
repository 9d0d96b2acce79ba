"""`sapiens2-lit pretrain`, as users call it: its run folder, its backbone, what that is taken for, and bad input."""

import json
from pathlib import Path

import pytest
import torch
from helpers import PICTURES, QUIET
from safetensors import safe_open
from safetensors.torch import load_file

from sapiens2_lit.cli.before_after import overall, verdict_lines
from sapiens2_lit.cli.main import main
from sapiens2_lit.data.datasets.unlabeled import UnlabeledDataset
from sapiens2_lit.synthetic.dataset.dataset import make_dataset
from sapiens2_lit.synthetic.dataset.manifest import Settings

TINY = ["--config", "size/smoke.yaml", *QUIET, "--data.batch_size", "4"]
EVERY = ["--trainer.val_check_interval", "2", "--trainer.check_val_every_n_epoch", "null"]


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("people")
    make_dataset(root, 24, Settings(size=(96, 72), tasks=("segmentation",)), workers=1, progress=False)
    return root / "images"


def pretrain(config: str, root: Path, output: Path, *options: object) -> int:
    args = ["--config", f"pretrain/{config}.yaml", *TINY, "--data.root", str(root), "--output", str(output)]
    return main(["pretrain", *args, *map(str, options)])


@pytest.mark.slow
def test_a_run_and_what_its_backbone_is_taken_for(
    people: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert pretrain("mae", people, tmp_path / "mae", "--trainer.max_steps", 4, *EVERY, *PICTURES) == 0
    said = capsys.readouterr().out
    run = tmp_path / "mae" / "version_0"
    assert "not how good the features are" in said
    assert f"backbone: {run / 'backbone.safetensors'}" in said
    assert {path.name for path in run.iterdir()} >= {
        "config.yaml", "checkpoints", "metrics.csv", "pictures", "curves.png", "reconstruction.png", "views.png",
        "backbone.safetensors", "LICENSE",
    }  # fmt: skip
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["last.ckpt"]
    assert len(list(run.glob("pictures/*/reconstruction.png"))) == 2

    # every later command is one of others
    out = tmp_path / "exported"
    assert main(["export", "--model", str(run), "--output", str(out), "--format", "released"]) == 0
    assert load_file(out / "model.safetensors").keys() == load_file(run / "backbone.safetensors").keys()
    assert "from random values" in (out / "README.md").read_text()
    onnx = ["export", "--model", str(run), "--output", str(tmp_path / "o"), "--format", "onnx"]
    assert main(onnx) == 1
    assert "without a head" in capsys.readouterr().err

    assert (
        main(["predict", "--model", str(run), "--images", str(people), "--output", str(tmp_path / "p")]) == 1
    )
    assert "which has no head to predict with" in capsys.readouterr().err

    weights = ["--model.backbone.weights", run / "backbone.safetensors", "--comparison.run", "never"]
    options = [*weights, "--trainer.max_steps", 3, "--model.adapt.mode", "lora"]
    assert pretrain("continue", people, tmp_path / "on", *options) == 0
    with safe_open(tmp_path / "on" / "version_0" / "backbone.safetensors", "pt") as opened:
        origin = json.loads(opened.metadata()["sapiens2_lit.pretraining"])
        assert not any("lora" in name for name in list(opened.keys()))
    assert origin["objective"] == "mae + anchor"
    assert origin["base"] is None, "its start began with random values"
    capsys.readouterr()
    assert pretrain("sapiens2", people, tmp_path / "on", "--ckpt_path", "last", "--trainer.max_steps", 4) == 1
    assert "another objective: found mae + anchor, here is mae + dino" in capsys.readouterr().err


@pytest.mark.slow
def test_before_and_after_is_said_in_so_many_words(
    people: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    budget = ["--comparison.train_images", 8, "--comparison.test_images", 10, "--comparison.seeds", 1]
    budget += ["--comparison.steps", 2, "--comparison.batch_size", 4, "--comparison.run", "always"]
    assert pretrain("mae", people, tmp_path, "--trainer.max_steps", 2, *budget) == 0
    said = capsys.readouterr().out
    assert any(f"\n{verdict}" in said for verdict in ("better", "no difference", "worse"))
    for task in ("segmentation", "normal", "albedo", "pose"):
        assert f"{task}: " in said
    page = (tmp_path / "version_0" / "before_after" / "report.html").read_text()
    assert "The reconstruction loss is left out" in page


def test_verdicts_follow_paired_intervals() -> None:
    def found(interval: tuple[float, float], better: str = "result") -> dict[str, object]:
        worse = "start" if better == "result" else "result"
        scores = {"segmentation": {"mIoU": {"mean": 0.5}}}
        one = {
            "task": "segmentation",
            "metric": "mIoU",
            "better": better,
            "worse": worse,
            "interval": interval,
        }
        return {"comparisons": [one], "backbones": {"start": scores, "result": scores}}

    assert verdict_lines(found((0.01, 0.03)), "start")[0] == "better (segmentation)"
    assert verdict_lines(found((-0.01, 0.03)), "start")[0] == "no difference"
    assert verdict_lines(found((0.01, 0.03), "start"), "start")[0] == "worse: keep the start (segmentation)"
    assert verdict_lines(found((-5.0, -2.0)), "start")[0] == "better (segmentation)", "less is better"
    assert overall({"a": "better", "b": "worse"}).startswith("better on a, worse on b: keep the start")


def test_bad_input_is_one_clear_error(people: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    def error(*args: object) -> str:
        capsys.readouterr()
        assert main(list(map(str, args))) in (1, 2)
        return capsys.readouterr().err

    config = ("pretrain", "--config", "pretrain/mae.yaml", *TINY, "--output", tmp_path / "runs")
    assert "does not exist" in error(*config, "--data.root", tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "found no images and no videos" in error(*config, "--data.root", tmp_path / "empty")
    assert "only 22 training samples" in error(*config, "--data.root", people, "--data.batch_size", 50)
    assert "nothing to reconstruct" in error(*config, "--data.root", people, "--model.mae.mask_ratio", 0.05)
    assert "above 0 and below 1" in error(*config, "--data.root", people, "--model.mae.mask_ratio", 1)
    both = ("pretrain", "--config", "pretrain/sapiens2.yaml", *TINY, "--output", tmp_path / "runs")
    assert "has no neighbor" in error(
        *both, "--data.root", people, "--data.batch_size", 1, "--trainer.max_steps", 1
    )
    assert "use `fit`" in error("pretrain", "--config", "pose_17.yaml")
    assert "use `pretrain`" in error("fit", "--config", "pretrain/mae.yaml")
    assert "one of pretrain/continue.yaml" in error("pretrain")
    assert not list((tmp_path / "runs").glob("version_*/checkpoints/*")), "nothing began"


def test_views_on_the_device_are_the_locals_alone(people: Path) -> None:
    from sapiens2_lit.datamodules import UnlabeledDataModule
    from sapiens2_lit.transforms.views import ColorAugmentation, MultiCropAugmentation

    colors = ColorAugmentation(photometric=1, gray=1, blur=1, solarize=1, on_device=True)
    data = UnlabeledDataModule(
        str(people), (64, 48), views=MultiCropAugmentation(colors=colors), global_views=2, local_views=2,
        batch_size=2, num_workers=0,
    )  # fmt: skip
    data.setup("fit")
    assert isinstance(data.datasets["train"], UnlabeledDataset)
    batch = next(iter(data.train_dataloader()))
    before = {name: batch[name].clone() for name in ("image", "local")}
    after = data.transfer_batch_to_device(dict(batch), torch.device("cpu"), 0)
    assert torch.equal(after["image"], before["image"])
    gray = after["local"].float().std(dim=2)
    assert float(gray.max()) <= 1.0, "all three channels are the same"
    assert not torch.equal(after["local"], before["local"])


def test_help_lists_objectives_and_settings(people: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["pretrain", "--help"]) == 0
    said = capsys.readouterr().out
    assert "pretrain/sapiens2.yaml" in said
    assert "pose_17.yaml" not in said
    assert (
        main(["pretrain", "--config", "pretrain/sapiens2.yaml", "--config", "size/nano.yaml", "--help"]) == 0
    )
    said = capsys.readouterr().out
    assert "--model.mae.mask_ratio" in said
    assert "--data.local_views" in said
