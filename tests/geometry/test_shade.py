from __future__ import annotations

import math

import pytest
import torch
from surfaces import sphere

from bozzetto.geometry.heightfield import normals
from bozzetto.geometry.shade import diffuse, light_direction, shading
from bozzetto.types import Camera


def lights(*rows: tuple[float, float, float, float]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def random_normals(count: int) -> torch.Tensor:
    normal = torch.randn((count, 3, 4, 4), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return normal / torch.linalg.vector_norm(normal, dim=1, keepdim=True)


def test_the_papers_convention_with_both_vectors_turned_round() -> None:
    light = torch.rand((5, 4), generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 2 - 1
    away = -random_normals(5)
    direction = torch.stack((light[:, 2], light[:, 3], torch.ones(5, dtype=torch.float64)), 1)
    direction = direction / direction.square().sum(1, keepdim=True).sqrt()
    expected = (away * direction[:, :, None, None]).sum(1, keepdim=True).clamp(min=0)
    assert (diffuse(-away, light) - expected).abs().max() < 1e-15
    assert (torch.linalg.vector_norm(light_direction(light), dim=1) - 1).abs().max() < 1e-15


def test_a_frontal_surface_by_hand() -> None:
    frontal = torch.tensor([0.0, 0.0, -1.0], dtype=torch.float64).view(1, 3, 1, 1)
    light = lights((0.3, 0.5, 0, 0), (0.3, 0.5, 1, 0), (0.3, 0.5, 1, -1), (0.0, 0.0, 1, 1))
    lit = diffuse(frontal, light)
    assert torch.allclose(lit.flatten(), lights((1, 1 / math.sqrt(2), 1 / math.sqrt(3), 1 / math.sqrt(3)))[0])
    assert torch.allclose(shading(lit, light).flatten(), 0.3 * (light[:, 0] > 0) + light[:, 1] * lit.flatten())


def test_no_light_from_behind() -> None:
    away = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64).view(1, 3, 1, 1)
    assert not diffuse(away, lights((0.3, 0.5, 0.2, 0.3))).any()


@pytest.mark.parametrize(
    ("light", "brighter"),
    [((0, 1, 0, 0.8), "top"), ((0, 1, 0, -0.8), "bottom"), ((0, 1, 0.8, 0), "left"), ((0, 1, -0.8, 0), "right")],
)
def test_a_real_dome_is_brighter_where_the_light_comes_from(
    light: tuple[float, float, float, float], brighter: str
) -> None:
    camera = Camera(65)
    depth, _ = sphere(camera, radius=0.14)
    lit = diffuse(normals(depth, camera), lights(light))[0, 0]
    halves = {"top": lit[:32], "bottom": lit[33:].flip(0), "left": lit[:, :32].T, "right": lit[:, 33:].flip(1).T}
    opposite = {"top": "bottom", "bottom": "top", "left": "right", "right": "left"}[brighter]
    assert (halves[brighter] > halves[opposite]).all()


def test_the_brightest_point_of_a_sphere_faces_the_light() -> None:
    camera = Camera(129)
    depth, normal = sphere(camera, radius=0.14)
    light = lights((0, 1, 0.4, 0.3))
    lit = diffuse(normals(depth, camera), light)
    brightest = normal[0].reshape(3, -1)[:, lit.argmax()]
    angle = torch.rad2deg(torch.arccos((brightest * light_direction(light)[0]).sum()))
    assert angle < 1


def test_lights_of_items_do_not_mix_and_one_normal_map_serves_many() -> None:
    normal, light = random_normals(1), lights((0, 1, 0.5, 0.2), (0.2, 0.7, -0.5, 0.1))
    together = shading(diffuse(normal, light), light)
    alone = torch.cat([shading(diffuse(normal, one[None]), one[None]) for one in light])
    assert torch.equal(together, alone)
