"""A teacher's network: in eval mode, without gradients, and not part of the module that it teaches."""

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
_ASPECT_COUNTS = 4.0  # weight of a wrong aspect against a wrong number of pixels


@dataclass
class Answer:
    """The teachers' answer to one batch.

    Attributes:
        outputs: Raw outputs by name of the student's head.
        tokens: Feature map of the first teacher, (B, C, h, w); None if it was not asked for.
        sizes: (height, width) of the images that the teacher saw, by name of the student's head.
    """

    outputs: dict[str, Outputs] = field(default_factory=dict)
    tokens: Tensor | None = None
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)


class TeacherNetwork:
    """One teacher; not an `nn.Module`, so that it is not part of the student's parameters, modes and checkpoints.

    Args:
        network: The network with its weights; it is set to eval mode without gradients.
        image_size: (height, width) that it was trained at.
        origin: Origin of its weights.
        wanted_size: (height, width) at which it sees images; None for the size that it was trained at.
        half: Whether it computes in bfloat16.
        sharded: Whether its parameters are spread over ranks.

    Attributes:
        heads: Names of its heads, by name of the student's head that they teach.
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
        """Move the network to a device, unless it is sharded and there already."""
        if not self.sharded:
            self.network.to(device)

    def autocast(self) -> torch.autocast:
        """Return the autocast context in which it computes, independent of the student's."""
        kind = next(self.network.parameters()).device.type
        return torch.autocast("cpu" if kind == "meta" else kind, torch.bfloat16, enabled=self.half)

    def size_for(self, image: tuple[int, int]) -> tuple[int, int]:
        """Return (height, width) at which it sees images of a size.

        That is its own size; if the aspects differ, it is the images' aspect with as many pixels as its own size.

        Raises:
            SettingError: Its point map head needs its own size, which has another aspect.
        """
        if self.wanted_size is not None:
            return self.wanted_size
        height, width = self.image_size
        if abs(height / width * image[1] / image[0] - 1) <= _SAME_ASPECT:
            return self.image_size
        if self.is_bound:
            raise SettingError(
                f"model.teacher: {self.origin.weights} takes images of {height} x {width} and no other aspect; found "
                f"data.image_size {list(image)}, expected one of that aspect"
            )
        return size_of_aspect(image, height * width, self.network.backbone.patch_size)

    @property
    def is_bound(self) -> bool:
        """Whether it only takes images of its own size."""
        of_points = any(isinstance(head, PointmapHead) for _, head in self.network.named_heads())
        return of_points or not isinstance(self.network.backbone, Sapiens2)

    @torch.no_grad()
    def answer(self, images: Tensor, tokens: bool) -> Answer:
        """Return its answer to the student's images, resized to the size that it needs.

        Args:
            images: RGB in 0..255, (B, 3, H, W), of any dtype.
            tokens: Whether to return its feature map, too.
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
    """Return (height, width) in whole patches, with about the aspect of an image and about the given area.

    Args:
        image: (height, width) of the image.
        area: Wanted number of pixels.
        patch: Side of a patch in pixels.
    """
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
    """Build a teacher with its weights, sharded if the student is.

    Args:
        source: Where it comes from.
        sharding: Sharding of the student; None for a whole teacher on every device.
        half: It computes in bfloat16; a whole teacher's backbone is then held in bfloat16.
        wanted_size: See `TeacherNetwork`.

    Raises:
        WeightsError: Its weights cannot be read.
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
    """Move buffers to the device of the sharded parameters, in place."""
    for module in network.modules():
        for name, buffer in module._buffers.items():
            if buffer is not None and not hasattr(buffer, "device_mesh"):
                module._buffers[name] = buffer.to(device)


def empty_teacher(
    source: TeacherSource, half: bool, sharded: bool, wanted_size: tuple[int, int] | None
) -> TeacherNetwork:
    """Build a teacher without values on the meta device, for planning.

    Args:
        source: Where it comes from.
        half: See `build_teacher`.
        sharded: Whether the student is sharded.
        wanted_size: See `TeacherNetwork`.
    """
    network = source.factory.build_empty()
    if half and not sharded:
        with torch.device("meta"):
            hold_in_bfloat16(network.backbone, ())
    return TeacherNetwork(network, source.image_size, source.origin, wanted_size=wanted_size, half=half)
