"""Open weights before anything is computed with them: they must exist, be complete, of the named size, and fit."""

import hashlib
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from huggingface_hub.constants import HF_HUB_CACHE

from sapiens2_lit.backbones.sizes import SIZES
from sapiens2_lit.checkpoints import open_weights
from sapiens2_lit.checkpoints.hub import fetch
from sapiens2_lit.checkpoints.reader import find_files
from sapiens2_lit.errors import WeightsError
from sapiens2_lit.inference.from_released import backbone_size, find_task
from sapiens2_lit.verify.rows import CannotRun, Found
from sapiens2_lit.verify.setting import Setting, free_memory
from sapiens2_lit.verify.sources import PRETRAIN, QUICK, Source

GB = 1e9
HEAD_ROOM = 3 * GB  # for activations at 1024 x 768, and for the driver
HEAD_SHARE = 1.2  # size of a task file relative to its backbone
_SHA256 = re.compile(r"[0-9a-f]{64}")
FETCH_AGAIN = (
    "Download it again: `hf download REPOSITORY --local-dir FOLDER`, which resumes where it stopped."
)


@dataclass(frozen=True)
class Opened:
    """Weights that exist and are complete.

    Attributes:
        source: Where they come from.
        place: The local file or folder.
        task: Of the head; `pretrain` if there is none.
        size: Name of the backbone's size, or its dimensions.
        windows: Whether it is a 4K backbone.
        parameters: Number of parameters.
    """

    source: Source
    place: Path
    task: str
    size: str | dict[str, Any]
    windows: bool
    parameters: int

    @property
    def size_name(self) -> str:
        """Name of the backbone's size, or its width."""
        return self.size if isinstance(self.size, str) else f"{self.size['width']} wide"


class Weights:
    """Finds and opens the weights of all sources, once each.

    Attributes:
        opened: Those that could be opened, by the names of their sources.
    """

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.opened: dict[str, Opened] = {}
        self.offline = ""  # the source for which the hub could not be reached

    def open(self, source: Source) -> Found:
        """Find, download and open weights.

        Raises:
            CannotRun: Released weights are not here and cannot be downloaded, or are too large for this machine.
            WeightsError: A file is missing, damaged, or of another size than its name tells.
        """
        files = self._files(source)
        place = (
            files[0].parent if len(files) > 1 or Path(source.place).is_dir() or source.on_hub else files[0]
        )
        checked = check_whole(files, read=not self.setting.quick)
        try:
            tensors = open_weights(place).tensors
        except WeightsError as error:
            raise WeightsError(f"{error} {FETCH_AGAIN}") from error
        found = describe(source, place, tensors)
        check_fits(found, self.setting)
        self.opened[source.name] = found
        size = sum(file.stat().st_size for file in files) / GB
        return Found(f"{found.task} {found.size_name}, {size:.3g} GB, {checked}")

    def _files(self, source: Source) -> list[Path]:
        if not source.on_hub:
            return files_here(Path(source.place))
        try:
            return fetch(source.place, find_files, download=False)
        except WeightsError:
            self._check_fetching(source)
        try:
            return fetch(source.place, find_files)
        except WeightsError as error:
            if "download failed" in str(error) or "no network" in str(error):
                self.offline = source.name
            raise CannotRun(" ".join(str(error).split())) from error

    def _check_fetching(self, source: Source) -> None:
        """Check that released weights that are not here may and can be downloaded; otherwise raise CannotRun."""
        own = f"`hf download {source.place} --local-dir FOLDER` on a machine with a network, then --weights FOLDER"
        if not self.setting.download:
            raise CannotRun(f"Not in the local cache, and --download false: {own}.")
        if self.setting.quick and source.name != "facebook/sapiens2-{}-{}".format(*QUICK):
            raise CannotRun(
                f"Not in the local cache, and --quick does not fetch it: leave out --quick, or {own}."
            )
        if self.offline:
            raise CannotRun(f"No network, as for {self.offline}: {own}.")
        needed, room = released_bytes(source), free_disk(Path(HF_HUB_CACHE))
        if room < 1.1 * needed:
            raise CannotRun(
                f"Needs {needed / GB:.3g} GB of disk for the hub's cache; {room / GB:.3g} GB are free: "
                "make room, or set HF_HOME to a larger disk."
            )


def to_fetch(sources: Iterable[Source]) -> float:
    """Return about how many bytes of released weights are not in the local cache."""
    return sum(released_bytes(source) for source in sources if source.on_hub and not is_cached(source))


def is_cached(source: Source) -> bool:
    """Return whether released weights are in the hub's cache."""
    try:
        fetch(source.place, find_files, download=False)
    except WeightsError:
        return False
    return True


def files_here(place: Path) -> list[Path]:
    """Return the files of weights at the user's place.

    Raises:
        WeightsError: Nothing exists there, or it is incomplete.
    """
    if not place.exists():
        raise WeightsError(
            f"--weights {place}: no such file or folder; expected what `hf download` has written."
        )
    folder = place if place.is_dir() else place.parent
    unfinished = sorted(folder.glob(".cache/huggingface/download/**/*.incomplete"))
    try:
        files = [place] if place.is_file() else find_files(place)
    except WeightsError as error:
        also = " Its download was not finished." if unfinished else ""
        raise WeightsError(f"{error}{also} {FETCH_AGAIN}") from error
    return files


def describe(source: Source, place: Path, tensors: Mapping[str, Any]) -> Opened:
    """Return task and size of weights, from the names and shapes of their tensors.

    Args:
        source: Where they come from.
        place: The local file or folder.
        tensors: By name, of any shape.

    Raises:
        WeightsError: They are no Sapiens2 model, or not of the size in the source's name.
    """
    name = source.name
    has_head = any(one.startswith("decode_head.") for one in tensors)
    task = find_task(tensors, name) if has_head else PRETRAIN
    size = backbone_size(tensors, name)
    windows = any(one.removeprefix("backbone.").startswith("tokenizer.") for one in tensors)
    found = Opened(source, place, task, size, windows, sum(prod(one.shape) for one in tensors.values()))
    if source.size is not None and source.size in SIZES and found.size != source.size:
        raise WeightsError(
            f"{name}: the name says {source.size}, the tensors are of {found.size_name}: another model's file. "
            f"{FETCH_AGAIN}"
        )
    return found


def check_fits(opened: Opened, setting: Setting) -> None:
    """Check that the networks fit the device, and two of them this machine's memory.

    Raises:
        CannotRun: They do not.
    """
    needed = 4 * opened.parameters
    room = HEAD_ROOM if opened.parameters > 50e6 else 0  # smaller ones were made for tests
    card, host = setting.card_memory(), free_memory()
    if card is not None and needed + room > card * 2**30:
        raise CannotRun(
            f"Needs {(needed + room) / GB:.3g} GB on the card, which has {card * 2**30 / GB:.3g} GB: take a "
            "larger card, or --device cpu."
        )
    if host is not None and 2 * needed + room > host:
        raise CannotRun(
            f"Needs {(2 * needed + room) / GB:.3g} GB of memory for this network and the one of transformers; "
            f"{host / GB:.3g} GB are free: take a larger machine."
        )


def check_whole(files: list[Path], read: bool) -> str:
    """Compare files with the SHA-256 that the hub's client has recorded; return what was done, in a few words.

    Args:
        files: To compare.
        read: Whether to read them completely; otherwise nothing is compared.

    Raises:
        WeightsError: A file differs from the released one.
    """
    expected = {file: sum_of(file) for file in files}
    known = {file: value for file, value in expected.items() if value is not None}
    if not known:
        return "not compared with a SHA-256: it lies elsewhere than `hf download` puts it"
    if not read:
        return "SHA-256 not compared (--quick)"
    for file, value in known.items():
        with file.open("rb") as opened:
            found = hashlib.file_digest(opened, "sha256").hexdigest()
        if found != value:
            raise WeightsError(
                f"{file}: SHA-256 {found[:12]}..., expected {value[:12]}...: bytes in it have changed, or it is half "
                f"downloaded. {FETCH_AGAIN}"
            )
    return f"SHA-256 as on the hub ({', '.join(value[:12] for value in known.values())})"


def sum_of(file: Path) -> str | None:
    """Return the expected SHA-256 of a file, which the hub's client records; None if it has not.

    It is the name of the file in the hub's cache, or lies beside it after `--local-dir`.
    """
    blob = file.resolve().name if file.is_symlink() else ""
    if _SHA256.fullmatch(blob):
        return blob
    beside = file.parent / ".cache" / "huggingface" / "download" / f"{file.name}.metadata"
    lines = beside.read_text(encoding="utf-8").split() if beside.is_file() else []
    return next((line for line in lines if _SHA256.fullmatch(line)), None)


def released_bytes(source: Source) -> float:
    """Return about how large a released file is."""
    size = SIZES[source.size] if source.size in SIZES else SIZES["1b"]
    blocks = size.depth * size.width * (4 * size.width + 3 * size.mlp_width)
    return 4 * blocks * HEAD_SHARE


def free_disk(folder: Path) -> int:
    """Return the free bytes where a folder is, or will be."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
