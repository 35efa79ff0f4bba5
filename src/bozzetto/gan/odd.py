"""Directions of latent space that a mirror swaps, found from a generator's own samples without any label.

For every sample the table's regression is asked what the latent of its mirror image would be; the difference from what
it says of the picture itself is what the mirror changes. Principal directions of these differences are yaw and roll,
the side the light comes from, and whatever else comes in two hands. Pictures halfway along them are symmetric.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from bozzetto.gan.start import StartTable


@torch.no_grad()
def odd_directions(table: StartTable, count: int) -> Float[Tensor, "k d"]:
    """Unit directions of whitened latents that swap sign under the mirror, strongest first; k is `count` or less.

    A direction's sign means nothing; its largest entry is made positive, so that it is always the same.
    """
    side = round((table.pictures.shape[1] / 3) ** 0.5)
    mirrored = table.pictures.unflatten(1, (3, side, side)).flip(-1)
    change = table.guess(mirrored) - table.guess(mirrored.flip(-1))
    rows = torch.linalg.svd(change.double(), full_matrices=False).Vh[:count]
    largest = rows.gather(1, rows.abs().argmax(dim=1, keepdim=True))
    return (rows * largest.sign()).to(table.whitened.dtype)
