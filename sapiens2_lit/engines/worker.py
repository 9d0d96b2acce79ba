"""What does units in a process of Ray: builds the job once, and answers for each unit, errors and messages included."""

import logging
import os
import pickle
import signal
import socket
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sapiens2_lit import interrupts
from sapiens2_lit.engines.units import BuildJob, Job, Unit
from sapiens2_lit.errors import Interrupted, SapiensError, StorageError

STOP = "stop"  # the file in the folder of notes that asks workers to end
MOST_STARTS = 4  # of a unit whose workers die
_LOOK = 0.5  # s between looks for it

_log = logging.getLogger(__name__)


@dataclass
class Answer:
    """What came of a unit.

    Attributes:
        unit: its name.
        building: the job was being built, which is of no unit.
        value: the job's answer.
        error: class, message and attributes of what it raised, where that is for users; else None.
        crash: the traceback of any other exception.
        interrupted: it was given up since the command ends.
        said: level and text of messages.
    """

    unit: str
    building: bool = False
    value: Any = None
    error: tuple[type[Exception], str, dict[str, Any]] | None = None
    crash: str = ""
    interrupted: bool = False
    said: list[tuple[int, str]] = field(default_factory=list)


class Worker:
    """Does units; a callable class as `map_batches` of Ray Data takes it.

    Args:
        build: makes the job.
        notes: folder on storage that all workers and the command see.
        folder: the working directory of the command.
    """

    def __init__(self, build: BuildJob, notes: Path, folder: Path) -> None:
        self.build, self.notes, self.folder = build, notes, folder
        self.job: Job | None = None
        self.watcher = threading.Thread(target=self._watch, name="stop", daemon=True)
        self.watcher.start()

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[bytes]]:
        """Do the units of a batch, pickled under `unit`; pickled answers under `answer`."""
        return {"answer": [pickle.dumps(self.do(pickle.loads(unit))) for unit in batch["unit"]]}

    def do(self, unit: Unit) -> Answer:
        """Do a unit.

        A file of notes counts its starts: whoever finds several has followed workers that died of it.
        """
        answer = Answer(unit.name)
        with messages_to(answer.said):
            try:
                starts = self.note(unit)
                if starts > MOST_STARTS:
                    answer.error = (
                        SapiensError,
                        f"its worker died {MOST_STARTS} times, perhaps for want of memory: give each more "
                        "(--num_cpus, so that fewer share a machine), or do without this part",
                        {},
                    )
                    return answer
                if starts > 1:
                    _log.warning("%s is begun again: its worker died", unit.name)
                interrupts.check()
                if self.job is None:
                    answer.building = True
                    os.chdir(self.folder)  # paths are as they were typed
                    self.job = self.build()
                    answer.building = False
                answer.value = self.job(unit.content)
                self.file_of(unit).unlink(missing_ok=True)
            except Interrupted:
                answer.interrupted = True
            except (SapiensError, StorageError) as error:
                answer.error = (type(error), str(error), vars(error))
            except Exception:
                where = f"process {os.getpid()} on {socket.gethostname()}"
                answer.crash = f"{where}\n{traceback.format_exc()}"
        return answer

    def note(self, unit: Unit) -> int:
        """Note that a unit is begun; returns how often it was."""
        with self.file_of(unit).open("ab") as file:
            file.write(b".")
            return file.tell()

    def file_of(self, unit: Unit) -> Path:
        """Return the file of notes about a unit."""
        return self.notes / unit.name.replace("/", "-of-").replace(" ", "_")

    def _watch(self) -> None:
        """Take it for Ctrl-C when the command asks for the end, or when its folder is gone."""
        while self.notes.is_dir() and not (self.notes / STOP).exists():
            time.sleep(_LOOK)
        interrupts.tell(signal.SIGINT)


def raise_error(answer: Answer) -> None:
    """Raise what a job raised, if it did, with the name of its unit.

    Raises:
        SapiensError, StorageError: of the class that the job raised.
        RuntimeError: what it raised is no user's to mend; the message has the traceback.
    """
    if answer.error is not None:
        kind, message, attributes = answer.error
        where = "" if answer.building else f"{answer.unit}: "
        error = kind.__new__(kind, f"{where}{message}")  # constructors take other arguments
        vars(error).update(attributes)
        raise error
    if answer.crash:
        raise RuntimeError(f"{answer.unit} failed in {answer.crash}")


@contextmanager
def messages_to(said: list[tuple[int, str]]) -> Iterator[None]:
    """Collect our messages, which the command shows: nobody reads what a worker writes."""

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append((record.levelno, record.getMessage()))

    ours, handler = logging.getLogger("sapiens2_lit"), Collect()
    ours.setLevel(logging.INFO)
    ours.addHandler(handler)
    try:
        yield
    finally:
        ours.removeHandler(handler)
