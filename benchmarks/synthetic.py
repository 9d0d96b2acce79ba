"""How fast synthetic people are made, all labels included, in one process and in two.

    python benchmarks/synthetic.py [--size 256 192] [--num 200]

Prints images a second and the ratio of two processes to one. One thread a process.
"""

import os
import time
from argparse import ArgumentParser
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import cv2

from sapiens2_lit.synthetic.dataset.generate import generate


def make(size: tuple[int, int], index: int) -> int:
    cv2.setNumThreads(1)
    return int(generate(0, index, size).valid.sum())


def rate(processes: int, size: tuple[int, int], num: int) -> float:
    """Images a second, once the processes have started."""
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        list(pool.map(partial(make, size), range(4 * processes)))
        start = time.perf_counter()
        list(pool.map(partial(make, size), range(num)))
        return num / (time.perf_counter() - start)


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, nargs=2, default=(256, 192))
    parser.add_argument("--num", type=int, default=200)
    options = parser.parse_args()
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"  # for the processes to come
    size = (options.size[0], options.size[1])
    one, two = rate(1, size, options.num), rate(2, size, options.num)
    print(
        f"{size[0]} x {size[1]}, all labels: {one:.1f} images/s in one process, {two:.1f} in two ({two / one:.2f} x)"
    )


if __name__ == "__main__":
    main()
