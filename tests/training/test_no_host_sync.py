"""A training step never waits for the device: our code asks for no tensor's value between one batch and the next."""

import sys
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)
from torch.utils._python_dispatch import TorchDispatchMode

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.data.loading import collate
from sapiens2_lit.datamodules import SyntheticDataModule
from sapiens2_lit.heads import (
    AlbedoHead,
    DepthHead,
    MattingHead,
    NormalHead,
    PointmapHead,
    PoseHead,
    SegmentationHead,
)
from sapiens2_lit.training.adaptation import Adapt
from sapiens2_lit.training.ema import EMA
from sapiens2_lit.training.module import SapiensModule

ROOT = Path(__file__).parents[2]
WAIT = (
    "_local_scalar_dense",
    "nonzero",
    "masked_select",
    "equal",
    "is_nonzero",
    "_unique2",
    "unique_dim",
    "bincount",
)
METHODS = ("item", "tolist", "numpy", "cpu", "__bool__", "__int__", "__float__", "__index__")  # fmt: skip
HEADS = {
    "pose": partial(PoseHead, skeleton="coco17"),
    "segmentation": SegmentationHead,
    "normal": NormalHead,
    "depth": DepthHead,
    "pointmap": partial(PointmapHead, image_size=(64, 48)),
    "albedo": AlbedoHead,
    "matting": MattingHead,
}


def caller() -> str | None:
    """The line of ours that asked torch for what is being done; None where Lightning or torch did for themselves."""
    frame: Any = sys._getframe(2)
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(ROOT) and "site-packages" not in path.parts:
            place = f"{path.relative_to(ROOT)}:{frame.f_lineno}"
            return None if place.startswith("tests") else place
        if "lightning" in path.parts or "optim" in path.parts:
            return None
        frame = frame.f_back
    return None


class Waits(TorchDispatchMode):
    """Keeps the lines of ours whose operations have to know values on the host."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def note(self, what: str) -> None:
        if (place := caller()) is not None:
            self.found.append(f"{place}: {what}")

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        flags = name in ("index", "index_put_", "index_put") and any(
            index is not None and index.dtype == torch.bool for index in args[1]
        )
        if name in WAIT or flags:
            self.note(name)
        return func(*args, **(kwargs or {}))


class Watch(L.Callback):
    """Watches from the start of each batch's step to its end, all hooks of ours in between."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.waits, self.on = Waits(), False
        for name in METHODS:
            monkeypatch.setattr(torch.Tensor, name, self._watched(name, getattr(torch.Tensor, name)))

    def _watched(self, name: str, method: Any) -> Any:
        def watched(tensor: Any, *args: Any, **kwargs: Any) -> Any:
            if self.on:
                self.waits.note(name)
            return method(tensor, *args, **kwargs)

        return watched

    def on_train_batch_start(self, *_: Any) -> None:
        self.waits.__enter__()
        self.on = True

    def on_train_batch_end(self, *_: Any) -> None:
        self.on = False
        self.waits.__exit__(None, None, None)


def watch_fit(
    monkeypatch: pytest.MonkeyPatch, folder: Path, module: L.LightningModule, **settings: Any
) -> list[str]:
    watch = Watch(monkeypatch)
    data = SyntheticDataModule(
        image_size=(64, 48), skeleton="coco17", batch_size=2, num_workers=0, samples_per_epoch=6, seed=0
    )
    trainer = L.Trainer(
        accelerator="cpu", max_steps=3, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, limit_val_batches=0, default_root_dir=folder, callbacks=[watch], **settings,
    )  # fmt: skip
    trainer.fit(module, data)
    assert trainer.global_step == 3
    return sorted(set(watch.waits.found))


def build(heads: dict[str, Any], **settings: Any) -> SapiensModule:
    torch.manual_seed(0)
    return SapiensModule(
        partial(Sapiens2, "test"),
        heads,
        adapt=Adapt(mode="full"),
        optimizer=partial(torch.optim.AdamW, lr=1e-3),
        flip_test=False,
        **settings,
    )


def test_no_head_loss_metric_average_or_hook_waits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = watch_fit(
        monkeypatch, tmp_path, build(HEADS, ema=EMA()), log_every_n_steps=50, gradient_clip_val=1.0
    )
    # the one wait there is: a step whose gradients are not finite must not reach the weights
    rest = [line for line in found if not line.startswith("sapiens2_lit/training/finite_check.py")]
    assert not rest, "\n".join(rest)


@pytest.fixture(scope="module")
def batch() -> dict[str, Any]:
    data = SyntheticDataModule(
        image_size=(64, 48), skeleton="coco17", batch_size=2, num_workers=0, samples_per_epoch=2, seed=0
    )
    data.setup("fit")
    return collate([data.datasets["train"][index] for index in range(2)])


def on_fake_device(mode: FakeTensorMode, batch: dict[str, Any]) -> dict[str, Any]:
    """A batch whose tensors have shapes and a device but no values."""
    return {
        key: mode.from_tensor(value).to("cuda") if isinstance(value, torch.Tensor) else value
        for key, value in batch.items()
    }


@pytest.mark.parametrize("name", HEADS)
def test_loss_and_metric_update_need_no_value(name: str, batch: dict[str, Any]) -> None:
    """Without values, whatever asks for one raises, and so does what would fetch a tensor from another device."""
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        fake = on_fake_device(mode, batch)
        with torch.device("cuda"):
            head = HEADS[name](32)
            metrics = head.metrics()
            features = [torch.zeros(2, 32, 4, 3)]
        outputs = head(features)
        losses = head.loss(outputs, fake)
        with torch.no_grad():
            head.update(metrics, outputs, fake)
        assert losses
        assert all(loss.device.type == "cuda" for loss in losses.values())
        assert any(metric.update_called for metric in metrics.values())


def test_what_needs_a_value_raises_under_fake_tensors(batch: dict[str, Any]) -> None:
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        valid = on_fake_device(mode, batch)["valid"]
        for ask in (
            lambda: valid.sum().item(),
            lambda: valid.nonzero(),
            lambda: bool(valid.any()),
            lambda: valid.sum().tolist(),
            lambda: valid[valid],
            lambda: torch.bincount(valid.flatten().long()),
            lambda: torch.unique(valid),
        ):
            with pytest.raises((DataDependentOutputException, DynamicOutputShapeException)):
                ask()


def test_a_step_that_waits_is_seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    watch = Watch(monkeypatch)
    monkeypatch.setattr(sys.modules[__name__], "caller", lambda: "here")
    watch.on_train_batch_start()
    values = torch.arange(4.0)
    for ask in (
        lambda: values.sum().item(),
        lambda: values.nonzero(),
        lambda: bool(values.any()),
        lambda: values.tolist(),
        lambda: values[values > 1],
        lambda: values.cpu(),
    ):
        watch.waits.found.clear()
        ask()
        assert watch.waits.found
    watch.waits.found.clear()
    assert torch.where(values > 1, values, 0).sum().requires_grad is False
    assert not watch.waits.found
    watch.on_train_batch_end()
