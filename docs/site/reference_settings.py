"""Pages of all settings of YAML files and command lines, out of the signatures and docstrings of what they build."""

import inspect
import re
from collections.abc import Iterable, Iterator
from typing import Any, get_args, get_origin

import lightning as L
from markdown import code, menu, one_line, table

from sapiens2_lit import backbones, callbacks, datamodules, heads, losses
from sapiens2_lit.cli.fit_options import CALLBACKS
from sapiens2_lit.cli.run_help import TEXTS
from sapiens2_lit.cli.run_settings import Setting, run_settings, settings_of, trained_by
from sapiens2_lit.curation.settings import SelectSettings
from sapiens2_lit.probing.settings import ProbeSettings
from sapiens2_lit.training import loss_weighting
from sapiens2_lit.training.module import SapiensModule
from sapiens2_lit.training.pretraining.module import PretrainModule

NOT_CHOSEN = {
    "DenseDataModule",
    "UnlabeledDataModule",
    "DecoderHead",
    "Head",
    "Backbone",
    "DenseTerm",
    "PointTerm",
}
INTRO = """\
Every setting of a run is a key of its YAML file, and an option of the command line with `--` in front. A class is
chosen by its name or its path; its own settings then stand below it, in YAML in `init_args`:

```yaml
model:
  optimizer:
    class_path: torch.optim.AdamW
    init_args: {lr: 1.0e-4}
```

    sapiens2-lit fit --config pose_308.yaml --model.optimizer.lr 1e-4

`sapiens2-lit fit --config FILE --help_all` prints the settings of one run with the values that they have there.
"""


def setting_pages() -> dict[str, str]:
    """Return the pages of all settings by their places below `reference/`."""
    run = run_settings({})
    made = classes_in(callbacks)
    pages = {
        "settings/run": ("Runs", settings_of_runs(run)),
        "settings/data": ("Data", by_class(classes_in(datamodules, L.LightningDataModule), "data.")),
        "settings/model": ("Model", settings_of_models()),
        "settings/heads": ("Heads", by_class(classes_in(heads), "model.heads.NAME.", given=1)),
        "settings/losses": ("Losses", by_class(classes_in(losses), "")),
        "settings/trainer": ("Trainer", settings_of_the_trainer(run)),
        "settings/pretraining": ("Pretraining", settings_of_pretraining()),
        "settings/callbacks": ("Callbacks", by_class(made, "")),
        "settings/files": ("probe.yaml and select.yaml", settings_of_other_files()),
    }
    texts = {place: "\n\n".join([f"# {title}", *parts]) + "\n" for place, (title, parts) in pages.items()}
    listed = "\n".join(f"- [{title}]({place}.md)" for place, (title, _) in pages.items())
    links = menu([f"{title} <{place}>" for place, (title, _) in pages.items()])
    texts["settings"] = f"# Settings\n\n{INTRO}\n{listed}\n\n{links}"
    return texts


def classes_in(package: Any, base: type = object) -> list[type]:
    """Return the classes that a package exports and that a configuration may choose."""
    found = [getattr(package, name) for name in package.__all__ if name not in NOT_CHOSEN]
    return [
        one for one in found if inspect.isclass(one) and issubclass(one, base) and not inspect.isabstract(one)
    ]


def settings_of_runs(run: Iterable[Setting]) -> Iterator[str]:
    """Yield what a run has besides data, model and Trainer."""
    outer = [one for one in run if one.key.partition(".")[0] not in ("data", "model", "trainer")]
    yield "Settings of `fit`, `validate` and `test` besides those of data, model and Trainer."
    yield settings_table(one for one in outer if "." not in one.key)
    for name in CALLBACKS:
        yield f"## `{name}`"
        yield doc_of(CALLBACKS[name])
        yield settings_table(one for one in outer if one.key.startswith(f"{name}."))


def settings_of_the_trainer(run: Iterable[Setting]) -> Iterator[str]:
    """Yield the settings of Lightning's Trainer."""
    yield "Settings of Lightning's Trainer. Its output folder is `output`; `trainer.default_root_dir` is refused."
    yield settings_table(one for one in run if one.key.startswith("trainer."))


def settings_of_models() -> Iterator[str]:
    """Yield the settings of what is trained, of backbones, and of the weighting of losses."""
    yield "Settings of what `fit` trains. `model.heads` names the [heads](heads.md)."
    yield settings_table(settings_of(SapiensModule, {}, "model."))
    yield "## Backbones"
    yield from (
        part.replace("## ", "### ", 1)
        for part in by_class(classes_in(backbones, backbones.Backbone), "model.backbone.")
    )
    yield "## Loss weighting"
    kinds = [one for _, one in inspect.getmembers(loss_weighting, inspect.isclass)]
    kinds = [
        one
        for one in kinds
        if one.__module__ == loss_weighting.__name__ and one is not loss_weighting.LossWeighting
    ]
    yield from (part.replace("## ", "### ", 1) for part in by_class(kinds, "model.loss_weighting."))


def settings_of_pretraining() -> Iterator[str]:
    """Yield the settings of `pretrain` that `fit` does not have."""
    yield "Settings of `pretrain`. Those of [runs](run.md) and of the [Trainer](trainer.md) are as for `fit`."
    yield settings_table(settings_of(PretrainModule, {}, "model."))
    yield from by_class([datamodules.UnlabeledDataModule], "data.")
    for name, kind in trained_by("pretrain")[1].items():
        if name not in CALLBACKS:
            yield f"## `{name}`"
            yield doc_of(kind)
            yield settings_table(settings_of(kind, {}, f"{name}."))


def settings_of_other_files() -> Iterator[str]:
    """Yield the settings of the files that `probe` and `curate select` read."""
    for title, kind in (("probe.yaml", ProbeSettings), ("select.yaml", SelectSettings)):
        yield f"## `{title}`"
        yield doc_of(kind)
        yield settings_table(settings_of(kind, {}, ""))


def by_class(kinds: Iterable[type], prefix: str, given: int = 0) -> Iterator[str]:
    """Yield the settings of each class below a heading of its name."""
    for kind in kinds:
        yield f"## {kind.__name__}"
        yield f"`{kind.__module__}.{kind.__name__}`: {doc_of(kind)}"
        settings = list(settings_of(kind, {}, prefix, given))
        yield settings_table(settings) if settings else "It has no settings."


def doc_of(kind: type) -> str:
    """Return the first sentence or paragraph of a docstring."""
    return one_line((inspect.getdoc(kind) or "").partition("\n\n")[0])


def settings_table(settings: Iterable[Setting]) -> str:
    """Return a table of settings: key and default on the left, what it is for and its type on the right."""
    rows = []
    for one in settings:
        text = one_line(TEXTS.get(one.key, one.text))
        kind = type_name(one.hint)
        said = f"{text[:1].upper()}{text[1:]}." if text else ""
        rows.append(
            (
                code(one.key),
                " ".join(part for part in (said, code(kind)) if part),
                code(default(one.value)) if default(one.value) else "",
            )
        )
    return table(("setting", "what it is for, and its type", "default"), rows)


def default(value: Any) -> str:
    """Return a default as YAML has it, short; nothing where it is made anew each time."""
    if repr(value) == "<factory>":
        return ""
    if isinstance(value, dict) and "class_path" in value:
        return str(value["class_path"]).rpartition(".")[2]
    shown = (
        {None: "null", True: "true", False: "false"}.get(value)
        if value is None or isinstance(value, bool)
        else str(value)
    )
    return str(shown) if len(str(shown)) < 40 else f"{str(shown)[:36]} ..."


def type_name(hint: Any) -> str:
    """Return a type as it is read, without the modules of its parts."""
    if get_origin(hint) is not None and str(get_origin(hint)) == "typing.Literal":
        return " | ".join(map(repr, get_args(hint)))
    text = hint.__name__ if inspect.isclass(hint) and get_origin(hint) is None else str(hint)
    text = re.sub(r"\b(?:\w+\.)+(?=\w)", "", text)
    return re.sub(r"<class '([^']+)'>|ForwardRef\('([^']+)'\)", r"\1\2", text).replace("NoneType", "None")
