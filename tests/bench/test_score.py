from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bozzetto.bench.datasets import HeadTruth, decode_heads, load_packed_heads
from bozzetto.bench.run_heads import packed_heads
from bozzetto.bench.score import flat_shape, perfect_shape, score_head, shape_of
from bozzetto.geometry.pose import rotation_matrix
from bozzetto.metrics.truth import fill_open
from bozzetto.results import assemble
from bozzetto.types import Camera, Factors
from tiny_heads import head_arrays

SIZE = 32
CAMERA = Camera(SIZE)


def one(yaw_deg: float = 0.0, seed: int = 0, size: int = SIZE) -> HeadTruth:
    return decode_heads({name: values[None] for name, values in head_arrays(size, seed, yaw_deg).items()})


@pytest.mark.parametrize("yaw_deg", [0.0, 40.0])
def test_the_truth_itself_has_no_error(yaw_deg: float) -> None:
    scores = score_head(perfect_shape(one(yaw_deg)), one(yaw_deg), CAMERA)
    for name in ("side_x100", "mad_depth_deg", "mad_mesh_deg", "canonical_side_x100", "canonical_mad_depth_deg"):
        assert scores[name] < 2e-3, name
    assert scores["view_error_deg"] < 1e-3
    assert scores["light_error_deg"] < 1e-3
    assert scores["albedo_error"] < 1e-6
    assert scores["relight_error"] < 5e-3  # the pictures have 8 bit
    assert scores["novel_psnr_db"] > 30
    assert scores["coverage"] == 1
    assert scores["mad_published_deg"] > 0.5  # the formula does not know a perfect score


def test_the_packaged_heads_agree_with_their_own_truth() -> None:
    """Turned pictures, other lights, views: every convention of the files and of the scores at once."""
    heads = load_packed_heads(packed_heads(64)).take(slice(0, 3))
    for i in range(3):
        head = heads.take(i)
        shape = perfect_shape(head)
        scores = score_head(shape, head, Camera(64))
        assert scores["novel_psnr_db"] > 25
        assert scores["relight_error"] < 0.15
        mirrored = replace(head, turned_yaw_deg=-head.turned_yaw_deg)
        assert score_head(shape, mirrored, Camera(64))["novel_psnr_db"] < scores["novel_psnr_db"] - 6
        flat = flat_shape(torch.ones(1, 64, 64), head.image[0])
        assert score_head(flat, head, Camera(64))["novel_psnr_db"] < scores["novel_psnr_db"] - 5


def test_new_sides_do_not_depend_on_where_frontal_is() -> None:
    """The same surface with the photo on it, said in the photo's own frame, and too large."""
    head = one(20.0)
    posed = fill_open(head.depth[0].nan_to_num(), head.mask[0].float())
    mine = score_head(flat_shape(posed, head.image[0]), head, CAMERA)
    best = score_head(perfect_shape(head), head, CAMERA)
    assert mine["novel_psnr_db"] > 20
    assert mine["view_error_deg"] == pytest.approx(20, abs=1e-3)
    assert best["view_error_deg"] < 1e-3
    scaled = score_head(flat_shape(1.04 * posed, head.image[0]), head, CAMERA)
    assert scaled["side_x100"] < 1e-3
    assert scaled["novel_psnr_db"] == pytest.approx(mine["novel_psnr_db"], abs=0.2)


def test_albedo_and_new_lights_do_not_see_brightness_but_see_colour() -> None:
    head = one()
    shape = perfect_shape(head)
    assert shape.albedo_posed is not None
    dim = score_head(replace(shape, albedo_posed=0.3 * shape.albedo_posed), head, CAMERA)
    assert dim["albedo_error"] < 1e-6
    assert dim["relight_error"] < 5e-3
    red = shape.albedo_posed * torch.tensor([1.0, 0.0, 0.0])[:, None, None]
    colours = head.albedo[0, :, SIZE // 2, SIZE // 2] ** (1 / 1.6)
    angle = math.acos(float(colours[0] / colours.norm()))
    found = score_head(replace(shape, albedo_posed=red), head, CAMERA)
    assert found["albedo_error"] == pytest.approx(math.sin(angle), abs=1e-4)
    assert found["relight_error"] == pytest.approx(math.sin(angle), abs=5e-3)


def test_normals_that_face_the_camera_relight_worse() -> None:
    head = one()
    facing = torch.tensor([0.0, 0.0, -1.0])[:, None, None].expand(3, SIZE, SIZE)
    found = score_head(replace(perfect_shape(head), normal_posed=facing), head, CAMERA)
    assert found["relight_error"] > 0.03


def test_what_is_not_known_is_absent() -> None:
    scores = score_head(flat_shape(torch.ones(1, SIZE, SIZE), one().image[0]), one(), CAMERA)
    assert not {"albedo_error", "relight_error", "light_error_deg", "canonical_side_x100", "novel_perceptual"} & set(
        scores
    )
    bare = {n: v for n, v in head_arrays(SIZE, 0, 0.0).items() if not n.startswith(("turned", "relit"))}
    head = decode_heads({name: values[None] for name, values in bare.items()})
    assert not {"novel_psnr_db", "relight_error"} & set(score_head(perfect_shape(head), head, CAMERA))


class Difference:
    """A distance for tests: mean absolute difference in the mask."""

    name = "difference"

    def features(self, images: torch.Tensor) -> list[torch.Tensor]:
        return [images]

    def compare(
        self, predicted: torch.Tensor, target: torch.Tensor, mask: torch.Tensor, wanted: list[torch.Tensor]
    ) -> torch.Tensor:
        return self(predicted, target, mask)

    def __call__(self, predicted: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return ((predicted - target).abs() * mask).flatten(1).sum(1) / (3 * mask.flatten(1).sum(1))


def test_a_perceptual_distance_is_taken_of_the_same_pictures() -> None:
    head = one()
    near = score_head(perfect_shape(head), head, CAMERA, Difference())["novel_perceptual"]
    flat = flat_shape(torch.ones(1, SIZE, SIZE), torch.zeros(3, SIZE, SIZE))
    black = score_head(flat, head, CAMERA, Difference())["novel_perceptual"]
    assert near < 0.03
    assert black > 0.3


def test_a_reconstruction_is_read_as_what_it_is() -> None:
    """A record assembled from true factors: sphere, plain albedo, a light said in the turned object's own frame."""
    head = one(25.0)
    rotation = rotation_matrix(head.view[:, :3])
    toward = torch.tensor([[0.3, -0.2, -0.9]])
    toward = toward / toward.norm()
    light = torch.cat((torch.tensor([[0.4, 0.5]]), toward[:, :2] / toward[:, 2:]), 1)  # normalise(-dx, -dy, -1)
    frontal = fill_open(head.canonical_depth[0].nan_to_num(), head.mask[0].float())[None]
    albedo = torch.full((1, 3, SIZE, SIZE), 0.5)
    factors = Factors(frontal, albedo, head.view, light)
    result = assemble(head.image, head.image, head.mask.float(), factors, torch.zeros(1, 4), CAMERA)
    shape = shape_of(result)
    assert shape.toward_light is not None
    torch.testing.assert_close(shape.toward_light, (rotation @ toward[:, :, None])[0, :, 0])
    assert shape.albedo_posed is not None
    inside = (shape.covered > 0)[0]
    torch.testing.assert_close(shape.albedo_posed[:, inside], torch.full_like(shape.albedo_posed[:, inside], 0.5))
    assert score_head(shape, head, CAMERA)["view_error_deg"] < 1e-3


def test_where_the_packaged_heads_lie() -> None:
    assert isinstance(packed_heads(64), Path)
    assert packed_heads(64).is_file()
