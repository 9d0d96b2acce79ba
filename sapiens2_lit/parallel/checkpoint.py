"""Checkpoints as folders: every rank writes the tensors that it holds, in PyTorch's distributed format.

`meta.pt` in the folder holds everything but large tensors. Tensors are called `model.NAME` and
`optimizer.INDEX.NAME.KEY`, with parameter names, so that any number of ranks, or a process without ranks, can read
them.
"""

import os
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from torch import Tensor, nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.optim import Optimizer

from sapiens2_lit.archives.safe_pickle import read_pickle
from sapiens2_lit.archives.verify import is_wanted
from sapiens2_lit.archives.write_archive import write_archive
from sapiens2_lit.atomic_write import flush
from sapiens2_lit.errors import DamagedError, SettingError, WeightsError
from sapiens2_lit.parallel.dtensor import held_part, is_sharded, local_values
from sapiens2_lit.parallel.metadata import INDEX_FILE, read_index
from sapiens2_lit.parallel.parts import check_parts, index_crc, verify_parts

META_FILE = "meta.pt"
MODEL, OPTIMIZER = "model.", "optimizer."
OPTIMIZERS = "sharded_optimizers"  # in meta.pt
INDEX_CRC = "index_crc32"  # in meta.pt
Stored = dict[str, tuple[torch.Size, torch.dtype]]


def is_sharded_checkpoint(path: str | os.PathLike[str]) -> bool:
    """Return whether `path` is a complete folder in this format."""
    return Path(path, META_FILE).is_file() and Path(path, INDEX_FILE).is_file()


def optimizer_state(optimizer: Optimizer, names: Mapping[Tensor, str]) -> dict[str, Any]:
    """Return `optimizer.state_dict()` with the parameters' `names` instead of numbers, without copies.

    Raises:
        SettingError: It keeps tensors that are not sharded like their parameters, which cannot be saved.
    """
    for parameter, state in optimizer.state.items():
        for key, value in state.items():
            if isinstance(value, Tensor) and value.ndim and is_sharded(parameter) != is_sharded(value):
                raise SettingError(
                    f"model.optimizer: {type(optimizer).__name__} does not shard {key} of {names[parameter]} as the "
                    "parameter is; expected an optimizer that knows DTensors, such as torch.optim.AdamW"
                )
    groups = [
        {**group, "params": [names[parameter] for parameter in group["params"]]}
        for group in optimizer.param_groups
    ]
    return {
        "state": {names[parameter]: dict(state) for parameter, state in optimizer.state.items()},
        "param_groups": groups,
    }


def save_sharded(checkpoint: dict[str, Any], path: Path, rank: int) -> None:
    """Write a Lightning checkpoint into a folder; raises OSError if a file cannot be written.

    Every rank must call it. `meta.pt` is written last.

    Args:
        checkpoint: With optimizer states from `optimizer_state`; its state dict and optimizer states are removed.
        path: The folder.
        rank: This rank.
    """
    tensors = {f"{MODEL}{name}": tensor for name, tensor in checkpoint.pop("state_dict").items()}
    kept = []
    for index, state in enumerate(checkpoint.pop("optimizer_states", [])):
        small: dict[str, dict[str, Any]] = {}
        for name, values in state["state"].items():
            small[name] = {}
            for key, value in values.items():
                if isinstance(value, Tensor) and value.ndim:
                    tensors[f"{OPTIMIZER}{index}.{name}.{key}"] = value
                else:
                    small[name][key] = value
        kept.append({"param_groups": state["param_groups"], "state": small})
    try:
        dcp.save(tensors, checkpoint_id=path)
    except CheckpointException as error:  # holds the errors of all ranks, with their tracebacks
        refused = [cause for cause, _ in error.failures.values() if isinstance(cause, OSError)]
        raise (refused[0] if refused else error) from error
    if rank == 0:
        write_archive({**checkpoint, OPTIMIZERS: kept, INDEX_CRC: index_crc(path)}, path / META_FILE)
        flush(path)


def read_meta_file(path: Path, parts: bool = True) -> dict[str, Any]:
    """Read everything of a checkpoint but its large tensors, which are only verified, unless `parts` is False.

    Raises:
        WeightsError: The folder is not a complete checkpoint, or one of its files is missing.
        DamagedError: A checksum does not match.
    """
    if not is_sharded_checkpoint(path):
        raise WeightsError(
            f"{path}: expected a file, or a folder with {META_FILE} and {INDEX_FILE}: it is not a checkpoint, "
            "or was not written to its end."
        )
    found: dict[str, Any] = read_pickle(path / META_FILE)
    expected = found.pop(INDEX_CRC, None)
    if is_wanted() and expected not in (None, index_crc(path)):
        raise DamagedError(f"{path / INDEX_FILE}")
    check_parts(path)
    if parts:
        verify_parts(path)
    return found


def stored_tensors(path: Path, prefix: str) -> Stored:
    """Return shapes and dtypes of the tensors whose names begin with `prefix`, by the rest of their names."""
    entries = read_index(path).state_dict_metadata
    return {
        name.removeprefix(prefix): (entry.size, entry.properties.dtype)
        for name, entry in entries.items()
        if name.startswith(prefix) and isinstance(entry, TensorStorageMetadata)
    }


def read_into(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Fill tensors with the stored values of their names; of a sharded tensor, only the part that this rank holds.

    Raises:
        WeightsError: A file of the checkpoint is broken.
    """
    read_index(path)  # PyTorch unpickles the index, so it is checked first
    # Each rank reads by itself: nothing is sent, and after an error on one rank no other rank waits.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")  # as asked
        try:
            dcp.load(dict(tensors), checkpoint_id=path, no_dist=True)
        except CheckpointException as error:  # its text is a traceback of many lines
            cause, _ = next(iter(error.failures.values()))
            reason = str(cause).partition(". ")[0].partition("\n")[0]
            raise WeightsError(f"{path}: its tensors cannot be read: {reason}.") from error


def read_model(path: Path) -> dict[str, Tensor]:
    """Return all tensors of the model, whole."""
    tensors = {
        name: torch.empty(shape, dtype=dtype) for name, (shape, dtype) in stored_tensors(path, MODEL).items()
    }
    read_into({f"{MODEL}{name}": tensor for name, tensor in tensors.items()}, path)
    return tensors


def read_whole(path: Path, optimizers: bool = True) -> dict[str, Any]:
    """Return a sharded checkpoint as plain strategies save it; without `optimizers`, their states are left out."""
    meta = read_meta_file(path)
    saved = meta.pop(OPTIMIZERS)
    states = []
    for index, optimizer in enumerate(saved if optimizers else []):
        names = [name for group in optimizer["param_groups"] for name in group["params"]]
        number = {name: at for at, name in enumerate(names)}
        state = whole_optimizer_state(path, index, optimizer["state"], number)
        groups = [
            {**group, "params": [number[name] for name in group["params"]]}
            for group in optimizer["param_groups"]
        ]
        states.append({"state": state, "param_groups": groups})
    return {**meta, "state_dict": read_model(path), "optimizer_states": states}


def whole_optimizer_state(
    path: Path, index: int, small: Mapping[str, Mapping[str, Any]], number: Mapping[str, int]
) -> dict[int, dict[str, Any]]:
    """Return the state of one optimizer with whole tensors, by the number of each parameter.

    Args:
        path: The folder.
        index: Number of the optimizer.
        small: Values from `meta.pt`, by the name of each parameter.
        number: Number of each parameter, by name.
    """
    prefix = f"{OPTIMIZER}{index}."
    found = {
        key: torch.empty(shape, dtype=dtype) for key, (shape, dtype) in stored_tensors(path, prefix).items()
    }
    read_into({f"{prefix}{key}": tensor for key, tensor in found.items()}, path)
    state: dict[int, dict[str, Any]] = {number[name]: dict(values) for name, values in small.items()}
    for key, tensor in found.items():
        name, _, moment = key.rpartition(".")
        state[number[name]][moment] = tensor
    return state


def load_sharded_optimizer(
    optimizer: Optimizer, names: Mapping[Tensor, str], path: Path, index: int, saved: dict[str, Any]
) -> None:
    """Load the state of an optimizer of sharded parameters from a folder, in place; raises as `by_group` does.

    Args:
        optimizer: The optimizer.
        names: Names of its parameters.
        path: The folder.
        index: Number of the optimizer.
        saved: Its entry in `meta.pt`.
    """
    prefix = f"{OPTIMIZER}{index}."
    stored = stored_tensors(path, prefix)
    parameters = by_group(optimizer, names, saved)
    state: dict[str, dict[str, Any]] = {name: dict(values) for name, values in saved["state"].items()}
    wanted = {}
    for key, (shape, dtype) in stored.items():
        name, _, moment = key.rpartition(".")
        parameter = parameters[name]
        assert shape == parameter.shape, f"{key}: {shape} of a parameter of {parameter.shape}"
        wanted[prefix + key] = state[name][moment] = torch.zeros_like(
            parameter, dtype=dtype, requires_grad=False
        )
    read_into(wanted, path)
    load_numbered(optimizer, list(parameters), state, saved["param_groups"])


def load_whole_optimizer(optimizer: Optimizer, names: Mapping[Tensor, str], saved: dict[str, Any]) -> None:
    """Load the state of an optimizer of sharded parameters from a state of whole ones, in place.

    Args:
        optimizer: The optimizer.
        names: Names of its parameters.
        saved: The state, as a plain strategy saves it.

    Raises:
        WeightsError: The state was saved for other parameters.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    count = sum(len(group["params"]) for group in saved["param_groups"])
    if count != len(parameters):
        raise WeightsError(
            f"the checkpoint's optimizer has {count} parameters, the optimizer of this run has {len(parameters)}: is "
            "the same part of the model trained?"
        )
    state: dict[str, dict[str, Any]] = {}
    for number, values in saved["state"].items():
        parameter = parameters[number]
        state[names[parameter]] = {
            key: as_sharded(value, parameter) if isinstance(value, Tensor) and value.ndim else value
            for key, value in values.items()
        }
    load_numbered(optimizer, [names[parameter] for parameter in parameters], state, saved["param_groups"])


def by_group(
    optimizer: Optimizer, names: Mapping[Tensor, str], saved: dict[str, Any]
) -> dict[str, nn.Parameter]:
    """Return the optimizer's parameters by name, in its order; raises WeightsError if the saved state has others.

    Args:
        optimizer: The optimizer.
        names: Names of its parameters.
        saved: Its entry in `meta.pt`.
    """
    parameters = {names[p]: p for group in optimizer.param_groups for p in group["params"]}
    known = {name for group in saved["param_groups"] for name in group["params"]}
    if odd := sorted(known ^ parameters.keys()):
        raise WeightsError(
            f"the checkpoint's optimizer trained other parameters: {', '.join(odd[:5])} "
            f"({len(odd)} in all) are trained only there or only here."
        )
    return parameters


def load_numbered(
    optimizer: Optimizer, names: list[str], state: Mapping[str, Any], groups: Iterable[Mapping[str, Any]]
) -> None:
    """Load an optimizer's state that has names of parameters, in place.

    Args:
        optimizer: The optimizer.
        names: Names of its parameters, in its order.
        state: State of each parameter, by name.
        groups: Settings of each group.
    """
    number = {name: at for at, name in enumerate(names)}
    own = [
        {**dict(saved), "params": group["params"]}
        for saved, group in zip(groups, optimizer.state_dict()["param_groups"], strict=True)
    ]
    optimizer.load_state_dict(
        {"state": {number[name]: values for name, values in state.items()}, "param_groups": own}
    )


def as_sharded(whole: Tensor, like: Tensor) -> Tensor:
    """Return this rank's part of a whole tensor, of any shape, sharded like the tensor `like` of the same shape."""
    if not is_sharded(like):
        return whole.to(like.device)
    sharded = torch.zeros_like(like, dtype=whole.dtype, requires_grad=False)
    local_values(sharded).copy_(whole[held_part(like)])
    return sharded
