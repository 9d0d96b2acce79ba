"""Lightning callbacks."""

from sapiens2_lit.callbacks.feature_cache import FeatureCache
from sapiens2_lit.callbacks.last_checkpoint import LastCheckpoint
from sapiens2_lit.callbacks.pictures import PredictionPictures
from sapiens2_lit.callbacks.preemption import Preemption
from sapiens2_lit.callbacks.progress import RunProgressBar
from sapiens2_lit.callbacks.run_lock import SoleWriter
from sapiens2_lit.callbacks.scalars import RunScalars
from sapiens2_lit.callbacks.start_table import StartTable
from sapiens2_lit.callbacks.writer import PredictionWriter

__all__ = [
    "FeatureCache",
    "LastCheckpoint",
    "PredictionPictures",
    "PredictionWriter",
    "Preemption",
    "RunProgressBar",
    "RunScalars",
    "SoleWriter",
    "StartTable",
]
