"""Write Sapiens v1's task files: `state_dict` with `backbone.*` and the heads' names, `meta`, config.json."""

import json
from pathlib import Path

from sapiens2_lit.archives.write_archive import write_archive
from sapiens2_lit.backbones import Sapiens1
from sapiens2_lit.backbones.sapiens1_sizes import sapiens1_size_name
from sapiens2_lit.checkpoints import released_state
from sapiens2_lit.checkpoints.sapiens1_names import LAST, to_v1
from sapiens2_lit.checkpoints.task_config import CONFIG
from sapiens2_lit.export.configuration import portable_config
from sapiens2_lit.export.folder import write_json
from sapiens2_lit.export.plan import LICENCE, Exported, Options
from sapiens2_lit.export.tasks import cannot_hold, choose_head, task_of
from sapiens2_lit.export.verify import check_read_back
from sapiens2_lit.heads import DepthHead
from sapiens2_lit.heads.base import Head
from sapiens2_lit.inference.model import InferenceModel


def write_sapiens1(model: InferenceModel, backbone: Sapiens1, folder: Path, options: Options) -> Exported:
    """Write `sapiens_SIZE_TASK.pth` and config.json.

    `meta` in the file holds the configuration of the networks, and the license notice, as text.

    Args:
        model: The original.
        backbone: Of the model.
        folder: To write to.
        options: Of the export.

    Raises:
        SettingError: The layout has no names for the head.
        ExportError: A tensor that is read back differs.
    """
    name, head = choose_head(dict(model.named_heads()), options.head, "released")
    task = checked_task(name, head)
    size = v1_size_name(backbone)
    file = folder / f"sapiens_{size}_{task}.pth"
    config = portable_config(model, {name: head})
    meta = {CONFIG: json.dumps(config)} if config else {}
    meta |= {LICENCE: options.notice} if options.notice else {}
    released = released_state(model.state_dict(), name)
    tensors = {key: tensor.detach().cpu().contiguous() for key, tensor in to_v1(released, task).items()}
    write_archive({"state_dict": tensors, "meta": meta}, file)
    write_json(folder / "config.json", facts(backbone, head, task))
    checked = check_read_back(released, file) if options.check else ""
    return Exported("released", {name: head}, file.name, checked=checked)


def checked_task(name: str, head: Head) -> str:
    """Return the task of a head that the layout can hold.

    Raises:
        SettingError: It cannot hold the head.
    """
    task = task_of(head)
    if task not in LAST:
        cannot_hold("released", name, head, "files of Sapiens v1 hold only pose, classes, depth and normals")
    if not hasattr(head, "deconv_layers"):
        cannot_hold(
            "released", name, head, "files of Sapiens v1 hold only decoders with transposed convolutions"
        )
    if isinstance(head, DepthHead) and not head.linear:
        cannot_hold("released", name, head, "depth of Sapiens v1 is relative and linear (`linear: true`)")
    return task


def facts(backbone: Sapiens1, head: Head, task: str) -> dict[str, object]:
    """Return the content of config.json: above all the padding, which no tensor shows, and names of the output rows.

    Args:
        backbone: Of the model.
        head: Of the model.
        task: Of the head.
    """
    names = head.skeleton.keypoints if head.skeleton else head.classes.names if head.classes else ()
    labels = {"id2label": dict(enumerate(names))} if names else {}
    return {
        "model_type": "sapiens1",
        "task": task,
        "size": v1_size_name(backbone),
        "image_size": list(backbone.image_size),
        "padding": backbone.padding,
        **labels,
    }


def v1_size_name(backbone: Sapiens1) -> str:
    """Return a size's name as in repositories: 0.3b; `custom` for other sizes."""
    return sapiens1_size_name(backbone.size.width, backbone.size.depth) or "custom"
