"""All studies by name, in the order of the page."""

from __future__ import annotations

from bozzetto.errors import InputError
from bozzetto.studies import (
    claims,
    forgetting,
    generalize,
    init,
    prior_epochs,
    priors,
    published,
    samples,
    speed,
    stylegan3,
    upstream_bugs,
    variability,
)
from bozzetto.studies.job import Study

STUDIES: dict[str, Study] = {
    study.name: study
    for study in (
        claims.STUDY,
        priors.STUDY,
        samples.STUDY,
        init.STUDY,
        prior_epochs.STUDY,
        variability.STUDY,
        forgetting.STUDY,
        generalize.STUDY,
        upstream_bugs.STUDY,
        stylegan3.STUDY,
        speed.STUDY,
        published.STUDY,
    )
}


def find_study(name: str) -> Study:
    """Raises InputError for a name that has none."""
    if name not in STUDIES:
        raise InputError(f"There is no study '{name}'; choose one of {', '.join(STUDIES)}, or `page`.")
    return STUDIES[name]
