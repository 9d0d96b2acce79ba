from .extract_head import take_head
from .lazy_safetensors import open_weights
from .reader import Weights, read_meta, read_weights
from .released_names import backbone_state, released_state, task_state
from .strict_loading import LoadReport, is_under, load_state
from .transformers_names import detect_layout, to_released, to_transformers
from .writer import write_weights

__all__ = [
    "LoadReport",
    "Weights",
    "backbone_state",
    "detect_layout",
    "is_under",
    "load_state",
    "open_weights",
    "read_meta",
    "read_weights",
    "released_state",
    "take_head",
    "task_state",
    "to_released",
    "to_transformers",
    "write_weights",
]
