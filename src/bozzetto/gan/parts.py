"""Object and background in a generator's own activations, without a label.

The middle layers of a StyleGAN know what a pixel is part of: grouped by k-means, their activations mark the same parts
of the object in every picture (Collins et al., "Editing in Style", CVPR 2020). Which groups are the object is read from
where they lie: training pictures have it in the middle, so what keeps to the corners of the picture is background.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from bozzetto.errors import InputError
from bozzetto.gan.generator import Gan

CELLS = 32  # px a side at which activations are compared
SIDES = (CELLS, 2 * CELLS)  # of the layers that are looked at; of the finer ones the first only
COMPONENTS = 40  # principal components of the activations that are kept
ROUNDS = 30  # of k-means
LEARNT_FROM = 40_000  # cells
# Corners in a content box of -1..1: the rim's outermost 7 %, without the middle of each side, where objects are cut.
RIM, CORNER = 0.86, 1.65
BAR = 0.25  # contrast of a row or a column, values in [0, 1], below which it is a bar and no content
LEAST = 1e-3  # share of a region; fewer cells say no more than that


@dataclass(frozen=True)
class Parts:
    """Groups of activations, and how much of each is the object."""

    mean: Float[Tensor, " c"]
    components: Float[Tensor, "c d"]
    centres: Float[Tensor, "k d"]
    shares: Float[Tensor, " k"]  # of each group, how much is the object, [0, 1]

    def labels(self, activations: Float[Tensor, "b c n n"]) -> Int[Tensor, "b n n"]:
        """The group of every cell."""
        points = _points(activations, self.mean) @ self.components
        return torch.cdist(points, self.centres).argmin(1).view(len(activations), *activations.shape[2:])

    def score(self, activations: Float[Tensor, "b c n n"]) -> Float[Tensor, "b 1 n n"]:
        """How likely every cell is the object, [0, 1]."""
        return self.shares[self.labels(activations)][:, None]


@torch.no_grad()
def activations_of(gan: Gan, w: Float[Tensor, "b l d"]) -> tuple[Float[Tensor, "b 3 s s"], Float[Tensor, "b c n n"]]:
    """Pictures in [0, 1] of latents, and the middle layers' activations at `CELLS` px, each layer's of length 1.

    Raises InputError for a generator of pictures too small to have such layers, or whose values are not finite.
    """
    synthesis = gan.generator.synthesis
    chosen = _middle(synthesis.sides())
    if not chosen or gan.info.resolution < 2 * CELLS:
        raise InputError(f"'{gan.info.name}' makes pictures of {gan.info.resolution} px; {2 * CELLS} px are needed.")
    caught: dict[int, Tensor] = {}

    def catch(index: int) -> object:
        return synthesis.layers[index].register_forward_hook(lambda _m, _i, out: caught.__setitem__(index, out))

    handles = [catch(index) for index in chosen]
    try:
        images = synthesis(w, synthesis.noises())
    finally:
        for handle in handles:
            handle.remove()  # type: ignore[attr-defined]
    sides = synthesis.sides()
    cells = torch.cat([_cells(caught[index].float(), sides[index]) for index in chosen], 1)
    if not (bool(images.isfinite().all()) and bool(cells.isfinite().all())):
        raise InputError(f"The generator '{gan.info.name}' makes pictures whose values are not finite; use another.")
    return images.float().clamp(-1, 1) / 2 + 0.5, cells


def _middle(sides: list[int]) -> list[int]:
    """The layers of `CELLS` px, and the first finer one of twice that; the last layer is the picture's own."""
    inner = list(enumerate(sides))[:-1]
    fine = [index for index, side in inner if side == SIDES[1]][:1]
    return [index for index, side in inner if side == SIDES[0]] + fine


def _cells(activation: Float[Tensor, "b c h w"], side: int) -> Float[Tensor, "b c n n"]:
    """Without the margin, at `CELLS` px, every cell a vector of length 1, or the mean of four such."""
    margin = (activation.shape[-1] - side) // 2
    inner = activation[..., margin : margin + side, margin : margin + side]
    unit = inner * torch.rsqrt(inner.square().sum(1, keepdim=True).clamp(min=1e-12))
    return F.avg_pool2d(unit, side // CELLS) if side > CELLS else unit


def find_parts(
    images: Float[Tensor, "b 3 s s"],
    activations: Sequence[Float[Tensor, "_ c n n"]],
    groups: int,
    generator: torch.Generator,
) -> Parts:
    """Group activations of many pictures, and tell the object's groups from the background's.

    Args:
        images: [0, 1], at least as many as make every part appear: some hundred.
        activations: of the same pictures in the same order, in batches, as they take much room together.
        groups: how many parts are told apart.
        generator: on the CPU; draws what k-means starts from.
    """
    mean = torch.stack([part.float().sum((0, 2, 3)) for part in activations]).sum(0) / (len(images) * CELLS**2)
    spread = _spread(activations[0], mean)
    for part in activations[1:]:
        spread += _spread(part, mean)
    components = torch.linalg.eigh(spread).eigenvectors[:, -COMPONENTS:].float()
    points = torch.cat([_points(part, mean) @ components for part in activations])
    drawn = torch.randperm(len(points), generator=generator)[:LEARNT_FROM].to(points.device)
    centres = k_means(points[drawn], groups, generator)
    labels = torch.cdist(points, centres).argmin(1).view(len(images), CELLS, CELLS)
    inside, corners = content(images)
    return Parts(mean, components, centres, object_shares(labels, inside, corners, groups))


def _points(activations: Float[Tensor, "b c n n"], mean: Float[Tensor, " c"]) -> Float[Tensor, "m c"]:
    return activations.float().permute(0, 2, 3, 1).flatten(0, 2) - mean


def _spread(activations: Float[Tensor, "b c n n"], mean: Float[Tensor, " c"]) -> Float[Tensor, "c c"]:
    points = _points(activations, mean).double()
    return points.T @ points


def k_means(points: Float[Tensor, "n d"], groups: int, generator: torch.Generator) -> Float[Tensor, "k d"]:
    """Centres of groups by Lloyd's rounds, begun as in k-means++; an empty group keeps its centre."""
    first = int(torch.randint(len(points), (), generator=generator))
    centres = points[first : first + 1]
    for _ in range(groups - 1):
        far = torch.cdist(points, centres).amin(1).square().cpu()
        pick = int(torch.multinomial(far, 1, generator=generator)) if float(far.sum()) > 0 else 0
        centres = torch.cat([centres, points[pick : pick + 1]])
    for _ in range(ROUNDS):
        nearest = F.one_hot(torch.cdist(points, centres).argmin(1), groups).to(points.dtype)
        count = nearest.sum(0)[:, None]
        centres = torch.where(count > 0, nearest.T @ points / count.clamp(min=1), centres)
    return centres


def content(
    images: Float[Tensor, "b 3 s s"], cells: int = CELLS
) -> tuple[Bool[Tensor, "b n n"], Bool[Tensor, "b n n"]]:
    """Which cells lie inside the box of what is no bar of one colour, and which of those lie in its corners."""
    rows = _inside((images.amax(3) - images.amin(3)).amax(1), cells)
    columns = _inside((images.amax(2) - images.amin(2)).amax(1), cells)
    v, u = rows[:, :, None].abs(), columns[:, None, :].abs()
    inside = (v <= 1) & (u <= 1)
    return inside, inside & (torch.maximum(v, u) > RIM) & (u + v > CORNER)


def _inside(contrast: Float[Tensor, "b s"], cells: int) -> Float[Tensor, "b n"]:
    """Cells' places between the first (-1) and the last (1) line with contrast; where none has any, in the picture."""
    s = contrast.shape[1]
    on = (contrast > BAR) | (contrast <= BAR).all(1, keepdim=True)
    first = on.int().argmax(1)[:, None]
    last = s - on.int().flip(1).argmax(1)[:, None]
    middles = (torch.arange(cells, device=contrast.device) + 0.5) * s / cells
    return (middles - first) / (last - first) * 2 - 1


def object_shares(
    labels: Int[Tensor, "b n n"], inside: Bool[Tensor, "b n n"], corners: Bool[Tensor, "b n n"], groups: int
) -> Float[Tensor, " k"]:
    """Of every group, the share of its cells that are the object, by where it lies.

    The content inside its corners is a mixture of object and background, the corners are background: with p the
    groups' shares inside and q those in the corners, p = a + b q, and the object's part of a group is 1 - b q / p. The
    background's weight b is the ratio p / q of a group as one meets it in the corners (the median over their cells):
    most of what lies there is background alone. A group of which most lies in bars is background.
    """
    within = inside & ~corners

    def share(region: Tensor) -> Float[Tensor, " k"]:
        return labels[region].bincount(minlength=groups) / region.sum().clamp(min=1)

    p, q = share(within) + LEAST, share(corners) + LEAST
    ratios, order = (p / q).sort()
    middle = int((q[order].cumsum(0) < q.sum() / 2).sum())
    shares = (1 - ratios[min(middle, groups - 1)] * q / p).clamp(0, 1)
    in_bars = labels[~inside].bincount(minlength=groups) > labels[inside].bincount(minlength=groups)
    return torch.where(in_bars, torch.zeros_like(shares), shares)
