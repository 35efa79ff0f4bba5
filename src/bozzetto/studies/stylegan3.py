"""The same fit with another generator."""

from __future__ import annotations

from bozzetto.errors import InputError
from bozzetto.inputs import find_gan
from bozzetto.studies.compare import arms_table, by_photo, difference, lead_of, no_worse, records
from bozzetto.studies.desk import Arm, Desk
from bozzetto.studies.job import Claim, Outcome, Study
from bozzetto.studies.sheet import write_sheet

COMMAND = "bozzetto study stylegan3 --gan STYLEGAN2.pkl --others STYLEGAN3.pkl --photos FOLDER --n 10"
QUESTION = "does StyleGAN3 still know enough of 3D"
MARGIN = 1.0  # degrees of MAD: a generator that costs less is no worse


def run(desk: Desk) -> Outcome:
    """The base with --gan, and with each of --others.

    Raises InputError for a generator of another size, whose scores would not compare.
    """
    if not desk.job.others:
        claim = Claim(
            QUESTION,
            "Rep 5.4 (open)",
            "not tested",
            "no StyleGAN3 generator of a fitting category was at hand; with a pair of generators of the same pictures "
            f"(NVIDIA publishes FFHQ and AFHQ in both kinds) this answers it: `{COMMAND}`",
        )
        note = "StyleGAN3-T and -R are loaded and run (docs/differences.md); what is missing is a trained one."
        return Outcome((), (claim,), notes=(note,))
    arms = [Arm(desk.gan.info.name, f"{desk.gan.info.kind}", desk.base)]
    for name in desk.job.others:
        gan = find_gan(name, desk.device, desk.base.compute.gan_precision)
        if gan.info.resolution != desk.size:
            raise InputError(
                f"{name} makes pictures of {gan.info.resolution} px and --gan of {desk.size} px; give generators of "
                "one size."
            )
        called = f"{gan.info.name} ({gan.info.kind})"
        alike = sum(arm.gan is not None and arm.name.startswith(called) for arm in arms)
        arms.append(Arm(f"{called} {alike + 1}" if alike else called, gan.info.kind, desk.base, gan=gan))
    pieces = desk.run_arms(arms)
    lead = lead_of(desk)
    claims = []
    for arm in arms[1:]:
        change = difference(by_photo(pieces, arms[0].name, lead.key), by_photo(pieces, arm.name, lead.key))
        told = f"{arm.name} minus {arms[0].name}: {lead.told(change)}"
        told += (
            f"; it holds if the upper end of the 95 % interval stays below {MARGIN:g} deg"
            if lead.judges
            else "; no verdict without a truth, the sheet is for the eye"
        )
        verdict = lead.verdict(no_worse(change, MARGIN))
        claims.append(Claim(f"{QUESTION}: {arm.name} is no worse", "Rep 5.4", verdict, told))
    write_sheet(desk.job.out / "stylegan3_sheet.webp", pieces, [arm.name for arm in arms], desk.seeds[0])
    captions = (
        ("stylegan3_sheet.webp", "Photo and inversion with the first generator; then each generator's result."),
    )
    return Outcome((arms_table(desk, arms, pieces),), tuple(claims), captions, pieces=records(pieces))


STUDY = Study("stylegan3", "Does StyleGAN3 still know enough of 3D?", "Rep 5.4", 5, "0", run)
