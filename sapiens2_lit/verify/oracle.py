"""Load the same weights in `transformers`, an independent implementation, for comparison."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.checkpoints import read_weights, to_transformers
from sapiens2_lit.checkpoints.hf_config import MODEL_TYPE, PIXELS, read_config
from sapiens2_lit.errors import ExportError, WeightsError
from sapiens2_lit.export.transformers import load, processor_of
from sapiens2_lit.export.transformers_config import CLASS_OF, backbone_config
from sapiens2_lit.verify.rows import CannotRun
from sapiens2_lit.verify.weights import Opened

COMPUTED = "rope_embed.periods"
INSTALL = "pip install 'sapiens2-lit[verify]'"


def library() -> Any:
    """Import transformers.

    Raises:
        CannotRun: It is not installed, or does not support Sapiens2.
    """
    try:
        import transformers
    except ImportError as error:
        raise CannotRun(f"transformers is not installed: {INSTALL}") from error
    if not hasattr(transformers, "Sapiens2Model"):
        raise CannotRun(f"transformers {transformers.__version__} does not support Sapiens2: {INSTALL}")
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    return transformers


def can_load(place: Path) -> bool:
    """Return whether `from_pretrained` can read a place as it is."""
    if not place.is_dir() or read_config(place).get("model_type") != MODEL_TYPE:
        return False
    return any((place / f"model.safetensors{ending}").is_file() for ending in ("", ".index.json"))


def their_backbone(opened: Opened, ours: Sapiens2) -> nn.Module:
    """Return `Sapiens2Model` with the weights of a file, read by `transformers` itself if possible.

    Raises:
        CannotRun: `transformers` has no such network.
        WeightsError: It does not accept the weights.
    """
    package = library()
    if opened.windows:
        raise CannotRun(
            "transformers has no window tokenizer (the 4K models): there is nothing to compare with."
        )
    if not can_load(opened.place):
        config = package.Sapiens2Config(**backbone_config(ours))
        network = package.Sapiens2Model(config)
        tensors = {
            name: value
            for name, value in read_weights(opened.place).tensors.items()
            if "mask_token" not in name
        }
        network.load_state_dict(to_transformers(tensors))
        return network.eval()
    network, report = package.Sapiens2Model.from_pretrained(
        opened.place, output_loading_info=True, dtype=torch.float32
    )
    if missing := sorted(report["missing_keys"]):
        raise WeightsError(f"transformers found no {', '.join(missing[:5])} in these weights.")
    return network.eval()


def their_task_model(opened: Opened) -> nn.Module:
    """Return the `transformers` model of a task file.

    Raises:
        CannotRun: `transformers` has no such model, or there is no config.json to build it.
        WeightsError: It does not accept the weights.
    """
    library()
    if opened.task not in CLASS_OF:
        raise CannotRun(
            f"transformers has no Sapiens2 model of {opened.task}: there is nothing to compare with."
        )
    if not can_load(opened.place):
        raise CannotRun(
            "No model.safetensors with the released config.json beside it, which transformers needs to build its "
            "model: give the whole folder that `hf download` has written."
        )
    try:
        return load(opened.place, opened.task)
    except ExportError as error:
        raise WeightsError(str(error)) from error


def their_processor(opened: Opened) -> Any:
    """Return the image processor of a task folder.

    Raises:
        CannotRun: There is no preprocessor_config.json.
    """
    if not (opened.place / "preprocessor_config.json").is_file():
        raise CannotRun(
            "No preprocessor_config.json beside the weights: give the whole folder of `hf download`."
        )
    return processor_of(opened.place)


def their_pixels(images: Tensor) -> Tensor:
    """Normalize RGB uint8 (B, 3, H, W) as the released models document, with their constants."""
    mean, std = (
        torch.tensor(PIXELS[key], device=images.device).view(3, 1, 1) for key in ("image_mean", "image_std")
    )
    return (images.float() * PIXELS["rescale_factor"] - mean) / std


def on(device: torch.device, network: nn.Module) -> Callable[..., Any]:
    """Return a callable that runs the network on a device, with inputs and outputs on the CPU."""
    network.to(device)

    def run(**inputs: Any) -> Any:
        outputs = network(**{k: v.to(device) if isinstance(v, Tensor) else v for k, v in inputs.items()})
        for key, value in outputs.items():
            if isinstance(value, Tensor):
                outputs[key] = value.cpu()
        return outputs

    return run


@contextmanager
def full_float32() -> Iterator[None]:
    """Within this block, round no float32 to TF32, in which both implementations would differ at random."""
    matmul, convolution = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(matmul)
        torch.backends.cudnn.allow_tf32 = convolution
