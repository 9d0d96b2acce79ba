"""`sapiens2-lit app MODEL [MODEL ...]`."""

import sys
from typing import Any

from sapiens2_lit.archives.verify import set_verification
from sapiens2_lit.cli.find_run import find_model
from sapiens2_lit.cli.parsers import app_parser
from sapiens2_lit.data.pixel_limit import set_max_pixels
from sapiens2_lit.errors import SettingError
from sapiens2_lit.inference.load import load
from sapiens2_lit.inference.predictor import Predictor


def app(args: list[str]) -> int:
    """Serve a page that shows what one checkpoint, or several side by side, say about a picture.

    Raises:
        SettingError: gradio is not installed, or the port is taken.
        WeightsError: a checkpoint cannot be read.
    """
    options = app_parser().parse_args(args)
    try:
        from sapiens2_lit.app.page import build_page
    except ImportError as error:
        raise SettingError("app: it needs the package gradio: pip install 'sapiens2-lit[app]'") from error
    set_max_pixels(options.max_pixels)
    set_verification(options.verify)
    if not options.max_upload > 0:
        raise SettingError(f"--max_upload: found {options.max_upload:g}, expected megabytes above 0")
    page = build_page(
        load_all(
            options.models, options.device, trust=options.trust, allow_nonfinite=options.allow_nonfinite
        ),
        options.max_upload,
    )
    try:
        page.launch(
            server_name=options.host,
            server_port=options.port,
            quiet=True,
            prevent_thread_lock=True,
            max_file_size=round(options.max_upload * 1e6),
        )
    except OSError as error:
        raise SettingError(f"--port {options.port}: {error}") from error
    sys.stdout.write(f"http://{options.host}:{options.port} (Ctrl-C to stop)\n")
    sys.stdout.flush()
    page.block_thread()
    return 0


def load_all(models: list[str], device: str, **options: Any) -> dict[str, Predictor]:
    """Predictors by the shortest names that tell them apart; options as of `load`."""
    names = [model.rstrip("/").split("/")[-1] for model in models]
    if len(set(names)) < len(names):
        names = list(models)
    return {
        name: load(find_model(model), device=device, **options)
        for name, model in zip(names, models, strict=True)
    }
