"""Surface normals of point maps, and the two frames in which files hold them.

Normals point toward the camera: z < 0 in the camera's frame (x right, y down, z forward).

Legend: B batch, H and W pixels.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Difference = Literal["forward", "central"]


def area_vectors(points: Tensor, difference: Difference = "forward") -> Tensor:
    """Return vectors (B, 3, H, W) along the normals, whose length is the area that the differences span.

    At the borders the inner difference is repeated; `normals_support` says where nothing was repeated.

    Args:
        points: (B, 3, H, W), 2 x 2 pixels or more, 3 x 3 for central differences.
        difference: `forward` to the next pixel, or `central` between both neighbors, which commutes with flips.
    """
    reach = 1 if difference == "forward" else 2
    before, after = (0, 1) if difference == "forward" else (1, 1)
    right = points[..., :, reach:] - points[..., :, :-reach]
    down = points[..., reach:, :] - points[..., :-reach, :]
    right = F.pad(right, (before, after, 0, 0), mode="replicate")
    down = F.pad(down, (0, 0, before, after), mode="replicate")
    return torch.linalg.cross(down, right, dim=1)


def normals_support(valid: Tensor, difference: Difference = "forward") -> Tensor:
    """Return where all points that a normal is computed from are valid, from `valid` (B, 1, H, W) bool; same shape."""
    supported = valid.clone()
    supported[..., :, :-1] &= valid[..., :, 1:]
    supported[..., :-1, :] &= valid[..., 1:, :]
    supported[..., :, -1] = supported[..., -1, :] = False
    if difference == "central":
        supported[..., :, 1:] &= valid[..., :, :-1]
        supported[..., 1:, :] &= valid[..., :-1, :]
        supported[..., :, 0] = supported[..., 0, :] = False
    return supported


def normals_from_points(
    points: Tensor, valid: Tensor, difference: Difference = "forward"
) -> tuple[Tensor, Tensor]:
    """Return unit normals (B, 3, H, W) of a point map, and where they exist (B, 1, H, W); zero elsewhere.

    Args:
        points: (B, 3, H, W) in the camera's frame, any unit.
        valid: (B, 1, H, W) bool; invalid points may hold anything.
        difference: `forward` to the next pixel, or `central` between both neighbors, which commutes with flips.
    """
    vectors = area_vectors(torch.where(valid, points, 0), difference)
    length = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
    known = normals_support(valid, difference) & (length > 0)
    return torch.where(known, vectors, 0) / torch.where(known, length, 1), known


def swap_frame(vectors: Tensor) -> Tensor:
    """Convert vectors (..., 3, H, W) from OpenCV's frame (y down, z forward) to OpenGL's, or back.

    In OpenGL's frame y points up and z toward the viewer.
    """
    return vectors * vectors.new_tensor([1, -1, -1])[:, None, None]
