"""`sapiens2-lit app MODEL [MODEL ...]`."""

import sys
from typing import Any

from sapiens2_lit.archives.verify import set_verification
from sapiens2_lit.cli.find_run import find_model
from sapiens2_lit.cli.parsers import app_parser
from sapiens2_lit.data.pixel_limit import set_max_pixels
from sapiens2_lit.errors import SettingError
from sapiens2_lit.inference.load import load
from sapiens2_lit.inference.model import find_device
from sapiens2_lit.inference.predictor import Predictor


def app(args: list[str]) -> int:
    """Serve a page that shows what one checkpoint, or several side by side, predict for a picture.

    Raises:
        SettingError: gradio is not installed, or the port is taken.
        WeightsError: a checkpoint cannot be read.
    """
    options = app_parser().parse_args(args)
    try:
        from sapiens2_lit.app.page import build_page, launch_options
    except ImportError as error:
        raise SettingError("app: it needs the package gradio: pip install 'sapiens2-lit[app]'") from error
    set_max_pixels(options.max_pixels)
    set_verification(options.verify)
    if not options.max_upload > 0:
        raise SettingError(f"--max_upload: found {options.max_upload:g}, expected megabytes above 0")
    detector = None
    if options.detector is not None:
        from sapiens2_lit.inference.detect import build_detector

        detector = build_detector(
            options.detector, find_device(options.device), weights=options.detector_weights
        )
    page = build_page(
        load_all(
            options.models, options.device, trust=options.trust, allow_nonfinite=options.allow_nonfinite
        ),
        options.max_upload,
        detector,
    )
    try:
        page.launch(
            server_name=options.host,
            server_port=options.port,
            quiet=True,
            prevent_thread_lock=True,
            max_file_size=round(options.max_upload * 1e6),
            **launch_options(),
        )
    except OSError as error:
        raise SettingError(f"--port {options.port}: {error}") from error
    except Exception as error:  # gradio raises many kinds if its server does not answer
        raise SettingError(
            f"app: the page cannot be served at {options.host}:{options.port}: {error or type(error).__name__}"
        ) from error
    sys.stdout.write(f"http://{options.host}:{options.port} (Ctrl-C to stop)\n")
    sys.stdout.flush()
    page.block_thread()
    return 0


def load_all(models: list[str], device: str, **options: Any) -> dict[str, Predictor]:
    """Load predictors, by the shortest names that tell them apart.

    Args:
        models: As typed on the command line.
        device: Name of the device.
        options: More arguments of `load`.
    """
    names = [name_of(model) for model in models]
    if len(set(names)) < len(names):
        names = list(models)
    return {
        name: load(find_model(model), device=device, **options)
        for name, model in zip(names, models, strict=True)
    }


def name_of(model: str) -> str:
    """Return a model's name for the page: run, version and file, without the parts that all runs share."""
    parts = [
        part for part in model.rstrip("/").split("/") if part not in ("", ".", "..", "checkpoints", "runs")
    ]
    generic = parts[-1].startswith(("version_", "best", "last")) or parts[-1].endswith(".ckpt")
    return "/".join(parts[-3:] if parts[-1].endswith(".ckpt") else parts[-2:] if generic else parts[-1:])
