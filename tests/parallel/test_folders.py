"""Checkpoint folders: what is no whole one, or would run code, is refused; names mean the newest."""

import io
import pickle
from pathlib import Path

import pytest
import torch
import torch.distributed.checkpoint as dcp
from torch import nn
from torch.distributed.checkpoint.metadata import _MEM_FORMAT_ENCODING, Metadata

from sapiens2_lit.atomic_write import replace_folder
from sapiens2_lit.callbacks.last_checkpoint import link, remove_others, remove_unfinished
from sapiens2_lit.cli.find_run import find_checkpoint
from sapiens2_lit.cli.main import main
from sapiens2_lit.errors import SettingError, WeightsError
from sapiens2_lit.parallel.checkpoint import (
    META_FILE,
    optimizer_state,
    read_meta_file,
    read_model,
    save_sharded,
)
from sapiens2_lit.parallel.metadata import IndexReader


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A whole checkpoint of one process."""
    path = tmp_path / "whole.ckpt"
    path.mkdir()
    state = {"state_dict": {"layer.weight": torch.arange(6.0).reshape(2, 3)}, "global_step": 4}
    save_sharded(state, path, rank=0)
    return path


def test_what_was_saved_is_read(folder: Path) -> None:
    assert read_meta_file(folder)["global_step"] == 4
    assert torch.equal(read_model(folder)["layer.weight"], torch.arange(6.0).reshape(2, 3))


class Touch:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.path), "w")


def test_code_in_the_index_is_not_run(folder: Path, tmp_path: Path) -> None:
    (folder / ".metadata").write_bytes(pickle.dumps(Touch(tmp_path / "touched")))
    with pytest.raises(WeightsError, match=r"\.metadata: expected the index .*open"):
        read_model(folder)
    assert not (tmp_path / "touched").exists()


class Attribute:
    """Python before 3.11.4 writes members of enumerations as `getattr(KIND, NAME)`."""

    def __init__(self, owner: object, name: str) -> None:
        self.asked = owner, name

    def __reduce__(self) -> tuple[object, tuple[object, str]]:
        return getattr, self.asked


def test_members_of_enumerations_are_all_that_an_index_gets_by_name() -> None:
    name = "TORCH_CONTIGUOUS_FORMAT"
    written = pickle.dumps(Attribute(_MEM_FORMAT_ENCODING, name))
    assert IndexReader(io.BytesIO(written)).load() is _MEM_FORMAT_ENCODING[name]
    for owner, other in ((_MEM_FORMAT_ENCODING, "__class__"), (Metadata, "__init__"), (torch.Size, "numel")):
        with pytest.raises(pickle.UnpicklingError, match=other):
            IndexReader(io.BytesIO(pickle.dumps(Attribute(owner, other)))).load()


@pytest.mark.parametrize("lost", [META_FILE, ".metadata"])
def test_half_a_checkpoint_is_none(folder: Path, lost: str, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / lost).unlink()
    with pytest.raises(WeightsError, match="not written to its end"):
        read_meta_file(folder)
    assert main(["consolidate", str(folder), str(folder.with_suffix(".safetensors"))]) == 1
    assert "not written to its end" in capsys.readouterr().err


def test_consolidate_says_what_it_wants(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, status, message in (
        ([], 2, "the following arguments are required: MODEL"),
        ([str(folder)], 1, "expected one file to write, as --output OUT.safetensors"),
        ([str(folder), str(tmp_path / "out.pt")], 1, "ends with .safetensors"),
        ([str(tmp_path / "nothing"), str(tmp_path / "out.safetensors")], 1, "no such file or folder"),
    ):
        assert main(["consolidate", *arguments]) == status
        assert message in capsys.readouterr().err


def test_last_is_whole_at_any_time(folder: Path, tmp_path: Path) -> None:
    last = tmp_path / "last.ckpt"
    for step in (4, 8):
        new = folder.with_name(f"last-step={step}.ckpt")
        new.mkdir()
        link(last, new)
        remove_others(last)
        assert last.resolve() == new
        assert sorted(path.name for path in tmp_path.glob("last*")) == [new.name, "last.ckpt"]
    (tmp_path / ".last-step=12.ckpt.part").mkdir()
    (tmp_path / ".best.ckpt.part").touch()
    remove_unfinished(tmp_path)
    assert sorted(path.name for path in tmp_path.glob(".*")) == []


def test_a_folder_takes_the_place_of_another_and_of_a_file(tmp_path: Path) -> None:
    target = tmp_path / "best.ckpt"
    target.write_text("a file of a plain run")
    for content in ("first", "second"):
        part = tmp_path / "part"
        part.mkdir()
        (part / content).touch()
        replace_folder(part, target)
        assert [path.name for path in target.iterdir()] == [content]
        assert [path.name for path in tmp_path.iterdir()] == ["best.ckpt"]


def test_auto_is_the_last_checkpoint_or_none(tmp_path: Path) -> None:
    assert find_checkpoint("auto", tmp_path) is None
    with pytest.raises(SettingError, match=r"no .*checkpoints/last\.ckpt"):
        find_checkpoint("last", tmp_path)
    last = tmp_path / "version_3" / "checkpoints" / "last.ckpt"
    last.parent.mkdir(parents=True)
    last.touch()
    assert find_checkpoint("auto", tmp_path) == find_checkpoint("last", tmp_path) == str(last)


def test_optimizer_states_are_named(tmp_path: Path) -> None:
    layer = nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(layer.parameters())
    layer(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    state = optimizer_state(optimizer, {parameter: name for name, parameter in layer.named_parameters()})
    assert state["param_groups"][0]["params"] == ["weight", "bias"]
    assert state["state"]["weight"]["exp_avg"] is optimizer.state[layer.weight]["exp_avg"]
    save_sharded({"state_dict": layer.state_dict(), "optimizer_states": [state]}, tmp_path, rank=0)
    names = set(dcp.FileSystemReader(tmp_path).read_metadata().state_dict_metadata)
    assert names >= {"model.weight", "optimizer.0.weight.exp_avg", "optimizer.0.bias.exp_avg_sq"}
