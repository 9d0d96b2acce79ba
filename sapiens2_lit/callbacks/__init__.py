"""Lightning callbacks."""

from sapiens2_lit.callbacks.best_checkpoint import BestCheckpoint
from sapiens2_lit.callbacks.early_stopping import EarlyStoppingMessage, Patience
from sapiens2_lit.callbacks.feature_cache import FeatureCache
from sapiens2_lit.callbacks.last_checkpoint import LastCheckpoint
from sapiens2_lit.callbacks.learning_rates import LearningRates
from sapiens2_lit.callbacks.model_summary import ModelSummary
from sapiens2_lit.callbacks.pictures import PredictionPictures
from sapiens2_lit.callbacks.preemption import Preemption
from sapiens2_lit.callbacks.progress import RunProgressBar
from sapiens2_lit.callbacks.random_state import RandomState
from sapiens2_lit.callbacks.run_lock import SoleWriter
from sapiens2_lit.callbacks.run_log import RunLog

__all__ = [
    "BestCheckpoint",
    "EarlyStoppingMessage",
    "FeatureCache",
    "LastCheckpoint",
    "LearningRates",
    "ModelSummary",
    "Patience",
    "PredictionPictures",
    "Preemption",
    "RandomState",
    "RunLog",
    "RunProgressBar",
    "SoleWriter",
]
