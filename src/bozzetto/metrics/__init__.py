"""Scores against a known truth: SIDE, MAD, the published formulae under their own names, edges, pictures, pose."""

from bozzetto.metrics.depth import scale_invariant_depth_error as scale_invariant_depth_error
from bozzetto.metrics.edges import EdgeScores as EdgeScores
from bozzetto.metrics.edges import depth_edges as depth_edges
from bozzetto.metrics.edges import edge_scores as edge_scores
from bozzetto.metrics.masks import coverage as coverage
from bozzetto.metrics.masks import erode as erode
from bozzetto.metrics.masks import published_mask as published_mask
from bozzetto.metrics.normals import angle_between_deg as angle_between_deg
from bozzetto.metrics.normals import mean_angle_deviation_deg as mean_angle_deviation_deg
from bozzetto.metrics.pictures import psnr_db as psnr_db
from bozzetto.metrics.pictures import relative_error_up_to_scale as relative_error_up_to_scale
from bozzetto.metrics.pose import aligned_rotation_error_deg as aligned_rotation_error_deg
from bozzetto.metrics.pose import best_common_rotation as best_common_rotation
from bozzetto.metrics.pose import direction_error_deg as direction_error_deg
from bozzetto.metrics.pose import rotation_error_deg as rotation_error_deg
from bozzetto.metrics.published import mean_angle_deviation_deg_unsup3d as mean_angle_deviation_deg_unsup3d
from bozzetto.metrics.published import normals_from_depth_unsup3d as normals_from_depth_unsup3d
from bozzetto.metrics.published import scale_invariant_depth_error_unsup3d as scale_invariant_depth_error_unsup3d
from bozzetto.metrics.report import DepthScores as DepthScores
from bozzetto.metrics.report import score_depth as score_depth
