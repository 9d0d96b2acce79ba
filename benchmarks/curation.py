"""How far apart hashes of the same and of different pictures are, and what duplicates and clusters cost.

python benchmarks/curation.py --people 60 --rows 100000 1000000 --points 50000
"""

import argparse
import time

import cv2
import numpy as np

from sapiens2_lit.curation.duplicates import hash_duplicates
from sapiens2_lit.curation.hashes import BITS, LONG_BITS, Bits, perceptual_hashes, to_bytes
from sapiens2_lit.curation.kmeans import hierarchy
from sapiens2_lit.curation.picture import RGB
from sapiens2_lit.synthetic.dataset.generate import generate

MOST = 48


def main() -> None:
    """Print all numbers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--people", type=int, default=60)
    parser.add_argument("--rows", type=int, nargs="*", default=[100_000])
    parser.add_argument("--points", type=int, default=50_000)
    options = parser.parse_args()
    copies(options.people)
    for rows in options.rows:
        made_up(rows)
    clusters(options.points)


def copies(people: int) -> None:
    """Synthetic people of 256 x 192, each encoded again, at half size, and cropped."""
    images: list[RGB] = [
        np.asarray(generate(0, index, (256, 192)).image, np.uint8) for index in range(people)
    ]
    kinds = {"encoded": encoded, "half": half, "cropped": lambda image: image[2:-2, 2:-2]}
    everything = [*images, *(change(image) for change in kinds.values() for image in images)]
    short, long = hashes(everything)
    apart = np.bitwise_count(long[:people, None] ^ long[None, :people]).sum(axis=2)
    print(f"different people: {apart[np.triu_indices(people, 1)].min()} bits of {LONG_BITS} or more")
    for place, kind in enumerate(kinds, 1):
        own = np.bitwise_count(long[:people] ^ long[place * people : (place + 1) * people]).sum(axis=1)
        print(f"{kind}: {np.median(own):g} bits in the median, {own.max()} at most")
    stays, _ = hash_duplicates(short, long, np.arange(len(everything)), MOST, 0)
    found = int((~stays[people:]).sum())
    print(f"found {found} of {3 * people} copies; {int(stays[:people].sum())} of {people} people stay")


def encoded(image: RGB) -> RGB:
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 60])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)


def half(image: RGB) -> RGB:
    size = (image.shape[1] // 2, image.shape[0] // 2)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def hashes(images: list[RGB]) -> tuple[Bits, Bits]:
    short, long = zip(*map(perceptual_hashes, images), strict=True)
    return to_bytes(list(short), BITS), to_bytes(list(long), LONG_BITS)


def made_up(rows: int) -> None:
    """Random hashes, a tenth of them planted once more with a bit or two changed."""
    random, planted = np.random.default_rng(0), rows // 10
    long = random.integers(0, 256, (rows, LONG_BITS // 8), dtype=np.uint8)
    short = random.integers(0, 256, (rows, BITS // 8), dtype=np.uint8)
    long[-planted:], short[-planted:] = long[:planted], short[:planted]
    short[-planted:, 0] ^= 1
    long[-planted:, 0] ^= 3
    begin = time.process_time()
    stays, _ = hash_duplicates(short, long, np.arange(rows), MOST, 24)
    spent = time.process_time() - begin
    print(f"{rows:,} hashes: {int((~stays).sum()):,} of {planted:,} planted found in {spent:.1f} CPU s")


def clusters(points: int) -> None:
    """Random directions in 500 and 50 clusters."""
    drawn = np.random.default_rng(0).normal(size=(points, 384)).astype(np.float32)
    begin = time.process_time()
    hierarchy(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), (500, 50), 0)
    print(f"{points:,} points in 500 and 50 clusters: {time.process_time() - begin:.1f} CPU s")


if __name__ == "__main__":
    main()
