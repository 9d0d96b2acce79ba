"""What it is worth that rows of the last layer are taken over by name: 16 pictures of 24 points of one's own.

    python benchmarks/rows.py [--steps 400] [--output runs/rows]

Trains 308 points on synthetic people, a tiny network from nothing. Then, three times with 16 other pictures each,
trains 24 points, which are called otherwise and are all among the 308, from these weights: with the rows of the last
layer by name, and with a last layer that starts fresh (`--model.reinitialize`). PCK is of 60 people that neither
has seen.
"""

import json
import statistics
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sapiens2_lit.cli.fit import run
from sapiens2_lit.synthetic.dataset.dataset import make_dataset
from sapiens2_lit.synthetic.dataset.manifest import Settings
from sapiens2_lit.synthetic.dataset.records import coco_dict, read_record

PARTS = ["eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle", "big_toe", "small_toe", "heel"]
POINTS = {"Nose": "nose", "Neck": "neck"} | {
    f"{side[0]}_{part}": f"{side}_{part}" for side in ("left", "right") for part in PARTS
}
SIZE, MANY, FEW, HELD_OUT, SEEDS, AFTER = (192, 128), 300, 16, 60, (1, 2, 3), (1, 30)
COMMON = [
    *("--config", "quickstart.yaml", "--trainer.accelerator", "cpu", "--trainer.devices", "1"),
    *("--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false"),
    *("--pictures.num_samples", "0", "--data.masks", "null", "--data.num_workers", "0"),
]
Pck = tuple[float, float]
ARMS = {"rows by name": [], "last layer fresh": ["--model.reinitialize", "[heads.pose.conv_pose]"]}


def make_people(root: Path) -> None:
    """Synthetic people, one a picture: `all.json` with 308 points, `few_SEED.json` and `held_out.json` with 24."""
    count = MANY + FEW * len(SEEDS) + HELD_OUT
    if not (root / "annotations").is_dir():
        make_dataset(root, count, Settings(SIZE, seed=10, tasks=("pose",)), workers=2, progress=False)
    starts = {"all": 0} | {f"few_{seed}": MANY + FEW * place for place, seed in enumerate(SEEDS)}
    starts["held_out"] = count - HELD_OUT
    for (name, start), end in zip(starts.items(), [*list(starts.values())[1:], count], strict=True):
        data = coco_dict(
            {index: read_record(root, index) for index in range(start, end)}, "sociopticon308", SIZE
        )
        (root / "annotations" / f"{name}.json").write_text(json.dumps(data if name == "all" else own(data)))


def own(data: dict[str, Any]) -> dict[str, Any]:
    """The same labels with the 24 points of one's own, in place."""
    names = data["categories"][0]["keypoints"]
    places = [names.index(name) for name in POINTS.values()]
    for one in data["annotations"]:
        one["keypoints"] = [one["keypoints"][3 * place + part] for place in places for part in range(3)]
    data["categories"] = [{"id": data["categories"][0]["id"], "name": "person", "keypoints": [*POINTS]}]
    return data


def train(
    skeleton: str, root: Path, train: str, output: Path, steps: int, options: Sequence[str] = ()
) -> Pck:
    """Train; returns PCK at 0.05 and 0.1 of the longer side of the person's box, on the held-out people."""
    heads = f"{{pose: {{class_path: sapiens2_lit.heads.PoseHead, init_args: {{skeleton: {skeleton}}}}}}}"
    place = [
        "--data.root",
        str(root),
        "--data.train",
        train,
        "--data.val",
        "held_out.json",
        "--output",
        str(output),
    ]
    duration = ["--trainer.max_steps", str(steps), "--trainer.val_check_interval", str(steps)]
    done = run(["fit", *COMMON, "--model.heads", heads, *place, *duration, *options])
    found = {name: float(value) for name, value in done.trainer.callback_metrics.items()}
    return found["val/pose/PCK@0.05"], found["val/pose/PCK@0.1"]


def main() -> None:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=400, help="of the training on 308 points")
    parser.add_argument("--output", type=Path, default=Path("runs/rows"))
    options = parser.parse_args()
    root, source = options.output / "people", options.output / "308"
    make_people(root)
    if not source.is_dir():
        print(
            f"308 points, {MANY} people: PCK {train('sociopticon308', root, 'all.json', source, options.steps)}"
        )
    found: dict[tuple[str, int], list[Pck]] = {}
    for seed in SEEDS:
        for arm, settings in ARMS.items():
            for steps in AFTER:
                given = ["--model.weights", f"{source}/last", "--seed_everything", str(seed), *settings]
                output = options.output / f"{arm.replace(' ', '_')}_{seed}_{steps}"
                values = train("held_out.json", root, f"few_{seed}.json", output, steps, given)
                found.setdefault((arm, steps), []).append(values)
                print(arm, seed, steps, values, flush=True)
    print("| steps | last layer | PCK@0.05 | PCK@0.1 | PCK@0.1 of each seed |\n|---|---|---|---|---|")
    for steps in AFTER:
        for arm in ARMS:
            near, far = zip(*found[arm, steps], strict=True)
            each = ", ".join(f"{value:.3f}" for value in far)
            print(f"| {steps} | {arm} | {statistics.mean(near):.3f} | {statistics.mean(far):.3f} | {each} |")


if __name__ == "__main__":
    main()
