"""Settings of a probing run: the data, the budget, the probes. Plain values, checked once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any, Literal, get_args

from sapiens2_lit.errors import SettingError

Kind = Literal["linear", "small"]
KINDS: tuple[Kind, ...] = get_args(Kind)
TASKS = ("pose", "segmentation", "pointmap", "normal", "albedo", "depth")
TASK_ALIASES = {"seg": "segmentation"}
SPLITS = ("train", "val", "test")
_PLAIN = (int, float, str)


@dataclass(frozen=True)
class ProbeData:
    """The pictures and labels to probe with.

    Attributes:
        root: Folder of the dataset, laid out as for `fit`; None to generate synthetic people.
        image_size: (height, width) of the input in pixels.
        label_stride: Labels are used at every `label_stride`-th pixel of the input, in training and evaluation.
        skeleton: Vocabulary of the keypoints, by name or file.
        classes: Vocabulary of the masks, by name or file.
        group: What must not be in two splits, the subject or video: `folder`, the folder of a picture below `images/`;
            `none`; or a regular expression whose first group, found in the stem, names it.
        min_test_images: A task with fewer test images is refused.
        train_images: Most images of the training split; None for all of a folder, or 256 synthetic people.
        val_images: Most images of the validation split; None for all of a folder, or 64 synthetic people.
        test_images: Most images of the test split; None for all of a folder, or 128 synthetic people.
        seed: Of the synthetic people.
        num_workers: Processes that read images; None for a share of the CPUs.
    """

    root: str | None = None
    image_size: tuple[int, int] = (512, 384)
    label_stride: int = 4
    skeleton: str = "coco17"
    classes: str = "body29"
    group: str = "folder"
    min_test_images: int = 10
    train_images: int | None = None
    val_images: int | None = None
    test_images: int | None = None
    seed: int = 0
    num_workers: int | None = None

    def __post_init__(self) -> None:
        """Check the values; one that is out of its range raises SettingError."""
        expect_size("data.image_size", self.image_size)
        expect_at_least("data.label_stride", self.label_stride, 1)
        expect_at_least("data.min_test_images", self.min_test_images, 2)
        for split in SPLITS:
            if (most := self.most(split)) is not None:
                expect_at_least(f"data.{split}_images", most, 1)
        expect_at_least("data.seed", self.seed, 0)
        if self.num_workers is not None:
            expect_at_least("data.num_workers", self.num_workers, 0)
        if any(side % self.label_stride for side in self.image_size):
            raise SettingError(
                f"data.label_stride: found {self.label_stride}, expected a divisor of both sides of "
                f"data.image_size, {list(self.image_size)}"
            )

    def most(self, split: str) -> int | None:
        """Return the most images of a split; None for all."""
        found: int | None = getattr(self, f"{split}_images")
        return found


@dataclass(frozen=True)
class ProbeSettings:
    """Settings of the probes: the same for all backbones.

    Attributes:
        data: The pictures and labels.
        tasks: Names of the tasks; None for all with labels in the data.
        probes: `linear`, a 1 x 1 convolution; `small`, one small fixed decoder.
        seeds: Number of trainings of each probe, which differ in initial values and order of the data.
        steps: Optimizer steps of a training.
        batch_size: Images per step.
        learning_rates: Compared on the validation split; the best one is tested.
        weight_decay: Of AdamW.
        random: Size of the randomly initialized backbone of the row `random`; None for the network of the first
            backbone.
        bootstrap: Resamplings of the test images.
        device: Where backbones and probes run: auto, cpu, cuda, mps.
        cache: Folder that keeps feature maps for later runs; None to delete them at the end.
        cache_limit_gb: Largest size of the feature maps of this run, in GB (1e9 bytes).
    """

    data: ProbeData = field(default_factory=ProbeData)
    tasks: tuple[str, ...] | None = None
    probes: tuple[Kind, ...] = KINDS
    seeds: int = 3
    steps: int = 300
    batch_size: int = 16
    learning_rates: tuple[float, ...] = (3e-4, 1e-3, 3e-3, 1e-2)
    weight_decay: float = 1e-3
    random: str | None = None
    bootstrap: int = 1000
    device: str = "auto"
    cache: str | None = None
    cache_limit_gb: float = 100.0

    def __post_init__(self) -> None:
        """Check the values; one that is out of its range raises SettingError."""
        for name in ("seeds", "steps", "batch_size"):
            expect_at_least(name, getattr(self, name), 1)
        expect_at_least("bootstrap", self.bootstrap, 100)
        expect_names("probes", self.probes, KINDS)
        if self.tasks is not None:
            expect_names("tasks", self.tasks, TASKS)
        if not self.learning_rates or any(not rate > 0 for rate in self.learning_rates):
            found = list(self.learning_rates)
            raise SettingError(f"learning_rates: found {found}, expected one or more numbers above 0")


def expect_at_least(name: str, value: Any, least: int) -> None:
    """Check that a value is a whole number of at least `least`.

    Args:
        name: Of the setting.
        value: To check.
        least: Smallest allowed value.

    Raises:
        SettingError: It is not.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise SettingError(f"{name}: found {value!r}, expected a whole number of {least} or more")


def expect_size(name: str, value: Sequence[int]) -> None:
    """Check that a value is (height, width) in pixels.

    Raises:
        SettingError: It is not.
    """
    if len(value) != 2 or any(not isinstance(side, int) or side < 1 for side in value):
        raise SettingError(f"{name}: found {list(value)}, expected height and width in pixels")


def expect_names(setting: str, found: Sequence[str], known: Sequence[str]) -> None:
    """Check that there is at least one name, all are known, and none occurs twice.

    Args:
        setting: Of the names.
        found: The names.
        known: All allowed names.

    Raises:
        SettingError: They are not so.
    """
    for name in found:
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise SettingError(f"{setting}: found {name!r}, expected some of {', '.join(known)}{hint}")
    if not found or len(set(found)) != len(found):
        raise SettingError(f"{setting}: found {list(found)}, expected one name or more, each once")


def read_settings(values: Mapping[str, Any]) -> ProbeSettings:
    """Return the settings in a mapping, such as of a YAML file; missing ones keep their defaults.

    Raises:
        SettingError: A name is unknown, or a value is of the wrong kind or out of its range.
    """
    values = dict(values)
    data = values.pop("data", None) or {}
    if not isinstance(data, Mapping):
        raise SettingError(f"data: found {data!r}, expected settings such as `root` and `image_size`")
    found: dict[str, Any] = {"data": ProbeData(**checked(ProbeData, data, "data."))}
    return ProbeSettings(**found, **checked(ProbeSettings, values, ""))


def checked(kind: type, values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Return values for the fields of a class: lists as tuples, numbers in the field's type.

    Args:
        kind: The class.
        values: By name.
        prefix: Of the names, for messages.

    Raises:
        SettingError: A name is unknown, or a value is of the wrong kind.
    """
    known = {
        one.name: getattr(one.type, "__name__", "") if one.type in _PLAIN else str(one.type)
        for one in fields(kind)
    }
    found = {}
    for name, value in values.items():
        if name not in known:
            near = get_close_matches(str(name), known, 1)
            hint = f"; did you mean {prefix}{near[0]}?" if near else ""
            raise SettingError(f"{prefix}{name}: probe has no such setting{hint}")
        found[name] = as_field(f"{prefix}{name}", value, known[name])
    return found


def as_field(name: str, value: Any, kind: str) -> Any:
    """Return a value in the type of a field.

    Args:
        name: Of the setting, for messages.
        value: To convert.
        kind: Annotation of the field.

    Raises:
        SettingError: It is of another kind.
    """
    if value is None and "None" in kind:
        return None
    kind = kind.removesuffix(" | None")
    if kind.startswith("tuple["):
        inner = kind.removeprefix("tuple[").partition(",")[0]
        items = list(value) if isinstance(value, list | tuple) else [value]
        if name == "tasks":
            items = [TASK_ALIASES.get(str(item), item) for item in items]
        return tuple(as_field(name, item, inner) for item in items)
    wanted: dict[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "str": (str,)}
    expected = wanted.get(kind, (str,))
    if kind == "float" and isinstance(value, str):  # YAML reads 1e-3 as text
        try:
            return float(value)
        except ValueError:
            pass
    if not isinstance(value, expected) or isinstance(value, bool):
        raise SettingError(f"{name}: found {value!r}, expected {kind if kind in wanted else 'a name'}")
    number: Any = value
    return float(number) if kind == "float" else value
