"""Pieces of a mask are people; those in which several stand are cut as heads, thickness and skeletons say."""

import numpy as np
import pytest

from sapiens2_lit.inference.people.explain import best_cut, outline
from sapiens2_lit.inference.people.regions import Region, cuts_by_heads, cuts_by_thickness, find_regions

HEIGHT, WIDTH = 120, 160


def scene(*people: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) people and heads: each a head, a neck, a trunk with an arm on either side and two legs.

    Args:
        people: x of the middle, y of the top, height.
    """
    mask, heads = np.zeros((2, HEIGHT, WIDTH), dtype=bool)
    parts = [(-0.8, 0, 0.8, 2), (-0.3, 2, 0.3, 2.5), (-1.4, 2.5, 1.4, 6.5), (-2.2, 2.5, 2.2, 3.2)]
    parts += [(-1.2, 6.5, -0.2, 12), (0.2, 6.5, 1.2, 12)]
    for x, y, height in people:
        for place, part in enumerate(parts):
            left, top, right, bottom = (round(at * height / 12) for at in part)
            rows, columns = slice(max(0, y + top), y + bottom), slice(max(0, x + left), x + right)
            mask[rows, columns] = True
            heads[rows, columns] |= place == 0
    return mask, heads


def skeleton(x: float, y: float, height: float, score: float = 0.9) -> np.ndarray:
    """(5, 3): head, hands and feet."""
    unit = height / 12
    points = [(0, 0), (-2, 3), (2, 3), (-0.7, 12), (0.7, 12)]
    return np.array([(x + a * unit, y + b * unit, score) for a, b in points], dtype=np.float32)


def test_people_apart_are_pieces_of_their_own() -> None:
    mask, _ = scene((40, 10, 100), (120, 40, 60))
    large, small = find_regions(mask)
    assert (large.top, large.mask.shape[0]) == (10, 100)
    assert (small.top, small.mask.shape[0]) == (40, 60)
    joined = np.zeros_like(mask)
    for piece in (large, small):
        joined[piece.place] |= piece.mask
    np.testing.assert_array_equal(joined, mask)


def test_nobody_and_specks_are_no_people() -> None:
    nobody = np.zeros((1000, 1000), dtype=bool)
    assert find_regions(nobody) == []
    nobody[10:32, 10:32] = True  # 484 of a million
    assert find_regions(nobody) == []
    nobody[10:33, 10:33] = True
    assert [piece.mask.shape for piece in find_regions(nobody)] == [(23, 23)]


def test_small_gaps_are_bridged_at_borders_too() -> None:
    mask = np.zeros((400, 400), dtype=bool)
    mask[0:100, 0:40] = mask[103:200, 0:40] = True
    (piece,) = find_regions(mask)
    assert piece.box.tolist() == [0, 0, 40, 200, 1]
    assert not piece.mask[100:103].any(), "the box spans the gap; the mask stays as it was"


def test_two_who_touch_are_cut_by_their_heads() -> None:
    mask, heads = scene((60, 10, 100), (95, 15, 90))
    (piece,) = find_regions(mask)
    left, right = sorted(cuts_by_heads(piece, heads), key=lambda part: part.left)
    assert left.left + left.mask.shape[1] / 2 == pytest.approx(60, abs=6)
    assert right.left + right.mask.shape[1] / 2 == pytest.approx(95, abs=6)
    assert left.mask.sum() + right.mask.sum() == piece.mask.sum()
    (alone,) = find_regions(scene((60, 10, 100))[0])
    assert cuts_by_heads(alone, heads) == []


def test_thickness_cuts_two_trunks_and_leaves_one_person_whole() -> None:
    (piece,) = find_regions(scene((60, 10, 100), (95, 15, 90))[0])
    assert [len(parts) for parts in cuts_by_thickness(piece)] == [2]
    (alone,) = find_regions(scene((60, 10, 100))[0])
    assert cuts_by_thickness(alone) == [], "head, trunk and legs stand above each other"


def test_skeletons_decide() -> None:
    (piece,) = find_regions(scene((60, 10, 100), (95, 15, 90))[0])
    (parts,) = cuts_by_thickness(piece)
    left, right = skeleton(60, 10, 100), skeleton(95, 15, 90)
    assert best_cut(piece, [[piece], parts], [[left], [left, right]], heads=0) == 1
    both = skeleton(77, 10, 100)
    both[1, 0], both[2, 0] = piece.left, piece.left + piece.mask.shape[1]  # one who holds all
    assert best_cut(piece, [[piece], parts], [[both], [both, both]], heads=0) == 0
    assert best_cut(piece, [[piece], parts], [[both], [left, right]], heads=2) == 1, "two heads"


def test_outlines_know_the_piece_s_place_and_nothing_of_lost_points() -> None:
    piece = Region(100, 50, np.ones((120, 60), dtype=bool))
    points = skeleton(130, 60, 100)
    assert outline(points, piece)[60, 30]
    assert not outline(points + [500, 0, 0], piece).any()
    assert not outline(np.full((5, 3), np.nan, dtype=np.float32), piece).any()
