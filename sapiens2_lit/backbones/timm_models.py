"""Models of timm (Apache-2.0) by name, and the arguments of their classes."""

import difflib
import functools
import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from sapiens2_lit.errors import SettingError

STRIDE = 16  # input pixels along one side of a cell of the maps that heads take
DECIDED = {  # arguments that the backbone sets, and what decides them
    "img_size": "image_size",
    "patch_size": "the stride of 16",
    "num_classes": "that there is no classifier",
    "in_chans": "that images are RGB",
    "dynamic_img_size": "image_size",
    "dynamic_img_pad": "that nothing is padded",
    "strict_img_size": "image_size",
    "patch_drop_rate": "that maps have no holes",
    "device": "where it is built",
    "dtype": "trainer.precision",
}


def import_timm() -> Any:
    """Return the package timm.

    Raises:
        SettingError: It is not installed.
    """
    try:
        import timm
    except ImportError as error:
        raise SettingError("TimmBackbone needs the package timm: pip install 'sapiens2-lit[timm]'") from error
    return timm


def model_config(name: str) -> Any:
    """Return what timm knows about a model's weights: `mean`, `std`, `license`, `hf_hub_id`, `input_size`.

    Raises:
        SettingError: timm has no such model, or no such weights of it; the message names the nearest ones.
    """
    timm = import_timm()
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        known = [*timm.list_models(), *timm.list_pretrained()]
        raise SettingError(_unknown(name, "timm has no such model", known))
    known = [one for one in timm.list_pretrained(f"{architecture}.*") if one.startswith(f"{architecture}.")]
    if tag and name not in known:
        raise SettingError(_unknown(name, f"timm has no weights {tag!r} of {architecture}", known))
    config = timm.get_pretrained_cfg(name)
    if config is None:
        raise SettingError(f"name: found {name!r}, but timm does not say how its images are normalized.")
    return config


def create(name: str, model_args: Mapping[str, Any], **decided: Any) -> Any:
    """Build a model with random values and without a classifier, on the current device.

    Args:
        name: Name in timm.
        model_args: Arguments of its class that a user gave.
        decided: Arguments that override them.

    Raises:
        SettingError: Its class does not take the arguments.
    """
    timm = import_timm()
    try:
        return timm.create_model(name, pretrained=False, **{"num_classes": 0, **model_args, **decided})
    except (TypeError, AssertionError, ValueError, RuntimeError, IndexError) as error:
        raise SettingError(
            f"model_args: timm cannot build {name} with {dict(model_args)}: {error}"
        ) from error


@functools.lru_cache(maxsize=4)
def described(name: str) -> Any:
    """Return the model that the name alone means, on the meta device, where it takes no memory; do not change it.

    If its class takes a depth, it has one block, which is enough to describe it.
    """
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        try:
            return create(name, {"depth": 1})
        except SettingError:
            return create(name, {})


def check_args(model: nn.Module, model_args: Mapping[str, Any]) -> None:
    """Check a user's arguments of a model.

    Raises:
        SettingError: The model's class has no such argument, or the backbone sets it.
    """
    known = set(inspect.signature(type(model).__init__).parameters) - {"self", "kwargs"}
    for argument in model_args:
        if argument in DECIDED:
            raise SettingError(
                f"model_args: found {argument!r}, expected none: {DECIDED[argument]} decides it."
            )
        if argument not in known:
            near = nearest(argument, known - DECIDED.keys())
            raise SettingError(
                f"model_args: found {argument!r}, which is not an argument of timm's {type(model).__name__}{near}"
            )


def refuse(name: str, model: nn.Module, why: str) -> SettingError:
    """Return the error for a model that cannot be a backbone.

    Args:
        name: Name in timm.
        model: The model.
        why: What is wrong with it, as a relative clause.
    """
    return SettingError(
        f"name: found {name!r}, a {type(model).__name__} of timm, {why}; expected a plain vision transformer (DINOv3, "
        "DINOv2, SigLIP2, PE, MAE and others of timm's classes VisionTransformer and Eva), a ConvNeXt or a Swin: their "
        f"maps have stride {STRIDE} or are resampled to it."
    )


def nearest(name: str, known: Iterable[str], otherwise: Sequence[str] = ()) -> str:
    """Return a question that names the nearest known names, or a full stop if none is near.

    Args:
        name: What was given.
        known: All known names.
        otherwise: Names to suggest if none is near.
    """
    near = difflib.get_close_matches(name, sorted(known), n=3, cutoff=0.5) or list(otherwise)
    return f"; did you mean {' or '.join(near)}?" if near else "."


def _unknown(name: str, problem: str, known: list[str]) -> str:
    return f"name: found {name!r}, but {problem}{nearest(name, known, known[:3] if len(known) < 9 else ())}"
