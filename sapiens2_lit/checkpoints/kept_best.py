"""Find the best of several checkpoints that were kept by their score."""

from collections.abc import Mapping
from pathlib import Path

from sapiens2_lit.archives.safe_pickle import read_pickle
from sapiens2_lit.checkpoints.format import META_FILE


def best_of(files: list[Path]) -> Path:
    """Return the best of a run's checkpoints that were kept by their score.

    The newest one says which is best; if it does not, it is the newest itself.
    """
    newest = max(files, key=lambda path: path.stat().st_mtime)
    if len(files) == 1:
        return newest
    content = read_pickle(newest / META_FILE if newest.is_dir() else newest)
    callbacks = content.get("callbacks", {}) if isinstance(content, Mapping) else {}
    states = [state for state in callbacks.values() if isinstance(state, Mapping)]
    named = [
        newest.with_name(Path(state["best_model_path"]).name)
        for state in states
        if state.get("best_model_path")
    ]
    return next((path for path in named if path in files), newest)
