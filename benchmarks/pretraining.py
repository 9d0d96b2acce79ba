"""What pretraining costs and what it brings, on synthetic people and a CPU; RESULTS.md has the numbers.

    python benchmarks/pretraining.py cost    # seconds of a step: MAE, contrast, fine-tuning
    python benchmarks/pretraining.py gain    # frozen features before and after, 64 labels
    python benchmarks/pretraining.py claim   # MAE, contrast, both: equal FLOP
    python benchmarks/pretraining.py anchor  # continued on inverted pictures

Each part goes on where it was stopped: what its folder holds is not done again. `--quick` is a rehearsal of a minute.
"""

import argparse
import json
import statistics
import time
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import torch

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.cli.main import main
from sapiens2_lit.heads import SegmentationHead
from sapiens2_lit.memory.batches import example_batch
from sapiens2_lit.memory.flops import training_flops
from sapiens2_lit.memory.networks import empty_networks
from sapiens2_lit.models.build import build
from sapiens2_lit.probing import ProbeData, ProbeSettings, probe
from sapiens2_lit.training.pretraining.module import PretrainModule
from sapiens2_lit.training.pretraining.objective import LOCAL, SEED

PICTURES, LABELLED, TESTED = 2000, 64, 128
SIZES = {"nano": (128, 96), "pico": (96, 64), "test": (64, 48)}
TASKS = ("segmentation", "pose", "normal", "albedo")
FIRST = {"segmentation": "mIoU", "pose": "PCK@0.1", "normal": "mean_angle", "albedo": "mae"}
# Of each run about five minutes (gain), two (claim), two (anchor) on two cores.
GAIN_STEPS, CLAIM_FLOP, ANCHOR_STEPS = 1200, 5e12, 600
OBJECTIVES: dict[str, list[str]] = {
    "mae": ["--config", "pretrain/mae.yaml"],
    "contrast": ["--config", "pretrain/dino.yaml"],
    "contrast, colors on globals": [
        "--config",
        "pretrain/dino.yaml",
        "--data.views.colors.on_globals",
        "true",
    ],
    "both": ["--config", "pretrain/sapiens2.yaml"],
}


def pictures(folder: Path, count: int, size: tuple[int, int], seed: int = 0) -> Path:
    """A folder of synthetic people, made once."""
    root = folder / f"people{count}-seed{seed}"
    args = ["synth", str(root), "--num", str(count), "--size", *map(str, size), "--seed", str(seed)]
    assert main([*args, "--tasks", "pose", "segmentation", "normal", "albedo"]) == 0
    return root


def pretrain(output: Path, size: str, root: Path, *options: object) -> Path:
    """Return the backbone of a run, which is made unless it is there; a run that was stopped goes on."""
    if not any(output.glob("version_*/backbone.safetensors")):
        args = [*map(str, options), "--data.root", str(root), "--output", str(output), "--ckpt_path", "auto"]
        common = ["--trainer.accelerator", "cpu", "--data.val_samples", "32", "--comparison.run", "never"]
        common += ["--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false"]
        name = "smoke" if size == "test" else size
        base = args.index("--config") + 2 if "--config" in args else 0
        assert main(["pretrain", *args[:base], "--config", f"size/{name}.yaml", *common, *args[base:]]) == 0
    (target,) = output.glob(
        "version_*/backbone.safetensors"
    )  # a run killed before its first checkpoint has none
    return target


def probed(backbones: dict[str, str], size: tuple[int, int], quick: bool, **data: Any) -> dict[str, Any]:
    """Scores by row, task and seed, of a probe with few labels."""
    images = (12, 10, 10) if quick else (LABELLED, 32, TESTED)
    settings = ProbeSettings(
        data=ProbeData(
            image_size=size,
            train_images=images[0],
            val_images=images[1],
            test_images=images[2],
            num_workers=2,
            **data,
        ),
        tasks=data.pop("tasks", TASKS) if "root" not in data else ("segmentation", "normal"),
        probes=("linear",),
        seeds=1 if quick else 3,
        steps=5 if quick else 300,
    )
    return probe(backbones, settings).as_dict()


def table(found: dict[str, Any], rows: list[str], tasks: tuple[str, ...]) -> None:
    """Print the first metric of each task with its interval."""
    print("| | " + " | ".join(f"{task} {FIRST[task]}" for task in tasks) + " |")
    print("|-|" + "-|" * len(tasks))
    for row in rows:
        cells = []
        for task in tasks:
            score = found["backbones"][row][task][FIRST[task]]
            low, high = score["interval"]
            cells.append(f"{score['mean']:.4f} [{low:.4f}, {high:.4f}] ± {score['std']:.4f}")
        print(f"| {row} | " + " | ".join(cells) + " |")


def seconds(step: Any, times: int) -> float:
    """Median wall time."""
    step()
    found = []
    for _ in range(times):
        began = time.perf_counter()
        step()
        found.append(time.perf_counter() - began)
    return statistics.median(found)


def cost(folder: Path, quick: bool) -> None:
    """Forward, backward and optimizer step of one batch, the kinds taken in turns."""
    size, batch = ((64, 48), 2) if quick else ((384, 288), 2)
    name = "test" if quick else "0.1b"
    torch.manual_seed(0)
    kinds: dict[str, Any] = {}
    network = build(partial(Sapiens2, name, size), {"seg": SegmentationHead}, pretrained=True)
    labels = example_batch([network.heads["seg"]], batch, size)  # type: ignore[list-item]

    def fine_tune() -> torch.Tensor:
        outputs = network(labels["image"])["seg"]
        return torch.stack(list(network.heads["seg"].loss(outputs, labels).values())).sum()  # type: ignore[operator]

    kinds["fine-tuning (segmentation)"] = (network, fine_tune)
    objectives: dict[str, dict[str, Any]] = {
        "MAE": {},
        "contrast (dino)": {"mae": None, "contrast": "dino"},
        "both": {"contrast": "dino"},
    }
    for label, settings in objectives.items():
        module = PretrainModule(partial(Sapiens2, name, size), **settings)
        module.configure_model()
        views = module.objective.global_views
        views_batch = {
            "image": torch.randint(0, 256, (batch, views, 3, *size), dtype=torch.uint8),
            SEED: torch.arange(batch),
        }
        if views == 2:
            local = (size[0] // 2, size[1] // 2 // 16 * 16)
            views_batch[LOCAL] = torch.randint(0, 256, (batch, 4, 3, *local), dtype=torch.uint8)
        kinds[label] = (module.network, lambda m=module, b=views_batch: m.objective.run(m.nets, b, 0).loss())
    times: dict[str, list[float]] = {label: [] for label in kinds}
    for _ in range(1 if quick else 3):
        for label, (net, loss) in kinds.items():
            optimizer = torch.optim.AdamW([p for p in net.parameters() if p.requires_grad], lr=1e-5)

            def step(loss: Any = loss, optimizer: Any = optimizer) -> None:
                optimizer.zero_grad()
                loss().backward()
                optimizer.step()

            times[label].append(seconds(step, 1))
    base = statistics.median(times["fine-tuning (segmentation)"])
    print(f"{name}, {size[0]} x {size[1]}, {batch} images, CPU with {torch.get_num_threads()} threads")
    for label, found in times.items():
        middle = statistics.median(found)
        print(f"  {label:28} {middle:8.2f} s a step, {middle / base:5.2f} of fine-tuning")


def gain(folder: Path, quick: bool) -> None:
    """Frozen features after MAE against random values and raw pixels."""
    size = "test" if quick else "nano"
    steps, count = (4, 24) if quick else (GAIN_STEPS, PICTURES)
    root = pictures(folder, count, SIZES[size]) / "images"
    options = [
        "--config",
        "pretrain/mae.yaml",
        "--trainer.max_steps",
        steps,
        "--model.warmup_steps",
        steps // 12,
    ]
    began = time.perf_counter()
    backbone = pretrain(folder / "mae", size, root, *options, "--data.batch_size", 4 if quick else 32)
    print(f"pretrained in {time.perf_counter() - began:.0f} s (0 where it was there)")
    found = probed({"mae": str(backbone)}, SIZES[size], quick)
    (folder / "gain.json").write_text(json.dumps(found, default=str))
    table(found, ["mae", "random", "pixels", "position"], TASKS)


def claim(folder: Path, quick: bool) -> None:
    """Objectives at an equal number of floating-point operations, three pretrainings of each."""
    size, seeds = ("test", 1) if quick else ("pico", 3)
    root = pictures(folder, 24 if quick else PICTURES, SIZES[size]) / "images"
    backbones, batch = {}, 4 if quick else 32
    for label, options in OBJECTIVES.items():
        module = PretrainModule(
            partial(Sapiens2, size, SIZES[size]),
            **({"contrast": "dino"} if label != "mae" else {}),
            **({"mae": None} if label.startswith("contrast") else {}),
        )
        each = training_flops(empty_networks(module), SIZES[size]).backbone * batch
        steps = 2 if quick else round(CLAIM_FLOP / each)
        print(f"{label}: {steps} steps of {each / 1e9:.1f} GFLOP")
        for seed in range(seeds):
            name = label.replace(", ", "-").replace(" ", "-")
            own = ["--seed_everything", seed, "--trainer.max_steps", steps, "--data.batch_size", batch]
            own += ["--model.dino.freeze_last_layer_steps", 50] if label != "mae" else []
            backbones[f"{label} {seed}"] = str(
                pretrain(folder / f"{name}-{seed}", size, root, *options, *own)
            )
    found = probed(backbones, SIZES[size], quick)
    (folder / "claim.json").write_text(json.dumps(found, default=str))
    tasks = ("segmentation", "normal", "albedo", "pose")
    print("| | " + " | ".join(f"{task} {FIRST[task]}" for task in tasks) + " |\n|-|" + "-|" * len(tasks))
    for label in OBJECTIVES:
        cells = []
        for task in tasks:
            means = [
                found["backbones"][f"{label} {seed}"][task][FIRST[task]]["mean"] for seed in range(seeds)
            ]
            spread = statistics.stdev(means) if len(means) > 1 else 0.0
            cells.append(f"{statistics.mean(means):.4f} ± {spread:.4f}")
        print(f"| {label} | " + " | ".join(cells) + " |")
    table(found, ["random", "pixels"], tasks)


def anchor(folder: Path, quick: bool) -> None:
    """Continued MAE on inverted pictures, with and without an anchor: probes on both kinds of pictures."""
    size = "test" if quick else "pico"
    count, steps = (24, 3) if quick else (PICTURES, ANCHOR_STEPS)
    root = pictures(folder, count, SIZES[size])
    start = pretrain(
        folder / "start", size, root / "images", "--config", "pretrain/mae.yaml",
        "--trainer.max_steps", 4 if quick else 2 * ANCHOR_STEPS, "--data.batch_size", 4 if quick else 32,
    )  # fmt: skip
    upside = inverted(root / "images", folder / "inverted")
    backbones = {"start": str(start)}
    for label, option in (("with anchor", []), ("without", ["--model.anchor", "null"])):
        own = [
            "--config",
            "pretrain/continue.yaml",
            "--model.backbone.weights",
            start,
            "--trainer.max_steps",
            steps,
        ]
        own += ["--model.decoder_first_steps", steps // 4, "--data.batch_size", 4 if quick else 32, *option]
        backbones[label] = str(pretrain(folder / label.replace(" ", "-"), size, upside, *own))
    labelled = pictures(folder, 60 if quick else 300, SIZES[size], seed=1)
    for domain, place in (
        ("its own pictures", labelled),
        ("inverted pictures", with_inverted(labelled, folder / "labelled-inverted")),
    ):
        found = probed(backbones, SIZES[size], quick, root=str(place), min_test_images=2)
        print(f"\n{domain}")
        table(found, [*backbones, "random"], ("segmentation", "normal"))


def inverted(source: Path, target: Path) -> Path:
    """The pictures of a folder with inverted colors."""
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.iterdir()):
        if not (target / path.name).exists():
            cv2.imwrite(str(target / path.name), 255 - cv2.imread(str(path)))
    return target


def with_inverted(dataset: Path, target: Path) -> Path:
    """A dataset with the same labels on inverted pictures."""
    target.mkdir(parents=True, exist_ok=True)
    for path in dataset.iterdir():
        if path.name != "images" and not (target / path.name).exists():
            (target / path.name).symlink_to(path.resolve())
    inverted(dataset / "images", target / "images")
    return target


PARTS = {"cost": cost, "gain": gain, "claim": claim, "anchor": anchor}


def run() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=[*PARTS, "all"])
    parser.add_argument("--folder", type=Path, default=Path("runs/benchmark_pretraining"))
    parser.add_argument("--quick", action="store_true", help="a rehearsal, whose numbers mean nothing")
    options = parser.parse_args()
    for name in PARTS if options.part == "all" else [options.part]:
        folder = (options.folder / name).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        print(f"\n## {name}", flush=True)
        PARTS[name](folder, options.quick)


if __name__ == "__main__":
    run()
