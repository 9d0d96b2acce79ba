"""Tiles cover a picture and overlap; people who are cut by them are left out."""

import numpy as np
import pytest
import torch

from sapiens2_lit.errors import SettingError
from sapiens2_lit.inference.detect import Detector
from sapiens2_lit.inference.people.tiled_detector import TiledDetector
from sapiens2_lit.inference.people.tiles import check_tiles, number_of_tiles, tiles_of


class Bright(Detector):
    """Finds what is bright, if it is not small beside the picture; cuts off what the picture cuts off."""

    input_side = 100

    def find(self, image: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        found = []
        for value in np.unique(image[image > 0]):
            rows, columns = np.nonzero(image[..., 0] == value)
            left, top, right, bottom = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
            if max(right - left, bottom - top) >= max(image.shape) / 20:
                found.append([left, top, right, bottom])
        corners = torch.tensor(found, dtype=torch.float32).reshape(-1, 4)
        return corners, torch.full((len(corners),), 0.9)


@pytest.mark.parametrize("size", [(300, 400), (1000, 120), (77, 1013), (50, 50)])
@pytest.mark.parametrize("count", [2, 3, 5])
def test_tiles_cover_all_and_neighbours_share_a_quarter(size: tuple[int, int], count: int) -> None:
    covered = np.zeros(size, dtype=int)
    tiles = tiles_of(size, count)
    for tile in tiles:
        assert 0 <= tile.left < tile.right <= size[1]
        assert 0 <= tile.top < tile.bottom <= size[0]
        covered[tile.top : tile.bottom, tile.left : tile.right] += 1
    assert covered.min() >= 1
    starts = sorted({tile.left for tile in tiles} if size[1] >= size[0] else {tile.top for tile in tiles})
    side = max(size) / (count - (count - 1) * 0.25)
    assert len(starts) == count
    assert max(np.diff(starts)) <= side * 0.75 + 1


def test_one_tile_is_none() -> None:
    assert tiles_of((300, 400), 1) == []


def test_auto_follows_the_detector_s_input() -> None:
    assert [number_of_tiles("auto", (100, side), 100) for side in (90, 200, 201, 600)] == [1, 1, 2, 3]
    assert number_of_tiles("auto", (100, 9000), None) == 1
    assert number_of_tiles(4, (100, 100), 100) == 4
    with pytest.raises(SettingError, match=r"tiles: found '0', expected auto, or 1 to 32"):
        check_tiles("0")
    with pytest.raises(SettingError, match="tiles: found 'many'"):
        check_tiles("many")


def test_the_tiny_are_found_in_tiles_and_nobody_twice() -> None:
    image = np.zeros((600, 800, 3), dtype=np.uint8)
    people = {
        50: (500, 40, 16, 30),
        100: (30, 100, 300, 450),
        150: (390, 280, 20, 25),
    }  # on the middle seams, too
    for value, (x, y, width, height) in people.items():
        image[y : y + height, x : x + width] = value
    plain = Bright()
    assert plain(image)[:, :4].tolist() == [[30, 100, 300, 450]]
    found = TiledDetector(plain, 4)(image)
    assert sorted(found[:, :4].tolist()) == sorted(map(list, people.values()))
    assert TiledDetector(plain, 1)(image)[:, :4].tolist() == [[30, 100, 300, 450]]
    assert len(TiledDetector(plain)(image)) == 3, "800 pixels are four tiles of an input of 100"
