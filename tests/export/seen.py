"""What a page's canvas shows, as a tensor, and the same places in our pictures."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

if TYPE_CHECKING:
    from playwright.sync_api import Page


START_ZOOM = 0.85  # what the viewer opens with, as in viewer/src/state.js


def settle(page: Page) -> None:
    """Wait until what was asked for is drawn."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def open_page(page: Page, path: Path) -> None:
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready]")


def choose(page: Page, value: str) -> None:
    page.check(f"input[value={value}]", force=True)


def tensor_of(png: bytes) -> Tensor:
    """A picture file as [3, H, W] in [0, 1]."""
    return torch.from_numpy(np.array(Image.open(io.BytesIO(png)).convert("RGB"))).permute(2, 0, 1) / 255


def shown(page: Page) -> Tensor:
    """The middle square of the canvas, [3, W, W]."""
    settle(page)
    picture = tensor_of(page.locator("#object").screenshot())
    side = min(picture.shape[1:])
    top, left = ((length - side) // 2 for length in picture.shape[1:])
    return picture[:, top : top + side, left : left + side]


def air(page: Page) -> list[float]:
    """The ground's share of the canvas's middle square above, below, left and right of what is shown."""
    picture = shown(page)
    drawn = (picture - picture[:, :1, :1]).abs().amax(0) > 0.02
    side = drawn.shape[0]
    found = [drawn.any(dim=axis).nonzero()[[0, -1], 0].tolist() for axis in (1, 0)]
    return [share for first, last in found for share in (first / side, (side - 1 - last) / side)]


def read_at(picture: Tensor, size: int, count: int) -> Tensor:
    """The canvas, zoomed as it opens, read at the pixel centres of a picture of `count` pixels.

    The camera has `size` pixels: the outermost centres of all our pictures lie on the same rays, half a pixel of `size`
    inside the picture's square.
    """
    ticks = torch.linspace(-1, 1, count) * START_ZOOM * (size - 1) / size
    y, x = torch.meshgrid(ticks, ticks, indexing="ij")
    return F.grid_sample(picture[None], torch.stack((x, y), dim=-1)[None], align_corners=False)[0]


def well_inside(mask: Tensor, pixels: int) -> Tensor:
    """Where the soft mask [1, S, S] is 1, at least `pixels` from its edge; [S, S]."""
    return F.max_pool2d((mask < 0.99).float()[None], 2 * pixels + 1, 1, pixels)[0, 0] == 0
