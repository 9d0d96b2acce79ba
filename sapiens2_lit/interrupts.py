"""What all commands do when Ctrl-C, SIGTERM, SIGHUP or SIGUSR1 comes.

A command is in one of two states. Before its work begins, and where nothing can be lost, a signal ends the process at
once. Inside `asked()` a signal only leaves a note, which the work looks at between its steps: no exception is ever
raised in the middle of other code, where it would leave a lock taken or a file half written.

Python runs handlers in the main thread alone, and not while that waits in C. So the signals are read by a thread as
well, from a socket that the interpreter's C handler writes to (`signal.set_wakeup_fd`).
"""

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn

from sapiens2_lit.errors import Interrupted

NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")
SIGNALS = tuple(getattr(signal, name) for name in NAMES if hasattr(signal, name))  # Windows has two of them
REPEATED = 0.25  # s: GNU timeout signals its child and then the group; a hand on the keyboard is slower
REPEATED_BY_TORCHRUN = 5.0  # s: it passes on what the terminal has sent to its workers, too
PATIENCE = 0.5  # s that the main thread has, to end the process by itself
LAUNCHER = "SAPIENS2_LIT_LAUNCHER"  # the process that started this rank
PARENT = "SAPIENS2_LIT_PARENT"  # the process with which this one ends, however that ends

Handler = Callable[[int, FrameType | None], Any] | int | signal.Handlers | None


class _Listener:
    """The signals of this process, from `start` to `stop`."""

    def __init__(self) -> None:
        self.number = 0  # of the first signal
        self.depth = 0  # of blocks that ask
        self.cleanups: list[Callable[[], object]] = []
        self.pid = os.getpid()
        self.ending = False
        self.launched = _is_launched()
        self.before: dict[int, Handler] = {}

    def start(self) -> None:
        self.inlet, self.outlet = socket.socketpair()
        self.inlet.setblocking(False)
        self.wakeup = signal.set_wakeup_fd(self.inlet.fileno(), warn_on_full_buffer=False)
        self.thread = threading.Thread(target=self._watch, name="interrupts", daemon=True)
        self.thread.start()
        for number in SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:  # as nohup and `&` of a script ask for
                self.before[number] = signal.signal(number, self._handle)

    def stop(self) -> None:
        for number, handler in self.before.items():
            if handler is not None and signal.getsignal(number) == self._handle:
                signal.signal(number, handler)
        signal.set_wakeup_fd(self.wakeup)
        with suppress(OSError):
            self.inlet.send(b"\0")
        self.thread.join()
        self.inlet.close()
        self.outlet.close()

    def take_back(self) -> None:
        for number in self.before:
            signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self.pid:  # a forked child: its parent answers
            return
        if self.depth == 0:
            self._end(number)
        self.number = self.number or number

    def _watch(self) -> None:
        repeated = REPEATED_BY_TORCHRUN if "TORCHELASTIC_RUN_ID" in os.environ else REPEATED
        first = 0.0  # when Ctrl-C came
        while number := self.outlet.recv(1)[0]:
            if number not in self.before:
                continue
            if self.depth == 0 and not self.number:  # else it was noted, and the asking is over
                self._end_if_stuck(number)
            self.number = self.number or number
            if number == signal.SIGINT:
                if first and time.monotonic() - first > repeated:
                    self._end(number)
                first = first or time.monotonic()

    def _end_if_stuck(self, number: int) -> None:
        """The main thread ends the process, unless it waits in C, as for other ranks."""
        time.sleep(PATIENCE)
        time.sleep(10 * PATIENCE if self.ending else 0)
        if self.depth == 0:
            self._end(number)

    def clean(self) -> None:
        """Undo what is not finished, twice, for threads that were about to make it; they begin nothing more."""
        self.ending = True
        for clean in [*reversed(self.cleanups), lambda: time.sleep(0.02), *reversed(self.cleanups)]:
            with suppress(Exception):  # the process ends in any case
                clean()

    def _end(self, number: int) -> NoReturn:
        self.clean()
        _kill_children()
        if self.launched:  # Lightning kills the launcher of a rank that fails, which then says nothing
            with suppress(OSError):
                os.kill(os.getppid(), number)
        with suppress(OSError):  # the terminal may be gone
            os.write(2, f"\nstopped by {name_of(number)}\n".encode())
        os._exit(128 + number)


_listener: _Listener | None = None


@contextmanager
def answered() -> Iterator[None]:
    """Answer signals in this block; one that was ignored before, as under nohup, stays ignored.

    A block inside another, or outside the main thread, which alone may set handlers, changes nothing.
    """
    global _listener
    if _listener is not None or threading.current_thread() is not threading.main_thread():
        yield
        return
    _listener = listener = _Listener()
    listener.start()
    if parent := os.environ[LAUNCHER] if listener.launched else os.environ.pop(PARENT, None):
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    try:
        yield
    finally:
        _listener = None
        listener.stop()
        if os.environ.get(LAUNCHER) == str(os.getpid()):
            del os.environ[LAUNCHER]


@contextmanager
def asked() -> Iterator[None]:
    """In this block signals wait for `check`, but a second Ctrl-C ends the process; what came is raised at its end.

    Raises:
        Interrupted: a signal came.
    """
    hold()
    try:
        yield
    finally:
        release()
    check()


def hold() -> None:
    """From now on, until `release`, signals wait for `received` to be asked, or for `check`."""
    if _listener is not None:
        _listener.depth += 1


def release() -> None:
    """Undo one `hold`."""
    if _listener is not None:
        _listener.depth -= 1


def received() -> int:
    """Return the first signal that came inside `asked`, or 0."""
    return 0 if _listener is None else _listener.number


def check() -> None:
    """End the work if a signal came.

    Raises:
        Interrupted: one did.
    """
    if number := received():
        raise Interrupted(number, f"stopped by {name_of(number)}")


def settle() -> None:
    """Take the signal that came for answered: to who watches a stream, Ctrl-C is its end, and no failure."""
    if _listener is not None:
        _listener.number = 0


@contextmanager
def undone(clean: Callable[[], object]) -> Iterator[None]:
    """Call `clean` if a signal ends the process at once while this block runs."""
    cleanups = [] if _listener is None else _listener.cleanups
    while _listener is not None and _listener.ending:
        time.sleep(1)  # forever
    cleanups.append(clean)
    try:
        yield
    finally:
        cleanups.remove(clean)


def take_back() -> None:
    """Set our handlers again, where a library has set its own."""
    if _listener is not None:
        _listener.take_back()


@contextmanager
def left_to_parent() -> Iterator[None]:
    """Processes that start in this block never hear the signals, not even while they start.

    They inherit what the starting thread blocks. This process misses nothing: its other threads block nothing.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_by_parent_alone() -> None:
    """In a worker: ignore what its parent answers, but let it end this process by SIGTERM, as multiprocessing does."""
    if not hasattr(signal, "sigwaitinfo"):  # Windows, macOS
        for number in set(SIGNALS) - {signal.SIGTERM}:
            signal.signal(number, signal.SIG_IGN)
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        return
    from multiprocessing import parent_process

    parent = parent_process()  # of a fork server's children not the process that forked them
    own = os.getppid() if parent is None else parent.pid
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    threading.Thread(target=_wait_for_parent, args=(own,), name="parent", daemon=True).start()


def _wait_for_parent(parent: int | None) -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)


def launches_ranks() -> None:
    """Let processes that Lightning may start as other ranks know this one, until `answered` ends."""
    if _listener is not None and "LOCAL_RANK" not in os.environ:  # which all launchers of ranks set
        os.environ[LAUNCHER] = str(os.getpid())


def is_launched() -> bool:
    """Whether another process of the same command started this one as a rank, and speaks for it."""
    return _listener is not None and _listener.launched


def launcher_ends() -> bool:
    """Whether this is a rank whose launcher ends, too, which is seen within some seconds."""
    until = time.monotonic() + 5
    while is_launched() and str(os.getppid()) == os.environ[LAUNCHER] and time.monotonic() < until:
        time.sleep(0.1)
    return is_launched() and str(os.getppid()) != os.environ[LAUNCHER]


def _is_launched() -> bool:
    """As long as the environment is as it was given."""
    by_torchrun = "TORCHELASTIC_RUN_ID" in os.environ
    return LAUNCHER in os.environ and os.environ.get("LOCAL_RANK", "0") != "0" and not by_torchrun


def _end_with(parent: str) -> None:
    """A rank whose launcher is gone would wait for it for half an hour, and a shard would work for nobody."""
    while str(os.getppid()) == parent:
        time.sleep(0.2)
    if _listener is not None:
        _listener.clean()
    _kill_children()
    os._exit(1)


def _kill_children() -> None:
    if "multiprocessing.process" in sys.modules:
        from multiprocessing import active_children

        for process in active_children():
            with suppress(OSError):
                process.kill()


def name_of(number: int) -> str:
    """Return what a user calls a signal."""
    return "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name


def _in_child() -> None:
    """A forked process must not write to the socket of its parent."""
    global _listener
    if _listener is not None:
        _listener = None
        signal.set_wakeup_fd(-1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
