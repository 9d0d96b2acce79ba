"""Find where a heatmap's peak lies between its pixels, from the patch around the largest pixel.

There are two estimators, both on (..., P, P) patches with the maximum in the middle, both exact for a Gaussian:

- `newton_step`: blur, logarithm, one Newton step (DARK, Zhang et al., CVPR 2020). It needs a complete patch: a blur
across the map's border mixes in values that do not exist, which moves the peak by pixels.
- `fit_gaussian`: fits a circular Gaussian to the logarithms of the pixels that do exist, by least squares. Each pixel
is weighted by its squared value, which is right for equal noise on all pixels (Guo, "A simple algorithm for fitting a
Gaussian function", IEEE SPM 2011). Missing pixels then cause no bias.
"""

import torch
from torch import Tensor

# Settings of `fit_gaussian`, chosen by the error on Gaussians of sigma 1 to 6 at edges and corners under noise.
_FLOOR = 0.2  # pixels below this share of the peak are mostly noise
_WINDOW = 1.5  # sigmas over which the weight of pixels falls off with their distance
_STIFFNESS = 0.01  # weight of the expected width against the evidence of the pixels
_WIDEST = 4.0  # in sigmas: a wider fit has no peak


def newton_step(patch: Tensor, blur_kernel: int, blur_sigma: float) -> Tensor:
    """Return the offset of the peak from the middle of a patch; zero where the logarithm is not concave.

    Args:
        patch: (..., P, P), with P = blur_kernel + 2.
        blur_kernel: Side of the blur, odd.
        blur_sigma: Standard deviation of the blur, in pixels.

    Returns:
        (..., 2) as x, y, in pixels.
    """
    half = blur_kernel // 2
    reach = torch.arange(blur_kernel + 2, device=patch.device, dtype=patch.dtype) - half - 1
    distance = reach - torch.tensor([[-1.0], [0.0], [1.0]], device=patch.device, dtype=patch.dtype)
    blur_sp = torch.exp(-(distance**2) / (2 * blur_sigma**2)).masked_fill(distance.abs() > half, 0)
    blurred = blur_sp @ patch @ blur_sp.mT  # only the 3 x 3 stencil; its scale does not matter below
    floor = blurred.amax(dim=(-2, -1), keepdim=True).clamp_min(torch.finfo(patch.dtype).tiny) * 1e-3
    log = torch.log(blurred.maximum(floor))

    middle, left, right = log[..., 1, 1], log[..., 1, 0], log[..., 1, 2]
    above, below = log[..., 0, 1], log[..., 2, 1]
    dx, dy = (right - left) / 2, (below - above) / 2
    dxx, dyy = right - 2 * middle + left, below - 2 * middle + above
    # the mixed second difference of UDP: the mean of the two along the diagonal
    dxy = (log[..., 2, 2] + log[..., 0, 0] + 2 * middle - left - right - above - below) / 2
    determinant = dxx * dyy - dxy**2
    # 1e-8: a peak wider than 100 pixels in both directions is a rounding error
    concave = (determinant > 1e-8) & (dxx < 0)
    step = torch.stack([dxy * dy - dyy * dx, dxy * dx - dxx * dy], dim=-1)
    return torch.where(concave[..., None], step / determinant[..., None], 0.0)


def fit_gaussian(patch: Tensor, inside: Tensor, sigma: float) -> Tensor:
    """Return the offset of the peak from the middle of a patch; zero where the fit has no peak.

    The residual of the logarithm against a Gaussian of `sigma` around the middle is fitted by a + b u + c v - d (u^2 +
    v^2) / 2, with u, v in sigmas; the peak is at (b, c) / (1 + d). A weak pull of d toward zero, the expected width,
    stabilizes the width where a corner leaves few pixels.

    Args:
        patch: (..., P, P).
        inside: (..., P, P) bool, the pixels that exist.
        sigma: Expected standard deviation, in pixels.

    Returns:
        (..., 2) as x, y, in pixels.
    """
    size = patch.shape[-1]
    reach = (torch.arange(size, device=patch.device, dtype=patch.dtype) - size // 2) / sigma
    v, u = (axis.flatten() for axis in torch.meshgrid(reach, reach, indexing="ij"))
    square = (u**2 + v**2) / 2
    value = patch.flatten(-2)
    tiny = torch.finfo(patch.dtype).tiny
    value = value / value[..., size**2 // 2, None].clamp_min(tiny)
    counts = inside.flatten(-2) & (value > _FLOOR)
    value = value.clamp_min(_FLOOR)
    weight = torch.where(counts, value**2 * torch.exp(-square / _WINDOW**2), 0.0)
    weight = weight / weight.sum(dim=-1, keepdim=True).clamp_min(tiny)

    # Columns and residual are centered, so that a drops out and float32 is enough for the 3 x 3 system.
    columns = torch.stack([u, v, -square], dim=-1)
    centred = columns - (weight[..., None, :] @ columns)
    residual = torch.log(value) + square
    residual = residual - (weight * residual).sum(dim=-1, keepdim=True)
    weighted = (centred * weight[..., None]).mT
    normal = weighted @ centred
    ridge = normal[..., 2, 2] * _STIFFNESS
    normal = normal + torch.diag_embed(torch.stack([torch.zeros_like(ridge)] * 2 + [ridge], dim=-1))
    normal = normal + 1e-7 * torch.eye(
        3, device=patch.device, dtype=patch.dtype
    )  # a single pixel gives a singular system
    solution = torch.linalg.solve_ex(normal, weighted @ residual[..., None]).result[..., 0]
    curvature = 1 + solution[..., 2:]
    return torch.where(curvature > _WIDEST**-2, sigma * solution[..., :2] / curvature, 0.0)
