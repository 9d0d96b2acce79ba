"""Predict in a pipeline: pictures are read, pass through the networks, and are resampled to their size, all at once.

The networks run in the thread that takes the results. Reading and postprocessing run in other threads: codecs,
resampling and array operations release Python's lock.
"""

import os
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from sapiens2_lit.errors import SettingError
from sapiens2_lit.inference.in_order import MEBIBYTE, Turn, ahead, in_order
from sapiens2_lit.inference.inputs import RGB, Boxes, Image, check, read
from sapiens2_lit.inference.pending import Pending
from sapiens2_lit.inference.prediction import Prediction
from sapiens2_lit.inference.sources import Frame
from sapiens2_lit.inference.views import Rendered

if TYPE_CHECKING:
    from sapiens2_lit.inference.predictor import Predictor

T = TypeVar("T")
P = TypeVar("P", bound="Picture")
R = TypeVar("R")

# bytes at each stage; pictures to be restored need room for two batches, or the networks would wait
READ, RESTORED, WRITTEN = 128 * MEBIBYTE, 1024 * MEBIBYTE, 384 * MEBIBYTE
MOST_THREADS = 16
_OF_A_FILE = 12  # bytes of a picture per byte of its file, about
_OF_A_PICTURE = 8  # bytes of maps per byte of the picture, about: normals and points take 4


def workers() -> ThreadPoolExecutor:
    """Return a pool with one thread for each CPU that this process may use, at most 16."""
    able = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return ThreadPoolExecutor(max(2, min(able, MOST_THREADS)), thread_name_prefix="pictures")


def stream(
    predictor: "Predictor", images: Iterable[Image | Frame], boxes: Iterable[Boxes] | None
) -> Generator[Prediction, None, None]:
    """Yield the predictions of `Predictor.stream`.

    Args:
        predictor: Its networks run in this thread.
        images: As for `Predictor.stream`.
        boxes: As for `Predictor.stream`.
    """
    with ExitStack() as stack:
        readers, pool = (stack.enter_context(workers()) for _ in range(2))
        unread = stack.enter_context(closing(ahead(_given(images, boxes), _expected, READ)))
        read_them = partial(_read, predictor)
        pictures = stack.enter_context(closing(in_order(read_them, unread, readers, _expected, READ)))
        found = predicted(predictor, pictures, lambda _, prediction, turn: prediction, pool)
        yield from stack.enter_context(closing(found))


class Picture(Protocol):
    """An input of `predicted`.

    Attributes:
        image: RGB uint8 (H, W, 3).
        boxes: Of its people, as for `Predictor.predict`.
        rendered: Result of `Predictor.render`.
    """

    @property
    def image(self) -> RGB:
        """The pixels, RGB uint8 (H, W, 3)."""

    @property
    def boxes(self) -> Boxes:
        """Boxes of its people, as for `Predictor.predict`."""

    @property
    def rendered(self) -> Rendered:
        """The result of `Predictor.render`."""


def predicted(
    predictor: "Predictor",
    pictures: Iterator[P],
    then: Callable[[P, Prediction, Turn], R],
    pool: Executor,
) -> Generator[R, None, None]:
    """Yield the results of `then` for pictures and their predictions, in order, while later pictures are under way.

    Args:
        predictor: Its networks run in this thread.
        pictures: Taken `batch_size` at a time.
        then: Called in a thread of `pool` with a picture, its prediction and its turn.
        pool: Threads that finish predictions.
    """

    def started() -> Generator[tuple[P, Pending, Turn], None, None]:
        first, turn = 0, None
        for batch in in_batches(pictures, predictor.batch_size):
            images, boxes = [one.image for one in batch], [one.boxes for one in batch]
            pending = predictor.start(images, boxes, first, [one.rendered for one in batch])
            for one, its in zip(batch, pending, strict=True):
                turn = Turn(turn)
                yield one, its, turn
            first += len(batch)

    def finish(one: tuple[P, Pending, Turn]) -> R:
        picture, pending, turn = one
        try:
            return then(picture, pending.finish(), turn)
        finally:
            turn.end()

    def size(one: tuple[P, Pending, Turn]) -> int:
        return one[1].nbytes + (1 + _OF_A_PICTURE) * one[0].image.nbytes

    return in_order(finish, started(), pool, size, RESTORED)


def in_batches(items: Iterator[T], size: int) -> Iterator[list[T]]:
    """Yield lists of `size` items; the last one, also before an error of `items`, may be shorter."""
    batch: list[T] = []
    try:
        for item in items:
            batch.append(item)
            if len(batch) == size:
                yield batch
                batch = []
    except Exception:
        if batch:
            yield batch
        raise
    if batch:
        yield batch


def expected_bytes(path: Path) -> int:
    """Return about how many bytes a decoded picture takes, by the size of its file."""
    try:
        return max(MEBIBYTE, _OF_A_FILE * path.stat().st_size)
    except OSError:
        return MEBIBYTE


class _Given(NamedTuple):
    """A picture with its people, as it was given, or after it was read."""

    place: int
    image: Any
    boxes: Boxes
    rendered: Rendered = {}  # noqa: RUF012  # never written to


def _given(images: Iterable[Image | Frame], boxes: Iterable[Boxes] | None) -> Generator[_Given, None, None]:
    if boxes is None:
        yield from (_Given(place, image, None) for place, image in enumerate(images))
        return
    several, missing = iter(boxes), object()
    for place, image in enumerate(images):
        of_it: Any = next(several, missing)
        if of_it is missing:
            raise SettingError(f"boxes: found boxes of {place} images, expected an entry for each image.")
        yield _Given(place, image, of_it)


def _read(predictor: "Predictor", one: _Given) -> _Given:
    given = one.image
    image = check(given.image, given.name) if isinstance(given, Frame) else read(given, one.place)
    return one._replace(image=image, rendered=predictor.render(image, one.boxes))


def _expected(one: _Given) -> int:
    image = one.image.image if isinstance(one.image, Frame) else one.image
    if isinstance(image, str | Path):
        return expected_bytes(Path(image))
    return int(getattr(image, "nbytes", MEBIBYTE))
