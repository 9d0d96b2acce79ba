"""Make a predictor from a run, a checkpoint, or a task model."""

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
        source: A run or a folder of runs (its best checkpoint, else its last), a checkpoint (.ckpt), or a task model: a
            file, a folder or a hub id such as `facebook/sapiens2-seg-0.4b`.
        device: Where it runs; `auto` for CUDA or MPS if there is one, else the CPU.
        precision: `float32`, or `bf16` by autocast.
        compile: Compile the backbone's blocks and the decoders in place.
        ema: Use averaged weights if a checkpoint has them.
        backbone: Place of the pretrained backbone, if it has moved; for checkpoints that hold only the trained
            parameters.
        trust: Classes or modules (`contact.ContactHead`, `contact`) that the file may name besides those of this
            package, torch and lightning; those in the variable SAPIENS2_LIT_TRUST, separated by commas, are also
            trusted.
        allow_nonfinite: Load weights that are NaN or infinite.
        options: Of the `Predictor`: batch_size, flip, scales, dense_view, box_padding, mask_with, detector, tiles,
            person_score, confidence.

    Raises:
        UntrustedError: The file names a class that is not trusted; nothing of it was imported.
        WeightsError: The source is not found or is not a model that can predict, or a weight is not finite.
        SettingError: Naming the setting, what was found and what was expected.
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
