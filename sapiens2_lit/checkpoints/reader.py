"""Read weights from a file, a folder or the Hugging Face hub, always into the released names."""

import json
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open
from torch import Tensor

from sapiens2_lit.archives.programs import refuse_program
from sapiens2_lit.archives.safe_pickle import read_pickle, what_is
from sapiens2_lit.archives.verify import verify_file
from sapiens2_lit.checkpoints.fingerprint import candidates, check_identity
from sapiens2_lit.checkpoints.format import (
    BACKBONE,
    CHECKPOINT,
    META,
    META_FILE,
    TRAINING_ONLY,
    is_ours,
    with_averages,
)
from sapiens2_lit.checkpoints.hf_config import check_configs
from sapiens2_lit.checkpoints.hub import fetch
from sapiens2_lit.checkpoints.hub_ids import is_hub_id, is_released
from sapiens2_lit.checkpoints.layouts import Layout, in_our_names
from sapiens2_lit.checkpoints.released_names import backbone_state
from sapiens2_lit.checkpoints.renames import translate_config
from sapiens2_lit.checkpoints.runs import checkpoint_of_run
from sapiens2_lit.errors import WeightsError
from sapiens2_lit.lora import LoRA, merge_state
from sapiens2_lit.parallel.checkpoint import read_meta_file, read_model

PICKLES = (".pth", ".pt", ".bin", ".ckpt")
WRAPPERS = ("state_dict", "model")

_log = logging.getLogger(__name__)


class Weights(NamedTuple):
    """Tensors by their released names, where they came from, and the layout that they had there."""

    tensors: dict[str, Tensor]
    origin: str
    layout: Layout = "released"


def read_weights(
    source: str | Path,
    *,
    task: str | None = None,
    ema: bool = True,
    backbone: str | None = None,
    download: bool = True,
) -> Weights:
    """Read all tensors of `source` in the released layout, on the CPU and memory-mapped if possible.

    Args:
        source: A file (.safetensors, .pth, .pt, .bin, .ckpt), a folder (`model.safetensors`, shards with an index, or
            one `sapiens2_*.safetensors`), or a hub id (`facebook/sapiens2-pose-0.4b`).
        task: Task of the head (pose, seg, normal, pointmap, matting) in a file in the `transformers` layout; None to
            take it from the config.json beside the file. Shapes tell the task in files of Sapiens v1.
        ema: Read the averaged weights of a checkpoint of this package, if it has them.
        backbone: Where the pretrained backbone is, if the checkpoint holds only what was trained and the backbone has
            moved.
        download: Download a hub id that is not in the local cache.

    Raises:
        WeightsError: There is nothing, the file is not weights or holds code, or the checkpoint's backbone is not found
            or is another one.
    """
    files, origin = locate(source, download)
    tensors: dict[str, Tensor] = {}
    for file in files:
        tensors.update(_read_file(file, ema, backbone))
    renamed, layout = in_our_names(tensors, files[0], task)
    return Weights(renamed, origin, layout)


def locate(source: str | Path, download: bool = True) -> tuple[list[Path], str]:
    """Return the files that `source` means, downloaded if needed, and their name for messages.

    Raises:
        WeightsError: There is nothing, or a configuration beside the files asks for another network (`check_configs`).
    """
    files, origin = _find(source, download)
    check_configs(files[0])
    return files, origin


def _find(source: str | Path, download: bool) -> tuple[list[Path], str]:
    path = Path(source).expanduser()
    refuse_program(path)
    if run := checkpoint_of_run(path):
        return [run], str(run)
    if path.exists():
        one = path.is_file() or (path / META_FILE).is_file()  # a sharded run's folder is one checkpoint
        return [path] if one else find_files(path), str(source)
    if is_hub_id(str(source)):
        files = fetch(str(source), find_files, download)
        return files, f"{source} ({files[0].parent})"
    raise WeightsError(
        f"weights: found {str(source)!r}, which is no file or folder; expected one of these, a run (RUNS or "
        "RUNS/last), or a hub id such as facebook/sapiens2-pretrain-0.4b."
    )


def read_meta(checkpoint: str | Path) -> dict[str, Any]:
    """Return what a checkpoint of this package holds besides tensors: `config`, `adapt`, `backbone`; else nothing.

    Raises:
        WeightsError: The file cannot be read.
    """
    path = Path(checkpoint)
    if path.is_dir():  # a sharded checkpoint, whose tensors are in separate files
        path = path / META_FILE
    if path.suffix == ".safetensors":
        meta = read_header(path)
    else:
        content = read_pickle(path)
        meta = content.get(META, {}) if isinstance(content, Mapping) else {}
    if not isinstance(meta, Mapping) or not isinstance(meta.get("config") or {}, Mapping):
        raise WeightsError(f"{path}: {META}: expected a mapping with `config`, as `fit` writes it.")
    meta = dict(meta)
    if meta.get("config"):
        try:
            meta["config"] = translate_config(meta["config"])
        except (WeightsError, RecursionError) as error:
            raise WeightsError(f"{path}: {META}: config: {error}.") from error
    return meta


def read_step(checkpoint: str | Path) -> int | None:
    """Return the number of steps that a checkpoint of this package was trained for; None for other files."""
    path = Path(checkpoint)
    if found := re.search(r"step=(\d+)", path.name):
        return int(found[1])
    place = path / META_FILE if path.is_dir() else path
    if place.suffix == ".safetensors" or not place.is_file():
        return None
    content = read_pickle(place)
    step = content.get("global_step") if isinstance(content, Mapping) else None
    return step if isinstance(step, int) else None


def read_header(file: Path) -> Any:
    """Return what `consolidate` wrote about a checkpoint into the header of safetensors; empty for other files.

    Raises:
        WeightsError: It is not a safetensors file, or its header is broken.
    """
    try:
        with safe_open(file, framework="pt") as opened:
            return json.loads((opened.metadata() or {}).get(CHECKPOINT, "{}"))
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise WeightsError(f"{file}: expected safetensors with a readable header; {error}.") from error


def find_files(folder: Path) -> list[Path]:
    """Return the weights files of a folder that belong together.

    Raises:
        WeightsError: There is none, a shard is missing, or there are several and none has the usual name.
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
            f"{index}: weight_map names {', '.join(missing)}, expected in the same folder and not found."
        )
    return [index.parent / name for name in names]


def _read_file(file: Path, ema: bool, backbone: str | None) -> dict[str, Tensor]:
    if file.is_dir():
        content = {**read_meta_file(file), "state_dict": read_model(file)}
        return complete(content, file, ema=ema, backbone=backbone)
    if file.suffix == ".safetensors":
        tensors = _read_safetensors(file)
        meta = read_meta(file)
        if not meta:
            return tensors
        return complete({META: meta, "state_dict": tensors}, file, ema=ema, backbone=backbone)
    if file.suffix in PICKLES:
        content = read_pickle(file)
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
            verify_file(file)
            return {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{file}: expected safetensors; {what_is(file)} ({error}).") from error


def _unwrap(content: Any, file: Path) -> dict[str, Tensor]:
    """Return the tensors by name, taken out of {"state_dict": ...} or {"model": ...} if needed."""
    for key in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            if others := sorted(str(one) for one in content if one not in (key, "meta")):
                _log.info("%s: besides `%s` it holds %s, which is left out.", file, key, ", ".join(others))
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


def complete(content: Mapping[str, Any], file: Path, *, ema: bool, backbone: str | None) -> dict[str, Tensor]:
    """Return the tensors `backbone.*` and `heads.NAME.*` of the complete model, without adapters.

    Args:
        content: Content of the checkpoint.
        file: File of the checkpoint, for messages.
        ema: Use the averages, if there are any.
        backbone: Where the pretrained backbone is, if it has moved.
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
    """Return the verified tensors of the pretrained backbone; raises WeightsError if it is missing or another one.

    Args:
        identity: What the checkpoint says about its backbone.
        file: File of the checkpoint, for messages.
        given: Where the user says that it is.
    """
    failures = []
    for place in candidates(dict(identity), [given]):
        try:
            found = read_weights(place, download=place == given or is_released(place))
        except WeightsError as error:
            failures.append(str(error))
            continue
        tensors = backbone_state(found.tensors)
        check_identity(dict(identity), tensors, found.origin, str(file))
        return tensors
    raise WeightsError(
        f"{file}: it holds only what was trained; the pretrained backbone that it belongs to was not found: give its "
        "file, folder or hub id as backbone weights.\n  " + "\n  ".join(failures)
    )
