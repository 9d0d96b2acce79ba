"""Unbiased codec between keypoints and heatmaps (UDP: Huang et al.; DARK: Zhang et al.; both CVPR 2020).

Names end in their axes: b batch, k keypoint, w heatmap columns, p side of the patch around a peak; 1 and 2 are axes of
that length.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from sapiens2_lit.codecs.peak import fit_gaussian, newton_step
from sapiens2_lit.errors import SettingError


@dataclass(frozen=True)
class UDPHeatmapCodec:
    """Translates between keypoints in input pixels and one Gaussian heatmap for each, on the tensors' device.

    A heatmap coordinate is x * (w - 1) / (W - 1): corner pixels lie on corner pixels.

    Args:
        input_size: (H, W) of the network's input.
        heatmap_size: (h, w) of the heatmaps.
        sigma: Standard deviation of the Gaussian, in heatmap pixels; it is cut off at three of them.
        blur_kernel: Side of the blur before the Newton step, odd.
        blur_sigma: Standard deviation of the blur, in heatmap pixels.

    Raises:
        SettingError: A size is below 2, a sigma is not positive, or the kernel is even.
    """

    input_size: tuple[int, int]
    heatmap_size: tuple[int, int]
    sigma: float = 6.0
    blur_kernel: int = 11
    blur_sigma: float = 2.0

    def __post_init__(self) -> None:
        for key in ("input_size", "heatmap_size"):
            size = getattr(self, key)
            if len(size) != 2 or min(size) < 2:
                raise SettingError(
                    f"UDPHeatmapCodec: `{key}` is {size}, expected (height, width) from (2, 2) up."
                )
        for key in ("sigma", "blur_sigma"):
            if not getattr(self, key) > 0:
                raise SettingError(
                    f"UDPHeatmapCodec: `{key}` is {getattr(self, key)}, expected a positive number."
                )
        if self.blur_kernel < 1 or self.blur_kernel % 2 == 0:
            raise SettingError(
                f"UDPHeatmapCodec: `blur_kernel` is {self.blur_kernel}, expected an odd number."
            )

    def encode_separable(self, keypoints: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return target heatmaps as factors: map = gy[..., :, None] * gx[..., None, :].

        Args:
            keypoints: (B, K, 3) x and y in input pixels, and v, positive where labeled.

        Returns:
            gx (B, K, w) and gy (B, K, h), with a peak of 1, and zero where unlabeled; weight (B, K), 1 where labeled
                and the cut Gaussian touches the map, else 0. A labeled keypoint that is NaN gives NaN.
        """
        keypoints = _at_least_float32(keypoints)
        labelled = keypoints[..., 2] > 0
        stride_x, stride_y = self._strides()
        height, width = self.heatmap_size
        gx, touches_x = self._gaussian(keypoints[..., 0] / stride_x, width, labelled)
        gy, touches_y = self._gaussian(keypoints[..., 1] / stride_y, height, labelled)
        return gx, gy, (labelled & touches_x & touches_y).to(gx.dtype)

    def encode(self, keypoints: Tensor) -> tuple[Tensor, Tensor]:
        """Return target heatmaps (B, K, h, w) and weight (B, K), for pictures; training needs only the factors."""
        gx, gy, weight = self.encode_separable(keypoints)
        return gy[..., :, None] * gx[..., None, :], weight

    def decode(self, heatmaps: Tensor) -> Tensor:
        """Return keypoints (B, K, 3) from heatmaps (B, K, h, w): x and y in input pixels, and the peak as score.

        The pixel with the maximum is refined from its neighborhood: inside the map by one Newton step on the logarithm
        of the blurred map; where the neighborhood leaves the map by a fitted Gaussian (see `peak`). The result stays
        within the neighborhood if the map has no peak, and at the pixel itself if the map is nowhere positive.

        Raises:
            SettingError: The heatmaps have another size than the codec.
        """
        if heatmaps.ndim != 4 or tuple(heatmaps.shape[2:]) != tuple(self.heatmap_size):
            height, width = self.heatmap_size
            raise SettingError(
                f"UDPHeatmapCodec: heatmaps are {tuple(heatmaps.shape)}, expected (B, K, {height}, {width})."
            )
        # Matrix products in bfloat16 would move keypoints by pixels.
        with torch.autocast(heatmaps.device.type, enabled=False):
            return self._decode(heatmaps)

    def _decode(self, heatmaps: Tensor) -> Tensor:
        row_bk, column_bk = _largest_pixel(heatmaps)
        # Reach of the Newton step's neighbors plus the blur around them.
        radius = self.blur_kernel // 2 + 1
        patch_bkpp, inside_bkpp = _patches(heatmaps, row_bk, column_bk, radius)

        interior_bk1 = inside_bkpp.flatten(2).all(dim=2, keepdim=True)
        if self.sigma < self.blur_sigma:  # then the blur reaches beyond the cut-off Gaussian on all sides
            interior_bk1 = torch.zeros_like(interior_bk1)
        newton_bk2 = newton_step(patch_bkpp, self.blur_kernel, self.blur_sigma)
        fitted_bk2 = fit_gaussian(patch_bkpp, inside_bkpp, self.sigma)
        limit = min(float(radius), 3 * self.sigma)
        step_bk2 = torch.where(interior_bk1, newton_bk2, fitted_bk2).clamp(-limit, limit)

        stride_x, stride_y = self._strides()
        x = (column_bk + step_bk2[..., 0]) * stride_x
        y = (row_bk + step_bk2[..., 1]) * stride_y
        return torch.stack([x, y, patch_bkpp[..., radius, radius]], dim=2)

    def _strides(self) -> tuple[float, float]:
        """Return input pixels per heatmap pixel along x and y."""
        (input_height, input_width), (height, width) = self.input_size, self.heatmap_size
        return (input_width - 1) / (width - 1), (input_height - 1) / (height - 1)

    def _gaussian(self, mean: Tensor, length: int, labelled: Tensor) -> tuple[Tensor, Tensor]:
        """Return the cut Gaussian of one axis (B, K, length) around `mean` (B, K), and whether it touches the map."""
        place = torch.arange(length, device=mean.device, dtype=mean.dtype)
        centre = torch.floor(mean + 0.5)  # the support is a square of whole pixels around the nearest one
        # "not beyond" instead of "within", so that NaN is passed on
        beyond = (place - centre[..., None]).abs() > 3 * self.sigma
        gaussian = torch.exp(-((place - mean[..., None]) ** 2) / (2 * self.sigma**2))
        gaussian = gaussian.masked_fill(beyond | ~labelled[..., None], 0)
        misses = (centre + 3 * self.sigma < 0) | (centre - 3 * self.sigma > length - 1)
        return gaussian, ~misses


def _largest_pixel(heatmaps: Tensor) -> tuple[Tensor, Tensor]:
    """Return row and column (B, K) of each map's maximum, the first of several."""
    # The largest row, then the largest pixel in it: three times as fast as one argmax over the map.
    row_bk = heatmaps.amax(dim=3).argmax(dim=2)
    place = row_bk[..., None, None].expand(-1, -1, 1, heatmaps.shape[3])
    return row_bk, heatmaps.gather(2, place)[:, :, 0].argmax(dim=2)


def _patches(heatmaps: Tensor, row_bk: Tensor, column_bk: Tensor, radius: int) -> tuple[Tensor, Tensor]:
    """Return squares (B, K, P, P) around one pixel of each map, and which of their pixels lie on the map."""
    height, width = heatmaps.shape[2:]
    reach_p = torch.arange(-radius, radius + 1, device=heatmaps.device)
    rows_bkp1, columns_bk1p = row_bk[..., None, None] + reach_p[:, None], column_bk[..., None, None] + reach_p
    inside_bkpp = _within(rows_bkp1, height) & _within(columns_bk1p, width)
    index = rows_bkp1.clamp(0, height - 1) * width + columns_bk1p.clamp(0, width - 1)
    patch_bkpp = heatmaps.flatten(2).gather(2, index.flatten(2)).view_as(index)
    return _at_least_float32(patch_bkpp), inside_bkpp


def _within(index: Tensor, length: int) -> Tensor:
    return (index >= 0) & (index < length)


def _at_least_float32(values: Tensor) -> Tensor:
    return values if values.dtype == torch.float64 else values.float()
