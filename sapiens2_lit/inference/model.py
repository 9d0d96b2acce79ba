"""Load the networks of a checkpoint or of a released file, ready to predict: plain PyTorch, no Trainer."""

import logging
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from sapiens2_lit.backbones.base import Backbone
from sapiens2_lit.checkpoints import load_state, read_meta, read_weights
from sapiens2_lit.checkpoints.finite import check_finite
from sapiens2_lit.checkpoints.hub_ids import is_hub_id
from sapiens2_lit.checkpoints.reader import PICKLES, read_step
from sapiens2_lit.errors import SettingError, WeightsError
from sapiens2_lit.heads.base import Head, Outputs
from sapiens2_lit.inference.build_from_config import read_factories
from sapiens2_lit.inference.from_released import read_released
from sapiens2_lit.inference.trained_view import configured_view, data_setting, released_view
from sapiens2_lit.models.build import build
from sapiens2_lit.models.network import Network
from sapiens2_lit.transforms.whole_image import ImageView, check_view

Precision = Literal["float32", "bf16"]
_PRECISIONS = ("float32", "bf16")

log = logging.getLogger(__name__)


class InferenceModel(Network):
    """A network in evaluation mode, without gradients, with facts about its origin.

    Args:
        backbone: The network that turns images into feature maps.
        heads: By name, the networks that turn feature maps into results.
        image_size: (height, width) of the input; None for the backbone's.
        precision: `float32`, or `bf16` by autocast.
        view: How whole images are fitted to the input: `letterbox` or `stretch`, as in training.
        config: Configuration of the run that trained it; empty if there was none.
        origin: Source of the weights, for messages.
        step: Optimizer steps that they were trained for; None if unknown.

    Raises:
        SettingError: There is no head or no image size, or the precision is unknown.
    """

    def __init__(
        self,
        backbone: Backbone,
        heads: Mapping[str, Head] | nn.ModuleDict,
        *,
        image_size: tuple[int, int] | None = None,
        precision: Precision = "float32",
        view: ImageView = "letterbox",
        config: Mapping[str, Any] | None = None,
        origin: str = "memory",
        step: int | None = None,
    ) -> None:
        size = image_size or backbone.image_size
        if size is None:
            raise SettingError(
                f"image_size: {type(backbone).__name__} has none of its own; give (height, width)"
            )
        if not heads:
            raise SettingError("heads: found none, expected at least one; there would be nothing to predict")
        check_precision(precision)
        check_view(view)
        super().__init__(backbone, heads)
        self.image_size: tuple[int, int] = (size[0], size[1])
        self.precision = precision
        self.view = view
        self.config = dict(config or {})
        self.origin = origin
        self.step = step
        self.eval().requires_grad_(False)

    @property
    def device(self) -> torch.device:
        """The device of the parameters."""
        return next(self.parameters()).device

    def autocast(self) -> torch.autocast:
        """Return the autocast context of the networks; results are computed from their outputs in float32."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def features(self, images: Tensor) -> list[Tensor]:
        with self.autocast():
            return super().features(images)

    def run_heads(
        self, features: list[Tensor], images: Tensor, names: Collection[str] | None = None
    ) -> dict[str, Outputs]:
        with self.autocast():
            return super().run_heads(features, images, names)


def load_model(
    source: str | Path,
    *,
    device: str | torch.device = "cpu",
    precision: Precision = "float32",
    compile: bool = False,
    ema: bool = True,
    backbone: str | None = None,
    trust: Iterable[str] = (),
    allow_nonfinite: bool = False,
) -> InferenceModel:
    """Return the networks of a checkpoint, of a released task file, or of a `transformers` model.

    Args:
        source: A checkpoint (.ckpt), whose networks are built from the configuration in it; or a task model (file,
            folder or hub id such as `facebook/sapiens2-seg-0.4b`), whose task and size its tensors tell.
        device: Where it runs; `auto` for CUDA or MPS if there is one.
        precision: `float32`, or `bf16` by autocast.
        compile: Compile the backbone's blocks and the decoders in place.
        ema: Use averaged weights if a checkpoint has them.
        backbone: Place of the pretrained backbone, if it has moved since training; for checkpoints that hold only the
            trained parameters.
        trust: Classes or modules (`contact.ContactHead`, `contact`) that the file may name besides those of this
            package, torch and lightning; those in the variable SAPIENS2_LIT_TRUST are trusted, too.
        allow_nonfinite: Load weights that are NaN or infinite.

    Raises:
        UntrustedError: The file names a class that is not trusted; nothing of it was imported.
        WeightsError: The source is not found or is not a task model, its parts do not fit together, or a weight is not
            finite.
        SettingError: The device or precision is unknown.
    """
    place = find_device(device)
    check_precision(precision)
    model = _load(source, ema, backbone, trust).to(place)
    if not allow_nonfinite:
        check_finite(model, model.origin)
    model.precision = precision
    if compile:
        model.compile_parts()
    return model


def find_device(device: str | torch.device) -> torch.device:
    """Return the device of this name; `auto` is CUDA if available, else MPS, else the CPU.

    Raises:
        SettingError: There is no such device.
    """
    if device == "auto":
        kind = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        return torch.device(kind)
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError) as error:  # AssertionError: a build of torch without CUDA
        reason = str(error).partition("\n")[0]
        raise SettingError(
            f"device: found {str(device)!r}, expected auto, cpu, cuda, cuda:N or mps: {reason}"
        ) from error
    return found


def check_precision(precision: str) -> None:
    """Check the name of a precision.

    Raises:
        SettingError: It is unknown.
    """
    if precision not in _PRECISIONS:
        raise SettingError(f"precision: found {precision!r}, expected one of {', '.join(_PRECISIONS)}.")


def _load(source: str | Path, ema: bool, backbone: str | None, trust: Iterable[str]) -> InferenceModel:
    path = Path(source).expanduser()
    if not path.exists() and not is_hub_id(str(source)):
        raise WeightsError(
            f"{source}: no such file or folder; expected a checkpoint (.ckpt), a task model (folder or .safetensors) "
            "or a hub id such as facebook/sapiens2-seg-0.4b."
        )
    if (path.suffix in (*PICKLES, ".safetensors") and path.is_file()) or (path / "meta.pt").is_file():
        meta = read_meta(path)
        if "objective" in meta:
            raise WeightsError(
                f"{source}: a checkpoint of `pretrain`, which has no head to predict with; train one on its backbone: "
                "--model.backbone.weights RUN/backbone.safetensors"
            )
        if meta:
            return _from_checkpoint(path, meta.get("config") or {}, ema, backbone, trust)
    found = read_released(source, trust)
    return InferenceModel(
        found.network.backbone,
        found.network.heads,
        image_size=found.image_size,
        view=configured_view(found.config)
        if found.config
        else released_view(next(iter(found.network.heads)), found.place),
        config=found.config,
        origin=found.origin,
    )


def _from_checkpoint(
    path: Path, config: Mapping[str, Any], ema: bool, backbone_weights: str | None, trust: Iterable[str]
) -> InferenceModel:
    """Build plain networks: adapters merged, averages used, untrained parameters read from their source."""
    network = build(*read_factories(config, str(path), trust), pretrained=False)
    found = read_weights(path, ema=ema, backbone=backbone_weights)
    log.info("%s", load_state(network, found.tensors, source=found.origin).summary())
    size = network.backbone.image_size or data_setting(config, "image_size")
    return InferenceModel(
        network.backbone,
        network.heads,
        image_size=(size[0], size[1]) if size else None,
        view=configured_view(config),
        config=config,
        origin=found.origin,
        step=read_step(path),
    )
