"""From a run's saved configuration to what makes its backbone and its heads, as the command line does it."""

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
    """Return what makes the backbone and the heads of a configuration as `fit` saves it.

    Args:
        config: of a checkpoint, or of the header of a safetensors file.
        origin: the file, for messages.
        trust: classes or modules that it may name besides those of this package, torch and lightning; modules may
            lie in the working directory.

    Raises:
        UntrustedError: it names a class that is not trusted; nothing was imported.
        WeightsError: the configuration does not say how the networks are made, or a class of it is not found.
    """
    model = config.get("model") if isinstance(config, Mapping) else None
    if not isinstance(model, Mapping) or not model.get("backbone") or not model.get("heads"):
        raise WeightsError(
            f"{origin}: does not say how its networks were made (`config` has no model.backbone and model.heads), "
            "as with a module that was not built by the command line. Build backbone and heads yourself, load the "
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
        made = parser.instantiate(parser.parse_object(deepcopy(networks)))  # which changes what it is given
    except (ArgumentError, ImportError, TypeError, ValueError) as error:
        raise WeightsError(f"{origin}: its networks cannot be made: {error}") from error
    return made.backbone, with_shared_decoder(made.heads) if model.get("shared_decoder") else made.heads
