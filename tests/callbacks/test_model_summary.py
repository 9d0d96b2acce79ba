"""What a run says of itself when it starts."""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from jsonargparse import Namespace
from safetensors.torch import save_file

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.callbacks.model_summary import ModelSummary, memory_line, model_summary, span
from sapiens2_lit.cli.main import main
from sapiens2_lit.heads import LinearHead, NormalHead
from sapiens2_lit.memory.estimate import GIB, estimate
from sapiens2_lit.memory.launch import TrainingSetup
from sapiens2_lit.memory.networks import empty_networks
from sapiens2_lit.training.adaptation import Adapt
from sapiens2_lit.training.module import SapiensModule
from sapiens2_lit.training.optimizer import parameter_groups

SETTINGS = Namespace(
    trainer=Namespace(
        devices="auto", num_nodes=1, precision="32-true", strategy="auto", accumulate_grad_batches=1
    ),
    data=Namespace(init_args=Namespace(image_size=[512, 384], batch_size=32)),
    model=Namespace(backbone=Namespace()),
)


def make(adapt: Adapt, head: Callable[[int], Any] = NormalHead) -> SapiensModule:
    module = SapiensModule(partial(Sapiens2, "test"), {"own": head}, adapt=adapt)
    module.configure_model()
    return module


def test_table_counts_what_is_trained() -> None:
    module = make(Adapt("last_blocks", last=1))
    groups = parameter_groups(module.backbone, module.heads, 0.5)
    rows = model_summary(
        module, [{**group, "initial_lr": 1e-3 * group["lr_scale"]} for group in groups]
    ).splitlines()
    sizes = [sum(p.numel() for p in part.parameters()) for part in (module.backbone, module.heads)]
    trained = sum(p.numel() for p in module.backbone.parameters() if p.requires_grad)
    found = [
        [int(cell.replace(",", "")) for cell in row.split() if cell.replace(",", "").isdigit()]
        for row in rows
    ]
    assert found[1:] == [[sizes[0], trained], [sizes[1]] * 2, [sum(sizes), trained + sizes[1]]]
    assert rows[1].endswith("0.0005 to 0.001")
    assert span([]) == "-"


def test_a_schedule_is_told_from_a_frozen_backbone() -> None:
    module = make(Adapt(mode="frozen", unfreeze_at={2: 1, 30: "all"}))
    groups = parameter_groups(module.backbone, module.heads, 1.0)
    lines = model_summary(module, [{**group, "initial_lr": 1e-3} for group in groups]).splitlines()
    assert lines[1].startswith("backbone (frozen until step 2) ")
    counts = [
        int(count.replace(",", ""))
        for count in lines[1].removeprefix("backbone (frozen until step 2)").split()[:2]
    ]
    assert counts[0] == counts[1] > 0, "all of it is trained in the end"


@pytest.mark.slow
def test_memory_is_that_of_the_plan_and_takes_no_random_numbers() -> None:
    gib = {}
    for mode in ("frozen", "full"):
        module = make(Adapt(mode))
        state = torch.get_rng_state()
        line = memory_line(module, SETTINGS, devices=1)
        assert torch.equal(torch.get_rng_state(), state)
        launch = TrainingSetup(batch_size=32, image_size=(512, 384), precision="32-true", gpu=False)
        total = estimate(empty_networks(module), launch).total
        assert line.startswith(f"memory, estimated: {total / GIB:.1f} GiB on each device")
        gib[mode] = total
    assert gib["frozen"] < gib["full"]


class Unplayable(LinearHead):
    def loss(self, outputs: Any, batch: Any) -> dict[str, torch.Tensor]:
        return {"loss": outputs.sum() * outputs.flatten()[0].item()}


class OwnLabel(LinearHead):
    targets = ("contact",)


@pytest.mark.parametrize(("head", "reason"), [(Unplayable, ""), (OwnLabel, "'contact'")])
def test_memory_that_cannot_be_told_says_why(head: Any, reason: str) -> None:
    line = memory_line(make(Adapt("full"), head), SETTINGS, devices=1)
    assert line.startswith("memory: not estimated (")
    assert reason in line


@pytest.mark.slow
def test_a_run_prints_both(figures: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save_file(Sapiens2("test").state_dict(), tmp_path / "model.safetensors")
    caplog.set_level(logging.INFO)
    options = ["--data.root", str(figures), "--output", str(tmp_path / "run"), "--data.num_workers", "0"]
    options += ["--model.backbone.init_args.weights", str(tmp_path / "model.safetensors")]
    options += [
        "--trainer.max_steps",
        "1",
        "--trainer.accelerator",
        "cpu",
        "--trainer.enable_progress_bar",
        "false",
    ]
    assert main(["fit", "--config", "pose_17.yaml", "--config", "size/smoke.yaml", *options]) == 0
    assert "backbone (frozen)" in caplog.text
    assert "memory, estimated: " in caplog.text


@pytest.mark.parametrize("compiled", [False, True])
def test_compiling_is_said_before_it_takes_its_minutes(
    compiled: bool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sapiens2_lit.models.network.Network.compile_parts", lambda network, decoders: None)
    module = SapiensModule(
        partial(Sapiens2, "test"), {"own": NormalHead}, adapt=Adapt("full"), compile=compiled
    )
    module.configure_model()
    trainer = Namespace(is_global_zero=True, optimizers=[])
    with caplog.at_level(logging.INFO, logger="lightning.pytorch"):
        ModelSummary().on_fit_start(trainer, module)
    assert ("the first steps take minutes" in caplog.text) is compiled
