"""Signals are answered at whatever moment they come, once, and by the process that they are meant for."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from sapiens2_lit import interrupts
from sapiens2_lit.errors import Interrupted

PATIENCE = 60  # s, for a machine with much else to do


def start(code: str, **options: object) -> subprocess.Popen[str]:
    """A process that has said `ready`."""
    head = "import os, signal, time\nfrom sapiens2_lit import interrupts\ndef ready(): print('ready', flush=True)\n"
    command = [sys.executable, "-c", head + dedent(code)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, text=True, start_new_session=True, **pipes, **options)  # type: ignore[call-overload]  # options of Popen
    assert process.stdout.readline() == "ready\n"
    return process  # type: ignore[no-any-return]  # as above


def end(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


@pytest.fixture(autouse=True)
def heard() -> Iterator[None]:
    """Under nohup this process ignores SIGHUP, and so would those that it starts."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", interrupts.SIGNALS)
def test_where_nothing_can_be_lost_a_signal_ends_the_process(number: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "begun").touch()
    process = start(
        f"""
        with interrupts.answered(), interrupts.undone(lambda: os.unlink({str(tmp_path / "begun")!r})):
            ready()
            time.sleep({PATIENCE})
        """
    )
    os.kill(process.pid, number)
    status, _, err = end(process)
    assert status == 128 + number
    assert err.strip() == f"stopped by {interrupts.name_of(number)}"
    assert not (tmp_path / "begun").exists()


def test_also_while_the_main_thread_waits_in_c() -> None:
    process = start(
        """
        import ctypes
        with interrupts.answered():
            lock, lib = ctypes.create_string_buffer(64), ctypes.CDLL(None)
            lib.pthread_mutex_lock(lock)
            ready()
            lib.pthread_mutex_lock(lock)  # forever, signals or not
        """
    )
    os.kill(process.pid, signal.SIGTERM)
    assert end(process)[0] == 143


@pytest.mark.parametrize("number", interrupts.SIGNALS)
def test_work_ends_where_it_asks(number: signal.Signals) -> None:
    seen = []
    with interrupts.answered():
        message = f"stopped by {interrupts.name_of(number)}"
        with pytest.raises(Interrupted, match=message) as caught, interrupts.asked():
            os.kill(os.getpid(), number)
            seen.append("goes on")
            interrupts.check()
            seen.append("never")
        assert interrupts.received() == number
    assert seen == ["goes on"]
    assert caught.value.signal == number
    assert interrupts.received() == 0


def test_a_signal_that_nobody_asked_for_is_not_lost() -> None:
    with interrupts.answered(), pytest.raises(Interrupted), interrupts.asked():
        os.kill(os.getpid(), signal.SIGTERM)


def test_handlers_are_as_before_afterwards() -> None:
    before = [signal.getsignal(number) for number in interrupts.SIGNALS]
    with interrupts.answered(), interrupts.answered():
        assert [signal.getsignal(number) for number in interrupts.SIGNALS] != before
    assert [signal.getsignal(number) for number in interrupts.SIGNALS] == before


WAITING = f"""
    with interrupts.answered(), interrupts.asked():
        ready()
        end = time.monotonic() + {PATIENCE}
        while time.monotonic() < end and not os.path.exists("done"):
            time.sleep(0.02)
    """


def test_a_second_ctrl_c_ends_it_at_once(tmp_path: Path) -> None:
    process = start(WAITING, cwd=tmp_path)
    os.kill(process.pid, signal.SIGINT)
    time.sleep(2 * interrupts.REPEATED)
    assert process.poll() is None
    os.kill(process.pid, signal.SIGINT)
    status, _, err = end(process)
    assert (status, err.strip()) == (130, "stopped by Ctrl-C")


def test_one_that_comes_twice_from_a_launcher_is_one(tmp_path: Path) -> None:
    """As GNU timeout sends it: to its child, and to the group."""
    process = start(WAITING, cwd=tmp_path, env={**os.environ, "TORCHELASTIC_RUN_ID": "a longer while"})
    os.kill(process.pid, signal.SIGINT)
    time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None
    (tmp_path / "done").touch()
    assert "Interrupted: stopped by Ctrl-C" in end(process)[2]


def test_what_was_ignored_stays_ignored(tmp_path: Path) -> None:
    """As nohup does with SIGHUP, and a shell without job control with SIGINT."""
    ignore = lambda: [signal.signal(number, signal.SIG_IGN) for number in (signal.SIGHUP, signal.SIGINT)]  # noqa: E731
    process = start(WAITING, cwd=tmp_path, preexec_fn=ignore)
    os.kill(process.pid, signal.SIGHUP)
    os.kill(process.pid, signal.SIGINT)
    time.sleep(0.5)
    (tmp_path / "done").touch()
    assert end(process) == (0, "", "")


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_hear_their_parent_alone(method: str, tmp_path: Path) -> None:
    """Signals to the group when the worker has just been started; SIGTERM from the parent, as of multiprocessing."""
    (tmp_path / "worker.py").write_text(
        dedent("""
        import os, signal, subprocess, time
        from multiprocessing import get_context, resource_tracker
        from sapiens2_lit import interrupts

        def tell_group():  # by another process, as this one may end its worker
            for number in interrupts.SIGNALS:
                command = f"kill -s {number.name[3:]} -- -{os.getpgid(0)}"
                subprocess.run(["sh", "-c", command], start_new_session=True, check=True)

        def work():
            interrupts.end_by_parent_alone()
            open("there", "w").close()
            time.sleep(60)

        if __name__ == "__main__":
            with interrupts.answered(), interrupts.asked():
                with interrupts.left_to_parent():
                    resource_tracker.ensure_running()
                with interrupts.left_to_parent():
                    worker = get_context(os.environ["METHOD"]).Process(target=work)
                    worker.start()
                tell_group()
                while not os.path.exists("there"):
                    assert worker.is_alive(), worker.exitcode
                    time.sleep(0.02)
                tell_group()
                time.sleep(0.3)
                assert worker.is_alive(), worker.exitcode
                worker.terminate()
                worker.join(30)
                print(worker.exitcode, interrupts.received() > 0)
                os._exit(0)
        """)
    )
    environment = {**os.environ, "METHOD": method, "TORCHELASTIC_RUN_ID": "Ctrl-C comes twice"}
    command = [sys.executable, "worker.py"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, start_new_session=True, capture_output=True, text=True
    )
    assert done.stdout.split() == ["0", "True"], done.stderr


def test_a_second_ctrl_c_leaves_no_half_files_of_threads(tmp_path: Path) -> None:
    process = start(
        f"""
        import pathlib, threading
        from sapiens2_lit.atomic_write import whole_file
        def write(name):
            while True:
                with whole_file(pathlib.Path({str(tmp_path)!r}, name)) as path, path.open("wb") as file:
                    for _ in range(20):
                        file.write(b"0" * 100000)
        with interrupts.answered(), interrupts.asked():
            for index in range(8):
                threading.Thread(target=write, args=(str(index),), daemon=True).start()
            ready()
            time.sleep({PATIENCE})
        """
    )
    os.kill(process.pid, signal.SIGINT)
    time.sleep(2 * interrupts.REPEATED)
    os.kill(process.pid, signal.SIGINT)
    assert end(process)[0] == 130
    assert not list(tmp_path.glob(".*"))


@pytest.mark.skipif(os.name == "nt", reason="a process does not learn of its parent's end")
def test_a_process_ends_with_its_parent_however_that_ends(tmp_path: Path) -> None:
    child = f"""
    from pathlib import Path
    from sapiens2_lit import interrupts
    import time
    half = Path({str(tmp_path / "half")!r})
    with interrupts.answered(), interrupts.asked(), interrupts.undone(half.unlink):
        half.touch()
        time.sleep({PATIENCE})
    """
    process = start(
        f"""
        import subprocess, sys
        environment = os.environ | {{interrupts.PARENT: str(os.getpid())}}
        child = subprocess.Popen([sys.executable, "-c", {dedent(child)!r}], env=environment)
        while not os.path.exists({str(tmp_path / "half")!r}):
            time.sleep(0.02)
        ready()
        time.sleep({PATIENCE})
        """
    )
    process.kill()
    end(process)  # when the child has closed its standard output, too
    assert not (tmp_path / "half").exists()
