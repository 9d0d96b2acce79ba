"""`sapiens2-lit demo`: generate people, train on them, print what was learned and draw it."""

import shlex
import sys
from typing import Any

import numpy as np
import torch

from sapiens2_lit.cli.fit import SapiensCLI, run
from sapiens2_lit.cli.parsers import demo_parser
from sapiens2_lit.data.datasets.synthetic import main_person
from sapiens2_lit.errors import SettingError
from sapiens2_lit.heads import PoseHead, SegmentationHead
from sapiens2_lit.synthetic.dataset.dataset import make_dataset
from sapiens2_lit.synthetic.dataset.files import write_file
from sapiens2_lit.synthetic.dataset.frame import Frame
from sapiens2_lit.synthetic.dataset.layout import png
from sapiens2_lit.synthetic.dataset.manifest import Settings
from sapiens2_lit.training.module import SapiensModule
from sapiens2_lit.transforms import invert, warp_labels
from sapiens2_lit.visualization.draw import contact_sheet, draw_keypoints, draw_segmentation, side_by_side

CONFIG = "quickstart.yaml"
PEOPLE = Settings(size=(256, 192), tasks=("pose", "segmentation"))
METRICS = ("pose/PCK@0.05", "pose/PCK@0.1", "pose/AP", "seg/mIoU", "seg/foreground_mIoU")
DRAWN = 8
FEWEST = 20  # pictures: a tenth for tests, a tenth for validation, and quickstart.yaml takes batches of 16


def demo(args: list[str]) -> None:
    """Generate people, fit pose and segmentation on them, print metrics on held-out ones, and save predictions.png.

    Raises:
        SettingError: `--num` or `--steps` is too small.
    """
    options = demo_parser().parse_args(args)
    if options.num < FEWEST:
        raise SettingError(f"--num {options.num}: expected {FEWEST} or more, of which a tenth is held out")
    if options.steps is not None and options.steps < 1:
        raise SettingError(f"--steps {options.steps}: expected 1 or more")
    root = options.output / "people"
    say(f"people: {root}")
    make_dataset(root, options.num, PEOPLE)

    command = ["fit", "--config", CONFIG, "--data.root", str(root), "--output", str(options.output / "runs")]
    command += ["--trainer.devices", "1"]
    command += [] if options.steps is None else ["--trainer.max_steps", str(options.steps)]
    say(f"sapiens2-lit {shlex.join(command)}")
    cli = run(command)
    say(measure(cli))
    batch = next(iter(cli.datamodule.test_dataloader()))
    sheet = contact_sheet(compare_predictions(cli.model, batch, PEOPLE, DRAWN), columns=2)
    write_file(options.output, "predictions.png", png(sheet))
    say(f"labels beside predictions: {options.output / 'predictions.png'}\nrun: {cli.trainer.log_dir}")


def measure(cli: SapiensCLI) -> str:
    """Return a table of the metrics on the test split, which neither training nor validation has seen."""
    (found,) = cli.trainer.test(cli.model, datamodule=cli.datamodule, verbose=False)
    people = len(cli.datamodule.datasets["test"])
    return "\n".join(
        [f"on {people} held-out people", *(f"{name:30}{found[f'test/{name}']:.3f}" for name in METRICS)]
    )


def compare_predictions(
    model: SapiensModule, batch: dict[str, Any], settings: Settings, count: int
) -> list[np.ndarray]:
    """Draw the first samples of a generated dataset's batch, each beside its labels and the predictions of both heads.

    A picture and its labels are generated again from its index, which is its `image_id`.

    Args:
        model: With a head `pose` and a head `seg`.
        batch: Of the dataset, with `image` (B, 3, H, W).
        settings: The dataset's.
        count: Number of samples to draw.

    Returns:
        One RGB picture (H, W, 3) for each sample.
    """
    batch = {key: value[:count] for key, value in batch.items()}
    heads = dict(model.named_heads())
    with torch.no_grad():
        outputs = model.to("cpu").eval().evaluate(batch["image"])
        found = {name: head.predict(outputs[name], batch) for name, head in heads.items()}
    pictures = []
    for row, index in enumerate(batch["image_id"].tolist()):
        frame = settings.frame(index)
        keypoints = found["pose"]["keypoints"][row].numpy()
        labels = found["seg"]["segmentation"][row].numpy()
        affine = batch["affine"][row].double().numpy()
        pictures.append(compare(frame, heads, keypoints, labels, affine))
    return pictures


def compare(
    frame: Frame, heads: dict[str, Any], keypoints: np.ndarray, labels: np.ndarray, affine: np.ndarray
) -> np.ndarray:
    """Draw labels beside predictions.

    Args:
        frame: Picture and labels.
        heads: By name, with `pose` and `seg`.
        keypoints: Predicted (K, 3): x, y, score, in pixels of the frame.
        labels: Predicted class map (h, w).
        affine: From the frame's pixels to those of `labels`, (2, 3).
    """
    pose, segmentation = heads["pose"], heads["seg"]
    assert isinstance(pose, PoseHead)
    assert isinstance(segmentation, SegmentationHead)
    classes, skeleton, person = segmentation.classes, pose.skeleton, main_person(frame)
    assert person is not None
    truth = classes.lookup()[frame.segmentation].astype(np.uint8)
    warped = warp_labels(labels, invert(affine), frame.valid.shape, classes.swap_table(), outside=0)
    views = {
        "image": frame.image,
        "keypoints": draw_keypoints(frame.image, person.keypoints[skeleton.name], skeleton),
        "predicted keypoints": draw_keypoints(frame.image, keypoints, skeleton, pose.draw_threshold),
        "classes": draw_segmentation(frame.image, truth, classes, legend=False),
        "predicted classes": draw_segmentation(frame.image, warped, classes, legend=False),
    }
    return side_by_side(list(views.values()), titles=list(views))


def say(text: str) -> None:
    """Write a line on standard output at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
