from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from synthetic_dome import dome

from bozzetto.geometry.render import look, render
from bozzetto.results import Reconstruction
from bozzetto.results.assemble import assemble, mask_to_canonical, normals_to_view
from bozzetto.types import BORDER_COLUMNS, Camera


def test_the_record_holds_its_own_rendering(record: Reconstruction) -> None:
    seen = render(record.factors(), record.camera, record.depth_range)
    for name, value in (("recon", seen.image), ("depth_posed", seen.depth), ("diffuse", seen.diffuse)):
        assert torch.equal(getattr(record, name), value[0])


def test_the_frontal_mask_is_canonical_already() -> None:
    front = dome(view=(0.0,) * 6)
    assert torch.allclose(front.canonical_mask, front.mask, atol=1e-4)
    assert torch.allclose(front.normal_posed, front.normal, atol=1e-4)


def test_the_mask_of_a_turned_photo_comes_back_to_the_frontal_one() -> None:
    """Nothing goes wrong more than two pixels from the outline, though a third of the backdrop's rim is hidden."""
    front = (dome(48, (0.0,) * 6).canonical_mask > 0.5).float()
    grown = F.max_pool2d(front, 5, 1, 2)
    shrunk = 1 - F.max_pool2d(1 - front, 5, 1, 2)
    for yaw in (-0.35, 0.35):
        turned = (dome(48, (0.1, yaw, 0.05, 0.0, 0.0, 0.0)).canonical_mask > 0.5).float()
        assert (shrunk <= turned).all()
        assert (turned <= grown).all()
        assert (turned * front).sum() / torch.maximum(turned, front).sum() > 0.92


def carried_mask(scene: Reconstruction, mask: torch.Tensor, even: bool) -> torch.Tensor:
    given = (scene.depth[None], scene.depth_posed[None], scene.view[None], scene.camera)
    return mask_to_canonical(mask[None], *given, even=even)[0]


@pytest.mark.parametrize("yaw", [-0.5, -0.35, 0.35, 0.5])
@pytest.mark.parametrize("rest", [(0.0, 0.0), (0.1, 0.05)], ids=["level", "pitched-rolled"])
def test_the_far_side_of_an_even_object_takes_the_outline_of_the_near_one(
    yaw: float, rest: tuple[float, float]
) -> None:
    front = dome(48, (0.0,) * 6).canonical_mask > 0.5
    turned = dome(48, (rest[0], yaw, rest[1], 0.0, 0.0, 0.0))
    columns = torch.arange(48)[turned.mask[0].amax(0) > 0.5]
    far = columns[:5] if yaw > 0 else columns[-5:]
    near = slice(28, None) if yaw > 0 else slice(None, 20)
    # As when the object's shape is taken to reach further out than it does: its far rim reads backdrop.
    spoilt = turned.mask.clone()
    spoilt[..., far] = 0
    for mask, gain in ((turned.mask, 0.01), (spoilt, 0.09)):
        plain, even = (carried_mask(turned, mask, each) for each in (False, True))

        def overlap(found: torch.Tensor) -> float:
            inside = found > 0.5
            return float((inside & front).sum() / (inside | front).sum())

        assert overlap(even) > overlap(plain) + gain
        changed = ((even > 0.5) != (plain > 0.5)).float()
        assert changed[..., near].mean() < 0.2 * changed.mean()
        # Every point is its own, its mirror point's, or between them.
        low, high = torch.minimum(plain, plain.flip(2)), torch.maximum(plain, plain.flip(2))
        assert (even >= low - 1e-6).all()
        assert (even <= high + 1e-6).all()


def test_the_record_takes_the_outline_that_it_is_asked_for() -> None:
    made = dome(48, (0.0, 0.35, 0.0, 0.0, 0.0, 0.0))
    given = (made.image[None], made.inversion[None], made.mask[None], made.factors(), made.latent)
    masks = [assemble(*given, made.camera, made.depth_range, even=even).canonical_mask for even in (False, True)]
    for mask, even in zip(masks, (False, True), strict=True):
        inside = slice(BORDER_COLUMNS, -BORDER_COLUMNS)
        assert torch.equal(mask[..., inside], carried_mask(made, made.mask, even)[..., inside])
    assert not torch.equal(*masks)


def test_a_photo_from_the_front_keeps_each_side_s_own_outline() -> None:
    front = dome(48, (0.0,) * 6)
    lopsided = front.mask.clone()
    lopsided[..., 10:20, :24] = 0
    assert torch.equal(front.depth, front.depth.flip(2))
    assert torch.equal(carried_mask(front, lopsided, True), carried_mask(front, lopsided, False))


@pytest.mark.parametrize("even", [False, True])
def test_items_of_a_batch_do_not_mix(even: bool) -> None:
    scenes = [dome(24, (0.0, yaw, 0.0, 0.0, 0.0, 0.0)) for yaw in (0.3, -0.2)]
    mask, depth, posed, view = (
        torch.stack([getattr(s, name) for s in scenes]) for name in ("mask", "depth", "depth_posed", "view")
    )
    both = mask_to_canonical(mask, depth, posed, view, Camera(24), even)
    for i in range(2):
        alone = mask_to_canonical(
            mask[i : i + 1], depth[i : i + 1], posed[i : i + 1], view[i : i + 1], Camera(24), even
        )
        assert torch.allclose(both[i : i + 1], alone, atol=1e-6)


def test_posed_normals_are_unit_and_face_the_camera(record: Reconstruction) -> None:
    length = torch.linalg.vector_norm(record.normal_posed, dim=0)
    assert (length - 1).abs().max() < 1e-5
    inside = (record.mask[0] > 0.99) & (record.recon_mask[0] > 0)
    assert (record.normal_posed[2][inside] < 0).float().mean() > 0.99


def test_a_roll_turns_the_normals_with_the_picture() -> None:
    camera = Camera(33)
    depth, quarter = torch.ones(1, 1, 33, 33), torch.tensor([[0.0, 0, torch.pi / 2, 0, 0, 0]])
    right = torch.zeros(1, 3, 33, 33)
    right[:, 0], right[:, 2] = 0.6, -0.8
    turned = normals_to_view(right, look(depth, quarter, camera).grid, quarter)
    # clockwise by a quarter: what pointed right points down
    assert torch.allclose(turned[0, :, 16, 16], torch.tensor([0.0, 0.6, -0.8]), atol=1e-5)
