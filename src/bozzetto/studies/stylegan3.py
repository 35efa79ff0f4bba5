"""The same fit with another generator."""

from __future__ import annotations

from bozzetto.inputs import find_gan
from bozzetto.studies.compare import arms_table, by_photo, claim_lower, records
from bozzetto.studies.desk import Arm, Desk
from bozzetto.studies.job import Claim, Outcome, Study
from bozzetto.studies.sheet import write_sheet

COMMAND = "bozzetto study stylegan3 --gan STYLEGAN2.pkl --others STYLEGAN3.pkl --photos FOLDER --n 10"
QUESTION = "does StyleGAN3 still know enough of 3D"


def run(desk: Desk) -> Outcome:
    """The base with --gan, and with each of --others."""
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
    pieces = desk.run_arms(arms)
    for name in desk.job.others:
        gan = find_gan(name, desk.device, desk.base.compute.gan_precision)
        arm = Arm(f"{gan.info.name} ({gan.info.kind})", gan.info.kind, desk.base)
        arms.append(arm)
        for subject in desk.subjects:
            for seed in desk.seeds:
                pieces.append(desk.fit(arm.name, subject, seed, desk.plan(subject, arm.config, seed, gan=gan)))
    key = "mad_depth_deg" if desk.has_truth else "roughness"
    claims = tuple(
        claim_lower(f"{QUESTION}: {arm.name} is no worse", "Rep 5.4", pieces, arm.name, arms[0].name, key, "")
        for arm in arms[1:]
        if by_photo(pieces, arm.name, key)
    )
    write_sheet(desk.job.out / "stylegan3_sheet.png", pieces, [arm.name for arm in arms], desk.seeds[0])
    captions = (("stylegan3_sheet.png", "Photo and inversion with the first generator; then each generator's result."),)
    return Outcome((arms_table(desk, arms, pieces),), claims, captions, pieces=records(pieces))


STUDY = Study("stylegan3", "Does StyleGAN3 still know enough of 3D?", "Rep 5.4", 5, "0", run)
