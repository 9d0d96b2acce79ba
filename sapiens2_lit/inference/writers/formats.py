"""Formats by name, and all of those that one run writes."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sapiens2_lit.errors import SettingError
from sapiens2_lit.heads.base import Head
from sapiens2_lit.inference.prediction import Prediction
from sapiens2_lit.inference.sources import Frame
from sapiens2_lit.inference.writers.albedo import AlbedoPng
from sapiens2_lit.inference.writers.arrays import Npy, Npz
from sapiens2_lit.inference.writers.base import Axes, FileWriter, Writer
from sapiens2_lit.inference.writers.coco import CocoResults
from sapiens2_lit.inference.writers.depth import MILLIMETRES, DepthExr, DepthPng
from sapiens2_lit.inference.writers.matte import MattePng
from sapiens2_lit.inference.writers.mesh import MeshGlb
from sapiens2_lit.inference.writers.normals import NormalExr, NormalPng
from sapiens2_lit.inference.writers.overlay import OverlayPng, OverlayVideo
from sapiens2_lit.inference.writers.points import CameraJson, PointsPly
from sapiens2_lit.inference.writers.pose import PoseJson
from sapiens2_lit.inference.writers.segmentation import MaskPng
from sapiens2_lit.whole_files import unwritable_is_error, write_whole
