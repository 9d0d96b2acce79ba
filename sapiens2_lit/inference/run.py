"""A run of `predict`: pictures are read, predicted on, and written, each while the others are."""

from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from itertools import takewhile
from typing import Any

from sapiens2_lit import interrupts
from sapiens2_lit.inference.in_order import ahead, in_order
from sapiens2_lit.inference.inputs import Boxes
from sapiens2_lit.inference.output import Made, Output
from sapiens2_lit.inference.prediction import Prediction
from sapiens2_lit.inference.predictor import Predictor
from sapiens2_lit.inference.sources import Frame, Source
from sapiens2_lit.inference.stream import READ, WRITTEN, expected_bytes, predicted, workers

Usable = Callable[[Iterator[Frame]], Iterator[Frame]]


def run_ahead(
    predictor: Predictor,
    source: Source,
    output: Output,
    boxes_of: Callable[[Frame], Boxes],
    mend: Callable[[Prediction, Frame], Prediction],
    skip: Callable[[str], bool],
    usable: Usable,
) -> Generator[tuple[Frame, Prediction], None, None]:
    """Predict on all frames and write the results; gives each picture, in order, when all of it is written.

    When a signal comes nothing more is read; what has been through the networks is written.

    Args:
        predictor: whose networks run in this thread.
        source: of the pictures.
        output: of the results.
        boxes_of: of a picture's people, as of `Predictor.predict`.
        mend: what is done with people from frame to frame; called in order.
        skip: what not to read.
        usable: leaves out pictures that cannot be predicted on.

    Raises:
        SettingError: a file cannot be written.
    """
    with ExitStack() as stack:
        readers, pool = (stack.enter_context(workers()) for _ in range(2))
        tail = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="lists and videos"))
        frames = stack.enter_context(closing(read_ahead(source, skip, readers)))
        wanted = usable(takewhile(lambda _: not interrupts.received(), frames))
        found = predicted(predictor, wanted, lambda frame: frame.image, boxes_of, pool)
        stack.enter_context(closing(found))
        mended = ((frame, mend(prediction, frame)) for frame, prediction in found)
        made = in_order(partial(_make, output), mended, pool, lambda one: nbytes(*one), WRITTEN)
        stack.enter_context(closing(made))
        added = in_order(
            partial(_add, output), made, tail, lambda one: nbytes(one[0], one[1].prediction), WRITTEN
        )
        yield from stack.enter_context(closing(added))


def read_ahead(
    source: Source, skip: Callable[[str], bool], readers: ThreadPoolExecutor
) -> Generator[Frame, None, None]:
    """The frames of a source, read by threads; of a stream when they are asked for, since older ones are worth less."""
    if source.stream is not None:
        return source.frames(skip)

    def each(function: Callable[[Any], Any], photos: Iterable[Any]) -> Iterable[Any]:
        return in_order(
            function, photos, readers, lambda photo: expected_bytes(source.photos[photo[1]]), READ
        )

    return ahead(source.frames(skip, each), lambda frame: frame.image.nbytes, READ)


def nbytes(frame: Frame, prediction: Prediction) -> int:
    """Of a picture and its maps, and of as many again that drawing and encoding take."""
    maps = sum(values.nbytes for found in prediction.maps.values() for values in found.values())
    return 2 * (frame.image.nbytes + maps)


def _make(output: Output, one: tuple[Frame, Prediction]) -> tuple[Frame, Made]:
    return one[0], output.make(*one)


def _add(output: Output, one: tuple[Frame, Made]) -> tuple[Frame, Prediction]:
    output.add(*one)
    return one[0], one[1].prediction
