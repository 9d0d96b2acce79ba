"""How much memory something really takes on a CPU, told by the allocator."""

import gc
from collections.abc import Callable

from torch.profiler import ProfilerActivity, profile


def measure_peak(work: Callable[[], object]) -> int:
    """The most bytes of tensors alive at once in `work`, of those that it makes, the insides of operations included.

    Counted by torch's CPU allocator, which the resident size of the process follows only roughly.
    """
    gc.collect()  # else what is freed inside would be what came before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        work()
    assert record.profiler is not None and record.profiler.kineto_results is not None
    events = [event for event in record.profiler.kineto_results.events() if event.name() == "[memory]"]
    alive = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        alive += event.nbytes()
        peak = max(peak, alive)
    return peak
