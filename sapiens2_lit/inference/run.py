"""Run `predict` as a pipeline: pictures are read, predicted on, and written at the same time."""

from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import takewhile
from typing import Any

from sapiens2_lit import interrupts
from sapiens2_lit.inference.in_order import Turn, ahead, in_order
from sapiens2_lit.inference.inputs import RGB, Boxes
from sapiens2_lit.inference.output import Made, Output
from sapiens2_lit.inference.prediction import Prediction
from sapiens2_lit.inference.predictor import Predictor
from sapiens2_lit.inference.sources import Frame, Source
from sapiens2_lit.inference.stream import READ, WRITTEN, expected_bytes, predicted, workers
from sapiens2_lit.inference.views import Rendered

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
    """Predict on all frames and write the results; yield each picture, in order, when all of it is written.

    After a signal nothing more is read; pictures that have passed through the networks are written.

    Args:
        predictor: Its networks run in this thread.
        source: Of the pictures.
        output: Of the results.
        boxes_of: Returns the boxes of a picture, as for `Predictor.predict`.
        mend: Tracks and smooths people from frame to frame; called in order.
        skip: Whether not to read a picture of this name.
        usable: Drops pictures that cannot be predicted on.

    Raises:
        SettingError: A file cannot be written.
    """
    with ExitStack() as stack:
        readers, pool = (stack.enter_context(workers()) for _ in range(2))
        tail = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="lists and videos"))
        prepare = partial(_prepare, predictor, boxes_of)
        frames = stack.enter_context(closing(read_ahead(source, skip, prepare, readers)))
        wanted = usable(takewhile(lambda _: not interrupts.received(), frames))
        pictures = (_Picture(frame, boxes_of(frame)) for frame in wanted)

        def make(picture: _Picture, prediction: Prediction, turn: Turn) -> tuple[Frame, Made]:
            turn.wait()
            mended = mend(prediction, picture.frame)
            turn.end()
            return picture.frame, output.make(picture.frame, mended)

        made = stack.enter_context(closing(predicted(predictor, pictures, make, pool)))
        added = in_order(
            partial(_add, output), made, tail, lambda one: nbytes(one[0], one[1].prediction), WRITTEN
        )
        yield from stack.enter_context(closing(added))


@dataclass(frozen=True)
class _Picture:
    """A frame and the boxes of its people."""

    frame: Frame
    boxes: Boxes

    @property
    def image(self) -> RGB:
        return self.frame.image

    @property
    def rendered(self) -> Rendered:
        return self.frame.rendered


def read_ahead(
    source: Source,
    skip: Callable[[str], bool],
    prepare: Callable[[Frame], Frame],
    readers: ThreadPoolExecutor,
) -> Generator[Frame, None, None]:
    """Return the frames of a source, read and prepared by threads.

    Frames of a stream are read only when asked for, since older ones are worth less.

    Args:
        source: Of the frames.
        skip: Whether not to read a picture of this name.
        prepare: Applied to each frame.
        readers: Threads that read photographs.
    """
    if source.stream is not None:
        return source.frames(skip)

    def each(function: Callable[[Any], Any], photos: Iterable[Any]) -> Iterable[Any]:
        def read(photo: Any) -> Any:
            found = function(photo)
            return prepare(found) if isinstance(found, Frame) else found

        return in_order(read, photos, readers, lambda photo: expected_bytes(source.photos[photo[1]]), READ)

    frames = (
        frame if frame.video is None else prepare(frame)  # videos are read by this thread
        for frame in source.frames(skip, each)
    )
    return ahead(frames, lambda frame: frame.image.nbytes, READ)


def nbytes(frame: Frame, prediction: Prediction) -> int:
    """Return the bytes of a picture and its maps, doubled for drawing and encoding."""
    maps = sum(values.nbytes for found in prediction.maps.values() for values in found.values())
    return 2 * (frame.image.nbytes + maps)


def _prepare(predictor: Predictor, boxes_of: Callable[[Frame], Boxes], frame: Frame) -> Frame:
    return replace(frame, rendered=predictor.render(frame.image, boxes_of(frame)))


def _add(output: Output, one: tuple[Frame, Made]) -> tuple[Frame, Prediction]:
    output.add(*one)
    return one[0], one[1].prediction
