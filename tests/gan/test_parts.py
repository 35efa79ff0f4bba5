"""Object and background in a generator's activations."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from tiny_gan import tiny_gan
from tiny_gan3 import tiny_generator3, tiny_spec3

from bozzetto.errors import InputError
from bozzetto.gan import Gan, GanInfo
from bozzetto.gan.checkpoint import save_safetensors
from bozzetto.gan.parts import CELLS, activations_of, content, find_parts, k_means, object_shares
from bozzetto.gan.zoo import load_gan
from bozzetto.learn_masks import Job, learn_masks


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_k_means_finds_planted_groups() -> None:
    middles = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])
    truth = torch.arange(400) % 4
    points = middles[truth] + 0.3 * torch.randn(400, 2, generator=seeded())
    centres = k_means(points, 4, seeded(1))
    found = torch.cdist(points, centres).argmin(1)
    pairs = set(zip(truth.tolist(), found.tolist(), strict=True))
    assert len(pairs) == 4  # one group a middle, one middle a group
    means = torch.stack([points[found == k].mean(0) for k in range(4)])
    torch.testing.assert_close(centres, means)  # Lloyd's fixed point


def test_more_groups_than_different_points_leave_some_empty() -> None:
    points = torch.tensor([[0.0], [1.0]]).repeat(20, 1)
    centres = k_means(points, 4, seeded())
    assert set(centres[:, 0].tolist()) == {0.0, 1.0}


def test_bars_are_no_content() -> None:
    picture = torch.zeros(1, 3, 64, 64)
    picture[:, :, 16:48] = torch.rand(1, 3, 32, 64, generator=seeded())
    inside, corners = content(picture)
    assert inside[0].sum() == CELLS * CELLS // 2
    assert inside[0, 8:24].all()
    assert not (corners & ~inside).any()
    assert corners[0, 8, 0]
    assert corners[0, 23, -1]
    assert not corners[0, :, CELLS // 2].any()
    assert not corners[0, CELLS // 2].any()
    plain, _ = content(torch.full((1, 3, 64, 64), 0.4))
    assert plain.all()
    coloured = picture.clone()
    coloured[:, :, :16] = coloured[:, :, 48:] = torch.tensor([0.9, 0.5, 0.1]).view(1, 3, 1, 1)
    assert torch.equal(content(coloured)[0], inside)


def test_the_backgrounds_share_of_every_group_is_told_from_the_corners() -> None:
    """Background of two kinds, two to one everywhere; an object that fills a third of the inside with a kind of its
    own and with the second kind of background alike: of that one's cells inside, the object's are told exactly."""
    inside = torch.ones(1, CELLS, CELLS, dtype=torch.bool)
    inside[:, :4] = False  # a bar
    _, corners = content(torch.rand(1, 3, 64, 64, generator=seeded()))
    corners &= inside
    within = inside & ~corners
    n, m = int(within.sum()), int(corners.sum())
    labels = torch.full((1, CELLS, CELLS), 3)
    labels[corners] = (torch.arange(m) % 3 == 0).long()
    wanted = (torch.arange(n) % 3 == 0).long()
    own, shared = n // 6, n // 6
    wanted[:own], wanted[own : own + shared] = 2, 1
    labels[within] = wanted
    shares = object_shares(labels, inside, corners, 4)
    ones = float((wanted == 1).sum())
    assert shares[0] < 0.01
    assert shares[2] > 0.98
    assert shares[3] == 0
    assert abs(float(shares[1]) - shared / ones) < 0.02
    everywhere = object_shares(torch.zeros(1, CELLS, CELLS, dtype=torch.long), inside, corners, 1)
    assert everywhere == 0  # what fills the corners is background


def test_a_planted_object_is_found_exactly() -> None:
    """Activations of a disc of two parts before a background of two: every cell is told."""
    rng = seeded()
    y, x = torch.meshgrid(torch.linspace(-1, 1, CELLS), torch.linspace(-1, 1, CELLS), indexing="ij")
    middle = 0.1 * torch.randn(24, 2, 1, 1, generator=rng)
    disc = (x - middle[:, 0]).square() + (y - middle[:, 1]).square() < 0.5
    kind = torch.where(disc, (y > 0).long(), 2 + (x > 0).long())
    directions = torch.linalg.qr(torch.randn(60, 60, generator=rng))[0][:4]
    activations = (directions[kind] + 0.02 * torch.randn(24, CELLS, CELLS, 60, generator=rng)).permute(0, 3, 1, 2)
    images = torch.rand(24, 3, 64, 64, generator=rng)
    parts = find_parts(images, activations.split(10), 4, seeded(3))
    score = parts.score(activations)[:, 0]
    assert (score[disc] > 0.95).all()
    assert (score[~disc] < 0.05).all()
    again = find_parts(images, activations.split(10), 4, seeded(3))
    assert torch.equal(again.centres, parts.centres)


@pytest.mark.parametrize("kind", ["stylegan2", "stylegan3"])
def test_activations_are_of_length_one_and_the_pictures_the_generators_own(kind: str) -> None:
    if kind == "stylegan2":
        gan = load_gan("heads")
    else:
        gan = tiny_gan3(64)
    w = gan.w_from_z(gan.z_samples(2))
    images, activations = activations_of(gan, w)
    torch.testing.assert_close(images, gan.image_from_w(w).clamp(-1, 1) / 2 + 0.5, atol=2e-5, rtol=0)
    assert activations.shape[::2] == (2, CELLS)
    assert activations.shape[3] == CELLS
    start = 0
    for layer, side in list(zip(gan.generator.synthesis.layers, gan.generator.synthesis.sides(), strict=True))[:-1]:
        assert not layer._forward_hooks
        if side == CELLS:
            end = start + layer.weight.shape[0]
            length = activations[:, start:end].norm(dim=1)
            torch.testing.assert_close(length, torch.ones_like(length))
            start = end
    assert start >= CELLS // 8


def tiny_gan3(size: int) -> Gan:
    spec = tiny_spec3(size)
    info = GanInfo("tiny", spec.kind, size, 6, 8, spec.num_ws, spec.num_mapping_layers, "MIT", "", "noise")
    return Gan(tiny_generator3(spec), None, info)


@pytest.mark.parametrize("gan", [tiny_gan(), tiny_gan3(32)])
def test_a_generator_of_small_pictures_is_refused(gan: Gan) -> None:
    with pytest.raises(InputError, match="64 px are needed"):
        activations_of(gan, gan.w_from_z(gan.z_samples(1)))


def test_a_generator_whose_numbers_overflow_is_refused() -> None:
    gan = tiny_gan3(64)
    with torch.no_grad():
        for layer in gan.generator.synthesis.layers:
            layer.bias.fill_(math.inf)
    with pytest.raises(InputError, match="not finite"):
        activations_of(gan, gan.w_from_z(gan.z_samples(1)))


class Unheard:
    """A `CountProgress` that tells nobody."""

    def on_note(self, text: str) -> None: ...

    def on_count(self, what: str, done: int, total: int, loss: float | None = None) -> None: ...


def test_a_generator_without_a_background_is_refused(tmp_path: Path) -> None:
    """With two groups found in pictures of one kind of noise nothing keeps to the corners, or everything does."""
    spec = tiny_spec3(64)
    path = tmp_path / "noise.safetensors"
    save_safetensors(path, tiny_generator3(spec), None, {"name": "noise"}, torch.float32)
    with pytest.raises(InputError, match="no object was found"):
        learn_masks(Job(str(path), tmp_path / "m.safetensors", pictures=32, groups=2, steps=1), Unheard())
    assert not (tmp_path / "m.safetensors").exists()
