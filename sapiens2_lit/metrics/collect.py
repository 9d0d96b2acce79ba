"""Metrics of a head, by name."""

from collections.abc import Mapping

from torchmetrics import Metric, MetricCollection


def collect(metrics: Mapping[str, Metric]) -> MetricCollection:
    """Put metrics together, each with a state of its own: ours share none that could be grouped."""
    return MetricCollection(dict(metrics), compute_groups=False)
