"""PyTorch's files that are broken, or would run code, are errors of one line without PyTorch's advice."""

from pathlib import Path

import pytest
import torch

from sapiens2_lit.archives.safe_pickle import read_pickle
from sapiens2_lit.checkpoints.checkpoint_io import RunCheckpointIO, checkpoint_of
from sapiens2_lit.errors import WeightsError


class Touches:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple:
        return Path.touch, (self.marker,)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    file = tmp_path / "good.ckpt"
    torch.save({"state_dict": {"weight": torch.arange(100.0)}, "epoch": 3}, file)
    return file


@pytest.mark.parametrize("mmap", [True, False])
@pytest.mark.parametrize("new", [True, False])
def test_tensors_are_read(tmp_path: Path, mmap: bool, new: bool) -> None:
    file = tmp_path / "a.pt"
    torch.save({"weight": torch.arange(5.0)}, file, _use_new_zipfile_serialization=new)
    assert torch.equal(read_pickle(file, mmap)["weight"], torch.arange(5.0))


def one_line(error: WeightsError, file: Path) -> None:
    message = str(error)
    assert str(file) in message and "\n" not in message
    assert "weights_only" not in message and "trusted source" not in message and "safe_globals" not in message


@pytest.mark.parametrize("kept", [0, 1, 4, 30, 100, 500, -1, -22, -100])
def test_truncated_files(good: Path, kept: int) -> None:
    good.write_bytes(good.read_bytes()[:kept])
    for read in (read_pickle, RunCheckpointIO().load_checkpoint):
        with pytest.raises(WeightsError) as raised:
            read(good)
        one_line(raised.value, good)


@pytest.mark.parametrize("new", [True, False])
def test_code_is_named_and_does_not_run(tmp_path: Path, new: bool) -> None:
    file, marker = tmp_path / "evil.ckpt", tmp_path / "marker"
    torch.save({"state_dict": Touches(marker)}, file, _use_new_zipfile_serialization=new)
    with pytest.raises(WeightsError, match="would run code") as raised:
        read_pickle(file)
    one_line(raised.value, file)
    assert not marker.exists()


@pytest.mark.parametrize(
    "content", [[], 1, {"weight": 1}, {"state_dict": 1}, {"state_dict": {}, "loops": {}}]
)
def test_what_is_no_checkpoint_is_said(content: object) -> None:
    with pytest.raises(WeightsError, match=r"a\.ckpt"):
        checkpoint_of(content, "a.ckpt")


def test_no_callback_takes_a_file_outside_its_folder_for_its_own(tmp_path: Path) -> None:
    """Lightning removes what it takes for an older checkpoint."""
    folder = tmp_path / "checkpoints"
    content = {"state_dict": {}, "callbacks": {"best": {"dirpath": str(folder), "best_k_models": {}}}}
    models = content["callbacks"]["best"]["best_k_models"]
    models[str(folder / "best.ckpt")] = 1.0
    assert checkpoint_of(content, "a.ckpt") is content
    models[f"{folder}/../precious"] = 1.0
    with pytest.raises(WeightsError, match="precious"):
        checkpoint_of(content, "a.ckpt")
