"""Write the license that must lie beside weights, as a file."""

import shutil
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

from sapiens2_lit.backbones.licences import SAPIENS2, derived
from sapiens2_lit.checkpoints.hub_ids import is_hub_id
from sapiens2_lit.export.provenance import Provenance

LICENSE = "LICENSE"
NAMES = ("LICENSE", "LICENSE.md", "LICENSE.txt", "LICENCE", "LICENCE.md", "LICENCE.txt")
COLLECTION = "https://huggingface.co/collections/facebook/sapiens2"
META = "facebook/sapiens2-"

NOTICE_OF_DERIVATIVE = """\
Sapiens2 License: notice

The weights in this folder ({weights}) are derived from weights of Meta's Sapiens2 models
({base}). They are distributed under the Sapiens2 License. The Apache License of sapiens2-lit covers the
code of that project alone, not these weights.

This file is a notice and not the licence: no copy of the licence lay beside the weights that this folder was exported
from. Before you pass the folder on:

1. Read the licence. It is linked from the page of the model at
   {page}
2. Put a copy of its text here, in place of this notice: derivatives of the weights ship under it, together with a copy.
3. Follow its other conditions. They are in its text; this notice repeats none of them and replaces none.
"""
NOTICE_OF_OTHERS = """\
Licence of the weights: notice

This is about the weights in this folder ({weights}).
{sentence}
The Apache License of sapiens2-lit covers the code of that project alone, not these weights.

This file is a notice and not the licence: no copy of the licence lay beside the weights that this folder was exported
from. Before you pass the folder on, read the licence, put a copy of its text here in place of this notice, and follow
its conditions. This notice repeats none of them and replaces none.
"""
NOTICE_OF_OWN = """\
No licence chosen

The configuration of the run that trained the weights in this folder ({weights}) names no pretrained weights: they
started from random values. The choice of a licence is yours: put its text here and its name into README.md.

If you did start from Meta's Sapiens2 weights in another way, the weights are under the Sapiens2 License, and a copy of
it must be here: {page}
"""
NOTICES = (NOTICE_OF_DERIVATIVE, NOTICE_OF_OTHERS, NOTICE_OF_OWN)


def write_licence(folder: Path, weights: str, origin: Provenance) -> str:
    """Write the file LICENSE: a copy of the one beside the source of the weights, or a notice of what must be there.

    Args:
        folder: Where to.
        weights: Name of the file with the weights.
        origin: What they were derived from.

    Returns:
        What was done: `copied`, `notice`, `notice of others` or `own`.
    """
    target, base = folder / LICENSE, origin.base
    if base is None:
        target.write_text(NOTICE_OF_OWN.format(weights=weights, page=COLLECTION), encoding="utf-8")
        return "own"
    found = next((file for source in origin.places if (file := licence_beside(source))), None)
    if found is not None:
        shutil.copyfile(found, target)
        return "copied"
    page = f"https://huggingface.co/{base}" if is_hub_id(base) else COLLECTION
    if origin.licence == SAPIENS2:
        target.write_text(
            NOTICE_OF_DERIVATIVE.format(weights=weights, base=base, page=page), encoding="utf-8"
        )
        return "notice"
    sentence = derived(base, origin.licence)
    target.write_text(NOTICE_OF_OTHERS.format(weights=weights, sentence=sentence), encoding="utf-8")
    return "notice of others"


def licence_beside(source: str) -> Path | None:
    """Return the license in the folder of the weights `source`, here or in the hub's cache; nothing is downloaded."""
    path = Path(source).expanduser()
    if not path.exists():
        if not is_hub_id(source):
            return None
        try:
            path = Path(snapshot_download(source, local_files_only=True))
        except (LocalEntryNotFoundError, HFValidationError):
            return None
    folder = path if path.is_dir() else path.parent
    found = (folder / name for name in NAMES if (folder / name).is_file())
    return next((file for file in found if not is_notice(file)), None)


def is_notice(file: Path) -> bool:
    """Return whether a file is a notice that `write_licence` writes if it has no license."""
    start = file.read_bytes()[:200].decode("utf-8", errors="replace")
    return any(start.startswith(text.partition("\n")[0]) for text in NOTICES)
