"""`sapiens2-lit predict`: predict on images and videos, and write the results."""

import signal
from argparse import Namespace

from sapiens2_lit import interrupts
from sapiens2_lit.cli.empty_folders import empty_folders_removed
from sapiens2_lit.cli.engine_options import check_engine_options
from sapiens2_lit.cli.find_run import with_model
from sapiens2_lit.cli.messages import set_up_messages
from sapiens2_lit.cli.options import with_underscores
from sapiens2_lit.cli.predict_dataset import say_how_to_train, settle_options
from sapiens2_lit.cli.predict_options import build_parser
from sapiens2_lit.cli.predict_parts import begin_part
from sapiens2_lit.cli.predict_people import find_boxes
from sapiens2_lit.cli.predict_stages import build_predictor, build_timeline, find_source, results_of, run
from sapiens2_lit.data.pixel_limit import set_max_pixels
from sapiens2_lit.errors import Interrupted, SettingError
from sapiens2_lit.inference.shard import parse_shard


def predict(args: list[str]) -> int:
    """Predict as `args` say; return the exit status: 1 if a file could not be predicted on.

    Raises:
        ArgumentError: Wrong usage.
        Interrupted: A signal came; files that exist are complete.
        SettingError, DataError, WeightsError: Naming the option or the file; nothing was predicted, or all existing
            results are complete.
    """
    set_up_messages()
    if any(arg.startswith("--data.predict") for arg in args):
        raise SettingError("--data.predict is gone: give --images PATH, and --boxes FILE for people")
    typed = with_model(with_underscores(args))
    parser = build_parser()
    options = parser.parse_args(typed)
    settle_options(options, Namespace(**{name: parser.get_default(name) for name in vars(options)}))
    check_engine_options(options, "shard", "devices")
    if options.devices is not None:
        from sapiens2_lit.cli.predict_devices import predict_on_devices

        return predict_on_devices(options, typed)
    set_max_pixels(options.max_pixels)
    with empty_folders_removed(options.output):
        if options.engine == "ray":
            from sapiens2_lit.cli.predict_on_ray import predict_on_ray

            return predict_on_ray(options)
        return predict_to(options)


def predict_to(options: Namespace) -> int:
    """Predict as the parsed options say; return the exit status, and raise as `predict` does."""
    shard = None if options.shard is None else parse_shard(options.shard)
    source = find_source(options)
    boxes = None if options.boxes is None else find_boxes(options.boxes, source)
    predictor = build_predictor(options)
    from sapiens2_lit.cli.predict_tally import Tally, report

    timeline = build_timeline(options, predictor, source)
    tally = Tally(people=bool(predictor.top_down))
    opened = results_of(options, predictor, source, boxes)
    part = begin_part(options, shard, source)
    own = source if shard is None else shard.of(source)
    try:
        with interrupts.asked(), opened(own, part) as output:
            run(predictor, own, output, boxes, timeline, tally)
    except Interrupted as error:
        report(options.output, tally, own)
        if source.stream is None:
            raise error.with_advice("the same command with --resume goes on from here") from None
        if error.signal != signal.SIGINT:
            raise
        interrupts.settle()  # Ctrl-C is how a stream ends
    else:
        report(options.output, tally, own)
        if options.as_dataset is not None and output.whole:
            say_how_to_train(options.as_dataset)
    return 1 if own.problems or tally.problems else 0
