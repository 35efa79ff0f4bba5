"""Another segmenter's mask, corrected where the background is plain."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from bozzetto.segment.border import (
    EDGE_SIGMAS,
    NOISE_CEILING,
    NOISE_FLOOR,
    Background,
    believable,
    distance_sigmas,
    find_background,
    fit,
    object_region,
    residual,
)
from bozzetto.segment.categories import Category
from bozzetto.segment.regions import frame, grow, steepen, tidy
from bozzetto.segment.segmenter import Segmentation, Segmenter

SURE_BACKGROUND = 0.2  # the guide's score below which a pixel may teach the background's colours
LEAST_SHARE = 0.01  # of the photo; fewer such pixels teach nothing
REFITS = 8


class GuidedSegmenter:
    """Corrects a guide (a network) with a colour model of the background, where the background is that simple.

    The background is the one that `BorderSegmenter` finds; where that leaves nothing like an object, a quadratic
    colour polynomial through the pixels that the guide is sure of. The evidence of guide and background is added as
    log-odds: ears and the backs of heads that the guide misses come back, since they do not look like background.
    If neither background fits, it is cluttered, and the guide's own answer stands.
    """

    def __init__(self, guide: Segmenter) -> None:
        self.guide = guide
        self.name = f"{guide.name}+border"

    def __call__(self, images: Float[Tensor, "b 3 s s"], category: str | Category) -> Segmentation:
        """See `Segmenter`. The score is the guide's, corrected in the same way before regions are sought."""
        with torch.no_grad():
            guess = self.guide(images, category)
            scores = [
                correct(image[None].float(), score[None].float())
                for image, score in zip(images, guess.score, strict=True)
            ]
            score = torch.cat(scores).to(images.dtype)
        return Segmentation(mask=tidy(steepen(score)), score=score)


def correct(image: Float[Tensor, "1 3 s s"], score: Float[Tensor, "1 1 s s"]) -> Float[Tensor, "1 1 s s"]:
    """One photo's score with the background's colours taken into account."""
    distance = distance_sigmas(image, find_background(image))
    if not believable(object_region(distance > EDGE_SIGMAS)):
        background = sure_background(image, score)
        if background is None:
            return score
        distance = residual(image, background) / background.sigma
    evidence = (distance - EDGE_SIGMAS).clamp(-4, 6)
    return torch.sigmoid(torch.logit(score, eps=0.02) + evidence)


def sure_background(image: Float[Tensor, "1 3 s s"], score: Float[Tensor, "1 1 s s"]) -> Background | None:
    """The colour polynomial of what the guide is sure is background; None if there is too little or it is cluttered."""
    sure = score < SURE_BACKGROUND
    inliers = sure = grow(frame(sure).expand_as(sure), sure)
    least = LEAST_SHARE * image.shape[-1] * image.shape[-2]
    for _ in range(REFITS):
        if inliers.sum() < least:
            return None
        background = fit(image, inliers, order=2)
        distance = residual(image, background)
        # The median is not moved by the few object pixels that the guide takes for background.
        sigma = (1.5 * distance[sure].median()).clamp(min=NOISE_FLOOR)
        inliers = sure & (distance < 3 * sigma)
    if sigma > NOISE_CEILING or inliers.sum() < 0.6 * sure.sum():
        return None
    return Background(background.coefficients, sigma[None])
