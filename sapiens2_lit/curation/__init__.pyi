from .columns import Colorfulness, Column
from .score import score
from .select import Selection, select
from .settings import SelectSettings, read_settings

__all__ = ["Colorfulness", "Column", "SelectSettings", "Selection", "read_settings", "score", "select"]
