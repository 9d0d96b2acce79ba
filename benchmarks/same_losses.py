"""Compare the losses of every shipped configuration between two checkouts, bit for bit.

    git worktree add /tmp/parent REVISION
    python benchmarks/same_losses.py /tmp/parent .

Installs each checkout beside the other (without dependencies), trains each shipped run at smoke size for 5 steps on the
same synthetic people, and prints the losses as hex floats. Exit status 1 where one differs.
"""

import functools
import json
import os
import subprocess
import sys
import tempfile
from argparse import ArgumentParser
from pathlib import Path

STEPS = 5
PEOPLE = 24
OVERLAY = "size/test.yaml"  # the old name of size/smoke.yaml, which every checkout knows


def main() -> int:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", type=Path, help="a checkout, or a file of losses that --save wrote")
    parser.add_argument("after", type=Path, help="a checkout")
    parser.add_argument("--save", type=Path, help="write the losses of AFTER to this file")
    parser.add_argument("--configs", nargs="+", default=None, help="runs to compare (all that both ship)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        after = losses_of(options.after, folder / "after", folder / "people", options.configs)
        if options.save:
            options.save.write_text(json.dumps(after, indent=1) + "\n")
        if options.before.is_file():
            before = json.loads(options.before.read_text())
        else:
            before = losses_of(options.before, folder / "before", folder / "people", options.configs)
    return report(before, after)


def losses_of(checkout: Path, folder: Path, people: Path, configs: list[str] | None) -> dict[str, list[str]]:
    """The losses of each run of a checkout, by its name, in a process that imports that checkout alone."""
    target = folder / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target)]
    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True).returncode:
        install = ["uv", "pip", "install", "--quiet", "--no-deps", "--target", str(target)]
    subprocess.run([*install, str(checkout)], check=True)
    out = folder / "losses.json"
    command = [sys.executable, __file__, "--train", str(people), str(out), *(configs or [])]
    subprocess.run(command, check=True, cwd=folder, env=environment(target))
    found: dict[str, list[str]] = json.loads(out.read_text())
    return found


def environment(target: Path) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(target), "OMP_WAIT_POLICY": "PASSIVE"}


def report(before: dict[str, list[str]], after: dict[str, list[str]]) -> int:
    """Print a row a run; returns the exit status."""
    differ = 0
    for name in sorted(before.keys() | after.keys()):
        if name not in before or name not in after:
            sys.stdout.write(f"{name}: only in {'before' if name in before else 'after'}\n")
            continue
        equal = before[name] == after[name]
        differ += not equal
        sys.stdout.write(f"{name}: {'equal' if equal else 'DIFFERENT'} {' '.join(after[name])}\n")
        if not equal:
            sys.stdout.write(f"  before: {' '.join(before[name])}\n")
    sys.stdout.write(f"{differ} of {len(before)} runs differ\n")
    return 1 if differ else 0


# ------------------------------------------------- in the process of one checkout


def train_all(people: Path, out: Path, configs: list[str]) -> None:
    """Train every shipped run for a few steps; writes the losses as hex floats."""
    import sapiens2_lit

    assert "site" in Path(sapiens2_lit.__file__).parts, f"imported {sapiens2_lit.__file__}"
    if not people.is_dir():
        command(["synth", str(people), "--num", str(PEOPLE), "--size", "128", "96", "--workers", "1"])
    found = {}
    for name in configs or complete_runs():
        found[name] = train(name, people)
        sys.stderr.write(f"{name}: {' '.join(found[name])}\n")
    out.write_text(json.dumps(found))


def complete_runs() -> list[str]:
    """Shipped configurations that are runs, not overlays."""
    from importlib.resources import files

    folder = Path(str(files("sapiens2_lit.configs")))
    return sorted(path.name for path in folder.glob("*.yaml"))


def train(name: str, people: Path) -> list[str]:
    """The loss of each step of one run at smoke size."""
    import lightning as L

    losses: list[str] = []

    class Watch(L.Callback):
        def on_train_batch_end(self, trainer: L.Trainer, module: L.LightningModule, outputs, *args) -> None:
            losses.append(float(outputs["loss"]).hex())

    fit = L.Trainer.fit

    @functools.wraps(fit)
    def watched(self: L.Trainer, *args, **kwargs) -> None:
        self.callbacks.append(Watch())
        fit(self, *args, **kwargs)

    options = ["--trainer.max_steps", str(STEPS), "--trainer.accelerator", "cpu", "--trainer.devices", "1"]
    options += ["--trainer.enable_progress_bar", "false", "--output", f"runs/{name}"]
    options += folders(name, people)
    L.Trainer.fit = watched
    try:
        command(["fit", "--config", name, "--config", OVERLAY, *options])
    finally:
        L.Trainer.fit = fit
    return losses


def folders(name: str, people: Path) -> list[str]:
    """Where a run finds its data, in a batch that 24 people fill."""
    if name == "multitask.yaml":
        return ["--data.num_workers", "0", "--data.batch_size", "2"]
    if name == "multitask_folders.yaml":
        root = Path("folders")
        root.mkdir(exist_ok=True)
        for dataset in ("pose", "segmentation", "normal", "pointmap", "albedo"):
            (root / dataset).unlink(missing_ok=True)
            (root / dataset).symlink_to(people)
        return ["--data.root", str(root), "--data.num_workers", "0"]
    return ["--data.root", str(people), "--data.num_workers", "0", "--data.batch_size", "2"]


def command(args: list[str]) -> None:
    try:
        from sapiens2_lit.cli.main import main as run
    except ImportError:
        from sapiens2_lit.cli import main as run  # before the commands were a package
    if status := run(args):
        raise SystemExit(f"sapiens2-lit {' '.join(args)} ended with {status}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--train"]:
        train_all(Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:])
    else:
        raise SystemExit(main())
