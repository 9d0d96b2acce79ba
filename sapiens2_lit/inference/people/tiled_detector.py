"""A detector that searches a picture and tiles of it."""

import numpy as np
import numpy.typing as npt
import torch

from sapiens2_lit.inference.detect import Detector
from sapiens2_lit.inference.people.tiles import Tiles, check_tiles, number_of_tiles, tiles_of


class TiledDetector(Detector):
    """Another detector, applied to the whole picture and to overlapping tiles of it.

    A box that ends where its tile is cut is dropped: a neighboring tile or the whole picture shows that person
    completely.
    Non-maximum suppression over all boxes keeps the best box of each person.

    Args:
        detector: The other one, whose threshold and suppression are used.
        tiles: Number along the longer side of a picture, or `auto` for pictures much larger than the detector's input.
    """

    def __init__(self, detector: Detector, tiles: Tiles = "auto") -> None:
        super().__init__(detector.threshold, detector.nms)
        self.detector = detector
        self.tiles = check_tiles(tiles)

    @property
    def input_side(self) -> int | None:
        return self.detector.input_side

    def find(self, image: npt.NDArray[np.uint8]) -> tuple[torch.Tensor, torch.Tensor]:
        size = (image.shape[0], image.shape[1])
        corners, scores = self.detector.find(image)
        found = [(corners.float().cpu(), scores.float().cpu())]
        for tile in tiles_of(size, number_of_tiles(self.tiles, size, self.input_side)):
            corners, scores = self.detector.find(tile.of(image))
            corners = corners.float().cpu() + torch.tensor([tile.left, tile.top] * 2)
            whole = torch.from_numpy(tile.holds(corners.numpy(), size))
            found.append((corners[whole], scores.float().cpu()[whole]))
        return torch.cat([corners for corners, _ in found]), torch.cat([scores for _, scores in found])
