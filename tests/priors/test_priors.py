"""Every prior stays inside the range, treats items alone, follows its mask, and equals its closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bozzetto.errors import InputError
from bozzetto.priors.box import bounding_boxes
from bozzetto.priors.registry import PRIORS, find_prior, prior_depth, shape_range
from bozzetto.priors.smooth import kernel_px, smooth
from bozzetto.segment.categories import CATEGORIES, BoxMargins, Category
from bozzetto.types import DepthRange

SHAPED = [name for name, prior in PRIORS.items() if prior.has_shape]
RANGE = DepthRange()
PLAIN = Category("plain")


def masks(size: int) -> torch.Tensor:
    """[6,1,S,S]: soft blob, hard off-centre rectangle, empty, full, one pixel, noise."""
    g = torch.Generator().manual_seed(3)
    y, x = torch.meshgrid(torch.linspace(-1, 1, size), torch.linspace(-1, 1, size), indexing="ij")
    blob = torch.sigmoid(12 * (0.7 - torch.hypot(x - 0.1, y / 1.1)))
    rectangle = torch.zeros(size, size)
    rectangle[size // 8 : size // 2, size // 4 : size - 2] = 1
    pixel = torch.zeros(size, size)
    pixel[size // 3, size // 5] = 1
    noise = torch.rand(size, size, generator=g)
    return torch.stack([blob, rectangle, torch.zeros_like(x), torch.ones_like(x), pixel, noise])[:, None]


@pytest.mark.parametrize("name", SHAPED)
@pytest.mark.parametrize("category", list(CATEGORIES))
@pytest.mark.parametrize("size", [16, 33, 64])
@pytest.mark.parametrize("depth_range", [RANGE, DepthRange(0.5, 2.0)])
def test_inside_the_range(name: str, category: str, size: int, depth_range: DepthRange) -> None:
    depth = prior_depth(name, masks(size), depth_range, category)
    assert depth.shape == (6, 1, size, size)
    assert torch.isfinite(depth).all()
    assert (depth > depth_range.near).all()
    assert (depth < depth_range.far).all()


@pytest.mark.parametrize("name", SHAPED)
def test_items_are_independent(name: str) -> None:
    batch = masks(32)
    together = prior_depth(name, batch, RANGE, "heads")
    alone = torch.cat([prior_depth(name, item, RANGE, "heads") for item in batch.split(1)])
    assert torch.equal(together, alone)


@pytest.mark.parametrize("name", SHAPED)
@pytest.mark.parametrize("category", list(CATEGORIES))
def test_mirrored_mask_has_the_mirrored_prior(name: str, category: str) -> None:
    batch = masks(32).double()
    mirrored = prior_depth(name, batch.flip(3), RANGE, category)
    torch.testing.assert_close(mirrored, prior_depth(name, batch, RANGE, category).flip(3), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", SHAPED)
def test_affine_in_the_depth_range(name: str) -> None:
    """The same shape in other units: (depth - near) / width does not depend on the range."""
    wide = DepthRange(3.0, 7.0)
    batch = masks(32).double()
    share = (prior_depth(name, batch, RANGE, "car") - RANGE.near) / (RANGE.far - RANGE.near)
    share_wide = (prior_depth(name, batch, wide, "car") - wide.near) / (wide.far - wide.near)
    torch.testing.assert_close(share, share_wide, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", SHAPED)
def test_no_gradient_reaches_the_mask(name: str) -> None:
    assert not prior_depth(name, masks(32).requires_grad_(), RANGE, "face").requires_grad


@pytest.mark.parametrize("name", ["ellipsoid", "box", "masked-box"])
def test_empty_mask_stands_for_the_whole_image(name: str) -> None:
    empty, full = torch.zeros(1, 1, 24, 24), torch.ones(1, 1, 24, 24)
    assert torch.equal(prior_depth(name, empty, RANGE, "cat"), prior_depth(name, full, RANGE, "cat"))


def test_pan_numbers() -> None:
    assert shape_range(RANGE, "face").near == pytest.approx(0.91)
    assert shape_range(RANGE, "face").far == pytest.approx(1.02)
    assert shape_range(RANGE, "church").far == pytest.approx(1.0)
    assert CATEGORIES["face"].radius * (RANGE.far - RANGE.near) == pytest.approx(0.4)


def test_ellipsoid_lies_on_its_ellipsoid() -> None:
    """Points (u, v, z) of the cap solve (c u)^2 + (c v)^2 + (near + R - z)^2 = R^2; outside z = far."""
    size, near, far, radius = 65, 0.91, 1.02, 0.4
    mask = torch.zeros(1, 1, size, size, dtype=torch.float64)
    mask[..., 10:55, 16:47] = 1  # centre (31, 32), half sizes (15.5, 22.5)
    depth = prior_depth("ellipsoid", mask, RANGE, PLAIN)[0, 0]
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    u, v = (x.double() - 31) / 15.5, (y.double() - 32) / 22.5
    inside = u**2 + v**2 <= 1
    c2 = radius**2 - (radius - (far - near)) ** 2
    surface = c2 * (u**2 + v**2) + (near + radius - depth) ** 2
    torch.testing.assert_close(surface[inside], torch.full_like(surface[inside], radius**2), rtol=0, atol=1e-12)
    assert ((depth[~inside] - far).abs() < 1e-12).all()
    assert depth[32, 31].item() == pytest.approx(near, abs=1e-12)
    assert depth.min() == depth[32, 31]


def test_ellipsoid_at_half_way() -> None:
    """rho = 1/2 by hand: 0.91 + 0.4 - sqrt(0.16 - 0.0759 / 4)."""
    mask = torch.ones(1, 1, 40, 40, dtype=torch.float64)
    wide = torch.nn.functional.pad(mask, (20, 20, 0, 0))  # box 40 x 40 in the middle of 80 columns
    depth = prior_depth("ellipsoid", wide, RANGE, PLAIN)[0, 0]
    rho = math.hypot(10.5, 0.5) / 20
    assert depth[20, 50].item() == pytest.approx(1.31 - math.sqrt(0.16 - 0.0759 * rho**2), abs=1e-12)


def test_ellipsoid_needs_a_radius_of_the_cap() -> None:
    with pytest.raises(ValueError, match="radius"):
        prior_depth("ellipsoid", torch.ones(1, 1, 8, 8), RANGE, Category("flat", radius=0.5))


@pytest.mark.parametrize(
    ("margins", "expected"),
    [
        (BoxMargins(), (19.5, 29.5, 8.0, 10.0)),
        (BoxMargins(side=-1 / 12, bottom_to_edge=True), (19.5, 41.5, 16 * 5 / 12, 22.0)),  # Pan, face
        (BoxMargins(top=1 / 6), (19.5, 29.5 - 20 / 12, 8.0, 10 + 20 / 12)),  # Pan, synthetic face
        (BoxMargins(bottom=1 / 6), (19.5, 29.5 + 20 / 12, 8.0, 10 + 20 / 12)),  # Pan, car and church
    ],
)
def test_box_margins(margins: BoxMargins, expected: tuple[float, ...]) -> None:
    mask = torch.full((1, 1, 64, 64), 0.69, dtype=torch.float64)  # below the threshold everywhere else
    mask[..., 20:40, 12:28] = 0.7
    boxes = bounding_boxes(mask, margins)
    found = [t.item() for t in (boxes.centre_x, boxes.centre_y, boxes.half_x, boxes.half_y)]
    assert found == pytest.approx(list(expected))


def test_box_is_the_bounding_box() -> None:
    mask = torch.zeros(1, 1, 20, 20)
    mask[0, 0, 3, 8] = mask[0, 0, 15, 5] = 1
    depth = prior_depth("box", mask, RANGE, "cat")[0, 0]
    expected = torch.full((20, 20), 1.02)
    expected[3:16, 5:9] = 0.91
    torch.testing.assert_close(depth, expected)


def test_masked_box_is_the_mask() -> None:
    ramp = torch.linspace(0, 0.95, 32).expand(1, 1, 32, 32)
    depth = prior_depth("masked-box", ramp, RANGE, "cat")[0, 0, 0]
    expected = 1.02 - 0.11 * ((ramp[0, 0, 0] - 0.7) / 0.25).clamp(min=0)
    torch.testing.assert_close(depth, expected)


def test_confidence_is_affine_in_the_score() -> None:
    g = torch.Generator().manual_seed(0)
    score = torch.rand(2, 1, 16, 16, generator=g) * 0.5 + 0.2
    depth = prior_depth("confidence", score, RANGE, "cat")
    for d, s in zip(depth, score, strict=True):
        torch.testing.assert_close(d, 1.02 - 0.11 * (s - s.min()) / (s.max() - s.min()))
    torch.testing.assert_close(prior_depth("confidence", 0.3 * score + 0.1, RANGE, "cat"), depth, rtol=0, atol=1e-6)


def test_smoothing_by_hand() -> None:
    """One pass on a step: the 3-wide average of 1 1 0 0 is 1, 2/3, 1/3, 0 and is framed by far."""
    far, near = 1.0, 0.0
    step = torch.tensor([1.0, 1, 1, 0, 0, 0]).expand(1, 1, 6, 6)
    result = smooth(step, DepthRange(near, far), kernel=3, passes=1)[0, 0]
    torch.testing.assert_close(result[2], torch.tensor([1, 1, 2 / 3, 1 / 3, 0, 1]))
    assert (result[0] == 1).all()
    assert (result[-1] == 1).all()


@pytest.mark.parametrize("name", ["smoothed-box", "smoothed-confidence"])
def test_smoothed_priors_fill_the_range_and_have_a_far_frame(name: str) -> None:
    depth = prior_depth(name, masks(64), RANGE, "cat")
    torch.testing.assert_close(depth.amin(dim=(1, 2, 3)), torch.full((6,), 0.91))
    frame = torch.cat([depth[..., :2, :].flatten(1), depth[..., -2:, :].flatten(1), depth[..., :2].flatten(1)], dim=1)
    torch.testing.assert_close(frame, torch.full_like(frame, 1.02))


def test_kernel_is_reps_at_its_size() -> None:
    assert [kernel_px(s) for s in (16, 32, 64, 128, 256)] == [3, 3, 5, 11, 21]


@pytest.mark.parametrize("size", [4, 5, 8, 9])
@pytest.mark.parametrize("kernel", [3, 11, 101])
def test_smoothing_of_tiny_images_stays_finite(size: int, kernel: int) -> None:
    depth = smooth(masks(size), RANGE, kernel=kernel)
    assert depth.shape == (6, 1, size, size)
    assert torch.isfinite(depth).all()


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    low=st.floats(0, 1),
    high=st.floats(0, 1),
    size=st.integers(8, 40),
    name=st.sampled_from(SHAPED),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
)
def test_any_mask_stays_inside(seed: int, low: float, high: float, size: int, name: str, dtype: torch.dtype) -> None:
    values = np.random.default_rng(seed).uniform(min(low, high), max(low, high), (2, 1, size, size))
    depth = prior_depth(name, torch.from_numpy(values).to(dtype), RANGE, "heads")
    assert depth.dtype == dtype
    assert torch.isfinite(depth).all()
    assert ((depth >= 0.9) & (depth <= 1.1)).all()


def test_none_has_no_shape() -> None:
    assert not find_prior("none").has_shape
    with pytest.raises(InputError, match="skip step 0"):
        prior_depth("none", torch.ones(1, 1, 8, 8), RANGE, "face")


def test_unknown_names_are_refused_with_the_list() -> None:
    with pytest.raises(InputError, match="ellipsoid, box"):
        prior_depth("dome", torch.ones(1, 1, 8, 8), RANGE, "face")
    with pytest.raises(InputError, match="face, synface"):
        prior_depth("box", torch.ones(1, 1, 8, 8), RANGE, "teapot")


def test_scores_are_read_by_the_confidence_priors_only() -> None:
    assert {name for name, prior in PRIORS.items() if prior.reads == "score"} == {"confidence", "smoothed-confidence"}
