"""Scores against true depth: SIDE, MAD, the published formulae under their own names, and the table of them."""

from bozzetto.metrics.depth import scale_invariant_depth_error as scale_invariant_depth_error
from bozzetto.metrics.masks import coverage as coverage
from bozzetto.metrics.masks import erode as erode
from bozzetto.metrics.masks import published_mask as published_mask
from bozzetto.metrics.normals import angle_between_deg as angle_between_deg
from bozzetto.metrics.normals import mean_angle_deviation_deg as mean_angle_deviation_deg
from bozzetto.metrics.published import mean_angle_deviation_deg_unsup3d as mean_angle_deviation_deg_unsup3d
from bozzetto.metrics.published import normals_from_depth_unsup3d as normals_from_depth_unsup3d
from bozzetto.metrics.report import DepthScores as DepthScores
from bozzetto.metrics.report import markdown_table as markdown_table
from bozzetto.metrics.report import score_depth as score_depth
from bozzetto.metrics.report import summarise as summarise
