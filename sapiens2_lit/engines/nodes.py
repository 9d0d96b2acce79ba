"""The machines of a cluster: whether each sees the folders of a command, and has the same release of this package."""

import os
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sapiens2_lit.errors import SettingError


def check_nodes(ray: Any, places: Sequence[Path]) -> None:
    """Ask every machine of the cluster.

    Args:
        ray: the library, connected.
        places: absolute paths of files and folders that workers read and write, which are there on this machine.

    Raises:
        SettingError: naming the machine, and what it lacks.
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ask = ray.remote(num_cpus=0, max_retries=1)(what_is_missing)
    nodes = [node for node in ray.nodes() if node["Alive"]]
    answers = [
        ask.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(
            [str(place) for place in places], version("sapiens2-lit")
        )
        for node in nodes
    ]
    for node, answer in zip(nodes, answers, strict=True):
        try:
            missing = ray.get(answer)
        except ray.exceptions.RayError as error:
            reason = str(error).strip().splitlines()[-1]
            raise SettingError(
                f"--engine ray: node {node['NodeManagerAddress']} cannot run sapiens2_lit: {reason}. Install this "
                f"release ({version('sapiens2-lit')}) on every machine of the cluster."
            ) from error
        if missing:
            raise SettingError(f"--engine ray: node {node['NodeManagerAddress']} {missing}")


def what_is_missing(places: Sequence[str], release: str) -> str:
    """Say what this machine lacks, as the end of a sentence; empty if it lacks nothing."""
    if (found := version("sapiens2-lit")) != release:
        return f"has sapiens2-lit {found}, the command is of {release}: install the same on every machine"
    if absent := next((place for place in places if not os.path.exists(place)), None):  # noqa: PTH110 - as typed
        return f"does not see {absent}: expected storage that all machines of the cluster share, under the same path"
    return ""
