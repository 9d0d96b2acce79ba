"""What the checkpoints of a run hold: what was trained, its settings, and which pretrained backbone they leave out."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning import Trainer
from torch import nn

from sapiens2_lit.checkpoints import read_meta
from sapiens2_lit.checkpoints.fingerprint import Identity, check_identity, identify
from sapiens2_lit.checkpoints.format import BACKBONE, META, VOCABULARIES, average_name
from sapiens2_lit.checkpoints.format import EMA as AVERAGES
from sapiens2_lit.checkpoints.head_names import names_of, to_json
from sapiens2_lit.checkpoints.optimizer_states import with_own_states, with_plain_states
from sapiens2_lit.heads.base import Head
from sapiens2_lit.lora import is_lora, plain_name
from sapiens2_lit.models.build import match_state
from sapiens2_lit.training.adaptation import Adaptation
from sapiens2_lit.training.ema import WeightAverage

_log = logging.getLogger(__name__)


class CheckpointContent:
    """Writes and checks what a checkpoint holds besides Lightning's entries.

    Attributes:
        source: Where the backbone's pretrained weights came from, None if it started from random values.
        identity: Identity of the frozen weights of a pretrained backbone, which checkpoints leave out; None if they
            hold all.
    """

    def __init__(self) -> None:
        self.source: str | None = None
        self.identity: Identity | None = None

    def leave_out_frozen(self, adaptation: Adaptation, resumed: bool) -> None:
        """Note the pretrained backbone that checkpoints leave out, if part of it is frozen; call it once it has values.

        Args:
            adaptation: What of the backbone is trained.
            resumed: A checkpoint brings values of frozen weights without a source.
        """
        self.identity = None
        frozen = adaptation.frozen()
        if self.source is not None and frozen:
            if adaptation.backbone.holds_frozen:
                return
            self.identity = identify(frozen, self.source, adaptation.rounded)
        elif frozen and not resumed:
            _log.warning("The backbone has no pretrained weights, and most of it is frozen at random values.")

    def filter(self, state: dict[str, Any], prefix: str, ema: WeightAverage | None) -> dict[str, Any]:
        """Remove frozen weights from a state dict in place; averages stay averages, even while they are swapped in."""
        if self.identity is not None:
            kept_out = {f"{prefix}{BACKBONE}{name}" for name in self.identity["names"]}
            for name in [name for name in state if plain_name(name) in kept_out and not is_lora(name)]:
                del state[name]
        if ema is not None and ema.swapped:
            for name in ema.parameters_by_name:
                weight, mean = prefix + name, prefix + average_name(name)
                state[weight], state[mean] = state[mean], state[weight]
        return state

    def write(
        self,
        checkpoint: dict[str, Any],
        config: dict[str, Any],
        adaptation: Adaptation | None,
        heads: Mapping[str, Head] | None = None,
    ) -> None:
        """Add the run's settings and the names of the heads' rows; optimizer states become plain tensors."""
        meta: dict[str, Any] = {"config": config}
        named = {name: head.skeleton or head.classes for name, head in (heads or {}).items()}
        if vocabularies := {name: to_json(names_of(one)) for name, one in named.items() if one is not None}:
            meta[VOCABULARIES] = vocabularies
        if adaptation is not None:
            meta["adapt"] = adaptation.adapt.to_dict()
            if (licence := adaptation.backbone.licence_notice(self.source)) is not None:
                meta["licence"] = licence
        if self.identity is not None:
            meta["backbone"] = self.identity
        checkpoint[META] = meta
        if "optimizer_states" in checkpoint:
            checkpoint["optimizer_states"] = with_plain_states(checkpoint["optimizer_states"])

    def read(self, checkpoint: dict[str, Any]) -> dict[str, Any]:
        """Return what `write` added; optimizer states get back the tensor classes that the optimizer uses."""
        if "optimizer_states" in checkpoint:
            checkpoint["optimizer_states"] = with_own_states(checkpoint["optimizer_states"])
        saved: dict[str, Any] = checkpoint.get(META, {})
        return saved

    def match(
        self,
        checkpoint: dict[str, Any],
        module: nn.Module,
        ema: WeightAverage | None,
        trainer: Trainer | None,
    ) -> None:
        """Check that a checkpoint belongs to this backbone and these heads before anything is loaded.

        Args:
            checkpoint: The checkpoint, whose averages are changed in place.
            module: Has `backbone` and `heads`.
            ema: This run's averages, for which the checkpoint's averages are dropped or created.
            trainer: Knows the path of the checkpoint, for messages.

        Raises:
            WeightsError: The checkpoint belongs to another model, or to another pretrained backbone.
        """
        identity = checkpoint.get(META, {}).get("backbone")
        if identity is not None:
            origin = (self.identity or {}).get("weights", "this run")
            backbone = module.get_submodule("backbone")
            frozen = {plain_name(name): p for name, p in backbone.named_parameters()}
            check_identity(identity, frozen, str(origin), str(trainer and trainer.ckpt_path))
        if "state_dict" in checkpoint:
            match_averages(checkpoint["state_dict"], ema)
            names = set((identity or {}).get("names", ()))
            own = nn.Module.state_dict(module)
            left_out = {name for name in own if plain_name(name).removeprefix(BACKBONE) in names}
            match_state(module, checkpoint["state_dict"], frozenset(left_out))


def read_saved(path: str | None) -> dict[str, Any]:
    """Return what `CheckpointContent.write` added to the checkpoint at `path`; empty if there is no checkpoint."""
    return read_meta(path) if path and Path(path).exists() else {}


def match_averages(state: dict[str, Any], ema: WeightAverage | None) -> None:
    """Adjust the averages in a checkpoint to this run: drop them, or start them at its weights."""
    if ema is None:
        dropped = [name for name in state if name.startswith(AVERAGES)]
        for name in dropped:
            del state[name]
        if dropped:
            _log.warning("model.ema is null: the averages in the checkpoint are dropped.")
        return
    for name in ema.parameters_by_name:
        if average_name(name) not in state and name in state:
            state[average_name(name)] = state[name].float().clone()
