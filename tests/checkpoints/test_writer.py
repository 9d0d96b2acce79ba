"""Files appear whole, or not at all."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from sapiens2_lit.archives.verify import CHECKSUMS
from sapiens2_lit.checkpoints import read_weights, write_weights
from sapiens2_lit.checkpoints import writer as writer_module
from sapiens2_lit.errors import SettingError


def test_what_is_written_is_read(tmp_path: Path) -> None:
    tensors = {"a": torch.randn(3, 4).t(), "b": torch.arange(6).bfloat16(), "c": torch.tensor(2.0)}
    file = write_weights(tensors, tmp_path / "new" / "folder" / "w.safetensors", metadata={"size": "0.1b"})
    found = read_weights(file).tensors
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert torch.equal(found[name], tensor)
        assert found[name].dtype == tensor.dtype
    with safe_open(file, framework="pt") as opened:
        metadata = opened.metadata()
    assert json.loads(metadata.pop(CHECKSUMS)).keys() == {
        *tensors,
        "",
    }  # "": of the names and shapes themselves
    assert metadata == {"format": "pt", "size": "0.1b"}


def test_views_of_one_tensor_are_written_apart(tmp_path: Path) -> None:
    gate, up = torch.randn(8, 4).chunk(2)
    found = read_weights(write_weights({"gate": gate, "up": up}, tmp_path / "w.safetensors")).tensors
    assert torch.equal(found["gate"], gate)
    assert torch.equal(found["up"], up)


def test_a_crash_leaves_the_old_file_and_no_rubbish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write_weights({"a": torch.ones(2)}, tmp_path / "w.safetensors")

    def crash(tensors, path, metadata) -> None:
        Path(path).write_bytes(b"half a fi")
        raise OSError("no space left")

    monkeypatch.setattr(writer_module, "save_file", crash)
    with pytest.raises(SettingError, match=r"w\.safetensors cannot be written: no space left"):
        write_weights({"a": torch.zeros(2)}, file)
    assert torch.equal(read_weights(file).tensors["a"], torch.ones(2))
    assert [path.name for path in tmp_path.iterdir()] == ["w.safetensors"]
