"""Everything that takes time, side by side with `transformers`, timm and ONNX Runtime, in one run and one table.

    python benchmarks/suite.py [--parts backbone decoders ...] [--size 0.1b] [--image-size 256 192] [--repeats 3]

Ratios are ours over the peer's, of CPU seconds, least of the repeats, both sides in turn: below 1 ours needs less.
Weights are random, nothing is downloaded.
"""

import os
import sys
from argparse import ArgumentParser
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command does
sys.path += [str(Path(__file__).parent), str(Path(__file__).parent / "gpu")]

import torch
from suite_parts.networks import backbone_rows, decoder_rows, decoding_rows
from suite_parts.people import people_rows
from suite_parts.rows import HEADER, Part
from suite_parts.serving import serving_rows
from suite_parts.training import training_rows

PARTS: dict[str, Part] = {
    "backbone": backbone_rows,
    "decoders": decoder_rows,
    "decoding": decoding_rows,
    "people": people_rows,
    "training": training_rows,
    "serving": serving_rows,
}


def main(args: list[str] | None = None) -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--size", default="0.1b")
    parser.add_argument("--image-size", nargs=2, type=int, default=[256, 192], metavar=("HEIGHT", "WIDTH"))
    parser.add_argument(
        "--decoder-size",
        nargs=2,
        type=int,
        default=[512, 384],
        metavar=("HEIGHT", "WIDTH"),
        help="for decoders alone",
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(args)
    torch.set_num_threads(options.threads)
    print(
        f"torch {torch.__version__}, {options.threads} threads, float32, least of {options.repeats}\n\n{HEADER}"
    )
    for name in options.parts:
        for row in PARTS[name](options):
            print(row, flush=True)


if __name__ == "__main__":
    main()
