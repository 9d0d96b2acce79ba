"""Reading weights from wherever they are, and saying what is wrong where they are not."""

import json
import pickle
from pathlib import Path

import huggingface_hub
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.checkpoints import read_weights, to_transformers, write_weights
from sapiens2_lit.errors import WeightsError


@pytest.fixture
def tensors() -> dict[str, Tensor]:
    return Sapiens2("test", (64, 48)).state_dict()


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def shard(tensors: dict[str, Tensor], folder: Path) -> None:
    names = list(tensors)
    parts = {
        "model-00001-of-00002.safetensors": names[:5],
        "model-00002-of-00002.safetensors": names[5:],
    }
    for file, part in parts.items():
        save_file({name: tensors[name] for name in part}, folder / file)
    weight_map = {name: file for file, part in parts.items() for name in part}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))


@pytest.mark.parametrize(
    "name", ["model.safetensors", "sapiens2_0.4b_pose.safetensors", "epoch_3.safetensors"]
)
def test_folders_and_files_are_read_alike(name: str, tensors: dict[str, Tensor], tmp_path: Path) -> None:
    write_weights(tensors, tmp_path / name)
    assert same(read_weights(tmp_path).tensors, tensors)
    found = read_weights(str(tmp_path / name))
    assert same(found.tensors, tensors)
    assert found.origin == str(tmp_path / name)


def test_the_usual_name_wins_over_a_copy(tensors: dict[str, Tensor], tmp_path: Path) -> None:
    write_weights(tensors, tmp_path / "model.safetensors")
    write_weights({"other": torch.zeros(1)}, tmp_path / "sapiens2_0.1b_pose.safetensors")
    assert same(read_weights(tmp_path).tensors, tensors)


def test_shards_are_joined(tensors: dict[str, Tensor], tmp_path: Path) -> None:
    shard(tensors, tmp_path)
    assert same(read_weights(tmp_path).tensors, tensors)
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"index\.json.*model-00002-of-00002"):
        read_weights(tmp_path)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
@pytest.mark.parametrize("suffix", [".pth", ".ckpt"])
def test_pickles_of_tensors_are_read(
    suffix: str, wrapper: str | None, legacy: bool, tensors: dict[str, Tensor], tmp_path: Path
) -> None:
    content = {wrapper: tensors, "epoch": 3} if wrapper else tensors
    torch.save(content, tmp_path / f"a{suffix}", _use_new_zipfile_serialization=not legacy)
    assert same(read_weights(tmp_path / f"a{suffix}").tensors, tensors)
    assert same(read_weights(tmp_path).tensors, tensors)


def test_transformers_layout_is_renamed_on_reading(tensors: dict[str, Tensor], tmp_path: Path) -> None:
    write_weights(to_transformers(tensors), tmp_path / "model.safetensors")
    del tensors["rope_embed.periods"]
    assert same(read_weights(tmp_path).tensors, tensors)


@pytest.mark.slow
def test_safetensors_are_mapped_not_copied(tmp_path: Path) -> None:
    big = torch.zeros(64, 1024, 1024)  # 256 MiB
    file = write_weights({"big": big}, tmp_path / "big.safetensors")
    del big

    def resident() -> int:
        status = Path("/proc/self/status")
        if not status.exists():
            pytest.skip("this system does not tell how much memory a process holds")
        anonymous = next(line for line in status.read_text().splitlines() if line.startswith("RssAnon"))
        return int(anonymous.split()[1]) * 1024

    before = resident()
    found = read_weights(file).tensors["big"]
    assert found[-1, -1, -1] == 0
    assert resident() - before < 32 * 2**20


class Malicious:
    def __reduce__(self) -> tuple:
        return (Path.touch, (Path("was_run"),))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_code_in_a_pickle_is_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {"a": torch.zeros(1)}, "x": Malicious()}, "new.pth")
    torch.save({"x": Malicious()}, "old.pt", _use_new_zipfile_serialization=False)
    Path("plain.bin").write_bytes(pickle.dumps(Malicious()))
    for name in ("new.pth", "old.pt", "plain.bin"):
        with pytest.raises(WeightsError, match=rf"{name}.*would run code"):
            read_weights(name)
    assert not Path("was_run").exists()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".ckpt"])
@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "empty"),
        (b"<html>404 not found</html>", "text"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n", "git lfs pull"),
        (b"\x80\x07\xff\x00" * 50, "200 bytes"),
    ],
)
def test_files_that_are_not_weights_are_named(suffix: str, content: bytes, what: str, tmp_path: Path) -> None:
    file = tmp_path / f"weights{suffix}"
    file.write_bytes(content)
    with pytest.raises(WeightsError, match=what) as caught:
        read_weights(file)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("kept", [0.05, 0.5, 0.99])
def test_truncated_files_are_named(
    suffix: str, kept: float, tensors: dict[str, Tensor], tmp_path: Path
) -> None:
    file = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save(tensors, file)
    else:
        write_weights(tensors, file)
    file.write_bytes(file.read_bytes()[: int(kept * file.stat().st_size)])
    with pytest.raises(WeightsError, match=r"not complete|broken") as caught:
        read_weights(file)
    assert str(file) in str(caught.value)


def test_other_contents_and_endings_are_named(tmp_path: Path) -> None:
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    torch.save({"a": torch.zeros(1), "b": 3}, tmp_path / "mixed.pth")
    (tmp_path / "weights.npz").write_bytes(b"PK")
    for name, message in (("list.pth", "found list"), ("mixed.pth", "int under 'b'"), ("weights.npz", "npz")):
        with pytest.raises(WeightsError, match=message) as caught:
            read_weights(tmp_path / name)
        assert name in str(caught.value)
    with pytest.raises(WeightsError, match=r"several weights .*list.pth, mixed.pth"):
        read_weights(tmp_path)


@pytest.mark.parametrize("source", ["nowhere.safetensors", "no/such/folder", "weights/file.pth", ""])
def test_missing_paths_are_named(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError, match=r"no file or folder|no weights"):
        read_weights(source)


def test_empty_folder_says_what_belongs_there(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"model\.safetensors"):
        read_weights(tmp_path)


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub's client, which is told to stay offline."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return tmp_path


def test_hub_id_without_a_network_says_how_to_go_on(hub_cache: Path) -> None:
    with pytest.raises(WeightsError, match=r"hf download facebook/sapiens2-pose-0\.4b --local-dir"):
        read_weights("facebook/sapiens2-pose-0.4b")


def test_hub_id_in_the_cache_needs_no_network(hub_cache: Path, tensors: dict[str, Tensor]) -> None:
    repository = hub_cache / "models--somebody--model"
    snapshot = repository / "snapshots" / "0123abcd"
    write_weights(tensors, snapshot / "sapiens2_0.1b_pretrain.safetensors")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0123abcd")
    found = read_weights("somebody/model")
    assert same(found.tensors, tensors)
    assert found.origin.startswith("somebody/model")


def test_hub_id_cached_without_its_weights_is_fetched_or_explained(hub_cache: Path) -> None:
    repository = hub_cache / "models--somebody--model"
    (repository / "snapshots" / "0123abcd").mkdir(parents=True)
    (repository / "snapshots" / "0123abcd" / "config.json").write_text("{}")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0123abcd")
    with pytest.raises(WeightsError, match="hf download somebody/model"):
        read_weights("somebody/model")
