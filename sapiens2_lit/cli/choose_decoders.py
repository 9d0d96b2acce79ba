"""Resolve `decoder: auto`: the decoder of a head's weights, the shared one, or the one recommended for the task."""

from collections.abc import Mapping, Sequence
from typing import get_args

from jsonargparse import Namespace

from sapiens2_lit.checkpoints.lazy_safetensors import Readable, open_weights
from sapiens2_lit.checkpoints.strict_loading import is_under
from sapiens2_lit.decoders import Kind, kind_of, recommended_kind
from sapiens2_lit.errors import SettingError, WeightsError
from sapiens2_lit.vocabularies.tasks import TASKS

AUTO = "auto"
_RELEASED = "decode_head."
_TASK_OF = {row.head: task for task, row in TASKS.items()}


def choose_decoders(model: Namespace, checkpoint: str | None = None) -> None:
    """Write the decoder of every head with `auto` into the settings, so that checkpoints record which one it was.

    Args:
        model: Settings of the module; changed in place.
        checkpoint: Of the run that is resumed or tested; its decoders win over a recommendation.

    Raises:
        SettingError: A head's decoder is another one than its weights have.
        WeightsError: `weights` are not found or cannot be read.
    """
    heads = {
        name: head for name, head in model.heads.items() if settings_of(head).get("decoder") in get_args(Kind)
    }
    tasks = {name: _TASK_OF.get(head.class_path, "") for name, head in heads.items()}
    weights = known_kinds(model, tasks) if model.weights else {}
    is_open = any(settings_of(head).decoder == AUTO for head in heads.values())
    trained = trained_kinds(checkpoint, tasks) if is_open and checkpoint else {}
    for name, head in heads.items():
        settings, found = settings_of(head), trained.get(name) or weights.get(name)
        if settings.decoder != AUTO and found not in (None, settings.decoder):
            raise SettingError(
                f"model.heads.{name}.decoder: found {settings.decoder}, but {model.weights} has a {found} decoder: "
                f"leave it at auto to go on from that, or list heads.{name} in model.reinitialize to train a "
                f"{settings.decoder} one from nothing"
            )
        if settings.decoder == AUTO and (found or head.class_path in _TASK_OF):
            shared = model.get("shared_decoder") and tasks[name] != "pose"
            settings.decoder = found or ("shared" if shared else recommended_kind(tasks[name]))


def settings_of(head: Namespace) -> Namespace:
    """Return the arguments of a head's class; empty if there are none."""
    found: Namespace = head.get("init_args", Namespace())
    return found


def known_kinds(model: Namespace, tasks: Mapping[str, str]) -> dict[str, Kind]:
    """Return the kinds of decoders in `model.weights`, for the heads that load theirs from there.

    Args:
        model: Settings of the module.
        tasks: The task of each head.
    """
    fresh = tuple(model.get("reinitialize") or ())
    own = model.backbone.get("init_args", Namespace()).get("weights")
    tensors = open_weights(model.weights, backbone=own).tensors
    loaded = {
        name: task
        for name, task in tasks.items()
        if not any(is_under(f"heads.{name}", prefix) for prefix in fresh)
    }
    return kinds_in(tensors, loaded)


def trained_kinds(checkpoint: str, tasks: Mapping[str, str]) -> dict[str, Kind]:
    """Return the kinds of decoders in a checkpoint; empty if it cannot be read, which raises when it is loaded."""
    try:
        return kinds_in(open_weights(checkpoint).tensors, tasks)
    except WeightsError:
        return {}


def kinds_in(tensors: Mapping[str, Readable], tasks: Mapping[str, str]) -> dict[str, Kind]:
    """Return the kinds of the heads' decoders, for those heads whose parameters tell."""
    kinds = {name: kind_of(task, shapes_of(name, tensors)) for name, task in tasks.items()}
    return {name: kind for name, kind in kinds.items() if kind is not None}


def shapes_of(head: str, tensors: Mapping[str, Readable]) -> dict[str, Sequence[int]]:
    """Return the shapes of one head's parameters by name, from a checkpoint of this package or a released file."""
    return {
        name.removeprefix(prefix): tensor.shape
        for name, tensor in tensors.items()
        for prefix in (f"heads.{head}.", _RELEASED)
        if name.startswith(prefix)
    }
