"""Pinhole cameras: projection, intrinsics of a warped image, the canonical camera, focal length from points.

Camera frame: x right, y down, z forward, meters. Pixel centers are integers: an image of width W covers -0.5 <= u < W -
0.5. Intrinsics K = [[fx, skew, cx], [0, fy, cy], [0, 0, 1]] map x / z, y / z, 1 to u, v, 1.

Legend: B batch, H and W pixels; u, v pixel coordinates, x, y, z meters.
"""

import math
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

CANONICAL_FOCAL = 768.0  # pixels, at CANONICAL_SIZE: arXiv:2307.10984 calls it the canonical camera
CANONICAL_SIZE = (1024, 768)


def pixel_grid(size: tuple[int, int], like: Tensor) -> tuple[Tensor, Tensor]:
    """Return coordinates u (1, W) and v (H, 1) of the pixel centers, with the dtype and device of `like`."""
    height, width = size
    u = torch.arange(width, dtype=like.dtype, device=like.device)
    v = torch.arange(height, dtype=like.dtype, device=like.device)
    return u[None, :], v[:, None]


def pixel_rays(intrinsics: Tensor, size: tuple[int, int]) -> Tensor:
    """Return x / z and y / z of each pixel's ray, (B, 2, H, W), from intrinsics (B, 3, 3)."""
    u_1w, v_h1 = pixel_grid(size, intrinsics)
    fx, skew, cx, fy, cy = (
        intrinsics[:, i, j, None, None] for i, j in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2))
    )
    y = ((v_h1 - cy) / fy).expand(-1, *size)
    return torch.stack([(u_1w - cx - skew * y) / fx, y], dim=1)


def unproject(depth: Tensor, intrinsics: Tensor) -> Tensor:
    """Return the point map (B, 3, H, W) of depth along z (B, 1, H, W), seen with intrinsics (B, 3, 3)."""
    rays_b2hw = pixel_rays(intrinsics, (depth.shape[-2], depth.shape[-1]))
    return torch.cat([rays_b2hw * depth, depth], dim=1)


def project(points: Tensor, intrinsics: Tensor) -> Tensor:
    """Return the pixels u, v (B, 2, H, W) of a point map (B, 3, H, W); points with z = 0 have none."""
    x, y = (points[:, :2] / points[:, 2:]).unbind(dim=1)
    fx, skew, cx, fy, cy = (
        intrinsics[:, i, j, None, None] for i, j in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2))
    )
    return torch.stack([fx * x + skew * y + cx, fy * y + cy], dim=1)


def warp_intrinsics(intrinsics: Tensor, affine: Tensor) -> tuple[Tensor, Tensor]:
    """Return the camera of an image that was warped by a 2-D affine: A K = K' Q.

    K' is upper triangular with a positive diagonal, Q is orthogonal: points and normals in the new camera's frame are Q
    times the old ones. Since A is affine, Q rotates about the line of sight, with a reflection if A mirrors, and the RQ
    decomposition has this closed form. Scaling both axes equally leaves no skew.

    Args:
        intrinsics: (..., 3, 3), upper triangular, last row 0, 0, 1.
        affine: (..., 2, 3), old pixel -> new pixel, invertible.

    Returns:
        K' (..., 3, 3) and Q (..., 3, 3), in the wider dtype of the two.
    """
    dtype = torch.promote_types(intrinsics.dtype, affine.dtype)
    intrinsics, affine = intrinsics.to(dtype), affine.to(dtype)
    linear = _times(affine[..., :2], intrinsics[..., :2, :2])
    centre = _times(affine[..., :2], intrinsics[..., :2, 2:])[..., 0] + affine[..., 2]
    first, second = linear[..., 0, :], linear[..., 1, :]
    fy = torch.linalg.vector_norm(second, dim=-1)
    q_y = second / fy[..., None]
    across = torch.stack([q_y[..., 1], -q_y[..., 0]], dim=-1)
    along = (first * across).sum(dim=-1)
    q_x = torch.where(along[..., None] < 0, -across, across)
    zero, one = torch.zeros_like(fy), torch.ones_like(fy)
    warped = [
        along.abs(),
        (first * q_y).sum(dim=-1),
        centre[..., 0],
        zero,
        fy,
        centre[..., 1],
        zero,
        zero,
        one,
    ]
    turn = [q_x[..., 0], q_x[..., 1], zero, q_y[..., 0], q_y[..., 1], zero, zero, zero, one]
    shape = (*fy.shape, 3, 3)
    return torch.stack(warped, dim=-1).reshape(shape), torch.stack(turn, dim=-1).reshape(shape)


def warp_camera(
    intrinsics: npt.NDArray[np.float64], affine: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Compute `warp_intrinsics` for one camera (3, 3) and one affine (2, 3), ten times as fast, for data loaders."""
    linear, centre = affine[:, :2] @ intrinsics[:2, :2], affine @ (intrinsics[0, 2], intrinsics[1, 2], 1.0)
    first, (down_x, down_y) = linear[0], linear[1]
    fy = math.hypot(down_x, down_y)
    q_y = linear[1] / fy
    across = np.array([q_y[1], -q_y[0]])
    along = float(first @ across)
    q_x = -across if along < 0 else across
    warped = np.array([[abs(along), first @ q_y, centre[0]], [0, fy, centre[1]], [0, 0, 1]])
    return warped, np.array([[*q_x, 0], [*q_y, 0], [0, 0, 1]])


def rotate_vectors(vectors: Tensor, turn: Tensor) -> Tensor:
    """Multiply each vector of a map (B, 3, H, W) by Q (B, 3, 3): points or normals in the frame of a warped image."""
    return (turn[:, :, :, None, None] * vectors[:, None]).sum(dim=2)


def canonical_focal(size: tuple[int, int]) -> float:
    """Return the focal length in pixels of the canonical camera for images of a size (height, width).

    It is 768 at 1024 x 768, and proportional to the square root of the area. So resizing an image does not change
    canonical points, and a landscape image has the same camera as a portrait image.
    """
    height, width = size
    return CANONICAL_FOCAL * math.sqrt(height * width / (CANONICAL_SIZE[0] * CANONICAL_SIZE[1]))


def canonical_scale(intrinsics: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the factor s = canonical focal length / fx from meters to canonical units, (B,): target = s (X, Y, Z).

    Args:
        intrinsics: (B, 3, 3) of the image as the network sees it.
        size: (height, width) of that image.
    """
    return canonical_focal(size) / intrinsics[:, 0, 0]


def intrinsics_from_focal(focal: Tensor, size: tuple[int, int]) -> Tensor:
    """Return intrinsics (B, 3, 3) with square pixels, focal lengths (B,) and a principal point in the middle."""
    height, width = size
    intrinsics = torch.zeros(len(focal), 3, 3, dtype=focal.dtype, device=focal.device)
    intrinsics[:, 0, 0] = intrinsics[:, 1, 1] = focal
    intrinsics[:, 0, 2], intrinsics[:, 1, 2], intrinsics[:, 2, 2] = (width - 1) / 2, (height - 1) / 2, 1
    return intrinsics


def focal_from_field_of_view(angle: Tensor, length: int) -> Tensor:
    """Return the focal length in pixels, with the shape of `angle`, for a principal point in the middle.

    Args:
        angle: Field of view in radians, of any shape.
        length: Pixels that it covers.
    """
    return length / (2 * torch.tan(angle / 2))


def field_of_view(intrinsics: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the horizontal and vertical field of view (B, 2) in radians, from border to border of the image."""
    extent = torch.tensor([size[1], size[0]], dtype=intrinsics.dtype, device=intrinsics.device)
    focal = torch.stack([intrinsics[:, 0, 0], intrinsics[:, 1, 1]], dim=1)
    before = intrinsics[:, :2, 2] + 0.5
    return torch.atan(before / focal) + torch.atan((extent - before) / focal)


def recover_focal(
    points: Tensor,
    valid: Tensor,
    *,
    principal: Tensor | Literal["free"] | None = None,
    shift: bool = False,
) -> tuple[Tensor, Tensor]:
    """Return the focal length, and a shift along z, that put the points of a map onto their pixels, by least squares.

    Pixels are square without skew: X = (Z + shift) (u - cx) / f, Y = (Z + shift) (v - cy) / f. The squared differences
    of X and Y from the right sides are minimized, which is linear in 1 / f and shift / f. Without a shift, noise of the
    points hardly biases f.

    Args:
        points: (B, 3, H, W) in any one unit.
        valid: (B, 1, H, W) bool; other points may hold anything.
        principal: (B, 2) cx, cy; None for the middle of the image; `free` to fit it too, which crops need.
        shift: Whether the depth may be off by a constant. This needs points at different depths, and a known
            `principal`.

    Returns:
        Focal length (B,) in pixels, and shift (B,) in the unit of the points, 0 unless asked for. NaN if the points do
            not determine them: none is valid, all have one depth, or they lie behind the camera.
    """
    points = torch.where(valid, points, 0)
    u_1w, v_h1 = pixel_grid((points.shape[-2], points.shape[-1]), points)
    x, y, z = points.unbind(dim=1)
    if principal == "free":
        assert not shift
        # With the best cx and cy for any f, distances from the mean pixel and the mean ray remain, weighted by z².
        weight = z / z.square().sum(dim=(1, 2), keepdim=True)
        principal = torch.stack([(weight * z * side).sum(dim=(1, 2)) for side in (u_1w, v_h1)], dim=1)
        x, y = (side - z * (weight * side).sum(dim=(1, 2), keepdim=True) for side in (x, y))
    elif principal is None:
        principal = points.new_tensor([(points.shape[-1] - 1) / 2, (points.shape[-2] - 1) / 2])[None]
    u = u_1w - principal[:, 0, None, None]
    v = v_h1 - principal[:, 1, None, None]
    lever = torch.where(valid[:, 0], u.square() + v.square(), 0)
    moment = u * x + v * y
    middle = (lever * z).sum(dim=(1, 2)) / lever.sum(dim=(1, 2)) if shift else torch.zeros_like(x[:, 0, 0])
    relief = torch.where(valid[:, 0], z - middle[:, None, None], 0)
    energy = (lever * relief.square()).sum(dim=(1, 2))
    inverse = (relief * moment).sum(dim=(1, 2)) / energy
    # rounding alone gives a plane parallel to the image a relief of this size at most
    floor = (8 * torch.finfo(z.dtype).eps) ** 2 * (lever * z.square()).sum(dim=(1, 2))
    focal = torch.where((energy > floor) & (inverse > 0), 1 / inverse, torch.nan)
    if not shift:
        return focal, 0 * focal
    return focal, moment.sum(dim=(1, 2)) / lever.sum(dim=(1, 2)) * focal - middle


def _times(left: Tensor, right: Tensor) -> Tensor:
    """Multiply small matrices without matmul, which would lose digits under autocast and TF32."""
    return (left[..., :, :, None] * right[..., None, :, :]).sum(dim=-2)
