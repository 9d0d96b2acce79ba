from .results import ProbeResults
from .run import probe
from .settings import ProbeData, ProbeSettings

__all__ = ["ProbeData", "ProbeResults", "ProbeSettings", "probe"]
