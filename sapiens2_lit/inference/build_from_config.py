"""Turn a run's saved configuration into factories of its backbone and heads, as the command line does."""

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser

from sapiens2_lit.backbones.base import Backbone
from sapiens2_lit.checkpoints.trust import trusted
from sapiens2_lit.checkpoints.untrusted_config import FileSettings
from sapiens2_lit.decoders.shared import with_shared_decoder
from sapiens2_lit.errors import WeightsError
from sapiens2_lit.heads.base import Head

MakeBackbone = Callable[[], Backbone]
MakeHeads = dict[str, Callable[[int], Head]]


def read_factories(
    config: Mapping[str, Any], origin: str, trust: Iterable[str] = ()
) -> tuple[MakeBackbone, MakeHeads]:
    """Return the factories of the backbone and the heads of a configuration that `fit` saved.

    Args:
        config: Of a checkpoint, or of the header of a safetensors file.
        origin: The file, for messages.
        trust: Classes or modules that it may name besides those of this package, torch and lightning; modules may lie
            in the working directory.

    Raises:
        UntrustedError: It names a class that is not trusted; nothing was imported.
        WeightsError: The configuration does not define the networks, or one of its classes is not found.
    """
    model = config.get("model") if isinstance(config, Mapping) else None
    if not isinstance(model, Mapping) or not model.get("backbone") or not model.get("heads"):
        raise WeightsError(
            f"{origin}: does not say how its networks were made (`config` has no model.backbone and model.heads); "
            "its module was probably not built by the command line. Build backbone and heads yourself, load the "
            "state into them, and give them to sapiens2_lit.inference.InferenceModel."
        )
    networks = {"backbone": model["backbone"], "heads": model["heads"]}
    FileSettings(origin, trusted(trust)).check(
        {
            "model.backbone": (networks["backbone"], MakeBackbone),
            "model.heads": (networks["heads"], MakeHeads),
        }
    )
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--backbone", type=MakeBackbone)
    parser.add_argument("--heads", type=MakeHeads)
    try:
        made = parser.instantiate(parser.parse_object(deepcopy(networks)))  # it changes its argument
    except (ArgumentError, ImportError, TypeError, ValueError) as error:
        raise WeightsError(f"{origin}: its networks cannot be made: {error}") from error
    return made.backbone, with_shared_decoder(made.heads) if model.get("shared_decoder") else made.heads
