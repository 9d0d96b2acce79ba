"""The options of `probe`, read without torch; options win over files."""

from argparse import ArgumentError
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sapiens2_lit.cli.configs import find_config
from sapiens2_lit.cli.options import Parser
from sapiens2_lit.errors import SettingError
from sapiens2_lit.probing.settings import KINDS, TASKS, ProbeSettings, read_settings

USAGE = """\
sapiens2-lit probe --backbones A [B ...] [--config probe.yaml] [--data.root DIR] [--output page]
"""
PROBE = """\
Compare frozen backbones on your own labels: the same light probes, data order and budget for all, with intervals, and
what each costs. Writes results.json and report.html. Without --data.root, synthetic people are generated.
"""
BACKBONES = """\
hub ids, files or folders of weights, runs, RUNS/best, checkpoints, timm/NAME (timm/NAME:FILE with your own
weights), random:SIZE; each also as label=SOURCE"""


@dataclass(frozen=True)
class ProbeOptions:
    """A parsed command line of `probe`.

    Attributes:
        backbones: as typed.
        settings: of the run.
        output: folder of the page.
    """

    backbones: tuple[str, ...]
    settings: ProbeSettings
    output: Path


def probe_parser() -> Parser:
    """Return the parser of `probe`."""
    defaults = ProbeSettings()
    parser = Parser("sapiens2-lit probe", usage=USAGE, description=PROBE)
    parser.add_argument(
        "--config", "-c", action="append", default=[], metavar="FILE", help="such as probe.yaml"
    )
    parser.add_argument("--backbones", nargs="+", metavar="SOURCE", help=BACKBONES)
    parser.add_argument("--output", metavar="DIR", help="folder for the results and the page (probe)")
    parser.add_argument(
        "--tasks", nargs="+", metavar="TASK", help=f"some of {', '.join(TASKS)}: those with labels"
    )
    parser.add_argument("--probes", nargs="+", metavar="KIND", help=f"some of {', '.join(KINDS)} (both)")
    number(parser, "--seeds", "trainings of each probe", defaults.seeds)
    number(parser, "--steps", "optimizer steps of each training", defaults.steps)
    number(parser, "--batch_size", "images a step", defaults.batch_size)
    parser.add_argument(
        "--learning_rates", type=float, nargs="+", metavar="RATE",
        help=f"tried on the validation split ({' '.join(f'{rate:g}' for rate in defaults.learning_rates)})",
    )  # fmt: skip
    parser.add_argument(
        "--random", metavar="SIZE", help="size of the row `random` (the first backbone's network)"
    )
    number(parser, "--bootstrap", "resamplings of the test images", defaults.bootstrap)
    parser.add_argument("--device", help="cpu, cuda, mps or auto (auto)")
    parser.add_argument("--cache", metavar="DIR", help="keep feature maps there for later runs")
    parser.add_argument("--cache_limit_gb", type=float, metavar="GB", help="limit of the feature maps (100)")
    data = parser.add_argument_group("data")
    data.add_argument("--data.root", metavar="DIR", help="a dataset as `fit` reads it (synthetic people)")
    data.add_argument(
        "--data.image_size", nargs="+", metavar=("HEIGHT", "WIDTH"), help="of the input (512 384)"
    )
    number(data, "--data.label_stride", "input pixels from one label to the next", defaults.data.label_stride)
    data.add_argument("--data.skeleton", metavar="NAME", help="keypoints, by name or file (coco17)")
    data.add_argument("--data.classes", metavar="NAME", help="classes of the masks, by name or file (body29)")
    data.add_argument(
        "--data.group",
        metavar="G",
        help="the subject or video: folder, none, or a regular expression (folder)",
    )
    number(data, "--data.min_test_images", "fewer test images are refused", defaults.data.min_test_images)
    for split in ("train", "val", "test"):
        number(data, f"--data.{split}_images", f"most images of the {split} split", None)
    number(data, "--data.seed", "of synthetic people", defaults.data.seed)
    number(data, "--data.num_workers", "processes that read images", None)
    return parser


def number(parser: Any, name: str, text: str, default: int | None) -> None:
    """Add an option that is a whole number.

    Args:
        parser: Parser or group of options.
        name: With dashes.
        text: For `--help`.
        default: That the text mentions; None for none.
    """
    text = text if default is None else f"{text} ({default})"
    parser.add_argument(name, type=int, metavar="N", help=text)


def read_options(args: Sequence[str]) -> ProbeOptions:
    """Return the settings of files and options together.

    Raises:
        ArgumentError: Wrong usage.
        SettingError: A file does not exist or cannot be read, a setting is unknown, or a value is out of its range.
    """
    found = vars(probe_parser().parse_args(list(args)))
    if found["data.image_size"] is not None:
        found["data.image_size"] = read_size(found["data.image_size"])
    values: dict[str, Any] = {}
    for file in found.pop("config"):
        merge(values, read_file(file))
    typed: dict[str, Any] = {}
    for name, value in found.items():
        if value is not None:
            place = typed.setdefault("data", {}) if name.startswith("data.") else typed
            place[name.removeprefix("data.")] = value
    merge(values, typed)
    backbones, output = values.pop("backbones", None), values.pop("output", None)
    if isinstance(backbones, str):
        backbones = [backbones]
    if not backbones:
        raise ArgumentError(
            None,
            "probe: nothing to compare: give --backbones, such as facebook/sapiens2-pretrain-0.4b random:nano",
        )
    return ProbeOptions(
        tuple(map(str, backbones)), read_settings(values), Path(str(output or "probe")).expanduser()
    )


def read_size(words: Sequence[str]) -> list[int]:
    """Return height and width of `512 384`, or of `[512,384]`, the form of `fit`.

    Raises:
        ArgumentError: They are not two numbers.
    """
    numbers = " ".join(words).strip("[]() ").replace(",", " ").split()
    if len(numbers) != 2 or not all(number.isdecimal() for number in numbers):
        raise ArgumentError(
            None, f"--data.image_size: found {' '.join(words)!r}, expected height and width, such as 512 384"
        )
    return [int(number) for number in numbers]


def read_file(name: str) -> dict[str, Any]:
    """Return the settings of a YAML file, which is found like every `--config`.

    Raises:
        SettingError: There is no such file, or it is not a mapping of settings.
    """
    file = find_config(name)
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingError(f"--config {name}: cannot be read: {error}") from error
    if not isinstance(content, dict | None):
        raise SettingError(f"--config {name}: found {type(content).__name__}, expected settings of probe")
    if content and ("model" in content or "trainer" in content):
        raise SettingError(
            f"--config {name}: configures a training; expected settings of probe, like probe.yaml"
        )
    return content or {}


def merge(into: dict[str, Any], new: dict[str, Any]) -> None:
    """Merge settings into earlier ones, those below `data` one by one."""
    for name, value in new.items():
        if isinstance(value, dict) and isinstance(into.get(name), dict):
            merge(into[name], value)
        else:
            into[name] = value
