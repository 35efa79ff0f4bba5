"""What differs between kinds of object, as rows of data: box margins, ellipsoid, parser labels, segmenter order.

A new category is a new row. Numbers without a source beside them are from GAN2Shape (Pan et al., ICLR 2021).
"""

from __future__ import annotations

from dataclasses import dataclass

from bozzetto.errors import InputError

# Labels of the 19-class CelebAMask-HQ face parser: everything of a person but clothes and background.
FACE_LABELS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 17, 18)


@dataclass(frozen=True)
class BoxMargins:
    """How far the prior's box leaves the mask's bounding box, in shares of the box's own width or height.

    Positive is outward, negative cuts. `bottom_to_edge` first moves the bottom to the last row of the image.
    """

    side: float = 0.0  # left and right alike, so that a mirrored mask has the mirrored prior
    top: float = 0.0
    bottom: float = 0.0
    bottom_to_edge: bool = False


@dataclass(frozen=True)
class Category:
    """One kind of object. `near`, `far` and `radius` are shares of the depth range's width."""

    name: str
    margins: BoxMargins = BoxMargins()
    near: float = 0.05  # 0.91 in the range [0.9, 1.1]
    far: float = 0.6  # 1.02 there
    radius: float = 2.0  # 0.4 there
    voc_label: int | None = None  # label of the 21-class Pascal VOC parser
    face_labels: tuple[int, ...] = ()  # labels of the 19-class face parser
    segmenters: tuple[str, ...] = ("border",)  # in order of preference, after the alpha channel


_ROWS = (
    Category("object"),  # anything else
    Category(
        "face",
        BoxMargins(side=-1 / 12, bottom_to_edge=True),
        voc_label=15,
        face_labels=FACE_LABELS,
        segmenters=("selfie", "border", "learned"),
    ),
    Category(
        "synface",
        BoxMargins(top=1 / 6),
        voc_label=15,
        face_labels=FACE_LABELS,
        segmenters=("selfie+border", "border"),
    ),
    Category(
        # Ours: rendered heads that fill the picture. Crown and neck are cut off, so the ellipsoid is twice as tall as
        # what is seen; and it sits deeper than Pan's faces, nearer the pivot and away from the range's near end.
        "heads",
        BoxMargins(top=1 / 2, bottom=1 / 2),
        near=0.15,
        far=0.7,
        voc_label=15,
        face_labels=FACE_LABELS,
        segmenters=("selfie+border", "border"),
    ),
    # Ours: rendered heads of animals, whole with their ears; chosen on 24 heads that no table uses.
    Category(
        "animals",
        BoxMargins(side=1 / 10, bottom=3 / 10),
        near=0.3,
        far=0.7,
        segmenters=("selfie+border", "border"),
    ),
    # The colours of fur are too like those of backgrounds for the border segmenter.
    Category("cat", voc_label=8, segmenters=("selfie", "object-parser", "learned")),
    Category("dog", voc_label=12, segmenters=("selfie", "object-parser")),
    Category("car", BoxMargins(bottom=1 / 6), voc_label=7, segmenters=("object-parser", "learned", "border")),
    Category("church", BoxMargins(bottom=1 / 6), far=0.5),  # far 1.0 in [0.9, 1.1]; Pascal VOC knows no buildings
    Category("horse", voc_label=13, segmenters=("object-parser", "border")),
)

CATEGORIES: dict[str, Category] = {row.name: row for row in _ROWS}


def find_category(category: str | Category) -> Category:
    """The row of a name; a row passes through. Raises InputError for a name that has none."""
    if isinstance(category, Category):
        return category
    if category not in CATEGORIES:
        names = ", ".join(CATEGORIES)
        raise InputError(f"There is no category {category!r}; choose one of {names} ('object' fits anything).")
    return CATEGORIES[category]
