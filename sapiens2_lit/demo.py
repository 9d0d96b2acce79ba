"""`sapiens2-lit demo`: train on generated images, print what was learnt and draw it."""

import shlex
import sys
from argparse import ArgumentParser
from pathlib import Path

import cv2

from sapiens2_lit.stick_figures import write_dataset


def demo(args: list[str]) -> None:
    """Write stick figures, fit pose on them, print a table and save `predictions.png`."""
    parser = ArgumentParser("sapiens2-lit demo", description=demo.__doc__)
    parser.add_argument("--output", type=Path, default=Path("demo"), help="folder for images and the run")
    parser.add_argument("--steps", type=int, default=300, help="optimizer steps")
    options = parser.parse_args(args)
    root = options.output / "stick_figures"
    if not (root / "annotations" / "val.json").is_file():
        write_dataset(root, {"train": 400, "val": 48})

    from sapiens2_lit.callbacks.pictures import compare
    from sapiens2_lit.drawing import contact_sheet
    from sapiens2_lit.run import run

    command = ["fit", "--config", "pose_17.yaml", "--config", "size/nano.yaml", "--data.root", str(root)]
    command += ["--output", str(options.output / "runs"), "--trainer.max_steps", str(options.steps)]
    command += ["--trainer.devices", "1", "--model.heads.pose.draw_threshold", "0.1"]
    command += ["--data.augment.rotation", "30", "--data.augment.half_body", "0"]  # all figures stand
    sys.stdout.write(f"sapiens2-lit {shlex.join(command)}\n")
    cli = run(command)
    (metrics,) = cli.trainer.validate(cli.model, datamodule=cli.datamodule, verbose=False)
    batch = next(iter(cli.datamodule.val_dataloader()))
    head = dict(cli.model.named_heads())["pose"]
    outputs = cli.model.to("cpu").eval().evaluate(batch["image"])["pose"]
    prediction = head.predict(
        outputs.detach(), {key: value for key, value in batch.items() if key != "affine"}
    )
    pictures = [compare(head, batch, prediction, index) for index in range(min(8, len(batch["image"])))]
    path = options.output / "predictions.png"
    cv2.imwrite(str(path), contact_sheet(pictures, columns=2)[..., ::-1])
    for name in ("val/pose/PCK@0.05", "val/pose/PCK@0.1", "val/pose/AP"):
        sys.stdout.write(f"{name.removeprefix('val/pose/'):10} {metrics[name]:.3f}\n")
    sys.stdout.write(f"labels beside predictions: {path}\nrun: {cli.trainer.log_dir}\n")
