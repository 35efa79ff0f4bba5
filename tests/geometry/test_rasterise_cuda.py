"""The Triton kernel's winners must be the reference's, pixel for pixel.

On a CUDA device it runs as it is; elsewhere, where Triton is installed, its interpreter runs the same source.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest
import torch

from bozzetto.geometry import rasterise, rasterise_cuda
from bozzetto.geometry.camera import unproject
from bozzetto.geometry.heightfield import grid_faces
from bozzetto.geometry.pose import move
from bozzetto.geometry.render import render
from bozzetto.types import Camera, Factors

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
BACKGROUND = 1.2


def height_field(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Three rough surfaces: one seen straight on, every pixel centre on a vertex, and two turned."""
    generator = torch.Generator().manual_seed(size)
    depth = 1 + 0.05 * torch.rand((3, 1, size, size), generator=generator, dtype=torch.float64)
    spread = torch.tensor([0.4, 0.6, 0.2, 0.02, 0.02, 0.02], dtype=torch.float64)
    view = torch.randn((3, 6), generator=generator, dtype=torch.float64) * spread
    view[0] = 0
    return move(unproject(depth, Camera(size)).reshape(3, -1, 3), view), grid_faces(size)


def triangle_soup(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Large triangles through each other, some twice, edge-on, outside the picture or behind the camera."""
    generator = torch.Generator().manual_seed(size)
    place = torch.rand((2, 40, 3), generator=generator, dtype=torch.float64)
    vertices = place * torch.tensor([0.24, 0.24, 0.6], dtype=torch.float64)
    vertices = vertices - torch.tensor([0.12, 0.12, -0.7], dtype=torch.float64)
    vertices[:, :4, 2] = torch.tensor([-1.0, -0.1, 0.0, 1e-9], dtype=torch.float64)
    faces = torch.randint(0, 40, (75, 3), generator=generator)
    faces[70:] = faces[:5]  # the same triangle again: the lower index must win
    return vertices, faces


SCENES = [(height_field, 8), (height_field, 13), (triangle_soup, 16)]


def disagreements(device: torch.device) -> int:
    """Pixels of all scenes that see another face than in the reference, after a check that there is much to see."""
    wrong = 0
    for make, size in SCENES:
        vertices, faces = make(size)
        expected = rasterise.winning_faces(vertices, faces, Camera(size))
        if (expected >= 0).double().mean() < 0.3 or len(expected.unique()) < 12:
            raise AssertionError(f"{make.__name__} shows too little")
        winner = rasterise_cuda.winning_faces(vertices.to(device), faces.to(device), Camera(size))
        wrong += int((winner.cpu() != expected).sum())
    return wrong


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="needs Triton")
def test_the_interpreted_kernel_agrees_with_the_reference() -> None:
    # Triton decides at its import whether to interpret, hence a process of its own.
    done = subprocess.run(
        [sys.executable, __file__], env={**os.environ, "TRITON_INTERPRET": "1"}, capture_output=True, text=True
    )
    assert done.stdout.strip() == "disagreements: 0", done.stdout + done.stderr


def test_where_the_kernel_cannot_run_the_reference_does() -> None:
    vertices, faces = height_field(13)
    expected = rasterise.rasterise_depth(vertices, faces, Camera(13), BACKGROUND)
    depth, covered = rasterise_cuda.rasterise_depth(vertices, faces, Camera(13), BACKGROUND)
    assert not rasterise_cuda.kernel_works(torch.device("cpu"))
    assert torch.equal(depth, expected.depth)
    assert torch.equal(covered, expected.covered)


@pytest.mark.gpu
@needs_cuda
def test_the_kernel_agrees_with_the_reference() -> None:
    assert rasterise_cuda.kernel_works(torch.device("cuda"))
    assert disagreements(torch.device("cuda")) == 0


@pytest.mark.gpu
@needs_cuda
@pytest.mark.parametrize(("make", "size"), SCENES)
def test_depths_and_gradients_agree_with_the_reference(make, size) -> None:  # type: ignore[no-untyped-def]
    vertices, faces = make(size)
    weight = torch.rand((len(vertices), 1, size, size), dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    gradients, depths = [], []
    for device, module in (("cpu", rasterise), ("cuda", rasterise_cuda)):
        leaf = vertices.to(device).requires_grad_(True)
        seen = module.rasterise_depth(leaf, faces.to(device), Camera(size), BACKGROUND)
        (seen.depth * weight.to(device)).sum().backward()
        gradients.append(leaf.grad.cpu())
        depths.append(seen.depth.detach().cpu())
    torch.testing.assert_close(depths[1], depths[0], rtol=1e-12, atol=1e-12)
    # Relative to the largest: a triangle close to edge-on has a steep gradient.
    assert (gradients[1] - gradients[0]).abs().max() <= 1e-9 * gradients[0].abs().max()


@pytest.mark.gpu
@needs_cuda
def test_rendering_on_the_device_agrees_with_the_reference_rasteriser() -> None:
    size, generator = 32, torch.Generator().manual_seed(0)
    factors = Factors(
        depth=(1 + 0.02 * torch.rand((2, 1, size, size), generator=generator)).to("cuda"),
        albedo=torch.rand((2, 3, size, size), generator=generator).to("cuda"),
        view=torch.tensor([[0.1, 0.3, 0, 0, 0, 0], [-0.2, -0.4, 0.1, 0, 0, 0]], device="cuda"),
        light=torch.tensor([[0.4, 0.6, 0.2, 0.3], [0.4, 0.6, -0.5, 0.1]], device="cuda"),
    )
    auto = render(factors, Camera(size))
    reference = render(factors, Camera(size), rasteriser="reference")
    torch.testing.assert_close(auto.image, reference.image)
    assert torch.equal(auto.mask, reference.mask)


if __name__ == "__main__":
    print("disagreements:", disagreements(torch.device("cpu")))
