"""Former names of settings and class paths, so that old checkpoints, exported files and runs still load."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sapiens2_lit.errors import WeightsError

LARGEST = 40_000  # largest number of values

CLASS_PATHS = {
    "sapiens2_lit.balancing.FixedWeights": "sapiens2_lit.training.loss_weighting.FixedWeights",
    "sapiens2_lit.balancing.GradientNorms": "sapiens2_lit.training.loss_weighting.GradientNorms",
    "sapiens2_lit.balancing.UncertaintyWeighting": "sapiens2_lit.training.loss_weighting.UncertaintyWeighting",
    "sapiens2_lit.losses.Labelled": "sapiens2_lit.losses.SkipUnlabelled",
    "sapiens2_lit.losses.labelled.Labelled": "sapiens2_lit.losses.SkipUnlabelled",
    "sapiens2_lit.callbacks.StartTable": "sapiens2_lit.callbacks.ModelSummary",
    "sapiens2_lit.callbacks.RunScalars": "sapiens2_lit.callbacks.LearningRates",
    "sapiens2_lit.report.TestReport": "sapiens2_lit.report.HtmlReport",
    "sapiens2_lit.checkpoints.run_io.RunCheckpointIO": "sapiens2_lit.checkpoints.checkpoint_io.RunCheckpointIO",
}
SETTINGS = {  # new name by position in a configuration; `*` is any one name
    "model.recompute": "head_checkpointing",
    "model.balance": "loss_weighting",
    "model.adapt.small": "auto_freeze_below",
    "model.adapt.extra": "also_train",
    "model.adapt.schedule": "unfreeze_at",
    "model.heads.*.init_args.colour_loss": "color_loss",
}
REMOVED = ("data.init_args.predict", "data.init_args.datasets.*.init_args.predict")  # now `predict --images`
VALUES = {("model.adapt.mode", "last"): "last_blocks"}


def translate_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration in today's names; new names in it stay unchanged.

    Raises:
        WeightsError: It has more values than any configuration: references in a file can turn a few values into
            billions.
    """
    _check_size(config)
    translated = _translate(config, "")
    assert isinstance(translated, dict)
    return translated


def _check_size(config: Any) -> None:
    left, seen = [config], 0
    while left:
        value = left.pop()
        seen += 1
        if seen > LARGEST:
            raise WeightsError(f"a configuration with more than {LARGEST} values")
        left += value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()


def translate_adapt(adapt: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings under `model.adapt` in today's names; checkpoints also keep them separately."""
    translated: dict[str, Any] = translate_config({"model": {"adapt": adapt}})["model"]["adapt"]
    return translated


def old_names(config: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Yield each old name in a configuration with the new one, for messages."""
    if isinstance(config, Mapping):
        for key, value in config.items():
            here = f"{place}.{key}".removeprefix(".")
            if _matches(here, REMOVED):
                yield here, "an option of predict, --images"
            elif new := _setting(here):
                yield here, f"{here.rpartition('.')[0]}.{new}"
            yield from old_names(value, here)
    elif isinstance(config, list):
        for value in config:
            yield from old_names(value, place)
    elif isinstance(config, str) and (value := _value(place, config)) != config:
        yield f"{place} {config}" if config not in CLASS_PATHS else config, value


def old_option(option: str) -> tuple[str, str] | None:
    """Return a command-line option with an old name, such as `--model.recompute=stages`, and the new one.

    None if its name is not old.
    """
    name, _, value = option.removeprefix("--").partition("=")
    if value and (found := next(old_names(value, name), None)):
        return found
    parts = name.split(".")
    for end in range(len(parts), 1, -1):  # also for settings below it, such as `model.balance.alpha`
        here = ".".join(parts[:end])
        if new := _setting(here) or _setting(_with_init_args(here)):
            return f"--{name}", ".".join(["--" + ".".join(parts[: end - 1]), new, *parts[end:]])
    return None


def _translate(value: Any, place: str) -> Any:
    if isinstance(value, Mapping):
        below = {key: f"{place}.{key}".removeprefix(".") for key in value}
        below = {key: here for key, here in below.items() if not _matches(here, REMOVED)}
        return {
            _setting(below[key]) or key: _translate(one, below[key])
            for key, one in value.items()
            if key in below
        }
    if isinstance(value, list):
        return [_translate(one, place) for one in value]
    return _value(place, value) if isinstance(value, str) else value


def _setting(place: str) -> str | None:
    return next((new for old, new in SETTINGS.items() if _matches(place, [old])), None)


def _matches(place: str, patterns: Iterable[str]) -> bool:
    parts = place.split(".")
    wanted = (pattern.split(".") for pattern in patterns)
    return any(
        len(pattern) == len(parts) and all(a in ("*", b) for a, b in zip(pattern, parts, strict=True))
        for pattern in wanted
    )


def _value(place: str, value: str) -> str:
    return VALUES.get((place, value)) or CLASS_PATHS.get(value, value)


def _with_init_args(place: str) -> str:
    """Insert `init_args`, which may be left out on the command line."""
    parts = place.split(".")
    return ".".join([*parts[:3], "init_args", *parts[3:]]) if parts[:2] == ["model", "heads"] else place
