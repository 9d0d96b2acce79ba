"""Handle Ctrl-C, SIGTERM, SIGHUP and SIGUSR1 in all commands.

A command is in one of two states. Before its work begins, and while nothing can be lost, a signal ends the process at
once. Inside `asked()` a signal only leaves a note, which the work checks between its steps: no exception is ever raised
in the middle of other code, where it would leave a lock taken or a file half written.

Python runs handlers only in the main thread, and not while that thread waits in C. So a thread reads the signals as
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
REPEATED_BY_TORCHRUN = 5.0  # s: it repeats signals that the terminal has already sent to its workers
PATIENCE = 0.5  # s that the main thread has to end the process itself
LAUNCHER = "SAPIENS2_LIT_LAUNCHER"  # the process that started this rank
PARENT = "SAPIENS2_LIT_PARENT"  # this process ends when that one does, for whatever reason

Handler = Callable[[int, FrameType | None], Any] | int | signal.Handlers | None


class _Listener:
    """The signals of this process, from `start` to `stop`."""

    def __init__(self) -> None:
        self.number = 0  # of the first signal
        self.depth = 0  # of nested `hold`s
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
            if signal.getsignal(number) != signal.SIG_IGN:  # set by nohup, and by `&` in a script
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
        if os.getpid() != self.pid:  # a forked child: its parent handles the signal
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
            if (
                self.depth == 0 and not self.number
            ):  # otherwise it was noted, and no block waits for it anymore
                self._end_if_stuck(number)
            self.number = self.number or number
            if number == signal.SIGINT:
                if first and time.monotonic() - first > repeated:
                    self._end(number)
                first = first or time.monotonic()

    def _end_if_stuck(self, number: int) -> None:
        """End the process if the main thread does not: it may wait in C, such as for other ranks."""
        time.sleep(PATIENCE)
        time.sleep(10 * PATIENCE if self.ending else 0)
        if self.depth == 0:
            self._end(number)

    def clean(self) -> None:
        """Undo unfinished work twice, for threads that were about to create more; they then start nothing new."""
        self.ending = True
        for clean in [*reversed(self.cleanups), lambda: time.sleep(0.02), *reversed(self.cleanups)]:
            with suppress(Exception):  # the process ends in any case
                clean()

    def _end(self, number: int) -> NoReturn:
        self.clean()
        _kill_children()
        if self.launched:  # Lightning kills the launcher of a failed rank, which then prints nothing
            with suppress(OSError):
                os.kill(os.getppid(), number)
        with suppress(OSError):  # the terminal may be gone
            os.write(2, f"\nstopped by {name_of(number)}\n".encode())
        os._exit(128 + number)


_listener: _Listener | None = None
_told = 0  # the signal of another process


@contextmanager
def answered() -> Iterator[None]:
    """Handle signals in this block; one that was ignored before, such as under nohup, stays ignored.

    A block inside another one, or outside the main thread, which alone may set handlers, changes nothing.
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
    """Let signals wait for `check` in this block, but let a second Ctrl-C end the process; raise at the block's end.

    Raises:
        Interrupted: A signal came.
    """
    hold()
    try:
        yield
    finally:
        release()
    check()


def hold() -> None:
    """Let signals wait for `received` or `check`, until `release`."""
    if _listener is not None:
        _listener.depth += 1


def release() -> None:
    """Undo one `hold`."""
    if _listener is not None:
        _listener.depth -= 1


def received() -> int:
    """Return the first signal that came inside `asked`, or 0."""
    return _told if _listener is None else _listener.number


def tell(number: int) -> None:
    """Note a signal in a process that hears none itself, because the process that it works for asks it to end."""
    global _told
    _told = number


def check() -> None:
    """End the work if a signal came.

    Raises:
        Interrupted: One did.
    """
    if number := received():
        raise Interrupted(number, f"stopped by {name_of(number)}")


def settle() -> None:
    """Mark the signal as handled: for a user who watches a stream, Ctrl-C is its normal end."""
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
    """Set the handlers of this module again, after a library has set its own."""
    if _listener is not None:
        _listener.take_back()


@contextmanager
def left_to_parent() -> Iterator[None]:
    """Block the signals in processes that start in this block, even while they start.

    They inherit the blocked signals of the starting thread. This process misses nothing: its other threads block
    nothing.
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
    """In a worker, ignore signals that its parent handles.

    SIGTERM from the parent still ends it, as multiprocessing expects.
    """
    if not hasattr(signal, "sigwaitinfo"):  # Windows, macOS
        for number in set(SIGNALS) - {signal.SIGTERM}:
            signal.signal(number, signal.SIG_IGN)
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        return
    from multiprocessing import parent_process

    parent = parent_process()  # for children of a fork server, this is not the process that forked them
    own = os.getppid() if parent is None else parent.pid
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    threading.Thread(target=_wait_for_parent, args=(own,), name="parent", daemon=True).start()


def _wait_for_parent(parent: int | None) -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)


def launches_ranks() -> None:
    """Tell processes that Lightning may start as other ranks about this one, until `answered` ends."""
    if _listener is not None and "LOCAL_RANK" not in os.environ:  # all launchers of ranks set it
        os.environ[LAUNCHER] = str(os.getpid())


def is_launched() -> bool:
    """Return whether another process of the same command started this one as a rank, and reports for it."""
    return _listener is not None and _listener.launched


def launcher_ends() -> bool:
    """Return whether this is a rank whose launcher ends, too; waits a few seconds for that."""
    until = time.monotonic() + 5
    while is_launched() and str(os.getppid()) == os.environ[LAUNCHER] and time.monotonic() < until:
        time.sleep(0.1)
    return is_launched() and str(os.getppid()) != os.environ[LAUNCHER]


def _is_launched() -> bool:
    """Return whether this process is a launched rank; valid only before the environment changes."""
    by_torchrun = "TORCHELASTIC_RUN_ID" in os.environ
    return LAUNCHER in os.environ and os.environ.get("LOCAL_RANK", "0") != "0" and not by_torchrun


def _end_with(parent: str) -> None:
    """End this process after its parent: a rank would wait for it for half an hour, and a shard would work in vain."""
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
    """Return a signal's name for users."""
    return "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name


def _in_child() -> None:
    """Keep a forked process from writing to the socket of its parent."""
    global _listener
    if _listener is not None:
        _listener = None
        signal.set_wakeup_fd(-1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
