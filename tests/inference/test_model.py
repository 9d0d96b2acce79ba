"""Models are made anew from checkpoints, from task files alone, and from folders of `transformers`."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.checkpoints import released_state, write_weights
from sapiens2_lit.decoders.presets import decoder_preset
from sapiens2_lit.errors import SettingError, UntrustedError, WeightsError
from sapiens2_lit.heads import (
    AlbedoHead,
    DepthHead,
    Head,
    MattingHead,
    NormalHead,
    PointmapHead,
    PoseHead,
    SegmentationHead,
)
from sapiens2_lit.inference.from_released import METADATA
from sapiens2_lit.inference.model import InferenceModel, load_model

TASKS: dict[str, tuple[type[Head], dict[str, Any]]] = {
    "pose": (PoseHead, {}),
    "seg": (SegmentationHead, {"decoder": "pixel_shuffle"}),
    "normal": (NormalHead, {}),
    "pointmap": (PointmapHead, {}),
    "albedo": (AlbedoHead, {}),
    "depth": (DepthHead, {"decoder": "deconv"}),
    "matting": (MattingHead, {}),
}
BACKBONE = {
    "class_path": "sapiens2_lit.backbones.Sapiens2",
    "init_args": {"size": "test", "image_size": [64, 48]},
}


def write_task_file(task: str, folder: Path, head: Head, size: str = "test", **header: str) -> Path:
    """A file as released ones are, of random weights."""
    torch.manual_seed(1)
    module = nn.ModuleDict({"backbone": Sapiens2(size), "heads": nn.ModuleDict({task: head})})
    state = released_state(module.state_dict(), task)
    return write_weights(state, folder / f"sapiens2_{task}.safetensors", metadata=header)


@pytest.mark.parametrize("task", TASKS)
def test_a_task_file_says_itself_what_it_is(task: str, tmp_path: Path) -> None:
    kind, settings = TASKS[task]
    head = kind(32, **settings)
    path = write_task_file(task, tmp_path, head)
    for source in (path, tmp_path):  # the file, or the folder it lies in
        model = load_model(source)
        assert list(model.heads) == [task]
        assert type(model.heads[task]) is kind
        assert model.image_size == (1024, 768)
        assert model.config == {} and str(source) in model.origin
        assert not model.training and not any(p.requires_grad for p in model.parameters())
        loaded = model.heads[task].state_dict()
        assert all(torch.equal(value, loaded[name]) for name, value in head.state_dict().items())


def test_other_backbones_are_told_by_their_shapes(tmp_path: Path) -> None:
    model = load_model(write_task_file("normal", tmp_path, NormalHead(64), size="tiny"))
    assert (model.backbone.embed_dim, model.backbone.depth) == (64, 18)
    assert model.backbone.size.kv_heads(8) == 2


def test_a_header_with_the_configuration_decides(tmp_path: Path) -> None:
    names = ["left_eye", "right_eye", "tail"]
    (tmp_path / "cat.yaml").write_text(json.dumps({"keypoints": names, "swaps": [["left_eye", "right_eye"]]}))
    settings = {"skeleton": str(tmp_path / "cat.yaml")}
    heads = {"cats": {"class_path": "sapiens2_lit.heads.PoseHead", "init_args": settings}}
    config = {"model": {"backbone": BACKBONE, "heads": heads}}
    head = PoseHead(32, **settings)
    with pytest.raises(WeightsError, match="has 3 keypoints, but not their names"):
        load_model(write_task_file("cats", tmp_path, head))
    model = load_model(write_task_file("cats", tmp_path, head, **{METADATA: json.dumps(config)}))
    assert model.image_size == (64, 48) and model.config == config
    assert model.heads["cats"].skeleton.keypoints == tuple(names)


def checkpoint(path: Path, config: dict[str, Any], module: nn.Module) -> Path:
    torch.save({"state_dict": module.state_dict(), "sapiens2_lit": {"config": config}}, path)
    return path


def test_a_checkpoint_is_made_anew_with_classes_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "from sapiens2_lit.heads import NormalHead\n"
        "class OwnHead(NormalHead):\n"
        "    def __init__(self, embed_dim: int, bias: float = 0.0) -> None:\n"
        "        super().__init__(embed_dim)\n"
        "        self.bias = bias\n"
    )
    (tmp_path / "own_prediction_head.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    heads = {"own": {"class_path": "own_prediction_head.OwnHead", "init_args": {"bias": 0.5}}}
    config = {"model": {"backbone": BACKBONE, "heads": heads, "weights": "gone.safetensors"}}
    saved = InferenceModel(Sapiens2("test", (64, 48)), {"own": NormalHead(32)})
    file = checkpoint(tmp_path / "last.ckpt", config, saved)
    with pytest.raises(UntrustedError, match=r"last\.ckpt.*names own_prediction_head\.OwnHead"):
        load_model(file)
    assert "own_prediction_head" not in sys.modules
    model = load_model(file, trust=["own_prediction_head"])
    assert type(model.heads["own"]).__name__ == "OwnHead" and model.heads["own"].bias == 0.5
    assert model.image_size == (64, 48) and model.config == config
    images = torch.randint(0, 255, (2, 3, 64, 48), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.equal(model(images)["own"], saved(images)["own"])


def test_a_transformers_folder_predicts_what_transformers_does(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    channels = decoder_preset("normal", 32, "pixel_shuffle")
    config = transformers.Sapiens2Config(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_attention_heads=1,
        intermediate_size=64,
        image_size=(64, 48),
        num_labels=3,
        head_config={
            "use_pixel_shuffle": True,
            "upsample_kernel_size": 3,
            "conv_kernel_size": 3,
            "upsample_out_channels": list(channels.upsample),
            "conv_out_channels": list(channels.conv),
        },
    )
    theirs = transformers.Sapiens2ForNormalEstimation(config).eval()
    theirs.save_pretrained(tmp_path)
    model = load_model(tmp_path)
    assert model.image_size == (64, 48) and list(model.heads) == ["normal"]
    images = torch.randint(0, 255, (1, 3, 64, 48), dtype=torch.uint8)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)))
    with torch.no_grad():
        expected = theirs((images - mean) / std).normals
        torch.testing.assert_close(model(images)["normal"], expected, rtol=0, atol=1e-5)


def test_hub_ids_are_read_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_task_file("normal", tmp_path, NormalHead(32)).rename(tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "sapiens2", "image_size": [512, 384]}))
    asked: list[str] = []

    def cached(hub_id: str, **settings: Any) -> str:
        asked.append(hub_id)
        return str(tmp_path)

    monkeypatch.setattr("sapiens2_lit.checkpoints.hub.snapshot_download", cached)
    model = load_model("facebook/sapiens2-normal-0.4b")
    assert asked == ["facebook/sapiens2-normal-0.4b"]
    assert list(model.heads) == ["normal"] and model.image_size == (512, 384)
    assert model.origin == "facebook/sapiens2-normal-0.4b"


def test_what_is_no_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"nowhere.ckpt: no such file or folder; expected a checkpoint"):
        load_model(tmp_path / "nowhere.ckpt")
    save_file(Sapiens2("test").state_dict(), tmp_path / "pretrain.safetensors")
    with pytest.raises(WeightsError, match="has no head"):
        load_model(tmp_path / "pretrain.safetensors")
    save_file({"a": torch.zeros(1), "decode_head.b": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="head of an unknown task"):
        load_model(tmp_path / "other.safetensors")
    module = InferenceModel(Sapiens2("test", (64, 48)), {"normal": NormalHead(32)})
    with pytest.raises(WeightsError, match="does not say how its networks were made"):
        load_model(checkpoint(tmp_path / "python.ckpt", {}, module))
    heads = {"normal": {"class_path": "sapiens2_lit.heads.NoHead"}}
    config = {"model": {"backbone": BACKBONE, "heads": heads}}
    with pytest.raises(WeightsError, match=r"(?s)cannot be made.*NoHead"):
        load_model(checkpoint(tmp_path / "unknown.ckpt", config, module))
    heads = {"normal": {"class_path": "sapiens2_lit.heads.AlbedoHead"}}
    config = {"model": {"backbone": BACKBONE, "heads": heads}}
    with pytest.raises(WeightsError, match="conv_albedo"):
        load_model(checkpoint(tmp_path / "another.ckpt", config, module))
    (tmp_path / "text.ckpt").write_text("no weights")
    with pytest.raises(WeightsError, match=r"text\.ckpt"):
        load_model(tmp_path / "text.ckpt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(WeightsError, match="found no weights"):
        load_model(tmp_path / "empty")
    with pytest.raises(SettingError, match="device: found 'gpu'"):
        load_model(tmp_path / "another.ckpt", device="gpu")


def test_compiled_blocks_keep_their_names_and_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is compiled is not of interest here, and compiling takes long: only that blocks are, in place."""
    compiled: list[nn.Module] = []
    monkeypatch.setattr(nn.Module, "compile", lambda module: compiled.append(module))
    path = write_task_file("normal", tmp_path, NormalHead(32))
    model = load_model(path, compile=True)
    assert compiled == [*model.backbone.blocks, *model.heads.values()]
    assert model.state_dict().keys() == load_model(path).state_dict().keys()
