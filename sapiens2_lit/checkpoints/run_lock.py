"""One run at a time writes into a folder: a file names the process that does, and is touched while it lives.

Locks of the system (`flock`, `filelock`) end with their process, but many network file systems do not have them or keep
them to one machine. A file with a sign of life works wherever files do.
"""

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from sapiens2_lit.atomic_write import unwritable_is_error
from sapiens2_lit.errors import SettingError

NAME = "run.lock"
BEAT = 20.0  # seconds between two signs of life
STALE = 120.0  # seconds without any, after which a run is taken for dead; network file systems show one a minute late


class RunLock:
    """Holds a run's folder for this process, from `acquire` to `release`.

    A lock left by a dead process of this machine, or by an earlier start of the same SLURM job, gives way at once. That
    of another machine is watched until it shows a sign of life or has shown none for `stale` seconds: a job that is put
    back into the queue goes on. Times are those of the file system alone, since clocks of machines differ. Forked
    processes do not hold the lock.

    Args:
        folder: of the run; made if it is not there.
        beat: seconds between two signs of life.
        stale: seconds without a sign of life after which a run is taken for dead.
    """

    def __init__(self, folder: Path, beat: float = BEAT, stale: float = STALE) -> None:
        self.folder = folder
        self.path = folder / NAME
        self.beat, self.stale = beat, stale
        self.token = uuid.uuid4().hex
        self.held_by = 0  # the process that holds it
        self.lost = False
        self.made_folder = False
        self._released = threading.Event()
        self._beating = threading.Lock()

    def acquire(self, say: Callable[[str], object] = lambda _: None) -> None:
        """Take the lock.

        Args:
            say: told in one line that this may take a while, where it does.

        Raises:
            SettingError: a run that lives holds it; names its host and process. Or the folder cannot be written to.
        """
        with unwritable_is_error(self.path):
            self.made_folder = not self.folder.exists()
            self.folder.mkdir(parents=True, exist_ok=True)
            while not self._create():
                holder = read(self.path)
                if holder is not None:
                    self._wait_for_end(holder, say)
                    self._remove(holder)
        self.held_by = os.getpid()
        threading.Thread(target=self._show_life, name="run lock", daemon=True).start()

    def release(self) -> None:
        """Give the folder free; does nothing in a process that does not hold it."""
        if self.held_by != os.getpid():
            return
        self._released.set()
        self.held_by = 0
        with self._beating, suppress(OSError):
            if (read(self.path) or {}).get("token") == self.token:
                self.path.unlink()
            if self.made_folder:
                self.folder.rmdir()  # which a run that did not start leaves empty

    def _create(self) -> bool:
        """Make the file, whole, unless it is there."""
        content = json.dumps({"token": self.token, **this_process()}, indent=1)
        whole = self.path.with_name(f".{NAME}.{self.token}")
        try:
            whole.write_text(content)
            try:
                os.link(whole, self.path)  # fails if it is there, on network file systems too
            except FileExistsError:
                return False
            except OSError:  # no hard links here
                return self._create_without_links(content)
            return True
        finally:
            whole.unlink(missing_ok=True)

    def _create_without_links(self, content: str) -> bool:
        try:
            with self.path.open("x") as file:
                file.write(content)
        except FileExistsError:
            return False
        return True

    def _wait_for_end(self, holder: dict[str, Any], say: Callable[[str], object]) -> None:
        """Return as soon as the holder is known to be dead.

        Raises:
            SettingError: it lives.
        """
        if is_dead(holder):
            return
        last = age(self.path)
        if last is None or last > self.stale:
            return
        if not on_this_machine(holder):  # it may have died just now
            host = holder.get("host")
            say(f"{self.path}: waiting for a sign of life of the run on {host}, {self.stale:.0f} s at most")
            while True:
                time.sleep(min(1.0, self.beat / 4))
                found = age(self.path)
                if found is None or found > self.stale:
                    return
                if found < last:  # touched since
                    last = found
                    break
                last = found
        raise SettingError(
            f"{self.folder}: a run is writing there, process {holder.get('pid')} on host {holder.get('host')} (last "
            f"sign of life {last:.0f} s ago): wait for it or end it, or give another --output; if it is dead, delete "
            f"{self.path}"
        )

    def _remove(self, holder: dict[str, Any]) -> None:
        """Remove a dead process's lock; if another process took it over meanwhile, its lock stays."""
        aside = self.path.with_name(f".{NAME}.{self.token}.dead")
        with suppress(FileNotFoundError):
            self.path.rename(aside)
            if (read(aside) or {}).get("token") != holder.get("token"):
                with suppress(FileExistsError):
                    os.link(aside, self.path)
            aside.unlink()

    def _show_life(self) -> None:
        while not self._released.wait(self.beat) and not self.lost:
            with self._beating, suppress(OSError):  # which a network file system gets over
                if not self._released.is_set():
                    self._touch()

    def _touch(self) -> None:
        holder = read(self.path)
        if holder is None and self._create():  # somebody has deleted it
            return
        if holder and holder.get("token") != self.token:
            self.lost = True
            return
        os.utime(self.path)  # by the clock of the file system


def read(path: Path) -> dict[str, Any] | None:
    """Return what a lock says; empty where it cannot be understood, None where there is none."""
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def age(path: Path) -> float | None:
    """Seconds since the last sign of life, by the clock of the file system; None where there is no lock."""
    try:
        # Opened and synced: clients of network file systems answer for closed files and date unwritten ones themselves.
        with path.open() as file, TemporaryFile(dir=path.parent) as now:
            now.write(b"0")
            now.flush()
            os.fsync(now.fileno())
            return max(0.0, os.fstat(now.fileno()).st_mtime - os.fstat(file.fileno()).st_mtime)
    except FileNotFoundError:
        return None


def this_process() -> dict[str, Any]:
    """Return what a lock says of its holder."""
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "started": start_time(os.getpid()),
        "machine": machine(),
        "job": os.environ.get("SLURM_JOB_ID"),
        "restarts": restarts(),
    }


def is_dead(holder: dict[str, Any]) -> bool:
    """Whether a holder is known to be dead, whatever its last sign of life."""
    job = os.environ.get("SLURM_JOB_ID")
    if job is not None and holder.get("job") == job and holder.get("restarts", 0) < restarts():
        return True  # an earlier start of this job
    return on_this_machine(holder) and not is_running(holder.get("pid"), holder.get("started"))


def on_this_machine(holder: dict[str, Any]) -> bool:
    """Whether its process number means something here: not so in another container of the same host name."""
    return holder.get("host") == socket.gethostname() and holder.get("machine") == machine()


def is_running(pid: object, started: object) -> bool:
    """Whether a process of this machine lives, and is not another one with the same number."""
    if not isinstance(pid, int) or pid <= 0:
        return True  # nobody knows
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # it is somebody else's
    return start_time(pid) == started


def machine() -> str | None:
    """This start of this machine and this container's numbering of processes; None where the system does not tell."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    return None


def start_time(pid: int) -> str | None:
    """When a process began, in ticks since the machine did; None where the system does not tell."""
    with suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return None


def restarts() -> int:
    """How often SLURM has put this job back into the queue."""
    count = os.environ.get("SLURM_RESTART_COUNT", "")
    return int(count) if count.isdigit() else 0
