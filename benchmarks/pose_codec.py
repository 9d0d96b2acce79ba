"""Decoding heatmaps: time and round-trip error of our codec beside `transformers`' post-processing.

    python benchmarks/pose_codec.py [--repeats 5] [--threads 1]

308 keypoints of one person at 1024 x 768, heatmaps 256 x 192, on the CPU. The keypoints lie on a grid over
the whole input, borders and corners included; their exact heatmaps are decoded by both, and the distances
from the keypoints are printed in input pixels.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from types import SimpleNamespace

import torch
from torch import Tensor
from transformers import Sapiens2ImageProcessor

from sapiens2_lit.codecs import UDPHeatmapCodec

INPUT = (1024, 768)
HEATMAP = (256, 192)
BORDER = 48  # input pixels from the border within which a blur of the heatmap meets its end


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    codec = UDPHeatmapCodec(INPUT, HEATMAP)
    keypoints = grid_of_keypoints()
    heatmaps, _ = codec.encode(keypoints)
    ours = codec.decode(heatmaps)[0, :, :2]
    theirs = theirs_decode(heatmaps)
    border = near_border(keypoints[0])
    ours_seconds = median_seconds(lambda: codec.decode(heatmaps), arguments.repeats)
    theirs_seconds = median_seconds(lambda: theirs_decode(heatmaps), arguments.repeats)

    print(f"{heatmaps.shape[1]} keypoints, heatmaps {HEATMAP}, input {INPUT}, {arguments.threads} threads")
    print(f"{'':24}{'ms':>10}{'interior max':>14}{'border max':>12}   (round-trip error, input pixels)")
    for name, seconds, found in (
        ("sapiens2-lit", ours_seconds, ours),
        ("transformers", theirs_seconds, theirs),
    ):
        error = (found - keypoints[0, :, :2]).norm(dim=1)
        print(f"{name:24}{1e3 * seconds:10.1f}{error[~border].max():14.4f}{error[border].max():12.4f}")
    print(f"time ratio {ours_seconds / theirs_seconds:.4f}")


def grid_of_keypoints() -> Tensor:
    """(1, 308, 3) labelled keypoints, 14 x 22, corners on corners; off the pixel grid everywhere else."""
    height, width = INPUT
    rows, columns = torch.meshgrid(
        torch.linspace(0, height - 1, 22), torch.linspace(0, width - 1, 14), indexing="ij"
    )
    return torch.stack([columns.flatten(), rows.flatten(), torch.ones(308)], dim=1)[None]


def near_border(keypoints: Tensor) -> Tensor:
    height, width = INPUT
    x, y = keypoints[:, 0], keypoints[:, 1]
    return (x < BORDER) | (y < BORDER) | (x > width - 1 - BORDER) | (y > height - 1 - BORDER)


def theirs_decode(heatmaps: Tensor) -> Tensor:
    """(308, 2) input pixels: a box that, grown by the usual 1.25, is the whole input."""
    height, width = INPUT
    box = [width * 0.1, height * 0.1, width * 0.8, height * 0.8]
    outputs = SimpleNamespace(heatmaps=heatmaps)
    return Sapiens2ImageProcessor().post_process_pose_estimation(outputs, boxes=[[box]])[0][0]["keypoints"]


def median_seconds(run: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


if __name__ == "__main__":
    main()
