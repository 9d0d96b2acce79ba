"""Let one run at a time write into a folder: a file names the run's process, and is touched while the process lives.

Locks of the operating system (`flock`, `filelock`) end with their process, but many network file systems lack them or
keep them to one machine. A file with a sign of life works on every file system.
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
STALE = 120.0  # seconds without a sign after which a run is dead; network file systems may be a minute late


class RunLock:
    """Holds a run's folder for this process, from `acquire` to `release`.

    The lock of a dead process on this machine, or of an earlier start of the same SLURM job, is replaced at once. The
    lock of another machine is watched until it shows a sign of life or has shown none for `stale` seconds, so that a
    job that is put back into the queue can continue. All times come from the file system, since clocks of machines
    differ. Forked processes do not hold the lock.

    Args:
        folder: The run's folder; it is created if needed.
        beat: Seconds between two signs of life.
        stale: Seconds without a sign of life after which a run is considered dead.
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
            say: Called with one line if waiting may take a while.

        Raises:
            SettingError: A living run holds it (the message names its host and process), or the folder cannot be
                written to.
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
        """Release the folder; does nothing in a process that does not hold it."""
        if self.held_by != os.getpid():
            return
        self._released.set()
        self.held_by = 0
        with self._beating, suppress(OSError):
            if (read(self.path) or {}).get("token") == self.token:
                self.path.unlink()
            if self.made_folder:
                self.folder.rmdir()  # fails unless the folder is empty, as after a run that did not start

    def _create(self) -> bool:
        """Create the complete file; return False if it exists already."""
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
            SettingError: The holder lives.
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
        """Remove a dead process's lock; if another process took the lock meanwhile, it stays."""
        aside = self.path.with_name(f".{NAME}.{self.token}.dead")
        with suppress(FileNotFoundError):
            self.path.rename(aside)
            if (read(aside) or {}).get("token") != holder.get("token"):
                with suppress(FileExistsError):
                    os.link(aside, self.path)
            aside.unlink()

    def _show_life(self) -> None:
        while not self._released.wait(self.beat) and not self.lost:
            with self._beating, suppress(OSError):  # network file systems recover from errors
                if not self._released.is_set():
                    self._touch()

    def _touch(self) -> None:
        holder = read(self.path)
        if holder is None and self._create():  # the file was deleted
            return
        if holder and holder.get("token") != self.token:
            self.lost = True
            return
        os.utime(self.path)  # by the clock of the file system


def read(path: Path) -> dict[str, Any] | None:
    """Return the content of a lock; empty if it cannot be read, None if there is none."""
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def age(path: Path) -> float | None:
    """Return the seconds since the last sign of life, by the clock of the file system; None if there is no lock."""
    try:
        # Opened and synced: network file systems report cached times of closed files and local times of unwritten ones.
        with path.open() as file, TemporaryFile(dir=path.parent) as now:
            now.write(b"0")
            now.flush()
            os.fsync(now.fileno())
            return max(0.0, os.fstat(now.fileno()).st_mtime - os.fstat(file.fileno()).st_mtime)
    except FileNotFoundError:
        return None


def this_process() -> dict[str, Any]:
    """Return what a lock says about its holder."""
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "started": start_time(os.getpid()),
        "machine": machine(),
        "job": os.environ.get("SLURM_JOB_ID"),
        "restarts": restarts(),
    }


def is_dead(holder: dict[str, Any]) -> bool:
    """Return whether a holder is known to be dead, regardless of its last sign of life."""
    job = os.environ.get("SLURM_JOB_ID")
    if job is not None and holder.get("job") == job and holder.get("restarts", 0) < restarts():
        return True  # an earlier start of this job
    return on_this_machine(holder) and not is_running(holder.get("pid"), holder.get("started"))


def on_this_machine(holder: dict[str, Any]) -> bool:
    """Return whether the holder's process number is valid here; not so in another container with the same host name."""
    return holder.get("host") == socket.gethostname() and holder.get("machine") == machine()


def is_running(pid: object, started: object) -> bool:
    """Return whether a process of this machine lives, and is not another one with the same number."""
    if not isinstance(pid, int) or pid <= 0:
        return True  # unknown
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # it belongs to another user
    return start_time(pid) == started


def machine() -> str | None:
    """Return an id of this boot of the machine and this container's process numbers; None if the system has none."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    return None


def start_time(pid: int) -> str | None:
    """Return when a process began, in ticks since the machine started; None if the system does not tell."""
    with suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return None


def restarts() -> int:
    """Return how often SLURM has put this job back into the queue."""
    count = os.environ.get("SLURM_RESTART_COUNT", "")
    return int(count) if count.isdigit() else 0
