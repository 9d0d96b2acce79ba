"""A run with dropout goes on from any checkpoint as if nothing had happened, bit for bit."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import QUIET

from sapiens2_lit.callbacks import LastCheckpoint
from sapiens2_lit.cli.main import main
from sapiens2_lit.synthetic.dataset.dataset import make_dataset
from sapiens2_lit.synthetic.dataset.manifest import Settings

RANDOM = {
    "LoRA with dropout": ("--model.adapt.mode", "lora", "--model.adapt.lora.dropout", "0.3"),
    "drop path": ("--model.backbone", "drop_path.DropPathSapiens2"),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", RANDOM)
def test_it_ends_in_the_same_weights(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    data, middle = tmp_path / "data", tmp_path / "middle.ckpt"
    make_dataset(data, 6, Settings(size=(96, 72), tasks=("normal",)), workers=1, progress=False)
    (data / "splits").mkdir(exist_ok=True)
    stems = sorted(path.stem for path in (data / "images").iterdir())
    for split, chosen in (("train", stems[:4]), ("val", stems[4:])):
        (data / "splits" / f"{split}.txt").write_text("\n".join(chosen) + "\n")
    save = LastCheckpoint.save

    def save_and_copy(self: LastCheckpoint, trainer: Any) -> None:
        save(self, trainer)
        if trainer.global_step == 3:  # in the middle of an epoch, before a validation
            shutil.copy(Path(trainer.log_dir) / "checkpoints" / "last.ckpt", middle)

    monkeypatch.setattr(LastCheckpoint, "save", save_and_copy)
    args = ["--config", "normal.yaml", "--config", "size/test.yaml", "--data.root", str(data), *QUIET]
    args += ["--data.batch_size", "1", "--trainer.max_steps", "6", "--last_checkpoint.every_n_steps", "3"]
    args += ["--trainer.val_check_interval", "3", "--trainer.check_val_every_n_epoch", "null", *RANDOM[kind]]
    assert main(["fit", *args, "--output", str(tmp_path / "whole")]) == 0
    torch.manual_seed(99)
    assert main(["fit", *args, "--output", str(tmp_path / "on"), "--ckpt_path", str(middle)]) == 0
    found, expected = (
        torch.load(tmp_path / name / "version_0" / "checkpoints" / "last.ckpt", weights_only=True)[
            "state_dict"
        ]
        for name in ("on", "whole")
    )
    assert [name for name in expected if not torch.equal(found[name], expected[name])] == []
