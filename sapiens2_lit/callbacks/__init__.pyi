from .best_checkpoint import BestCheckpoint
from .early_stopping import EarlyStoppingMessage, Patience
from .feature_cache import FeatureCache
from .last_checkpoint import LastCheckpoint
from .learning_rates import LearningRates
from .model_summary import ModelSummary
from .pictures import PredictionPictures
from .preemption import Preemption
from .progress import RunProgressBar
from .random_state import RandomState
from .run_lock import SoleWriter
from .run_log import RunLog
from .teacher_cache import TeacherCache

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
    "TeacherCache",
]
