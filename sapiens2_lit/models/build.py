"""Build networks from factories, and load whole models from files into them."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from sapiens2_lit.backbones.base import Backbone
from sapiens2_lit.checkpoints import load_state, open_weights, task_state
from sapiens2_lit.checkpoints.format import BACKBONE
from sapiens2_lit.checkpoints.head_names import RELEASED, read_head_names
from sapiens2_lit.checkpoints.lazy_safetensors import Readable
from sapiens2_lit.decoders import Decoding, Recompute
from sapiens2_lit.errors import SettingError, WeightsError
from sapiens2_lit.heads.base import Head, set_recompute
from sapiens2_lit.lora import reset_adapters
from sapiens2_lit.models.check_file import check_depth, check_dropped, check_whole
from sapiens2_lit.models.network import Network
from sapiens2_lit.models.rows_by_name import rows_by_name
from sapiens2_lit.parallel.seeded_init import init_sharded, rng_for
from sapiens2_lit.parallel.sharding import Sharding

MakeBackbone = Callable[[], Backbone]
MakeHeads = Mapping[str, Callable[[int], Head]]
OfBackbone = Callable[[Backbone], Any]  # gives what heads are made from


def width_of(backbone: Backbone) -> int:
    """Return what heads of a task are made from: the channels of the feature maps."""
    return backbone.embed_dim


log = logging.getLogger(__name__)


@dataclass(frozen=True)
class NetworkFactory:
    """Makes the network of a training with its initial values, on one device or sharded.

    Args:
        backbone: Makes the backbone.
        heads: Makes each head from the backbone's `embed_dim`, by name.
        weights: A task file or a checkpoint, loaded as a whole instead of the backbone's `weights`.
        reinitialize: See `load_task_file`.
        drop: See `load_task_file`.
        head_checkpointing: Which decoder maps the backward pass computes again; see `set_recompute`.
        compile: Compile the backbone's blocks and the decoders.
        reuse_rows: See `load_task_file`.
        made_from: Returns what each head is made from, given the backbone.
        decoding: How decoders compute.

    Raises:
        SettingError: There is no head, or a setting has no effect.
    """

    backbone: MakeBackbone
    heads: MakeHeads
    weights: str | None = None
    reinitialize: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    head_checkpointing: Recompute = "none"
    compile: bool = False
    reuse_rows: bool = True
    made_from: OfBackbone = width_of
    decoding: Decoding = field(default_factory=Decoding)

    def __post_init__(self) -> None:
        if not self.heads:
            raise SettingError("model.heads: no head given; name at least one, such as pose")
        for setting, prefixes in (("reinitialize", self.reinitialize), ("drop", self.drop)):
            if prefixes and not self.weights:
                raise SettingError(f"model.{setting}: {list(prefixes)} has no effect without model.weights")

    def source(self, backbone: Backbone) -> str | None:
        """Return where the pretrained weights of the backbone come from; None for random values."""
        return self.weights or backbone.weights

    def build_empty(self) -> Network:
        """Return the network on the meta device: it takes no memory, reads no file and has no values."""
        with torch.device("meta"):
            backbone = self.backbone()
            given = self.made_from(backbone)
            network = Network(backbone, {name: make(given) for name, make in self.heads.items()})
        set_recompute(dict(network.heads.items()), self.head_checkpointing)
        network.decoding = self.decoding
        return network

    def build(self, read_weights: bool, sharding: Sharding | None = None) -> Network:
        """Return the network. With `sharding`, its backbone has no values before `finish`.

        Args:
            read_weights: Read pretrained weights; False if a checkpoint brings every weight.
            sharding: How to shard; None for one device.

        Raises:
            SettingError: The settings of decoders do not work with sharding.
        """
        if sharding is not None and self.decoding.channels_last:
            raise SettingError(
                "model.decoding.channels_last: true, but FSDP2 keeps weights in the order of its shards, so that every "
                "convolution would reorder them: expected false with trainer.strategy FSDP2."
            )
        pretrained = read_weights and not self.weights
        network = build(self.backbone, self.heads, pretrained, sharding, self.made_from)
        set_recompute(dict(network.heads.items()), self.head_checkpointing)
        network.decoding = self.decoding
        if sharding is None:
            self.decoding.prepare(network.heads.values())
        if read_weights and sharding is None:
            self._load(network)
        return network

    def finish(
        self, network: Network, read_weights: bool, sharding: Sharding | None, balancer: nn.Module
    ) -> None:
        """Compile and shard the adapted network in place, and give it its values.

        Args:
            network: From `build`, with adapters if there are any.
            read_weights: See `build`.
            sharding: See `build`.
            balancer: The module that weights the heads' losses; it is sharded too.
        """
        if self.compile:
            network.compile_parts(decoders=sharding is None)  # hooks of sharded ones would break the graph
        if sharding is None:
            return
        shard_backbone(sharding, network.backbone)
        shard_if_any(sharding, balancer)
        kept = any(prefix.startswith("backbone") for prefix in self.reinitialize)
        own = read_weights and not self.weights
        brought = not read_weights or (self.weights is not None and not kept)
        fill_backbone(sharding, network.backbone, from_file=own, brought=brought)
        if read_weights:
            self._load(network)

    def _load(self, network: Network) -> None:
        if self.weights:
            load_task_file(network, self.weights, self.reinitialize, self.drop, self.reuse_rows)


def build(
    make_backbone: MakeBackbone,
    make_heads: MakeHeads,
    pretrained: bool,
    sharding: Sharding | None = None,
    made_from: OfBackbone = width_of,
) -> Network:
    """Return a network whose initial values depend only on the run's seed and the names of its parts.

    With `sharding`, heads are built whole and sharded one by one. The backbone stays on the meta device until
    `shard_backbone` shards it and `fill_backbone` gives it values.

    Args:
        make_backbone: Makes the backbone.
        make_heads: Makes each head, by name.
        pretrained: Read the backbone's `weights`; False if a checkpoint or a task file brings them.
        sharding: How to shard; None for one device.
        made_from: Returns what each head is made from, given the backbone.
    """
    if pretrained and sharding is None:
        with rng_for("backbone"):
            backbone = make_backbone()
    else:
        with torch.device("meta"):
            backbone = make_backbone()
    if not pretrained and sharding is None:
        backbone.to_empty(device=torch.empty(0).device)
        with rng_for("backbone"):
            backbone.init_weights()
    heads = {}
    for name, make in make_heads.items():
        with rng_for(f"heads.{name}"):
            heads[name] = make(made_from(backbone))
        if sharding is not None:
            shard_if_any(sharding, heads[name])
    return Network(backbone, heads)


def shard_backbone(sharding: Sharding, backbone: Backbone) -> None:
    """Shard the backbone block by block, in place."""
    blocks = list(backbone.blocks)
    sharding.shard_backbone(backbone, blocks, backbone.other_parts(), backbone.forward_methods)


def shard_if_any(sharding: Sharding, module: nn.Module) -> None:
    """Shard a module in place if it has parameters."""
    if any(True for _ in module.parameters()):
        sharding.shard(module)


def fill_backbone(sharding: Sharding, backbone: Backbone, from_file: bool, brought: bool) -> None:
    """Give a sharded backbone on the meta device the values that it would have in one process.

    Args:
        sharding: How it is sharded.
        backbone: The backbone.
        from_file: Load the backbone's `weights`, if it has any; each rank reads its part of them.
        brought: A checkpoint or a task file will bring all values, so random ones need not be drawn.
    """
    sharding.materialize(backbone)
    from_file = from_file and backbone.weights is not None
    with rng_for("backbone"):
        init_sharded(backbone.init_weights, draw=not (from_file or brought))
    reset_adapters(backbone)
    if from_file:
        backbone.load_weights()


def load_task_file(
    network: Network,
    source: str,
    reinitialize: tuple[str, ...] = (),
    drop: tuple[str, ...] = (),
    reuse_rows: bool = True,
) -> None:
    """Load a released task file, or weights of this project, strictly into a network.

    A released file has one head; it is loaded into the head of the network that is not in `reinitialize`.

    Args:
        network: The network.
        source: File, folder or hub id.
        reinitialize: Names, or leading parts of names, of what keeps its initial values.
        drop: Names, or leading parts of names, of what the file has and the network has not, to leave out.
        reuse_rows: Copy rows of last layers by name, where the vocabularies differ.

    Raises:
        SettingError: The head of a released file is ambiguous, or `drop` names nothing in the file or something that
            the network has.
        WeightsError: The file is not found, or does not fit outside `reinitialize` and `drop`.
    """
    heads = [name for name, _ in network.named_heads()]
    network.backbone.check_source(source)
    found = open_weights(source, backbone=network.backbone.weights)
    tensors: Mapping[str, Readable] = found.tensors
    names = read_head_names(source, tensors) if reuse_rows else {}
    if any(name.startswith("decode_head.") for name in tensors):
        known = [name for name in heads if f"heads.{name}" not in reinitialize]
        if len(known) != 1:
            raise SettingError(
                f"model.weights: {found.origin} is a task file with one head, but there are {len(known)} to load "
                f"({', '.join(known)}); list the new ones, as in model.reinitialize: [heads.{heads[-1]}], or load the "
                "backbone alone by model.backbone.weights"
            )
        own: dict[str, Readable] = {  # such files lack what a loss counts in the training data
            name: value
            for name, value in network.state_dict().items()
            if name.startswith(f"heads.{known[0]}.losses.")
        }
        tensors = own | task_state(tensors, known[0])
        names = {known[0]: names[RELEASED]} if RELEASED in names else {}
        check_depth(network, known[0], found)
    check_whole(tensors, found.origin)
    tensors = network.backbone.fit_tensors(tensors, found.origin, BACKBONE)
    check_dropped(drop, tensors, network, found.origin)
    ignore = dict.fromkeys(drop, "dropped, as asked")
    tensors, by_rows = rows_by_name(network, tensors, names, found.origin, reinitialize)
    report = load_state(network, tensors, source=found.origin, reinitialize=reinitialize, ignore=ignore)
    report.by_rows = by_rows
    log.info("%s", report.summary())


def match_state(module: nn.Module, tensors: Mapping[str, Tensor], left_out: frozenset[str]) -> None:
    """Check that a checkpoint belongs to this model before anything is loaded.

    Args:
        module: The model.
        tensors: State of the checkpoint by name.
        left_out: Names that the checkpoint may lack because the pretrained backbone has them.

    Raises:
        WeightsError: Names or shapes differ; the message lists them and says what to compare.
    """
    own = nn.Module.state_dict(module)
    missing = sorted(own.keys() - tensors.keys() - left_out)
    unexpected = sorted(tensors.keys() - own.keys())
    shapes = [
        f"{name}: {tuple(tensors[name].shape)} in the checkpoint, {tuple(own[name].shape)} here"
        for name in sorted(own.keys() & tensors.keys())
        if tensors[name].shape != own[name].shape
    ]
    parts = [
        ("missing in the checkpoint", missing),
        ("unknown here", unexpected),
        ("of another shape", shapes),
    ]
    if lines := [f"{len(names)} {what}: {'; '.join(names[:5])}" for what, names in parts if names]:
        raise WeightsError(
            "the checkpoint belongs to another model:\n  " + "\n  ".join(lines) + "\n"
            "Compare model.backbone.size and the heads' settings (such as the skeleton) with those of its training."
        )
