from __future__ import annotations

import dataclasses

import pytest
import torch

from bozzetto.errors import InputError
from bozzetto.results import Reconstruction
from bozzetto.results.reconstruction import SHAPES
from bozzetto.types import Camera


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_every_field_is_held_to_its_shape_kind_and_place(record: Reconstruction, name: str) -> None:
    value = getattr(record, name)
    for wrong in (value[None], value.double(), value.clone().requires_grad_()):
        # TypeError where the annotations themselves are checked while testing
        with pytest.raises((ValueError, TypeError), match=name):
            dataclasses.replace(record, **{name: wrong})


def test_the_camera_sets_the_size(record: Reconstruction) -> None:
    with pytest.raises(ValueError, match="image is"):
        dataclasses.replace(record, camera=Camera(record.size + 1))


def test_its_own_view_and_light_give_the_stored_pictures(record: Reconstruction) -> None:
    seen = record.render()
    assert torch.equal(seen.image[0], record.recon)
    assert torch.equal(seen.mask[0], record.recon_mask)
    assert torch.equal(seen.depth[0], record.depth_posed)
    assert torch.equal(seen.normal[0], record.normal)
    assert torch.equal(seen.shading[0], record.shading)


def test_many_views_are_each_view_alone(record: Reconstruction) -> None:
    views = torch.randn(3, 6, generator=torch.Generator().manual_seed(0)) * 0.1
    together = record.render(view=views)
    assert together.image.shape == (3, 3, record.size, record.size)
    for i in range(3):
        assert torch.allclose(record.render(view=views[i]).image[0], together.image[i], atol=1e-6)


def test_sequences_and_tensors_are_the_same(record: Reconstruction) -> None:
    view, light = [0.0, 0.3, 0.0, 0.0, 0.0, 0.0], (0.5, 0.5, 1.0, 0.0)
    one = record.render(view, light)
    two = record.render(torch.tensor([view], dtype=torch.float64), torch.tensor(light))
    assert torch.equal(one.image, two.image)
    assert torch.equal(record.render([view, view], light).image[1], one.image[0])
    assert record.render(light=[light] * 4).image.shape[0] == 4


def test_ambient_light_alone_shows_the_albedo(record: Reconstruction) -> None:
    seen = record.render(view=[0.0] * 6, light=[1.0, 0.0, 0.0, 0.0])
    assert torch.allclose(seen.image[0], record.albedo, atol=1e-4)


def test_a_finer_size_keeps_the_pixels_it_shares(record: Reconstruction) -> None:
    fine = record.render(view=[0.0] * 6, light=[1.0, 0.0, 0.0, 0.0], size=2 * record.size - 1)
    assert fine.image.shape[-1] == 2 * record.size - 1
    # the outermost pixels lie on the mesh's very edge, where rounding decides whether they are covered
    assert torch.allclose(fine.image[0, :, 2:-2:2, 2:-2:2], record.albedo[:, 1:-1, 1:-1], atol=1e-4)


@pytest.mark.parametrize(
    ("view", "light"),
    [
        ([0.0] * 5, None),
        (torch.zeros(2, 2, 6), None),
        (torch.zeros(0, 6), None),
        ([float("nan")] + [0.0] * 5, None),
        ([[0.0] * 6, [0.0] * 5], None),
        (None, [0.1] * 6),
        (torch.zeros(2, 6), torch.zeros(3, 4)),
    ],
)
def test_views_and_lights_that_make_no_sense_are_refused(record: Reconstruction, view: object, light: object) -> None:
    with pytest.raises(InputError):
        record.render(view, light)  # type: ignore[arg-type]


def test_a_size_of_one_is_refused(record: Reconstruction) -> None:
    with pytest.raises(InputError, match="size of 2 or more"):
        record.render(size=1)
