"""From a run's saved configuration to what makes its backbone and its heads, as the command line does it."""

import sys
from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser

from sapiens2_lit.backbones.base import Backbone
from sapiens2_lit.errors import WeightsError
from sapiens2_lit.heads.base import Head

MakeBackbone = Callable[[], Backbone]
MakeHeads = dict[str, Callable[[int], Head]]


def read_factories(config: Mapping[str, Any], origin: str) -> tuple[MakeBackbone, MakeHeads]:
    """What makes the backbone and the heads of a configuration as `fit` saves it.

    Class paths may name files in the working directory.

    Raises:
        WeightsError: the configuration does not say how the networks are made, or a class of it is not found.
    """
    model = config.get("model")
    if not isinstance(model, Mapping) or not model.get("backbone") or not model.get("heads"):
        raise WeightsError(
            f"{origin}: does not say how its networks were made (`config` has no model.backbone and model.heads), "
            "as with a module that was not built by the command line. Build backbone and heads yourself, load the "
            "state into them, and give them to sapiens2_lit.inference.InferenceModel."
        )
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--backbone", type=MakeBackbone)
    parser.add_argument("--heads", type=MakeHeads)
    try:
        networks = {"backbone": model["backbone"], "heads": model["heads"]}
        parsed = parser.parse_object(deepcopy(networks))  # which it changes
        made = parser.instantiate(parsed)
    except (ArgumentError, ImportError, TypeError, ValueError) as error:
        raise WeightsError(
            f"{origin}: its networks cannot be made: {error}\nClasses of your own must be importable from the "
            "working directory, as they were in training."
        ) from error
    return made.backbone, made.heads
