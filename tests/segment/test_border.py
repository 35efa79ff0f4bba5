"""Objects in front of gradients are cut out exactly, and clutter is owned up to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import bozzetto
from bozzetto.segment.border import Background, BorderSegmenter, believable, fit, raggedness, residual, terms
from bozzetto.segment.guided import GuidedSegmenter
from bozzetto.segment.segmenter import Segmentation, Segmenter, mask_problem

ASSETS = Path(bozzetto.__file__).parent / "assets"


def scene(size: int, noise: float, seed: int = 0, curved: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    """A shaded ellipse that leaves the photo at the bottom, before a gradient: image [1,3,S,S] and truth."""
    g = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.linspace(-1, 1, size), torch.linspace(-1, 1, size), indexing="ij")
    slopes = torch.rand(3, 3, generator=g) * 0.3
    background = 0.4 + slopes[:, :1, None] * x + slopes[:, 1:2, None] * y + curved * slopes[:, 2:, None] * (x * x - y)
    truth = (x / 0.6).square() + ((y - 0.3) / 0.9).square() < 1
    shading = 0.9 - 0.4 * x.square() - 0.2 * torch.cos(5 * y)
    thing = torch.tensor([0.9, 0.7, 0.55]).view(3, 1, 1) * shading
    image = torch.where(truth, thing, background)
    image = image + noise * torch.randn(image.shape, generator=g)
    return image.clamp(0, 1)[None], truth[None, None]


def iou(mask: torch.Tensor, truth: torch.Tensor) -> float:
    inside = mask >= 0.7
    return float((inside & truth).sum() / (inside | truth).sum())


@pytest.mark.parametrize("size", [32, 64, 128])
@pytest.mark.parametrize("noise", [0.0, 0.008])
@pytest.mark.parametrize("curved", [0.0, 0.5])
def test_cut_out_of_a_gradient(size: int, noise: float, curved: float) -> None:
    image, truth = scene(size, noise, curved=curved)
    found = BorderSegmenter()(image, "object")
    assert iou(found.mask, truth) > 0.97
    assert mask_problem(found.mask[0]) is None


def test_clutter_is_owned_up_to() -> None:
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    mask = BorderSegmenter()(image, "object").mask
    assert "everything" in str(mask_problem(mask[0]))


def test_a_photo_of_nothing_but_gradient_has_no_object() -> None:
    ramp = torch.linspace(0.2, 0.8, 48).expand(1, 3, 48, 48)
    assert "everything" in str(mask_problem(BorderSegmenter()(ramp, "object").mask[0]))


def test_items_are_independent() -> None:
    images = torch.cat([scene(32, 0.0, seed)[0] for seed in range(3)])
    together = BorderSegmenter()(images, "object")
    for k in range(3):
        alone = BorderSegmenter()(images[k : k + 1], "object")
        assert torch.equal(alone.mask[0], together.mask[k])
        assert torch.equal(alone.score[0], together.score[k])


@pytest.mark.parametrize("size", [8, 9, 17])
def test_small_photos(size: int) -> None:
    found = BorderSegmenter()(scene(size, 0.0)[0], "object")
    assert found.mask.shape == (1, 1, size, size)
    assert torch.isfinite(found.mask).all()


@pytest.mark.parametrize("order", [1, 2])
def test_fit_recovers_the_polynomial(order: int) -> None:
    basis = terms(20, 20, order, torch.device("cpu"))
    truth = torch.rand(basis.shape[1], 3, generator=torch.Generator().manual_seed(1)) / 6
    image = (basis @ truth).T.reshape(1, 3, 20, 20)
    background = fit(image, torch.ones(1, 1, 20, 20, dtype=torch.bool), order)
    torch.testing.assert_close(background.coefficients[0], truth, rtol=0, atol=1e-4)
    assert float(background.sigma) < 1e-4
    assert float(residual(image, background).max()) < 1e-4


def test_residual_is_the_root_mean_square_over_channels() -> None:
    black = Background(torch.zeros(1, 3, 3), torch.ones(1))
    image = torch.tensor([0.0, 0.3, 0.6]).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    torch.testing.assert_close(residual(image, black), torch.full((1, 1, 4, 4), (0.45 / 3) ** 0.5))


def test_raggedness_of_known_shapes() -> None:
    body = torch.zeros(1, 1, 40, 40, dtype=torch.bool)
    body[..., 10:30, 10:30] = True
    assert raggedness(body) == pytest.approx(4.0)
    assert raggedness(torch.ones_like(body)) == 0
    assert believable(body)
    stripes = torch.zeros_like(body)
    stripes[..., ::2] = True
    assert not believable(stripes)
    assert not believable(~body)


@pytest.mark.skipif(not (ASSETS / "demo_head_64.png").is_file(), reason="the demo head is not in this tree")
def test_the_demo_head_is_cut_out() -> None:
    image = torch.from_numpy(np.array(Image.open(ASSETS / "demo_head_64.png").convert("RGB"))).permute(2, 0, 1) / 255
    truth = torch.from_numpy(np.load(ASSETS / "demo_head_64.npz")["depth"].astype(np.int64) < 65535).view(1, 1, 64, 64)
    assert iou(BorderSegmenter()(image[None], "heads").mask, truth) > 0.97


class Drawn:
    """A guide whose score is given."""

    name = "drawn"

    def __init__(self, score: torch.Tensor) -> None:
        self.score = score

    def __call__(self, images: torch.Tensor, category: object) -> Segmentation:
        return Segmentation(self.score, self.score)


def test_guided_brings_back_what_the_guide_misses() -> None:
    image, truth = scene(64, 0.004)
    score = truth.float() * 0.98
    score[..., 40:, :30] = 0  # a lost shoulder
    score[..., 4:8, 4:8] = 0.9  # an island
    guided = GuidedSegmenter(Drawn(score))
    assert isinstance(guided, Segmenter)
    assert guided.name == "drawn+border"
    assert iou(score, truth) < 0.85
    assert iou(guided(image, "heads").mask, truth) > 0.97


def test_guided_keeps_the_guides_answer_in_front_of_clutter() -> None:
    _, truth = scene(64, 0.0)
    clutter = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    found = GuidedSegmenter(Drawn(truth.float()))(clutter, "heads")
    assert torch.equal(found.mask >= 0.7, truth)
