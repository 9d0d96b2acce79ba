"""Run one rank of `verify`, started by torchrun: `python -m sapiens2_lit.verify.ranks ORDER.json`."""

import json
import os
import sys
from pathlib import Path

import torch

from sapiens2_lit.checkpoints import open_weights
from sapiens2_lit.verify.messages import kept
from sapiens2_lit.verify.setting import Setting
from sapiens2_lit.verify.sources import Source
from sapiens2_lit.verify.training import STEPS, Size
from sapiens2_lit.verify.trial import run_trial
from sapiens2_lit.verify.weights import describe


def main(order: Path) -> None:
    """Train as ordered; the first rank writes the losses beside the order."""
    asked = json.loads(order.read_text(encoding="utf-8"))
    device = torch.device("cuda" if asked["gpu"] else "cpu")
    setting = Setting(device, order.parent)
    with kept():
        opened = None
        if asked["place"] is not None:
            source = Source("weights", asked["place"], False)
            opened = describe(source, Path(asked["place"]), open_weights(asked["place"]).tensors)
        size = Size(asked["size"], setting, opened)
        launch = size.launch(strategy="fsdp2", devices=asked["world"])
        losses = run_trial(size.make(asked["task"], "full"), launch, STEPS).losses
    if os.environ.get("RANK", "0") == "0":
        order.with_suffix(".losses").write_text(json.dumps(losses), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
