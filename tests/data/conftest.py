"""Pose datasets on disk, to spoil."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pose_files import write_pose


@pytest.fixture
def pose(tmp_path: Path) -> Callable[..., Path]:
    """Writes a pose dataset: `pose(change, names=..., people=...) -> its root`."""
    return lambda change=None, **settings: write_pose(tmp_path / "data", change, **settings)
