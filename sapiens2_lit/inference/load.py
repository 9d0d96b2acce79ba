"""A predictor from what users have: a run, a checkpoint, a task model."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from sapiens2_lit.checkpoints.runs import checkpoint_in
from sapiens2_lit.inference.model import Precision, load_model
from sapiens2_lit.inference.predictor import Predictor


def load(
    source: str | Path,
    *,
    device: str | torch.device = "auto",
    precision: Precision = "float32",
    compile: bool = False,
    ema: bool = True,
    backbone: str | None = None,
    trust: Iterable[str] = (),
    allow_nonfinite: bool = False,
    **options: Any,
) -> Predictor:
    """Return a predictor with the networks of a checkpoint, of a released task model, or of a `transformers` model.

    Args:
        source: a run or a folder of runs (its best checkpoint, else its last), a checkpoint of ours (.ckpt), or a task
            model: a file, a folder or a hub id such as `facebook/sapiens2-seg-0.4b`.
        device: where it runs; `auto` for CUDA or MPS where there is one, else the CPU.
        precision: `float32`, or `bf16` by autocast.
        compile: compile the backbone's blocks and the decoders in place.
        ema: take the averaged weights where a checkpoint has them.
        backbone: where the pretrained backbone of a checkpoint is that holds only what was trained, if it has moved.
        trust: classes or modules (`contact.ContactHead`, `contact`) that the file may name besides those of this
            package, torch and lightning; those of the variable SAPIENS2_LIT_TRUST, separated by commas, are, too.
        allow_nonfinite: load weights that are NaN or infinite.
        options: of the `Predictor`: batch_size, flip, scales, dense_view, box_padding, mask_with, detector, tiles,
            person_score, confidence.

    Raises:
        UntrustedError: the file names a class that is not trusted; nothing of it was imported.
        WeightsError: nothing is there, it is no model that can predict, or a weight is not finite.
        SettingError: naming the setting, what was found and what was expected.
    """
    folder = Path(source).expanduser()
    model = load_model(
        (checkpoint_in(folder) if folder.is_dir() else None) or source,
        device=device,
        precision=precision,
        compile=compile,
        ema=ema,
        backbone=backbone,
        trust=trust,
        allow_nonfinite=allow_nonfinite,
    )
    return Predictor(model, trust=trust, **options)
