"""Duplicates are found, and different pictures stay."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import picture_pool as pool
import pytest

from sapiens2_lit.curation.banding import SURE, close_pairs
from sapiens2_lit.curation.duplicates import exact_duplicates, hash_duplicates
from sapiens2_lit.curation.hashes import BITS, LONG_BITS, perceptual_hashes, to_bytes
from sapiens2_lit.curation.near_duplicates import near_duplicates
from sapiens2_lit.curation.settings import SelectSettings
from sapiens2_lit.synthetic.dataset.generate import generate

PEOPLE = 50
MOST = SelectSettings().duplicates or 0


@lru_cache
def people() -> list[pool.RGB]:
    return [np.asarray(generate(5, index, (128, 96)).image, dtype=np.uint8) for index in range(PEOPLE)]


def hashed(images: list[pool.RGB]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    short, long = zip(*map(perceptual_hashes, images), strict=True)
    return to_bytes(list(short), BITS), to_bytes(list(long), LONG_BITS)


@pytest.mark.slow
def test_planted_duplicates_are_found_and_no_two_people_are_merged() -> None:
    images, whose = list(people()), list(range(PEOPLE))
    for person, image in enumerate(people()):
        for one in pool.variants(image).values():
            images.append(one)
            whose.append(person)
    stays, _ = hash_duplicates(*hashed(images), np.arange(len(images)), MOST, 0)
    left = [whose[row] for row in np.flatnonzero(stays)]
    assert set(left) == set(range(PEOPLE)), "a person is gone: two different ones were merged"
    assert len(left) - PEOPLE <= 0.01 * 3 * PEOPLE, "planted duplicates were not found"


def test_all_pairs_within_the_bits_of_the_bands_are_found() -> None:
    random = np.random.default_rng(0)
    short = random.integers(0, 256, (300, 8), dtype=np.uint8)
    near = np.unpackbits(short[:150], axis=1)
    for row, bits in enumerate(near):
        bits[random.choice(64, row % (SURE + 3), replace=False)] ^= 1
    short = np.concatenate([short, np.packbits(near, axis=1)])
    apart = np.bitwise_count(short[:, None] ^ short[None]).sum(axis=2)
    expected = {(a, b) for a, b in np.argwhere(apart <= SURE).tolist() if a < b}
    first, second, distance = close_pairs(short, short, SURE)
    assert set(zip(first.tolist(), second.tolist(), strict=True)) == expected
    assert np.array_equal(distance, apart[first, second])


def test_the_best_of_equal_pictures_stays_whatever_the_order() -> None:
    hashes = np.zeros((5, 8), np.uint8), np.zeros((5, 32), np.uint8)
    rank = np.array([3, 1, 0, 4, 2])
    stays, matches = hash_duplicates(*hashes, rank, 10, 10)
    assert np.flatnonzero(stays).tolist() == [2]
    assert {match.kept for match in matches} == {2} and len(matches) == 4
    assert np.flatnonzero(exact_duplicates(np.array(list("abaab")), rank)).tolist() == [1, 2]


def test_a_chain_of_similar_pictures_does_not_merge_its_ends() -> None:
    long = np.zeros((3, 32), np.uint8)
    long[1, :1], long[2, :2] = 255, 255
    stays, _ = hash_duplicates(np.zeros((3, 8), np.uint8), long, np.arange(3), 8, 0)
    assert stays.tolist() == [True, False, True]


def test_pairs_that_are_shown_are_of_a_picture_that_stays() -> None:
    long = np.zeros((4, 32), np.uint8)
    long[1, :1], long[2, :2], long[3, :3] = 255, 255, 255
    stays, matches = hash_duplicates(np.zeros((4, 8), np.uint8), long, np.arange(4), 8, 8)
    assert stays.tolist() == [True, False, True, False]
    found = {(one.kept, one.other, one.distance) for one in matches}
    assert found == {(0, 1, 8), (2, 3, 8), (0, 2, 16)}


def test_near_duplicates_by_cosine() -> None:
    points, _ = pool.blobs((200, 200))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    twins = points[:20] + 0.001
    both = np.concatenate([points, twins / np.linalg.norm(twins, axis=1, keepdims=True)])
    cosine = 0.9999
    stays, matches = near_duplicates(both, np.arange(len(both)), cosine, 0.2, 10, seed=0)
    apart = both @ both.T
    assert np.flatnonzero(~stays).tolist() == list(range(400, 420))
    assert all(apart[one.kept, one.other] == pytest.approx(one.distance, abs=1e-5) for one in matches)
    assert (
        sum(one.distance >= cosine for one in matches) == 10 == sum(one.distance < cosine for one in matches)
    )
