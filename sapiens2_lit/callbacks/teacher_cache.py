"""Store teachers' answers on disk, by the content of the image."""

import logging
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lightning as L
import torch
from filelock import FileLock
from torch import Tensor

from sapiens2_lit.checkpoints.fingerprint import fingerprint
from sapiens2_lit.data.feature_store import GIGABYTE, FeatureStore, mark_of, others, size_text
from sapiens2_lit.errors import SettingError
from sapiens2_lit.heads.base import Outputs
from sapiens2_lit.parallel.collectives import greatest_over_ranks
from sapiens2_lit.training.data_contract import datamodule_of, train_samples
from sapiens2_lit.training.distillation.settings import Teacher
from sapiens2_lit.training.distillation.teacher import Answer, TeacherNetwork
from sapiens2_lit.training.module import SapiensModule

STORED = torch.float16  # 11 significant bits: a relative error of at most 1/2048; the largest value is 65,504
SETTING = "model.teacher.cache"
_PROBED = 256  # rows to probe together
_log = logging.getLogger(__name__)


class AnswerStore(FeatureStore):
    """One answer in each row, in half precision; the hash of the image determines the row.

    The bits of float16 lie in a file of bfloat16, so that files, space, locks and sharing are those of features.

    Args:
        folder: For caches of any teacher.
        about: Everything that answers depend on besides the pixels.
        rows: Number of images.
        length: Number of values of an answer.
    """

    def __init__(self, folder: Path, about: dict[str, Any], rows: int, length: int) -> None:
        super().__init__(folder, about, rows, (length,), SETTING)

    def place(self, mark: int) -> int | None:
        """Return the row of an image, or the free one where it would be stored; None if others have taken all rows."""
        start = mark % self.rows
        for first in range(0, self.rows, _PROBED):
            rows = (start + torch.arange(first, min(first + _PROBED, self.rows))) % self.rows
            marks = self.marks[rows]
            found = ((marks == 0) | (marks == mark)).nonzero()
            if len(found):
                return int(rows[found[0, 0]])
        return None

    def find(self, mark: int) -> Tensor | None:
        """Return the answer to the image with this hash, float16 of shape (L,); None if there is none."""
        row = self.place(mark)
        found = None if row is None else self.read(row, mark)
        return None if found is None else found.view(STORED)

    def add(self, mark: int, answer: Tensor) -> bool:
        """Store an answer in float16; return whether there was room.

        Args:
            mark: Hash of the image.
            answer: Of shape (L,).
        """
        with FileLock(self.folder / "place.lock"):  # other processes may search for a free row, too
            row = self.place(mark)
            if row is not None:
                bits = answer.to(STORED).view(torch.bfloat16)
                self.write(torch.tensor([row]), torch.tensor([mark]), bits[None])
        return row is not None


class AnswerCache:
    """Answers from a store, and from the teachers for images that are not in it.

    All answers pass through half precision, so that it makes no difference which were stored. The cache helps if images
    come again unchanged; randomly varied images are computed and counted.

    Args:
        store: Opened.
        ask: Computes answers to images (B, 3, H, W).
        example: An answer to one image, which tells shapes.
        together: Whether all ranks must ask at once, as for sharded teachers.

    Attributes:
        computed: Images that were computed in this run.
        full: Those of them for which there was no room.
    """

    def __init__(
        self, store: AnswerStore, ask: Callable[[Tensor], Answer], example: Answer, together: bool
    ) -> None:
        self.store, self.ask, self.example, self.together = store, ask, example, together
        self.computed = self.full = 0

    def answer(self, images: Tensor) -> Answer:
        """Return the teachers' answers to images (B, 3, H, W)."""
        marks = [mark_of(image) for image in images.cpu()]
        rows = [self.store.find(mark) for mark in marks]
        missing = [index for index, row in enumerate(rows) if row is None]
        wanted = greatest_over_ranks(len(missing), images.device) if self.together else len(missing)
        if wanted:
            asked = missing or [0]  # if other ranks ask, a sharded teacher needs all ranks
            found = pack(self.ask(images[asked])).to(STORED).cpu()
            for index, row in zip(missing, found, strict=False):
                rows[index] = row
                self.full += not self.store.add(marks[index], row)
            self.computed += len(missing)
        together = torch.stack([row for row in rows if row is not None]).to(images.device)
        return unpack(together, self.example)

    def say(self) -> None:
        """Warn if the cache did not help."""
        if self.full:
            _log.warning(
                "%s: there was no room for %d answers among the %d of %s: either images are varied at random and none "
                "comes again (switch augmentation off, or set the cache to null), or it is full of other images of an "
                "earlier run (delete it)",
                SETTING, self.full, self.store.rows, self.store.folder,
            )  # fmt: skip
            self.full = 0


class TeacherCache(L.Callback):
    """Opens the cache of `model.teacher.cache` when training starts; without that setting it does nothing."""

    def __init__(self) -> None:
        self.cache: AnswerCache | None = None

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Create or find the cache of these teachers, after its size was checked and logged.

        Raises:
            SettingError: The number of samples or the size of images is unknown, or the cache would be too large.
        """
        assert isinstance(pl_module, SapiensModule)
        distiller = pl_module.teaching.distiller
        if distiller is None or distiller.settings.cache is None:
            return
        data = datamodule_of(trainer)
        size, samples = getattr(data, "image_size", None), train_samples(data)
        if size is None or samples is None:
            raise SettingError(
                f"{SETTING}: {type(data).__name__} does not tell how many samples of "
                "which size there are; set it to null"
            )
        distiller.to_device(pl_module.device)
        example = distiller.ask(torch.zeros(1, 3, *size, dtype=torch.uint8, device=pl_module.device))
        store = open_store(distiller.settings, distiller.teachers, (size[0], size[1]), samples, example)
        together = any(teacher.sharded for teacher in distiller.teachers)
        self.cache = distiller.cache = AnswerCache(store, distiller.ask, example, together)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.cache is not None:
            self.cache.say()


def open_store(
    settings: Teacher,
    teachers: Sequence[TeacherNetwork],
    image_size: tuple[int, int],
    rows: int,
    example: Answer,
) -> AnswerStore:
    """Return the opened store of these teachers' answers.

    Args:
        settings: With `cache`, its folder.
        teachers: On the device.
        image_size: (height, width) of the student's images.
        rows: Number of training samples.
        example: An answer to one image.

    Raises:
        SettingError: The store would be larger than the limit or the disk.
    """
    assert settings.cache is not None
    about = about_answers(settings, teachers, image_size, example)
    store = AnswerStore(Path(settings.cache).expanduser(), about, rows, pack(example).shape[1])
    if store.bytes > settings.cache_limit_gb * GIGABYTE:
        raise SettingError(
            f"model.teacher.cache_limit_gb: {rows} answers take {size_text(store.bytes)}, the limit is "
            f"{settings.cache_limit_gb:g}; raise it, give a smaller model.teacher.image_size, or write labels once: "
            "sapiens2-lit predict --as_dataset"
        )
    filled = len(store.open())
    _log.info(
        "%s: %s for %d answers in %s, %d are there",
        SETTING,
        size_text(store.bytes),
        rows,
        store.folder,
        filled,
    )
    for place, size in others([store]).items():
        _log.info(
            "  %s beside it (%s) belongs to another teacher, setting or number of samples, and is not used: delete it "
            "if you like", place, size_text(size),
        )  # fmt: skip
    return store


def about_answers(
    settings: Teacher, teachers: Sequence[TeacherNetwork], image_size: tuple[int, int], example: Answer
) -> dict[str, Any]:
    """Return everything that answers depend on besides the pixels; other values get another cache.

    Args:
        settings: Of the teachers.
        teachers: On the device.
        image_size: (height, width) of the student's images.
        example: An answer to one image.
    """
    return {
        "release": version("sapiens2-lit"),
        "image_size": list(image_size),
        "values": list(values_of(example)),
        "teachers": [
            {
                "weights": fingerprint(dict(teacher.network.named_parameters())),
                "heads": teacher.heads,
                "image_size": list(teacher.size_for(image_size)),
                "half": teacher.half,
                **teacher.network.backbone.feature_settings(),
            }
            for teacher in teachers
        ],
        "tokens": bool(settings.token_losses),
    }


def values_of(answer: Answer) -> dict[str, Tensor]:
    """Return the tensors of an answer by name, in a fixed order."""
    found: dict[str, Tensor] = {}
    for name in sorted(answer.outputs):
        outputs = answer.outputs[name]
        parts = {"": outputs} if isinstance(outputs, Tensor) else outputs
        found |= {f"{name}/{key}": parts[key] for key in sorted(parts)}
    return found if answer.tokens is None else {**found, "tokens": answer.tokens}


def pack(answer: Answer) -> Tensor:
    """Return all values of an answer in one row for each image, (B, L), clamped to half precision's range."""
    most = torch.finfo(STORED).max
    return torch.cat([one.flatten(1).float() for one in values_of(answer).values()], dim=1).clamp(-most, most)


def unpack(rows: Tensor, example: Answer) -> Answer:
    """Return the answer whose `pack` gives these rows (B, L), float32."""
    parts: dict[str, Tensor] = {}
    start = 0
    for name, one in values_of(example).items():
        length = one[0].numel()
        parts[name] = rows[:, start : start + length].float().view(len(rows), *one.shape[1:])
        start += length
    outputs: dict[str, Outputs] = {}
    for name, whole in example.outputs.items():
        own: Outputs = (
            parts[f"{name}/"] if isinstance(whole, Tensor) else {key: parts[f"{name}/{key}"] for key in whole}
        )
        outputs[name] = own
    return Answer(outputs, parts.get("tokens"), dict(example.sizes))
