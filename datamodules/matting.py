"""Mattes for Lightning: it reads folders of images, alphas and foregrounds and gives whole images."""

import logging
from typing import Any

from sapiens2_lit.data.datasets.backgrounds import Backgrounds, MatteCutout
from sapiens2_lit.data.labels.base import LabelSource
from sapiens2_lit.data.labels.color import AlphaFolder, ForegroundFolder
from sapiens2_lit.data.shards.roots import open_root
from sapiens2_lit.datamodules.dense import DenseDataModule
from sapiens2_lit.transforms.dense import COLORLESS, ViewAugmentation

_FOREGROUNDS = "foregrounds"  # this default folder may be missing, another one may not

_log = logging.getLogger(__name__)


class MattingDataModule(DenseDataModule):
    """Whole images and their mattes, matched by file stem: image = foreground + (1 - alpha) background.

    Besides the keys of `DenseDataModule`, a batch holds
        alpha (B, 1, H, W) float32: the people's share of a pixel, 0..1; NaN outside the image, which is ignored.
        foreground (B, 3, H, W) float32, with `foregrounds`: sRGB in 0..1, premultiplied.

    Args:
        root: the dataset's folder.
        image_size: (height, width) of the input.
        alphas: folder under `root` with png of one channel, 8 or 16 bits, or npy, npz in 0..1 for each image.
        foregrounds: folder under `root` with png, npy or npz of the people's color; null to use none.
            The default is used only if it exists.
        premultiplied: whether the foregrounds' colors are already multiplied by alpha.
        backgrounds: folder under `root`, or an absolute one, with photographs without people, to put behind the people
            of training samples; null for none.
        background_probability: probability of another background, with `backgrounds`.
        augment: random variation of training samples, but not of colors; null for none.
        shared: the settings of `DenseDataModule`.

    Raises:
        SettingError, DataError: a setting or file is wrong; the message says what was found and expected.
    """

    def __init__(
        self,
        root: str,
        image_size: tuple[int, int] = (1024, 768),
        *,
        alphas: str = "alphas",
        foregrounds: str | None = _FOREGROUNDS,
        premultiplied: bool = True,
        backgrounds: str | None = None,
        background_probability: float = 0.8,
        augment: ViewAugmentation | None = COLORLESS,
        **shared: Any,
    ) -> None:
        super().__init__(root, image_size, augment=augment, valids=None, min_valid=0, **shared)
        self.alphas = alphas
        self.foregrounds = foregrounds
        self.premultiplied = premultiplied
        self.backgrounds = backgrounds
        self.background_probability = background_probability

    def find_labels(self) -> list[LabelSource]:
        alphas = AlphaFolder(self.root / self.alphas)
        if self.foregrounds is None:
            return [alphas]
        folder = self.root / self.foregrounds
        if self.foregrounds == _FOREGROUNDS and not folder.exists():
            if not self.datasets:  # once, not for every split
                _log.info("%s does not exist: alpha is learned without the people's color.", folder)
            return [alphas]
        return [alphas, ForegroundFolder(folder, alphas, self.premultiplied)]

    def find_backgrounds(self) -> Backgrounds | None:
        if self.backgrounds is None:
            return None
        folder = open_root(str(self.root / self.backgrounds), self.shards)
        return Backgrounds(folder, MatteCutout(), self.background_probability)
