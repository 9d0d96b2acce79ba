"""A byte that changed in a file of weights is an error that names the file and the tensor."""

import logging
import random
from pathlib import Path

import pytest
import torch
from torch import Tensor

from sapiens2_lit.archives.safe_pickle import read_pickle
from sapiens2_lit.archives.verify import CHECKSUMS, VARIABLE, verify_file
from sapiens2_lit.checkpoints.reader import read_weights
from sapiens2_lit.checkpoints.write_streaming import write_stream
from sapiens2_lit.checkpoints.writer import write_weights
from sapiens2_lit.errors import DamagedError, WeightsError

TENSORS = {
    "backbone.weight": torch.arange(600, dtype=torch.float32).reshape(20, 30),
    "heads.pose.bias": torch.full((7,), 0.5, dtype=torch.bfloat16),
    "empty": torch.zeros(0),
    "number": torch.tensor(3),
}


def flip(file: Path, place: int) -> bytes:
    """Invert one byte; returns what the file was."""
    before = file.read_bytes()
    after = bytearray(before)
    after[place] ^= 0xFF
    file.write_bytes(after)
    return before


def same(found: dict[str, Tensor]) -> bool:
    return found.keys() == TENSORS.keys() and all(torch.equal(found[name], TENSORS[name]) for name in found)


def test_a_flip_in_a_checkpoint_names_the_tensor(tmp_path: Path) -> None:
    file = tmp_path / "last.ckpt"
    torch.save(
        {"state_dict": TENSORS, "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(50)}}}]}, file
    )
    content = file.read_bytes()
    for tensor, name in (
        (TENSORS["backbone.weight"], "state_dict.backbone.weight"),
        (torch.ones(50), "optimizer_states.0.state.0.exp_avg"),
    ):
        values = tensor.numpy().tobytes()
        before = flip(file, content.index(values) + len(values) // 2)
        with pytest.raises(DamagedError, match="checksum does not match") as raised:
            read_pickle(file)
        assert str(file) in str(raised.value) and name in str(raised.value)
        file.write_bytes(before)
    read_pickle(file)


@pytest.mark.parametrize("suffix", [".ckpt", ".safetensors", "stream.safetensors"])
def test_no_flip_changes_what_is_read(suffix: str, tmp_path: Path) -> None:
    """Anywhere in the file: it is an error, or it falls on bytes that mean nothing."""
    file = tmp_path / f"model{suffix}"
    if suffix == ".ckpt":
        torch.save(TENSORS, file)
    elif suffix == ".safetensors":
        write_weights(TENSORS, file, metadata={"note": "of mine"})
    else:
        shapes = {name: (tensor.shape, tensor.dtype) for name, tensor in TENSORS.items()}
        write_stream(file, shapes, TENSORS.__getitem__, metadata={"note": "of mine"})
    assert same(read_weights(file).tensors)
    size, found = file.stat().st_size, 0
    places = random.Random(0).sample(range(size), 120)
    for place in places:
        before = flip(file, place)
        try:
            assert same(read_weights(file).tensors), f"byte {place} of {size} changes what is read"
        except WeightsError:
            found += 1
        file.write_bytes(before)
    assert found > 60


def test_safetensors_of_others_are_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from safetensors.torch import save_file

    file = tmp_path / "theirs.safetensors"
    save_file({"a": torch.ones(3)}, file)
    with caplog.at_level(logging.INFO, "sapiens2_lit"):
        read_weights(file)
    assert f"{file}: not verified" in caplog.text


def test_verification_can_be_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write_weights(TENSORS, tmp_path / "model.safetensors")
    flip(file, file.stat().st_size - 1)
    with pytest.raises(DamagedError):
        verify_file(file)
    monkeypatch.setenv(VARIABLE, "false")
    assert not same(read_weights(file).tensors)


def test_checksums_are_in_the_header_alone(tmp_path: Path) -> None:
    from safetensors import safe_open

    file = write_weights(TENSORS, tmp_path / "model.safetensors", metadata={"note": "of mine"})
    with safe_open(file, framework="pt") as opened:
        assert opened.metadata().keys() == {"format", "note", CHECKSUMS}
        assert set(opened.keys()) == TENSORS.keys()
