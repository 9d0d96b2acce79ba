"""Collections of a head's metrics."""

from collections.abc import Mapping

from torchmetrics import Metric, MetricCollection


def collect(metrics: Mapping[str, Metric]) -> MetricCollection:
    """Put metrics together, each with its own state: these metrics have no common states to share."""
    return MetricCollection(dict(metrics), compute_groups=False)
