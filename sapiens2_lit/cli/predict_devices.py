"""`predict --devices N`: run each shard in a process of its own, on a device of its own."""

import os
import signal
import subprocess
import sys
import time
from argparse import Namespace
from contextlib import suppress

from sapiens2_lit import interrupts
from sapiens2_lit.cli.options import without
from sapiens2_lit.errors import SettingError

_LOOK = 0.1  # s between looks at the processes


def predict_on_devices(options: Namespace, args: list[str]) -> int:
    """Run one shard on each device; return the exit status of the first shard whose status is not 0, else 0.

    Args:
        options: Of the command.
        args: As they were given, with underscores.

    Raises:
        Interrupted: A signal came, and the shards have ended.
        SettingError: There are fewer devices, or a shard's process died.
    """
    devices = devices_of(options.device, options.devices)
    kept = without(args, "--devices", "--device")
    environment = dict(os.environ) | {interrupts.PARENT: str(os.getpid())}
    if devices[0] == "cpu":
        environment.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // len(devices))))
    processes: list[subprocess.Popen[bytes]] = []

    def kill() -> None:
        for process in processes:
            with suppress(OSError):
                process.kill()

    def end() -> None:
        if (
            os.name == "nt"
        ):  # on other systems they see that this process is gone, and leave nothing unfinished
            kill()

    with interrupts.asked(), interrupts.undone(end):
        try:
            for index, device in enumerate(devices, start=1):
                shard = ["--shard", f"{index}/{len(devices)}", "--device", device]
                command = [sys.executable, "-m", "sapiens2_lit", "predict", *kept, *shard]
                processes.append(subprocess.Popen(command, env=environment))
            wait_for(processes)
        except BaseException:
            kill()
            raise
    killed = [place for place, process in enumerate(processes) if process.returncode < 0]
    if killed:
        lines = [
            f"shard {place + 1}/{len(devices)} on {devices[place]} (process {processes[place].pid}) was ended by "
            f"{signal.Signals(-processes[place].returncode).name}"
            for place in killed
        ]
        raise SettingError(
            f"--devices: {'; '.join(lines)}. Existing results are complete; the same command with --resume continues."
        )
    return next((process.returncode for process in processes if process.returncode), 0)


def wait_for(processes: list[subprocess.Popen[bytes]]) -> None:
    """Wait until all processes have ended; pass a signal on, once."""
    told = False
    while any(process.poll() is None for process in processes):
        if (number := interrupts.received()) and not told:
            told = True
            for process in processes:
                with suppress(OSError):
                    process.send_signal(number)
        time.sleep(_LOOK)


def devices_of(device: str, number: int) -> list[str]:
    """Return the names of `number` devices.

    Raises:
        SettingError: There are fewer, or one is named by its index.
    """
    if number < 1:
        raise SettingError(f"--devices: found {number}, expected 1 or more")
    if device == "cpu":
        return ["cpu"] * number
    if device not in ("auto", "cuda"):
        raise SettingError(
            f"--devices: found --device {device}, expected auto, cuda or cpu: each shard gets a device"
        )
    import torch

    there = torch.cuda.device_count()
    if device == "auto" and not there:
        return ["cpu"] * number
    if there < number:
        raise SettingError(f"--devices: found {number}, but there are {there} CUDA devices")
    return [f"cuda:{index}" for index in range(number)]
