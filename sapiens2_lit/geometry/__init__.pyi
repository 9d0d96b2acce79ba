from .alignment import Alignment, align, relative_depth, standardize_depth
from .cameras import (
    canonical_focal,
    canonical_scale,
    field_of_view,
    focal_from_field_of_view,
    intrinsics_from_focal,
    pixel_grid,
    pixel_rays,
    project,
    recover_focal,
    rotate_vectors,
    unproject,
    warp_camera,
    warp_intrinsics,
)
from .l1_alignment import align_l1
from .normals import area_vectors, normals_from_points, normals_support, swap_frame

__all__ = [
    "Alignment",
    "align",
    "align_l1",
    "area_vectors",
    "canonical_focal",
    "canonical_scale",
    "field_of_view",
    "focal_from_field_of_view",
    "intrinsics_from_focal",
    "normals_from_points",
    "normals_support",
    "pixel_grid",
    "pixel_rays",
    "project",
    "recover_focal",
    "relative_depth",
    "rotate_vectors",
    "standardize_depth",
    "swap_frame",
    "unproject",
    "warp_camera",
    "warp_intrinsics",
]
