"""A checkpoint folder of which a file is missing, renamed, cut off or damaged is one line that names it."""

from pathlib import Path

import pytest
import torch

from sapiens2_lit.checkpoints.format import META
from sapiens2_lit.checkpoints.reader import read_weights
from sapiens2_lit.errors import DamagedError, WeightsError
from sapiens2_lit.parallel.checkpoint import read_whole, save_sharded

STATE = {"backbone.a": torch.arange(500.0), "heads.x.b": torch.full((300,), 2.5)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "last-step=2.ckpt"
    place.mkdir()
    save_sharded({"state_dict": dict(STATE), META: {"config": {}}, "global_step": 2}, place, rank=0)
    return place


def test_it_is_read(folder: Path) -> None:
    found = read_whole(folder)["state_dict"]
    assert all(torch.equal(found[name], STATE[name]) for name in STATE)
    assert read_weights(folder).tensors.keys() == STATE.keys()


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "__0_0.distcp").unlink()
    with pytest.raises(WeightsError, match=r"__0_0\.distcp is missing") as raised:
        read_weights(folder)
    assert "\n" not in str(raised.value)


def test_a_renamed_file_is_named(folder: Path) -> None:
    (folder / "__0_0.distcp").rename(folder / "__9_0.distcp")
    with pytest.raises(WeightsError, match=r"__0_0\.distcp is missing.*__9_0\.distcp is there"):
        read_whole(folder)


def test_a_truncated_file_is_named(folder: Path) -> None:
    file = folder / "__0_0.distcp"
    file.write_bytes(file.read_bytes()[:-700])
    with pytest.raises(WeightsError, match=r"__0_0\.distcp: found \d+ bytes, expected \d+: it is truncated"):
        read_weights(folder)


def test_a_flip_names_the_tensor(folder: Path) -> None:
    file = folder / "__0_0.distcp"
    content = bytearray(file.read_bytes())
    content[content.index(STATE["heads.x.b"].numpy().tobytes()) + 40] ^= 1
    file.write_bytes(content)
    with pytest.raises(DamagedError, match=r"__0_0\.distcp: heads\.x\.b: its checksum does not match"):
        read_weights(folder)


def test_a_flip_in_the_index_is_found(folder: Path) -> None:
    index = folder / ".metadata"
    content = bytearray(index.read_bytes())
    content[content.index(b"heads.x.b") + 8] ^= 1  # now it says heads.x.c
    index.write_bytes(content)
    with pytest.raises(WeightsError, match=r"\.metadata"):
        read_weights(folder)
