"""The parts of a run of `predict`, as the options say: `--shard I/N`, and what `--engine ray` does."""

from argparse import Namespace
from typing import TYPE_CHECKING

from sapiens2_lit.inference.shard import Shard
from sapiens2_lit.inference.sources import Source

if TYPE_CHECKING:  # torch is imported when all that was asked for is there
    from sapiens2_lit.inference.sharded_run import ShardedRun

OF_EACH_SHARD = (
    "shard",
    "devices",
    "device",
    "engine",
    "concurrency",
    "num_cpus",
    "num_gpus",
    "output",
    "as_dataset",
    "resume",
    "verify",
)  # options that may differ


def begin_part(options: Namespace, shard: Shard | None, source: Source) -> "ShardedRun | None":
    """Return the run that a shard takes part in; None without a shard.

    Args:
        options: Of the command.
        shard: Of `--shard`, or None.
        source: All pictures and videos.

    Raises:
        SettingError: The folder holds shards of a run with other options, or unfinished shards while this run has none.
    """
    from sapiens2_lit.inference.sharded_run import refuse_unfinished_shards

    if shard is None:
        refuse_unfinished_shards(options.output)
        return None
    part = run_in_parts(options, shard, source)
    part.begin()
    return part


def run_in_parts(options: Namespace, shard: Shard, source: Source) -> "ShardedRun":
    """Return a sharded run as one shard sees it; on Ray the command completes the run.

    Args:
        options: Of the command.
        shard: This shard.
        source: All pictures and videos.
    """
    from sapiens2_lit.inference.sharded_run import ShardedRun

    settings = {f"--{name}": value for name, value in vars(options).items() if name not in OF_EACH_SHARD}
    return ShardedRun(options.output, shard, source, settings, completes=options.engine != "ray")
