"""`fit --help` without a configuration: which there are, the settings that people change, and where the rest is."""

import shutil
import textwrap

from sapiens2_lit.cli.configs import shipped_configs, summary

WHAT = {
    "fit": "Train heads on a Sapiens2 backbone; everything of a run is written to OUTPUT/version_N.",
    "validate": "Measure a trained model on the validation data.",
    "test": "Measure a trained model on the test data.",
}
USAGE = {
    "fit": "sapiens2-lit fit --config FILE [--config OVERLAY ...] --data.root DIR [--KEY VALUE ...]",
    "validate": "sapiens2-lit validate --model RUN [--KEY VALUE ...]",
    "test": "sapiens2-lit test --model RUN [--data.root DIR] [--report DIR] [--KEY VALUE ...]",
}
SETTINGS = {
    "--data.root DIR": "the dataset",
    "--data.batch_size N": "images on each device at a time",
    "--data.image_size '[H, W]'": "pixels that the network sees, multiples of 16",
    "--data.num_workers N": "processes that load images",
    "--model.weights SOURCE": "start from a task model: a file, a run's checkpoint, or a hub id",
    "--model.adapt.mode MODE": "what of the backbone learns: frozen, last_blocks, lora or full",
    "--model.optimizer.lr RATE": "learning rate",
    "--trainer.max_steps N": "steps of the optimizer (--trainer.max_epochs: epochs instead)",
    "--trainer.accumulate_grad_batches N": "batches in one step",
    "--trainer.devices N": "GPUs, or a list such as '[0, 2]'",
    "--trainer.precision P": "bf16-mixed or 32-true",
    "--patience N": "end after N validations without a better score",
    "--ckpt_path last": "go on with the newest run of --output",
    "--output DIR": "folder for the runs of this configuration",
}
MORE = """
`--help` beside --config shows the usual settings of that run with their values, `--help_all` beside it every one.
`--print_config` prints the whole configuration and ends. Later --config files and options win over earlier ones.
Guide: docs/training.md. Tab completion: `sapiens2-lit completion bash`.
"""


def short_help(command: str) -> str:
    """A screen of help for a command with a Trainer; takes neither torch nor a parser."""
    names = shipped_configs()
    tasks = [name for name in names if "/" not in name]
    overlays = [name for name in names if "/" in name]
    lines = [f"usage: {USAGE[command]}", "", WHAT[command]]
    if command == "fit":
        lines += ["", "configurations (`sapiens2-lit configs show NAME` prints one):"]
        widest = max(map(len, tasks))
        room = max(80, shutil.get_terminal_size((120, 24)).columns) - widest - 4
        lines += [f"  {name:{widest}}  {textwrap.shorten(summary(name), room)}" for name in tasks]
        groups = dict.fromkeys(name.partition("/")[0] for name in overlays)
        lines += ["overlays, after one of these:"]
        for group in groups:
            members = [
                name.partition("/")[2].removesuffix(".yaml")
                for name in overlays
                if name.startswith(f"{group}/")
            ]
            lines += [f"  {group}/{{{','.join(members)}}}.yaml"]
    lines += ["", "settings that people change:"]
    lines += [f"  {name:{max(map(len, SETTINGS))}}  {text}" for name, text in SETTINGS.items()]
    return "\n".join(lines) + "\n" + MORE
