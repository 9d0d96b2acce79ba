"""A teacher's network: in eval mode, without gradients, and no part of the module that it teaches."""

import math
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.checkpoints.teachers import Origin
from sapiens2_lit.errors import SettingError
from sapiens2_lit.heads.base import Outputs
from sapiens2_lit.heads.pointmap import PointmapHead
from sapiens2_lit.models.network import Network
from sapiens2_lit.parallel.sharding import Sharding, reshard
from sapiens2_lit.training.distillation.source import TeacherSource
from sapiens2_lit.training.half_precision_weights import hold_in_bfloat16

_SAME_ASPECT = 0.02  # share by which two aspects may differ
_ASPECT_COUNTS = 4.0  # how much more a wrong aspect matters than a wrong number of pixels


@dataclass
class Answer:
    """What teachers say of one batch.

    Attributes:
        outputs: raw outputs by the student's head.
        tokens: the feature map of the first teacher, (B, C, h, w); None where it is not asked for.
        sizes: (height, width) of the images that the teacher saw, by the student's head.
    """

    outputs: dict[str, Outputs] = field(default_factory=dict)
    tokens: Tensor | None = None
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)


class TeacherNetwork:
    """One teacher; no `nn.Module`, so that the student's parameters, modes and checkpoints are its own.

    Args:
        network: with its weights; it comes into eval mode and wants no gradients.
        image_size: (height, width) that it was trained at.
        origin: of its weights.
        wanted_size: (height, width) at which it is to see images; None for its own.
        half: it computes in bfloat16.
        sharded: its parameters are spread over ranks.

    Attributes:
        heads: its own heads by the student's that they teach.
    """

    def __init__(
        self,
        network: Network,
        image_size: tuple[int, int],
        origin: Origin,
        *,
        wanted_size: tuple[int, int] | None = None,
        half: bool = False,
        sharded: bool = False,
    ) -> None:
        self.network = network.eval().requires_grad_(False)
        if network.backbone.activation_checkpointing is not None:
            network.backbone.activation_checkpointing = False  # there is no backward pass
        self.image_size, self.origin, self.wanted_size = image_size, origin, wanted_size
        self.half, self.sharded = half, sharded
        self.heads: dict[str, str] = {}

    def to(self, device: torch.device) -> None:
        """Move it there, unless it is sharded and there already."""
        if not self.sharded:
            self.network.to(device)

    def autocast(self) -> torch.autocast:
        """Return the precision in which it computes, whatever that of the student is."""
        kind = next(self.network.parameters()).device.type
        return torch.autocast("cpu" if kind == "meta" else kind, torch.bfloat16, enabled=self.half)

    def size_for(self, image: tuple[int, int]) -> tuple[int, int]:
        """(height, width) at which it sees images of that size.

        Its own, or, where that has another aspect, one of as many pixels that has theirs.

        Raises:
            SettingError: its point map head is bound to its own size, which has another aspect.
        """
        if self.wanted_size is not None:
            return self.wanted_size
        height, width = self.image_size
        if abs(height / width * image[1] / image[0] - 1) <= _SAME_ASPECT:
            return self.image_size
        if self.is_bound:
            raise SettingError(
                f"model.teacher: {self.origin.weights} sees images of {height} x {width} and no other aspect; found "
                f"data.image_size {list(image)}, expected one of that aspect"
            )
        return size_of_aspect(image, height * width, self.network.backbone.patch_size)

    @property
    def is_bound(self) -> bool:
        """Whether it takes images of its own size alone."""
        of_points = any(isinstance(head, PointmapHead) for _, head in self.network.named_heads())
        return of_points or not isinstance(self.network.backbone, Sapiens2)

    @torch.no_grad()
    def answer(self, images: Tensor, tokens: bool) -> Answer:
        """Return what it says of RGB 0..255 images (B, 3, H, W), as the student sees them, at a size of its own.

        Args:
            images: of any dtype.
            tokens: whether its feature map is wanted, too.
        """
        own = (images.shape[-2], images.shape[-1])
        size = self.size_for(own)
        seen = images if size == own else F.interpolate(images.float(), size, mode="bilinear", antialias=True)
        with self.autocast():
            features = self.network.features(seen)
            found = self.network.run_heads(features, seen, set(self.heads.values())) if self.heads else {}
        if self.sharded:
            reshard(self.network)
        outputs = {name: found[head] for name, head in self.heads.items()}
        return Answer(outputs, features[-1] if tokens else None, dict.fromkeys(outputs, size))


def size_of_aspect(image: tuple[int, int], area: int, patch: int) -> tuple[int, int]:
    """(height, width) in whole patches, of about the aspect of `image` and about as many pixels as `area`."""
    cells, aspect = area / patch**2, image[0] / image[1]
    tried = [
        (rows, max(1, round(rows / aspect))) for rows in range(1, 2 + round(2 * math.sqrt(cells * aspect)))
    ]

    def apart(grid: tuple[int, int]) -> float:
        rows, columns = grid
        shape, size = math.log(rows / columns / aspect), math.log(rows * columns / cells)
        return _ASPECT_COUNTS * abs(shape) + abs(size)

    rows, columns = min(tried, key=apart)
    return rows * patch, columns * patch


def build_teacher(
    source: TeacherSource, sharding: Sharding | None, half: bool, wanted_size: tuple[int, int] | None
) -> TeacherNetwork:
    """Make a teacher with its weights, sharded where the student is.

    Args:
        source: of it.
        sharding: of the student; None for the whole on every device.
        half: it computes in bfloat16; where it is whole, what then computes in it is held in it.
        wanted_size: see `TeacherNetwork`.

    Raises:
        WeightsError: its weights cannot be read.
    """
    own = None if sharding is None else replace(sharding, compute=torch.bfloat16 if half else None)
    network = source.factory.build(True, own)
    network.requires_grad_(False)
    source.factory.finish(network, True, own, nn.Module())
    if half and own is None:
        hold_in_bfloat16(network.backbone, ())
    if own is not None:
        move_buffers(network, own.device())
    return TeacherNetwork(
        network, source.image_size, source.origin, wanted_size=wanted_size, half=half, sharded=own is not None
    )


def move_buffers(network: nn.Module, device: torch.device) -> None:
    """Bring buffers beside the sharded parameters, in place."""
    for module in network.modules():
        for name, buffer in module._buffers.items():
            if buffer is not None and not hasattr(buffer, "device_mesh"):
                module._buffers[name] = buffer.to(device)


def empty_teacher(
    source: TeacherSource, half: bool, sharded: bool, wanted_size: tuple[int, int] | None
) -> TeacherNetwork:
    """Return the same without values, on the meta device, as a plan needs it."""
    network = source.factory.build_empty()
    if half and not sharded:
        with torch.device("meta"):
            hold_in_bfloat16(network.backbone, ())
    return TeacherNetwork(network, source.image_size, source.origin, wanted_size=wanted_size, half=half)
