"""Regions against a flood fill written out by hand."""

from __future__ import annotations

from collections import deque

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bozzetto.segment.regions import disc, fill_holes, frame, grow, largest_region, steepen, tidy
from bozzetto.segment.segmenter import mask_problem


def flood(seed: torch.Tensor, allowed: torch.Tensor) -> torch.Tensor:
    """Breadth-first reference on [H,W]."""
    height, width = allowed.shape
    reached = seed & allowed
    queue = deque(map(tuple, reached.nonzero().tolist()))
    while queue:
        y, x = queue.popleft()
        for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            if 0 <= v < height and 0 <= u < width and allowed[v, u] and not reached[v, u]:
                reached[v, u] = True
                queue.append((v, u))
    return reached


def regions(inside: torch.Tensor) -> list[torch.Tensor]:
    found, left = [], inside.clone()
    while left.any():
        seed = torch.zeros_like(left)
        seed[tuple(left.nonzero()[0])] = True
        found.append(flood(seed, inside))
        left &= ~found[-1]
    return found


def random_masks(seed: int, share: float, height: int, width: int) -> torch.Tensor:
    return torch.rand(3, 1, height, width, generator=torch.Generator().manual_seed(seed)) < share


shapes = {"seed": st.integers(0, 10_000), "height": st.integers(3, 14), "width": st.integers(3, 14)}


@settings(max_examples=40, deadline=None)
@given(share=st.floats(0.3, 0.8), **shapes)
def test_grow_is_a_flood_fill(seed: int, share: float, height: int, width: int) -> None:
    allowed = random_masks(seed, share, height, width)
    seeds = random_masks(seed + 1, 0.1, height, width)
    grown = grow(seeds, allowed)
    for item in range(3):
        assert torch.equal(grown[item, 0], flood(seeds[item, 0], allowed[item, 0]))


@settings(max_examples=40, deadline=None)
@given(share=st.floats(0.2, 0.8), **shapes)
def test_holes_and_largest_region(seed: int, share: float, height: int, width: int) -> None:
    inside = random_masks(seed, share, height, width)
    filled, largest = fill_holes(inside), largest_region(inside)
    edge = frame(inside)[0, 0]
    for item in range(3):
        assert torch.equal(filled[item, 0], ~flood(edge, ~inside[item, 0]))
        parts = regions(inside[item, 0])
        most = max((int(p.sum()) for p in parts), default=0)
        assert int(largest[item].sum()) == most
        assert most == 0 or any(torch.equal(largest[item, 0], p) for p in parts)


@settings(max_examples=40, deadline=None)
@given(**shapes)
def test_tidy_leaves_one_region_without_holes(seed: int, height: int, width: int) -> None:
    soft = torch.rand(2, 1, height, width, generator=torch.Generator().manual_seed(seed))
    tidied = tidy(soft)
    for item in range(2):
        inside = tidied[item, 0] > 0.5
        assert len(regions(inside)) <= 1
        assert torch.equal(fill_holes(inside[None, None])[0, 0], inside)
    body = largest_region(soft > 0.5)
    assert torch.equal(tidied[body], soft[body])
    assert ((tidied >= 0) & (tidied <= 1)).all()


def test_a_long_spiral_is_followed_to_its_end() -> None:
    size = 33
    walls = torch.zeros(1, 1, size, size, dtype=torch.bool)
    for k, row in enumerate(range(1, size, 2)):  # a meander: walls open at alternating ends
        walls[..., row, :] = True
        walls[..., row, 0 if k % 2 else size - 1] = False
    seed = torch.zeros_like(walls)
    seed[..., 0, 0] = True
    assert torch.equal(grow(seed, ~walls), ~walls)


def test_frame_and_disc() -> None:
    like = torch.zeros(1, 1, 9, 9)
    assert int(frame(like).sum()) == 32
    assert int(disc(like, 2.0).sum()) == 81
    assert int(disc(like, 0.0).sum()) == 1


def test_steepen_keeps_one_half() -> None:
    score = torch.tensor([0.0, 0.35, 0.5, 0.65, 1.0]).view(1, 1, 1, 5)
    torch.testing.assert_close(steepen(score).flatten(), torch.tensor([0.0, 0.0, 0.5, 1.0, 1.0]))


def test_mask_problems_are_named() -> None:
    good = torch.zeros(1, 20, 20)
    good[:, 4:16, 4:16] = 1
    assert mask_problem(good) is None
    assert "empty" in str(mask_problem(torch.zeros(1, 20, 20)))
    assert "empty" in str(mask_problem(torch.full((1, 20, 20), 0.69)))
    assert "everything" in str(mask_problem(torch.ones(1, 20, 20)))
    assert "not numbers" in str(mask_problem(good / 0))
