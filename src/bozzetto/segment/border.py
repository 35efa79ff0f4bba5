"""An object in front of a plain or smoothly shaded background, found from the colours along the photo's border."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from bozzetto.segment.categories import Category
from bozzetto.segment.regions import disc, fill_holes, frame, grow, largest_region
from bozzetto.segment.segmenter import MOST_SHARE, Segmentation

WORKING_PX = 64  # the background model is sought at this size
NOISE_FLOOR = 0.0015  # root mean square over the channels; rounding to 8 bits alone makes 0.0011
NOISE_CEILING = 0.02
INLIER_SIGMAS = 3.0
EDGE_SIGMAS = 5.0  # residual at which a pixel is as likely object as background
MIDDLE = 0.55  # half widths; explaining pixels nearer to the centre than this counts against a background
NOWHERE = -1.0  # in place of MIDDLE: the object may be anywhere
CENTRE = 0.4  # half widths; at least two thirds of this disc belong to the object
LEAST_CENTRE = 2 / 3
MOST_RAGGED = 6.0  # a disc has 4.5, heads that the frame cuts 1.5 to 3.5, fur taken for background 7 to 16
LEAST_GAIN = 0.02  # share of the photo that a further patch has to explain


@dataclass(frozen=True)
class Background:
    """Colour polynomials in x and y over [-1, 1], and the noise around them."""

    coefficients: Float[Tensor, "k terms 3"]
    sigma: Float[Tensor, "k"]  # root mean square residual over the channels

    def pick(self, index: Tensor) -> Background:
        """One of the k backgrounds, as a record with k = 1."""
        return Background(self.coefficients[index][None], self.sigma[index][None])


class BorderSegmenter:
    """Models the background as one smooth colour gradient over the whole photo, and calls the rest object.

    Every patch of the photo's border proposes a background: a linear colour polynomial, fitted to the patch and
    then to the pixels around that it explains, over and over. The proposal that explains most of the photo without
    explaining its middle wins, and is joined with others under quadratic terms while that explains more.
    The object is what is left unexplained, as one region without holes. Needs no weights; of no use in front of
    cluttered backgrounds, where it often finds nothing and says so by a full mask.
    """

    name = "border"

    def __call__(self, images: Float[Tensor, "b 3 s s"], category: str | Category) -> Segmentation:
        """See `Segmenter`. The category is not looked at. The score is the mask before regions are sought."""
        with torch.no_grad():
            pairs = [segment_one(image[None].float()) for image in images]
        mask = torch.cat([mask for mask, _ in pairs]).to(images.dtype)
        score = torch.cat([score for _, score in pairs]).to(images.dtype)
        return Segmentation(mask=mask, score=score)


def segment_one(
    image: Float[Tensor, "1 3 s s"],
) -> tuple[Float[Tensor, "1 1 s s"], Float[Tensor, "1 1 s s"]]:
    """Mask and score of one photo."""
    background = find_background(image)
    score = torch.sigmoid(2 * (distance_sigmas(image, background) - EDGE_SIGMAS))
    body = object_region(score > 0.5)
    if not believable(body):
        return torch.ones_like(score), score
    # The object's inside is certain whatever its colour; its rim keeps the soft value that mixed pixels have.
    core = 1 - F.max_pool2d(1 - body.to(image.dtype), 3, stride=1, padding=1)
    near = F.max_pool2d(body.to(image.dtype), 3, stride=1, padding=1)
    return torch.maximum(core, score * near), score


def object_region(unexplained: Bool[Tensor, "1 1 h w"]) -> Bool[Tensor, "1 1 h w"]:
    """The largest region of what a background does not explain, without holes."""
    return fill_holes(largest_region(fill_holes(unexplained)))


def believable(body: Bool[Tensor, "1 1 h w"]) -> bool:
    """Whether a region looks like an object and not like what is left when the object is taken for background."""
    centre = disc(body, CENTRE)
    covers_centre = bool((body & centre).sum() >= LEAST_CENTRE * centre.sum())
    return covers_centre and float(body.float().mean()) <= MOST_SHARE and raggedness(body) <= MOST_RAGGED


def raggedness(body: Bool[Tensor, "1 1 h w"]) -> float:
    """Length of the outline inside the photo, along pixel edges, over the square root of the area."""
    outline = (body[..., 1:, :] != body[..., :-1, :]).sum() + (body[..., 1:] != body[..., :-1]).sum()
    return float(outline / body.sum().clamp(min=1).sqrt())


def find_anywhere(image: Float[Tensor, "1 3 s s"]) -> Bool[Tensor, "1 1 s s"]:
    """The largest thing that the smooth background of a photo does not explain, wherever it is."""
    return object_region(distance_sigmas(image, find_background(image, middle=NOWHERE)) > EDGE_SIGMAS)


def find_background(image: Float[Tensor, "1 3 s s"], middle: float = MIDDLE) -> Background:
    """The smooth background that explains most of a photo without explaining its middle (`middle` half widths)."""
    if min(image.shape[-2:]) > WORKING_PX:
        image = F.interpolate(image, size=(WORKING_PX, WORKING_PX), mode="area")
    patches = border_patches(image)
    noise = plainest_noise(image)
    proposals, grown = settle(image, patches, noise, order=1, refits=6)
    gains = gain(image, proposals, middle)
    best, most = proposals.pick(gains.argmax()), gains.max()
    seen = grown[gains.argmax()]
    # Shading that is not quite linear, or lies on both sides of the object, needs a second patch and quadratic terms.
    grown = torch.unique(grown, dim=0)  # most patches of one background have come to rest on the same pixels
    worthwhile = LEAST_GAIN * image.shape[-2] * image.shape[-1]
    for _ in range(len(grown)):
        joined, joined_grown = settle(image, grown | seen, noise, order=2, refits=3)
        gains = gain(image, joined, middle)
        if gains.max() < most + worthwhile:
            break
        best, most = joined.pick(gains.argmax()), gains.max()
        seen = joined_grown[gains.argmax()]
    return best


def plainest_noise(image: Float[Tensor, "1 3 h w"]) -> Tensor:
    """Noise of a photo, told by the plainest patch of its border.

    One for all proposals: with its own misfit as tolerance, a rough patch would explain everything.
    """
    return (1.5 * fit(image, border_patches(image), order=1).sigma.min()).clamp(NOISE_FLOOR, NOISE_CEILING)


def settle(
    image: Float[Tensor, "1 3 h w"], start: Bool[Tensor, "k 1 h w"], noise: Tensor, order: int, refits: int
) -> tuple[Background, Bool[Tensor, "k 1 h w"]]:
    """Fit each start, then again to what each fit explains: the backgrounds and the pixels they came to rest on."""
    inliers = start
    for _ in range(refits):
        coefficients = fit(image, inliers, order).coefficients
        backgrounds = Background(coefficients, noise.expand(len(start)))
        found = residual(image, backgrounds) < INLIER_SIGMAS * noise
        inliers = found | start if order == 1 else found
    return backgrounds, inliers


def border_patches(image: Float[Tensor, "1 3 h w"]) -> Bool[Tensor, "k 1 h w"]:
    """Overlapping square patches, an eighth of the photo wide, along its four sides."""
    height, width = image.shape[-2:]
    edge = max(3, min(height, width) // 8)
    step = max(1, edge // 2)
    rows = range(0, height - edge + 1, step)
    columns = range(0, width - edge + 1, step)
    corners = {(r, c) for r in rows for c in (0, width - edge)} | {(r, c) for r in (0, height - edge) for c in columns}
    patches = torch.zeros(len(corners), 1, height, width, dtype=torch.bool, device=image.device)
    for k, (row, column) in enumerate(sorted(corners)):
        patches[k, :, row : row + edge, column : column + edge] = True
    return patches


def terms(height: int, width: int, order: int, device: torch.device) -> Float[Tensor, "n terms"]:
    """1, x, y (and x^2, xy, y^2) at every pixel, x and y over [-1, 1]."""
    y, x = torch.meshgrid(
        torch.linspace(-1, 1, height, device=device), torch.linspace(-1, 1, width, device=device), indexing="ij"
    )
    basis = [torch.ones_like(x), x, y]
    if order == 2:
        basis += [x * x, x * y, y * y]
    return torch.stack([t.flatten() for t in basis], dim=1)


def fit(image: Float[Tensor, "1 3 h w"], inliers: Bool[Tensor, "k 1 h w"], order: int) -> Background:
    """Least-squares colour polynomial through each set of pixels, with the noise around it."""
    basis = terms(image.shape[-2], image.shape[-1], order, image.device).double()
    colours = image[0].flatten(1).T.double()
    count = basis.shape[1]
    # All sums that least squares needs, over each set of pixels, as one matrix product.
    products = [basis[:, :, None] * basis[:, None], basis[:, :, None] * colours[:, None], colours.square()]
    sums = inliers.flatten(1).double() @ torch.cat([p.flatten(1) for p in products], dim=1)
    left = sums[:, : count * count].view(-1, count, count)
    right = sums[:, count * count : -3].view(-1, count, 3)
    # A patch alone hardly fixes a slope: a little ridge keeps every system solvable and the slopes small.
    ridge = 1e-3 * torch.eye(count, dtype=torch.float64, device=image.device)
    coefficients = torch.linalg.solve(left + ridge, right)
    squares = (coefficients * (left @ coefficients - 2 * right)).sum(dim=(1, 2)) + sums[:, -3:].sum(dim=1)
    pixels = inliers.sum(dim=(1, 2, 3)).clamp(min=1)
    return Background(coefficients.float(), (squares.clamp(min=0) / (3 * pixels)).sqrt().float())


def residual(image: Float[Tensor, "1 3 h w"], background: Background) -> Float[Tensor, "k 1 h w"]:
    """How far each pixel's colour is from each background's: root mean square over the channels."""
    height, width = image.shape[-2:]
    order = 2 if background.coefficients.shape[1] == 6 else 1
    basis = terms(height, width, order, image.device)
    colours = torch.einsum("ni,kic->kcn", basis, background.coefficients).view(-1, 3, height, width)
    return (image - colours).square().mean(dim=1, keepdim=True).sqrt()


def explained(image: Float[Tensor, "1 3 h w"], background: Background, sigmas: float) -> Bool[Tensor, "k 1 h w"]:
    """Pixels within so many sigmas of each background that such pixels join to the border."""
    close = residual(image, background) < sigmas * background.sigma.view(-1, 1, 1, 1)
    return grow(frame(close).expand_as(close), close)


def distance_sigmas(image: Float[Tensor, "1 3 h w"], background: Background) -> Float[Tensor, "1 1 h w"]:
    """How far each pixel is from one background, in units of the noise; photos are noisier than at the working size."""
    return residual(image, background) / torch.maximum(background.sigma, plainest_noise(image))


def gain(image: Float[Tensor, "1 3 h w"], background: Background, middle: float = MIDDLE) -> Float[Tensor, "k"]:
    """Pixels explained near the border, less up to four for each in the middle, where the object is.

    The tolerance is that of the final mask, so that a background which would leak into the object then is no good.
    """
    found = explained(image, background, EDGE_SIGMAS)
    y = torch.linspace(-1, 1, found.shape[-2], device=found.device)[:, None]
    x = torch.linspace(-1, 1, found.shape[-1], device=found.device)[None, :]
    weight = ((torch.hypot(x, y) - middle) / 0.3).clamp(-4, 1)
    return (found * weight).sum(dim=(1, 2, 3))
