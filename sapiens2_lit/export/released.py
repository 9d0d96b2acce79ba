"""Write released task files: one safetensors file with `backbone.*` and `decode_head.*`, and config.json."""

import json
from pathlib import Path

from sapiens2_lit.backbones import Sapiens1, Sapiens2
from sapiens2_lit.backbones.sizes import HIDDEN_SIZES, SIZES
from sapiens2_lit.checkpoints import released_state, write_weights
from sapiens2_lit.errors import SettingError
from sapiens2_lit.export.configuration import portable_config
from sapiens2_lit.export.folder import write_json
from sapiens2_lit.export.plan import LICENCE, Exported, Options
from sapiens2_lit.export.sapiens1 import write_sapiens1
from sapiens2_lit.export.tasks import ANY_HEADS, cannot_hold, choose_head, task_of
from sapiens2_lit.export.transformers_config import config_json, why_not
from sapiens2_lit.export.verify import check_read_back
from sapiens2_lit.heads.base import Head
from sapiens2_lit.inference.from_released import METADATA
from sapiens2_lit.inference.model import InferenceModel


def write_released(model: InferenceModel, folder: Path, options: Options) -> Exported:
    """Write `sapiens2_SIZE_TASK.safetensors` and config.json; for a Sapiens v1 backbone `sapiens_SIZE_TASK.pth`.

    The file's header holds the configuration of the networks, so that `sapiens2-lit` reads back custom vocabularies and
    settings that no tensor tells.

    Args:
        model: The original.
        folder: To write to.
        options: Of the export.

    Raises:
        SettingError: The layout has no names for the backbone or the head.
        ExportError: A tensor that is read back differs.
    """
    if isinstance(model.backbone, Sapiens1):
        return write_sapiens1(model, model.backbone, folder, options)
    name, head = choose_head(dict(model.named_heads()), options.head, "released")
    task = task_of(head)
    if task is None:
        cannot_hold("released", name, head, "released files have no names for its network")
    backbone = released_backbone(model, "released")
    file = f"sapiens2_{size_name(backbone)}_{task}.safetensors"
    write_task_file(model, folder / file, name, head, options.notice)
    write_json(folder / "config.json", released_config(backbone, head, task))
    expected = released_state(model.state_dict(), name)
    checked = check_read_back(expected, folder / file) if options.check else ""
    return Exported("released", {name: head}, file, checked=checked)


def released_backbone(model: InferenceModel, form: str) -> Sapiens2:
    """Return the backbone if it is Sapiens2.

    Raises:
        SettingError: It is another one.
    """
    if not isinstance(model.backbone, Sapiens2):
        raise SettingError(
            f"--format {form} holds Sapiens2 backbones, and the model has a {type(model.backbone).__name__}; take "
            f"{ANY_HEADS}"
        )
    return model.backbone


def write_task_file(model: InferenceModel, path: Path, name: str, head: Head, notice: str) -> None:
    """Write backbone and one head as safetensors with released names, configuration and license in the header.

    Args:
        model: The original.
        path: Of the file.
        name: Of the head.
        head: The head.
        notice: On the license; empty for none.
    """
    config = portable_config(model, {name: head})
    metadata = {METADATA: json.dumps(config)} if config else {}
    metadata |= {LICENCE: notice} if notice else {}
    write_weights(released_state(model.state_dict(), name), path, metadata=metadata)


def released_config(backbone: Sapiens2, head: Head, task: str) -> dict[str, object]:
    """Return the content of config.json: that of `transformers` if it has such a model.

    Args:
        backbone: Of the model.
        head: Of the model.
        task: Of the head.
    """
    if why_not(backbone, head) is None:
        return config_json(backbone, head)
    # not `sapiens2`, for which `transformers` would build another network and fill it with random values
    return {
        "model_type": "sapiens2_lit",
        "task": task,
        "size": size_name(backbone),
        "image_size": list(backbone.image_size),
    }


def size_name(backbone: Sapiens2) -> str:
    """Return a size's name as in repositories: 0.4b, 1b-4k; `custom` for other sizes."""
    sizes = SIZES | HIDDEN_SIZES
    found = next((name for name, row in sizes.items() if row == backbone.size), "custom")
    return found if backbone.tokenizer is None else f"{found}-4k"
