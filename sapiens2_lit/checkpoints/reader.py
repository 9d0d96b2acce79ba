"""Read weights from a file, a folder or the Hugging Face hub, always into the released names."""

import json
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from sapiens2_lit.checkpoints.fingerprint import candidates, check_identity
from sapiens2_lit.checkpoints.format import BACKBONE, META, TRAINING_ONLY, is_ours, with_averages
from sapiens2_lit.checkpoints.hub import fetch, is_hub_id
from sapiens2_lit.checkpoints.released_names import backbone_state
from sapiens2_lit.checkpoints.renames import translate_config
from sapiens2_lit.checkpoints.transformers_names import detect_layout, to_released
from sapiens2_lit.errors import WeightsError
from sapiens2_lit.lora import LoRA, merge_state
from sapiens2_lit.parallel.checkpoint import read_meta_file, read_model

PICKLES = (".pth", ".pt", ".bin", ".ckpt")
META_FILE = "meta.pt"  # what the folder of a sharded run has beside its tensors
WRAPPERS = ("state_dict", "model")
ARCHITECTURES = {  # in the config.json of a transformers model
    "Sapiens2ForPoseEstimation": "pose",
    "Sapiens2ForSemanticSegmentation": "seg",
    "Sapiens2ForNormalEstimation": "normal",
    "Sapiens2ForPointmapEstimation": "pointmap",
    "Sapiens2ForImageMatting": "matting",
}


class Weights(NamedTuple):
    """Tensors by their released names, and where they came from."""

    tensors: dict[str, Tensor]
    origin: str


def read_weights(
    source: str | Path, *, task: str | None = None, ema: bool = True, backbone: str | None = None
) -> Weights:
    """Read all tensors of `source`, in the released layout, on the CPU and memory-mapped where possible.

    Args:
        source: a file (.safetensors, .pth, .pt, .bin, .ckpt), a folder (`model.safetensors`, shards with an
            index, or one `sapiens2_*.safetensors`), or a hub id (`facebook/sapiens2-pose-0.4b`).
        task: what the head in a file in the `transformers` layout is for (pose, seg, normal, pointmap,
            matting); without it the config.json beside the file tells.
        ema: of a checkpoint of ours take the averaged weights, where it has them.
        backbone: where to find the pretrained backbone of a checkpoint of ours that holds only what was
            trained, if it is no longer where it was.

    Raises:
        WeightsError: nothing is there, it is not weights, it holds code instead of tensors alone, or the backbone
            that it belongs to is not found, or is another.
    """
    files, origin = locate(source)
    tensors: dict[str, Tensor] = {}
    for file in files:
        tensors.update(_read_file(file, ema, backbone))
    if detect_layout(tensors) == "transformers":
        tensors = to_released(tensors, task=task or task_beside(files[0]))
    return Weights(tensors, origin)


def locate(source: str | Path) -> tuple[list[Path], str]:
    """The files that `source` means, downloaded if need be, and how to call them in messages.

    Raises:
        WeightsError: nothing is there.
    """
    path = Path(source).expanduser()
    if path.exists():
        one = path.is_file() or (path / META_FILE).is_file()  # the folder of a sharded run is one
        return [path] if one else find_files(path), str(source)
    if is_hub_id(str(source)):
        files = fetch(str(source), find_files)
        return files, f"{source} ({files[0].parent})"
    raise WeightsError(
        f"weights: found {str(source)!r}, which is no file or folder; expected one, or a hub id such as "
        "facebook/sapiens2-pretrain-0.4b."
    )


def read_meta(checkpoint: str | Path) -> dict[str, Any]:
    """What a checkpoint of ours says beside its tensors: `config`, `adapt`, `backbone`; empty for other files.

    Raises:
        WeightsError: the file cannot be read.
    """
    path = Path(checkpoint)
    if path.is_dir():  # a sharded one, whose tensors are in files of their own
        path = path / META_FILE
    content = _read_pickle(path)
    meta = dict(content.get(META, {})) if isinstance(content, Mapping) else {}
    if meta.get("config"):
        meta["config"] = translate_config(meta["config"])
    return meta


def find_files(folder: Path) -> list[Path]:
    """The weights files of a folder that belong together.

    Raises:
        WeightsError: there is none, a shard is missing, or there are several and none is the usual one.
    """
    whole = folder / "model.safetensors"
    if whole.is_file():
        return [whole]
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        return _shards(index)
    for patterns in (("sapiens2_*.safetensors",), ("*.safetensors",), [f"*{suffix}" for suffix in PICKLES]):
        found = sorted(file for pattern in patterns for file in folder.glob(pattern))
        if len(found) == 1:
            return found
        if found:
            names = ", ".join(file.name for file in found)
            raise WeightsError(
                f"{folder}: found several weights files ({names}), expected one: name the file."
            )
    raise WeightsError(
        f"{folder}: found no weights, expected model.safetensors, model.safetensors.index.json with its "
        "shards, or one sapiens2_*.safetensors."
    )


def _shards(index: Path) -> list[Path]:
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise WeightsError(
            f"{index}: expected JSON with a weight_map of names to files; {error!r}."
        ) from error
    missing = [name for name in names if not (index.parent / name).is_file()]
    if missing:
        raise WeightsError(
            f"{index}: weight_map names {', '.join(missing)}, expected beside it and not found."
        )
    return [index.parent / name for name in names]


def task_beside(file: Path) -> str | None:
    """The task that the config.json beside a file names, if any."""
    config = file.parent / "config.json"
    if not config.is_file():
        return None
    try:
        architectures = json.loads(config.read_text(encoding="utf-8")).get("architectures") or []
    except (ValueError, AttributeError) as error:
        raise WeightsError(f"{config}: expected a JSON object; {error}.") from error
    return next((ARCHITECTURES[name] for name in architectures if name in ARCHITECTURES), None)


def _read_file(file: Path, ema: bool, backbone: str | None) -> dict[str, Tensor]:
    if file.is_dir():
        content = {**read_meta_file(file), "state_dict": read_model(file)}
        return complete(content, file, ema=ema, backbone=backbone)
    if file.suffix == ".safetensors":
        return _read_safetensors(file)
    if file.suffix in PICKLES:
        content = _read_pickle(file)
        return (
            complete(content, file, ema=ema, backbone=backbone)
            if is_ours(content)
            else _unwrap(content, file)
        )
    raise WeightsError(
        f"{file}: found the ending {file.suffix!r}, expected .safetensors or one of {', '.join(PICKLES)}."
    )


def _read_safetensors(file: Path) -> dict[str, Tensor]:
    try:
        with safe_open(file, framework="pt") as opened:
            return {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{file}: expected safetensors; {what_is(file)} ({error}).") from error


def _read_pickle(file: Path) -> Any:
    try:
        # Only the newer zip format can be memory-mapped.
        return torch.load(file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file))
    except pickle.UnpicklingError as error:
        reason = str(error).split("Please file an issue")[0].strip()
        raise WeightsError(
            f"{file}: expected tensors alone; the file is broken, or would run code when loaded, which is "
            f"never allowed. Convert it to safetensors where you trust it. {what_is(file)} ({reason})."
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, IndexError) as error:
        raise WeightsError(f"{file}: expected a PyTorch file; {what_is(file)} ({error}).") from error


def _unwrap(content: Any, file: Path) -> dict[str, Tensor]:
    """The tensors by name, out of {"state_dict": ...} or {"model": ...} if need be."""
    for key in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    if not isinstance(content, Mapping) or not content:
        raise WeightsError(f"{file}: found {type(content).__name__}, expected tensors by name.")
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise WeightsError(
                f"{file}: found {type(value).__name__} under {name!r}, expected a tensor by name."
            )
    return dict(content)


def what_is(file: Path) -> str:
    """What a file that is not weights looks like."""
    try:
        with file.open("rb") as opened:
            start = opened.read(64)
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    if not start:
        return "it is empty"
    if start.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer: fetch the file itself with `git lfs pull`"
    if start.lstrip()[:1] in (b"<", b"#") or (start.isascii() and start.decode().isprintable()):
        return "it is text"
    return f"it is broken or not complete, {file.stat().st_size} bytes long"


def complete(content: Mapping[str, Any], file: Path, *, ema: bool, backbone: str | None) -> dict[str, Tensor]:
    """The tensors `backbone.*` and `heads.NAME.*` of a whole, plain model.

    Args:
        content: of the checkpoint.
        file: it came from, for messages.
        ema: take the averages, where there are any.
        backbone: where to find the pretrained backbone, if not where it was.

    Raises:
        WeightsError: the backbone that it belongs to is not found, or is another one.
    """
    meta, tensors = content[META], dict(content["state_dict"])
    if ema:
        tensors = with_averages(tensors)
    tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith(TRAINING_ONLY)}
    if identity := meta.get("backbone"):
        found = find_backbone(identity, file, backbone)
        tensors = {BACKBONE + name: found[name] for name in identity["names"]} | tensors
    adapt = meta.get("adapt")
    if adapt and adapt["mode"] == "lora":
        tensors = merge_state(tensors, LoRA(**adapt["lora"]).scale)
    return tensors


def find_backbone(identity: Mapping[str, Any], file: Path, given: str | None) -> dict[str, Tensor]:
    """The tensors of the pretrained backbone, names without `backbone.`, verified."""
    failures = []
    for place in candidates(dict(identity), [given]):
        try:
            found = read_weights(place)
        except WeightsError as error:
            failures.append(str(error))
            continue
        tensors = backbone_state(found.tensors)
        check_identity(dict(identity), tensors, found.origin, str(file))
        return tensors
    raise WeightsError(
        f"{file}: it holds only what was trained; the pretrained backbone that it belongs to was not found, give its "
        "file, folder or hub id as backbone weights.\n  " + "\n  ".join(failures)
    )
