"""What augmentation leaves alone, and what it does exactly."""

from __future__ import annotations

import math

import torch

from bozzetto.gan.training.augment import Adaptive, _colour, _geometry, augment, shift_and_mirror


def images(seed: int = 0) -> torch.Tensor:
    return torch.rand(6, 3, 12, 12, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def rng() -> torch.Generator:
    return torch.Generator().manual_seed(9)


def test_nothing_happens_at_probability_zero() -> None:
    torch.testing.assert_close(augment(images(), 0.0, rng()), images(), rtol=0, atol=0)
    torch.testing.assert_close(_geometry(4, 0.0, rng()), torch.eye(2, 3).expand(4, 2, 3))
    matrix, offset = _colour(4, 0.0, rng())
    torch.testing.assert_close(matrix, torch.eye(3).expand(4, 3, 3))
    assert offset.abs().max() == 0


def test_augmentation_is_affine_in_the_pictures() -> None:
    a, b = images(0), images(1)
    both = augment(0.3 * a + 0.7 * b, 1.0, rng())
    torch.testing.assert_close(both, 0.3 * augment(a, 1.0, rng()) + 0.7 * augment(b, 1.0, rng()), rtol=1e-4, atol=1e-5)


def test_every_picture_is_treated_for_itself() -> None:
    changed = images()
    changed[2] = 0.5
    a, b = augment(images(), 1.0, rng()), augment(changed, 1.0, rng())
    for i in (0, 1, 3, 4, 5):
        torch.testing.assert_close(a[i], b[i])


def test_colours_keep_grey_grey() -> None:
    matrix, offset = _colour(16, 1.0, rng())
    grey = torch.einsum("bij,j->bi", matrix, torch.full((3,), 0.4)) + offset
    torch.testing.assert_close(grey, grey[:, :1].expand(-1, 3), rtol=1e-5, atol=1e-6)


def test_gradients_reach_the_pictures_twice() -> None:
    x = images().double().requires_grad_()
    y = augment(x.float(), 0.9, rng()).square().sum()
    (gradient,) = torch.autograd.grad(y, x, create_graph=True)
    gradient.square().sum().backward()
    assert torch.isfinite(x.grad).all()
    assert x.grad.abs().sum() > 0


def test_shift_moves_whole_pixels_and_reflects_the_rim() -> None:
    x = torch.arange(12.0).view(1, 1, 1, 12).expand(64, 3, 12, 12)
    out = shift_and_mirror(x, 0.25, False, rng())
    rows = {tuple(row.tolist()) for row in out[:, 0, 0]}
    reflected = [*range(11, 0, -1), *range(12), *range(10, -1, -1)]
    allowed = {tuple(float(reflected[11 + d + i]) for i in range(12)) for d in range(-3, 4)}
    assert rows == allowed


def test_mirror_gives_each_picture_or_its_mirror_image() -> None:
    out = shift_and_mirror(images(), 0.0, True, rng())
    plain = [torch.equal(a, b) for a, b in zip(out, images(), strict=True)]
    turned = [torch.equal(a, b.flip(2)) for a, b in zip(out, images(), strict=True)]
    assert all(p or t for p, t in zip(plain, turned, strict=True))
    assert any(plain)
    assert any(turned)


def test_probability_follows_the_sign_and_stays_in_range() -> None:
    adaptive = Adaptive(target=0.6, interval=4, speed_images=1280.0, p_max=0.8)
    assert math.isclose(adaptive.moved(0.2, 0.9, 32), 0.3)
    assert math.isclose(adaptive.moved(0.2, 0.1, 32), 0.1)
    assert adaptive.moved(0.0, 0.0, 32) == 0.0
    assert adaptive.moved(0.8, 1.0, 32) == 0.8
