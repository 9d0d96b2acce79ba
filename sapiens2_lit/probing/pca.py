"""Draw what varies most among the tokens of people, in the same three colors for all pictures.

Legend: N tokens, C channels, h and w cells.
"""

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from sapiens2_lit.probing.features import SplitFeatures

_BATCH = 32
_RANGE = (0.02, 0.98)  # quantiles of the training tokens that are drawn black and full
_DARK = 24  # of the background

Masks = Tensor  # (N, H, W) bool: where people are


def pca_pictures(
    train: SplitFeatures,
    train_rows: Tensor,
    train_masks: Masks,
    test: SplitFeatures,
    test_rows: Tensor,
    test_masks: Masks,
    size: tuple[int, int],
) -> list[npt.NDArray[np.uint8]]:
    """Draw three principal components of the training tokens of people: RGB (H, W, 3), one for each test row.

    All pictures share one basis; the sign of a component is chosen so that it rises towards the top of pictures, which
    makes backbones comparable.

    Args:
        train: Maps that the basis is computed from.
        train_rows: (N,) rows of these.
        train_masks: (N, H, W) bool, where people are.
        test: Maps that are drawn.
        test_rows: (N,) rows of these.
        test_masks: (N, H, W) bool, where people are.
        size: (height, width) of the pictures.
    """
    mean, basis, low, high = fit(train, train_rows, train_masks)
    maps = test(test_rows).cpu()
    colors = torch.einsum("nchw,ck->nkhw", maps - mean[:, None, None], basis)
    colors = ((colors - low[:, None, None]) / (high - low)[:, None, None]).clamp(0, 1)
    inside = on_grid(test_masks, (maps.shape[2], maps.shape[3]))
    shown = torch.where(inside[:, None], 40 + colors * 215, _DARK).to(torch.uint8)
    pictures = shown.permute(0, 2, 3, 1).numpy()
    return [cv2.resize(one, size[::-1], interpolation=cv2.INTER_NEAREST) for one in pictures]


def fit(features: SplitFeatures, rows: Tensor, masks: Masks) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return mean (C,), basis (C, 3), and the range of each component, (3,) twice.

    Args:
        features: Of the training split.
        rows: (N,) of these.
        masks: (N, H, W) bool, where people are.
    """
    tokens, heights = [], []
    for places in torch.arange(len(rows)).split(_BATCH):
        maps = features(rows[places]).cpu()
        inside = on_grid(masks[places], (maps.shape[2], maps.shape[3]))
        up = torch.linspace(1, -1, maps.shape[2])[None, :, None].expand(inside.shape)
        tokens.append(maps.permute(0, 2, 3, 1)[inside])
        heights.append(up[inside])
    found, height = torch.cat(tokens), torch.cat(heights)
    mean = found.mean(dim=0)
    centered = found - mean
    covariance = (centered.T.double() @ centered.double()) / len(found)
    basis = torch.linalg.eigh(covariance).eigenvectors[:, -3:].flip(1).float()
    places = centered @ basis
    rising = ((height - height.mean())[:, None] * places).sum(dim=0)
    sign = torch.where(rising < 0, -1.0, 1.0)
    places = places * sign
    ordered = places.sort(dim=0).values
    low, high = (ordered[int(share * (len(ordered) - 1))] for share in _RANGE)
    return mean, basis * sign, low, torch.maximum(high, low + 1e-6)


def on_grid(masks: Masks, grid: tuple[int, int]) -> Tensor:
    """Return the cells of which at least half are people, (N, h, w) bool; all cells of a picture (H, W) without any."""
    inside = F.adaptive_avg_pool2d(masks[:, None].float(), grid)[:, 0] >= 0.5
    return inside | ~inside.flatten(1).any(dim=1)[:, None, None]
