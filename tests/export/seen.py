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


def read_at(picture: Tensor, size: int, count: int) -> Tensor:
    """The canvas read at the pixel centres of a picture of `count` pixels that the camera of `size` pixels takes.

    The outermost centres of all our pictures lie on the same rays, half a pixel of `size` inside the canvas.
    """
    ticks = torch.linspace(-1, 1, count) * (size - 1) / size
    y, x = torch.meshgrid(ticks, ticks, indexing="ij")
    return F.grid_sample(picture[None], torch.stack((x, y), dim=-1)[None], align_corners=False)[0]


def well_inside(mask: Tensor, pixels: int) -> Tensor:
    """Where the soft mask [1, S, S] is 1, at least `pixels` from its edge; [S, S]."""
    return F.max_pool2d((mask < 0.99).float()[None], 2 * pixels + 1, 1, pixels)[0, 0] == 0
