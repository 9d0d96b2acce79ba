"""Build what the options of `curate score` add to every row: people, heads, embeddings, columns of the user."""

from argparse import Namespace
from typing import Any

from sapiens2_lit.archives.verify import set_verification
from sapiens2_lit.data.pixel_limit import set_max_pixels
from sapiens2_lit.errors import SettingError


def check_stage_options(options: Namespace) -> None:
    """Check options that have an effect only together with another, and their ranges.

    Raises:
        SettingError: An option has no effect without another, or is out of its range.
    """
    if options.detector is None:
        for name in ("threshold", "detector_weights"):
            if getattr(options, name) is not None:
                raise SettingError(f"--{name} has no effect without --detector NAME")
    for name in ("batch_size", "shard_size", "workers"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise SettingError(f"--{name} {value}: expected 1 or more")


def build_stages(options: Namespace) -> list[Any]:
    """Build the stages that the options ask for, load their networks, and set the limits for reading files.

    Raises:
        SettingError, WeightsError: Naming the option that does not fit.
    """
    from sapiens2_lit.curation.columns import load_column

    set_max_pixels(options.max_pixels)
    set_verification(options.verify)
    stages: list[Any] = [load_column(text) for text in options.columns]
    if options.detector is not None or options.model is not None:
        stages.append(build_people(options))
    if options.backbone is not None:
        from sapiens2_lit.curation.embedding import Embedding

        height, width = options.image_size
        stages.append(Embedding(options.backbone, (height, width), options.device, options.batch_size))
    return stages


def build_people(options: Namespace) -> Any:
    """Build detector and pose model, as far as the options ask for them."""
    from sapiens2_lit.cli.find_run import find_model
    from sapiens2_lit.curation.people import People
    from sapiens2_lit.inference.model import find_device, load_model
    from sapiens2_lit.inference.predictor import Predictor

    about = {"detector": options.detector, "model": options.model, "threshold": options.threshold}
    detector, predictor = None, None
    if options.detector is not None:
        from sapiens2_lit.inference.detect import build_detector

        threshold = 0.5 if options.threshold is None else options.threshold
        device = find_device(options.device)
        detector = build_detector(options.detector, device, threshold, weights=options.detector_weights)
    if options.model is not None:
        model = load_model(
            find_model(options.model),
            device=options.device,
            trust=options.trust,
            allow_nonfinite=options.allow_nonfinite,
        )
        predictor = Predictor(model, trust=options.trust)
    return People(detector, predictor, about)
