"""`fit --help` without a configuration: the shipped configurations, the settings that people change, and more help."""

import shutil
import textwrap

from sapiens2_lit.cli.configs import OVERLAYS, PRETRAINING, complete_configs, shipped_configs, summary

WHAT = {
    "fit": "Train heads on a Sapiens2 backbone; writes all results to OUTPUT/version_N.",
    "pretrain": "Train a backbone on images without labels; writes OUTPUT/version_N/backbone.safetensors.",
    "validate": "Measure a trained model on the validation data.",
    "test": "Measure a trained model on the test data.",
}
USAGE = {
    "fit": "sapiens2-lit fit --config FILE [--config OVERLAY ...] --data.root DIR [--KEY VALUE ...]",
    "pretrain": "sapiens2-lit pretrain --config FILE [--config OVERLAY ...] --data.root IMAGES [--KEY VALUE ...]",
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
PRETRAIN_SETTINGS = {
    "--data.root IMAGES": "folder of images and videos",
    "--data.boxes FILE": "boxes of people; each person becomes an image",
    "--model.backbone.weights SOURCE": "start from a released backbone or your own; null for random values",
    "--model.adapt.mode MODE": "what of the backbone learns: full, last_blocks or lora",
    "--model.anchor.weight N": "how firmly features are held near the start; --model.anchor null lets them go",
    "--model.contrast dino|simclr": "contrast of class tokens beside, or in place of, reconstruction",
    **{
        name: text
        for name, text in SETTINGS.items()
        if name.startswith(("--data.", "--trainer.", "--model.optimizer", "--output", "--ckpt_path"))
        and "root" not in name
    },
}
MORE = """
`--help` beside --config shows the usual settings of that run with their values, `--help_all` beside it all settings.
`--print_config` prints the whole configuration and ends. Later --config files and options win over earlier ones.
Guide: docs/training.md. Tab completion: `sapiens2-lit completion bash`.
"""


def short_help(command: str) -> str:
    """Return a screen of help for a command with a Trainer; needs neither torch nor a parser."""
    tasks = complete_configs(command)
    overlays = [name for name in shipped_configs() if "/" in name and not name.startswith(PRETRAINING)]
    overlays += OVERLAYS if command == "pretrain" else ()
    lines = [f"usage: {USAGE[command]}", "", WHAT[command]]
    if command in ("fit", "pretrain"):
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
            lines += textwrap.wrap(
                f"{group}/{{{', '.join(members)}}}.yaml", 100, initial_indent="  ", subsequent_indent="    "
            )
    lines += ["", "settings that people change:"]
    settings = PRETRAIN_SETTINGS if command == "pretrain" else SETTINGS
    lines += [f"  {name:{max(map(len, settings))}}  {text}" for name, text in settings.items()]
    return "\n".join(lines) + "\n" + MORE
