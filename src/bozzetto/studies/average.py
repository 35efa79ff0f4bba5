"""The mean depth of training heads in place of a fit: what knowing heads alone is worth."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from bozzetto.bench.run_heads import HeadsRun, load_average
from bozzetto.bench.score import flat_shape, score_head
from bozzetto.errors import InputError
from bozzetto.studies.desk import Desk
from bozzetto.types import Camera

MOST = 2000  # heads that are averaged


def average_of(desk: Desk) -> Float[Tensor, "1 s s"]:
    """The mean depth, scene units. Ask before the fits: it raises InputError where no training heads are at hand."""
    job = desk.job
    if job.train_heads is None and job.test_heads is not None and job.test_heads.is_dir():
        raise InputError(f"The study `{desk.study.name}` needs training heads; give their folder to --train-heads.")
    try:
        return load_average(HeadsRun(train_heads=job.train_heads, test_heads=job.test_heads), desk.size, MOST)
    except InputError as error:
        raise InputError(
            f"The study `{desk.study.name}` finds no mean depth of {desk.size} px; give a folder of "
            "`bozzetto bench make-heads` of that size to --train-heads."
        ) from error


def average_scores(desk: Desk, depth: Float[Tensor, "1 s s"]) -> dict[str, dict[str, float]]:
    """Of each photo what `score_head` says of that depth with the photo on it. The truth must be known."""
    found = {}
    for subject in desk.subjects:
        assert subject.truth is not None
        found[subject.name] = score_head(flat_shape(depth, subject.truth.image[0]), subject.truth, Camera(desk.size))
    return found
