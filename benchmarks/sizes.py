"""Parameters of every size, and what training them in float32 with AdamW holds besides activations."""

import torch

from sapiens2_lit.backbones import Sapiens2, size_names

BYTES = 4 * 4  # weight, gradient, and AdamW's two moments


def main() -> None:
    print(f"{'size':6} {'parameters':>12} {'fp32 + AdamW':>14}")
    for name in size_names():
        with torch.device("meta"):
            count = sum(parameter.numel() for parameter in Sapiens2(name).parameters())
        print(f"{name:6} {count / 1e9:10.3f} B {count * BYTES / 1e9:11.1f} GB")


if __name__ == "__main__":
    main()
