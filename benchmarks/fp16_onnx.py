"""What float16 costs in ONNX: size, speed on a CPU, and metrics on people never seen.

    python benchmarks/fp16_onnx.py [--steps 400] [--num 400] [--output runs/fp16] [--model CKPT]

Trains a nano backbone with heads of pose, classes and normals on synthetic people, exports it in both precisions, runs
both files in turn by onnxruntime on the same test people, and prints sizes, CPU seconds and the heads' own metrics.
"""

import json
import os
import time
from argparse import ArgumentParser, Namespace
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import onnxruntime
import torch
import yaml

from sapiens2_lit.cli.configs import find_config
from sapiens2_lit.cli.fit import run
from sapiens2_lit.cli.main import main as sapiens2_lit
from sapiens2_lit.datamodules import SyntheticDataModule
from sapiens2_lit.inference.model import load_model

METRICS = ("pose/PCK@0.1", "seg/foreground_mIoU", "normal/mean_angle")
TASKS = ("keypoints", "segmentation", "normal")
SIZE = "[128, 96]"


def train(options: Namespace) -> Path:
    """The checkpoint."""
    config = yaml.safe_load(find_config("multitask.yaml").read_text())
    heads = {name: config["model"]["heads"][name] for name in ("pose", "seg", "normal")}
    options.output.mkdir(parents=True, exist_ok=True)
    (overlay := options.output / "heads.yaml").write_text(yaml.safe_dump({"model": {"heads": heads}}))
    command = [
        "fit",
        "--config",
        "multitask.yaml",
        "--config",
        "size/nano.yaml",
        "--config",
        str(overlay),
        "--output",
        str(options.output),
    ]
    command += [
        "--data.image_size",
        SIZE,
        "--data.batch_size",
        "8",
        "--data.targets",
        f"[{', '.join(TASKS)}]",
    ]
    command += ["--data.samples_per_epoch", str(options.num), "--data.test_samples", "64"]
    command += ["--trainer.max_steps", str(options.steps), "--trainer.accumulate_grad_batches", "1"]
    command += ["--model.optimizer.lr", "2e-3"]
    command += ["--trainer.accelerator", "cpu", "--trainer.precision", "32-true", "--data.num_workers", "1"]
    command += ["--trainer.limit_val_batches", "0", "--trainer.enable_progress_bar", "false"]
    cli = run(command)
    return Path(cli.trainer.log_dir, "checkpoints", "last.ckpt")


def measure(files: dict[str, Path], checkpoint: Path) -> dict[str, dict[str, float]]:
    heads = dict(load_model(checkpoint).named_heads())
    sessions = {
        name: onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        for name, file in files.items()
    }
    scores = {name: {key: head.metrics(None, "test") for key, head in heads.items()} for name in files}
    seconds = dict.fromkeys(files, 0.0)
    size = json.loads(SIZE)
    data = SyntheticDataModule(size, targets=list(TASKS), test_samples=64, batch_size=8, num_workers=0)
    data.setup("test")
    for batch in data.test_dataloader():
        for name, session in sessions.items():  # in turn, on the same pictures
            start = time.process_time()
            found = session.run(list(heads), {"image": batch["image"].numpy()})
            seconds[name] += time.process_time() - start
            for (key, head), outputs in zip(heads.items(), found, strict=True):
                head.update(scores[name][key], torch.from_numpy(outputs), batch)
    return {
        name: {
            "size, MB": files[name].stat().st_size / 1e6,
            "CPU s": seconds[name],
            **{
                f"{key}/{metric}": float(value)
                for key, found in scores[name].items()
                for metric, value in found.compute().items()
                if f"{key}/{metric}" in METRICS
            },
        }
        for name in files
    }


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--num", type=int, default=400)
    parser.add_argument("--output", type=Path, default=Path("runs/fp16"))
    parser.add_argument("--model", type=Path, help="a checkpoint of such a run, in place of training one")
    options = parser.parse_args()
    checkpoint = options.model or train(options)
    files = {}
    for precision in ("float32", "fp16"):
        folder = options.output / precision
        sapiens2_lit(
            [
                "export",
                "--model",
                str(checkpoint),
                "--output",
                str(folder),
                "--format",
                "onnx",
                "--precision",
                precision,
            ]
            + ["--overwrite"]
        )
        files[precision] = folder / "model.onnx"
    found = measure(files, checkpoint)
    print(
        f"\nonnxruntime {onnxruntime.__version__}\n\n| measure | float32 | fp16 | ratio |\n|---|---|---|---|"
    )
    for key, value in found["float32"].items():
        half = found["fp16"][key]
        print(f"| {key} | {value:.4f} | {half:.4f} | {f'{half / value:.3f}' if value else '-'} |")


if __name__ == "__main__":
    main()
