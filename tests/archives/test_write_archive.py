"""Archives go straight to the disk; a disk that refuses is one error, and what was there before stays."""

import io
from pathlib import Path
from typing import Any

import pytest
import torch

from sapiens2_lit import atomic_write
from sapiens2_lit.archives import write_archive as module
from sapiens2_lit.archives.write_archive import archive_bytes, write_archive
from sapiens2_lit.checkpoints.checkpoint_io import RunCheckpointIO
from sapiens2_lit.errors import SettingError

CONTENT = {"state_dict": {"a": torch.arange(1000.0), "b": torch.ones(3, 5)}, "global_step": 4}


def test_it_is_what_torch_writes(tmp_path: Path) -> None:
    write_archive(CONTENT, tmp_path / "x.ckpt")
    found = torch.load(tmp_path / "x.ckpt", weights_only=True)
    assert torch.equal(found["state_dict"]["a"], CONTENT["state_dict"]["a"]) and found["global_step"] == 4
    assert archive_bytes(CONTENT) >= (tmp_path / "x.ckpt").stat().st_size


def test_a_shared_storage_counts_once() -> None:
    tensor = torch.zeros(10**6)
    assert archive_bytes([tensor, tensor[:3], {"view": tensor.view(1000, 1000)}]) < 1.5 * tensor.nbytes


def test_nothing_goes_elsewhere_or_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a TMPDIR that is not there, and no buffer of the size of the file."""
    monkeypatch.setenv("TMPDIR", str(tmp_path / "nowhere"))

    class Small(io.BytesIO):
        def write(self, data: Any) -> int:
            assert len(data) < 2000, "a second copy"
            return super().write(data)

    monkeypatch.setattr(io, "BytesIO", Small)
    RunCheckpointIO().save_checkpoint(CONTENT, tmp_path / "folder" / "last.ckpt")
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["last.ckpt"]


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "last.ckpt"
    RunCheckpointIO().save_checkpoint(CONTENT, file)
    before = file.read_bytes()
    written = 0

    def write(descriptor: int, data: Any) -> int:
        nonlocal written
        written += len(data)
        if written > 2000:
            raise OSError(28, "No space left on device")
        return len(data)

    with monkeypatch.context() as patch:
        patch.setattr(module.os, "write", write)
        with pytest.raises(
            SettingError, match=r"No space left.*needs [\d,]+ bytes, .* has [\d,]+ bytes free"
        ):
            RunCheckpointIO().save_checkpoint(CONTENT, file)
    assert file.read_bytes() == before and [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]
    monkeypatch.setattr(atomic_write, "free_bytes", lambda folder: 12)
    with pytest.raises(SettingError, match=rf"{tmp_path}: needs [\d,]+ bytes, its disk has 12 bytes free"):
        RunCheckpointIO().save_checkpoint(CONTENT, file)
    assert file.read_bytes() == before and [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]
