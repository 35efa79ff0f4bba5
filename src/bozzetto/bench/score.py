"""Everything that is scored of one head: shape, new sides, new lights, albedo, light and view (docs/metrics.md)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bozzetto.bench.datasets import HeadTruth
from bozzetto.bench.novel import draw, scale_between, seen_truth, view_like
from bozzetto.bench.stage import GAMMA
from bozzetto.bench.truth import truth_of
from bozzetto.geometry.pose import rotation_matrix
from bozzetto.geometry.render import look
from bozzetto.geometry.shade import diffuse, light_direction, shading
from bozzetto.geometry.warp import sample
from bozzetto.losses.perceptual import Perceptual
from bozzetto.metrics.pictures import psnr_db, relative_error_up_to_scale
from bozzetto.metrics.pose import direction_error_deg, rotation_error_deg
from bozzetto.metrics.truth import Truth, fill_open, score_truth
from bozzetto.results import Reconstruction
from bozzetto.types import Camera

# Of the canonical frame these are kept: it has no true normals of its own, and every pixel of it is predicted.
CANONICAL = ("side_x100", "mad_depth_deg", "side_published_x100", "mad_published_deg")


@dataclass(frozen=True)
class Shape:
    """What a method makes of one photo, as far as it goes. S x S, float32, on the CPU."""

    depth_posed: Float[Tensor, "1 s s"]  # in the photo's pose, scene units; holds where covered
    covered: Float[Tensor, "1 s s"]  # 1 where the method has a depth, else 0
    depth: Float[Tensor, "1 s s"]  # the height field, scene units, everywhere
    view: Float[Tensor, " 6"]  # that turns the height field into the photo's pose
    texture: Float[Tensor, "3 s s"] | None = None  # of the height field, [0, 1], with the photo's light in it
    normal_posed: Float[Tensor, "3 s s"] | None = None  # unit, toward the camera, camera frame; holds where covered
    albedo_posed: Float[Tensor, "3 s s"] | None = None  # [0, 1], display values; holds where covered
    toward_light: Float[Tensor, " 3"] | None = None  # unit, camera frame
    frontal: bool = False  # whether the height field's own frame claims to be the frontal one


def shape_of(result: Reconstruction) -> Shape:
    """What a reconstruction says."""
    factors = result.factors()
    sight = look(factors.depth, factors.view, result.camera, result.depth_range)
    toward = rotation_matrix(factors.view[:, :3]) @ light_direction(factors.light)[:, :, None]
    return Shape(
        depth_posed=result.depth_posed,
        covered=result.recon_mask,
        depth=result.depth,
        view=result.view,
        texture=(result.albedo * result.shading).clamp(0, 1),
        normal_posed=result.normal_posed,
        albedo_posed=sample(factors.albedo, sight.grid)[0],
        toward_light=toward[0, :, 0],
        frontal=True,
    )


def flat_shape(depth: Float[Tensor, "1 s s"], photo: Float[Tensor, "3 s s"]) -> Shape:
    """A depth map in the photo's pose with the photo on it: nothing is known of frontal frame, albedo and light."""
    return Shape(depth, torch.ones_like(depth), depth, depth.new_zeros(6), photo)


@torch.no_grad()
def score_head(
    shape: Shape, heads: HeadTruth, camera: Camera, perceptual: Perceptual | None = None
) -> dict[str, float]:
    """Every score that the shape and the truth (a batch of one) allow; what they do not allow is absent.

    Returns:
        those of `metrics.truth.score_truth`, in the photo's pose;
        canonical_*: the same in the frontal frame, for shapes that claim one;
        novel_psnr_db, novel_perceptual: pictures from the truth's other sides (`bench/novel.py`); the mean over the
            sides is taken of squared errors and of distances;
        relight_error: pictures under the truth's other lights; albedo_error: both up to one factor;
        light_error_deg: direction toward the light, camera frame;
        view_error_deg: rotation of the view, where "frontal" is what the truth calls so.
    """
    truth = truth_of(heads)
    scores = score_truth(shape.depth_posed, shape.normal_posed, shape.covered, truth, camera)
    if shape.frontal:
        frontal = score_truth(shape.depth, None, torch.ones_like(shape.depth), Truth(heads.canonical_depth[0]), camera)
        scores |= {f"canonical_{name}": frontal[name] for name in CANONICAL}
    rotations = rotation_matrix(torch.stack((shape.view[:3], heads.view[0, :3])))
    scores["view_error_deg"] = float(rotation_error_deg(rotations[:1], rotations[1:]))
    if shape.toward_light is not None:
        true_light = light_direction(heads.light)
        scores["light_error_deg"] = float(direction_error_deg(shape.toward_light[None], true_light))
    if shape.albedo_posed is not None:
        scores |= score_albedo(shape.albedo_posed, shape, heads)
    if shape.texture is not None and heads.turned_image.shape[1] > 0:
        scores |= score_sides(shape.texture, shape, heads, camera, perceptual)
    return scores


def lit(
    albedo: Float[Tensor, "1 3 s s"], normal: Float[Tensor, "1 3 s s"], lights: Float[Tensor, "k 4"]
) -> Float[Tensor, "k 3 s s"]:
    """Pictures under lights, shaded as the heads are: display albedo x shading^(1 / 1.6). Normals and lights are of
    the camera's frame."""
    return albedo * shading(diffuse(normal, lights), lights) ** (1 / GAMMA)


def score_albedo(albedo: Float[Tensor, "3 s s"], shape: Shape, heads: HeadTruth) -> dict[str, float]:
    """Albedo, and pictures under other lights, each up to one factor (`relative_error_up_to_scale`).

    The heads' pictures are (albedo x shading)^(1 / 1.6), so in display values the true albedo is albedo^(1 / 1.6) and a
    light's shading is shading^(1 / 1.6). Relit pictures are albedo x shading of the predicted normals under the true
    other light; lights come one after the other as channels, so that one factor serves all.
    """
    mask = heads.mask.to(albedo.dtype)
    filled = fill_open(albedo, shape.covered)[None]
    scores = {"albedo_error": float(relative_error_up_to_scale(filled, heads.albedo ** (1 / GAMMA), mask))}
    if shape.normal_posed is not None and heads.relit_image.shape[1] > 0:
        lights = heads.relit_light[0]
        normal = torch.nn.functional.normalize(fill_open(shape.normal_posed, shape.covered), dim=0)
        relit = lit(filled, normal[None], lights)
        stacked, true = relit.flatten(0, 1)[None], heads.relit_image[0].flatten(0, 1)[None]
        scores["relight_error"] = float(relative_error_up_to_scale(stacked, true, mask))
    return scores


def score_sides(
    texture: Float[Tensor, "3 s s"], shape: Shape, heads: HeadTruth, camera: Camera, perceptual: Perceptual | None
) -> dict[str, float]:
    """Pictures from the truth's other sides, the light turning along, where the true frontal surface is seen.

    Pixels that the prediction leaves open take the nearest values it has.
    """
    yaws = torch.deg2rad(heads.turned_yaw_deg[0])
    new = torch.zeros(len(yaws), 6)
    new[:, 1] = yaws
    mask = seen_truth(heads.canonical_depth, new, camera)
    filled = fill_open(shape.depth_posed, shape.covered)[None]
    scale = scale_between(filled, heads.depth, heads.mask.to(filled.dtype))
    views = view_like(new, heads.view, shape.view[None], scale)
    drawn, covered = draw(shape.depth[None], texture[None], views, camera)
    pictures = torch.stack([fill_open(d, c) for d, c in zip(drawn, covered, strict=True)])
    true = heads.turned_image[0]
    each_db = psnr_db(pictures, true, mask)
    scores = {"novel_psnr_db": float(-10 * torch.log10((10 ** (-each_db / 10)).mean()))}
    if perceptual is not None:
        scores["novel_perceptual"] = float(perceptual(pictures, true, mask).mean())
    return scores


def perfect_shape(heads: HeadTruth) -> Shape:
    """The truth as a prediction: where it is not scored as perfect, a height field or the formula cannot do better."""
    mask = heads.mask[0].to(torch.float32)
    known = ~heads.canonical_depth[0].isnan()
    frontal = fill_open(heads.canonical_depth[0].nan_to_num(), known.to(torch.float32))
    texture = None
    if heads.turned_image.shape[1] > 0:
        middle = int(heads.turned_yaw_deg[0].abs().argmin())
        texture = heads.turned_image[0, middle] if float(heads.turned_yaw_deg[0, middle]) == 0 else None
    return Shape(
        depth_posed=heads.depth[0].nan_to_num(),
        covered=mask,
        depth=frontal,
        view=heads.view[0],
        texture=texture,
        normal_posed=heads.normal[0],
        albedo_posed=heads.albedo[0] ** (1 / GAMMA),
        toward_light=light_direction(heads.light)[0],
        frontal=True,
    )
