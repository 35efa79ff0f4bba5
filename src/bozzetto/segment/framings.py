"""How generators' training pictures are framed, as rows of data: where in the picture the object is.

An outline is the mean mask of training pictures in 16 x 16 cells, mirror images included: 0 is object in less than a
tenth of them, 9 in nine tenths or more. `outline_rows` made them: of the packed test heads' true masks, and of 400
pictures each of cats (AFHQ) and of tightly cropped faces, whose masks the selfie segmenter found.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

CELLS = 16


@dataclass(frozen=True)
class Framing:
    """Where the object is in training pictures: by its outline, or, without one, by its box and a margin."""

    outline: tuple[str, ...] = ()
    crown: float = 0.0  # height of the round top that the pictures cut off, in sides of the square the outline fits
    side: float = 1.0  # of the picture, in sides of the square that the outline fits
    up: float = 0.0  # how far the picture begins above that square, in sides of it
    margin: float = 0.1  # around the object's box on each side, of its longer side; where there is no outline
    letterbox: bool = False  # above and below the box and its margin the pictures are black

    def mean_mask(self) -> Float[Tensor, "16 16"]:
        """The outline as numbers in [0, 1]."""
        rows = [[(int(digit) + 0.5) / 10 for digit in row] for row in self.outline]
        return torch.tensor(rows)


HEADS = (
    "5689999999999865",
    "5789999999999875",
    "5789999999999875",
    "5789999999999875",
    "5789999999999875",
    "5789999999999875",
    "5789999999999875",
    "5799999999999975",
    "5799999999999975",
    "4689999999999864",
    "3589999999999853",
    "2479999999999742",
    "1368999999998631",
    "1257999999997521",
    "1246899999986421",
    "1246899999986421",
)
FACE = (
    "5789999999999875",
    "6899999999999986",
    "6899999999999986",
    "6899999999999986",
    "6899999999999986",
    "6899999999999986",
    "6899999999999986",
    "6899999999999986",
    "5799999999999975",
    "5799999999999975",
    "5689999999999865",
    "5689999999999865",
    "5689999999999865",
    "5678999999998765",
    "6788999999998876",
    "6788999999998876",
)
CAT = (
    "1222111111112221",
    "1345322112235431",
    "1367643333467631",
    "1368877667788631",
    "2368999889998632",
    "2368999999998632",
    "2478999999998742",
    "3479999999999743",
    "3579999999999753",
    "3578999999998753",
    "4578999999998754",
    "4578999999998754",
    "4568899999988654",
    "4567888998887654",
    "4567788888877654",
    "4566777777776654",
)

# By category. Of those without a row, nothing is known of how the pictures are framed.
FRAMINGS: dict[str, Framing] = {
    "heads": Framing(HEADS),
    "synface": Framing(HEADS),
    "face": Framing(FACE, crown=0.4),  # eyes are halfway up a head, and the chin is 0.69 below them
    "cat": Framing(CAT),
    "dog": Framing(CAT),  # aligned by the same people in the same way; not measured
    "car": Framing(margin=0.03, letterbox=True),
}
# FFHQ and what is aligned as it is (Karras et al., CVPR 2019): the picture is four times as wide as the eyes are apart
# and its middle lies a tenth of the way from the eyes to the mouth. In the faces above, the eyes are 0.42 apart, 0.28
# below the upper edge, and 0.42 above the mouth.
PORTRAIT = Framing(FACE, crown=0.4, side=4 * 0.42, up=4 * 0.42 / 2 - 0.28 - 0.1 * 0.42)
PORTRAIT_NAMES = ("ffhq", "celebahq", "celeba-hq", "metfaces")  # parts of generators' names
UNALIGNED_NAMES = ("lsuncat", "lsundog")  # whole animals, however they were photographed
UNKNOWN = Framing()


def find_framing(category: str, generator: str = "") -> Framing:
    """The framing of a generator's training pictures by its category and name; `UNKNOWN` where there is no row."""
    name = generator.lower()
    if any(part in name for part in UNALIGNED_NAMES):
        return UNKNOWN
    if category == "face" and any(part in name for part in PORTRAIT_NAMES):
        return PORTRAIT
    return FRAMINGS.get(category, UNKNOWN)


def outline_rows(masks: Float[Tensor, "b 1 s s"]) -> tuple[str, ...]:
    """The outline of training pictures whose masks in [0, 1] are known."""
    mean = F.adaptive_avg_pool2d(masks, CELLS).mean(dim=0)[0]
    mean = (mean + mean.flip(1)) / 2
    return tuple("".join(str(min(9, int(10 * value))) for value in row) for row in mean.tolist())
