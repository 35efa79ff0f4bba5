"""The plain GAN that timings compare with has the fast one's values and gradients."""

from __future__ import annotations

import torch
from tiny_gan import tiny_gan

from bozzetto.gan.plain import plain


def test_values_and_gradients_are_those_of_the_fast_gan() -> None:
    fast = tiny_gan()
    slow = plain(fast)
    rng = torch.Generator().manual_seed(1)
    w = torch.randn(3, 8, generator=rng)
    image = torch.rand(2, 3, 16, 16, generator=rng) * 2 - 1
    target = torch.randn(3, 3, 16, 16, generator=rng)
    gradients = []
    for gan in (fast, slow):
        leaf, picture = w.clone().requires_grad_(), image.clone().requires_grad_()
        out = gan.image_from_w(leaf)
        features = gan.features(picture, 2)
        (((out - target) ** 2).sum() + sum(f.square().sum() for f in features)).backward()
        assert leaf.grad is not None
        assert picture.grad is not None
        gradients.append((out.detach(), leaf.grad, picture.grad, *(f.detach() for f in features)))
    for a, b in zip(*gradients, strict=True):
        assert float((a - b).abs().max()) < 1e-5 * float(b.abs().max())
    assert slow.generator is fast.generator
