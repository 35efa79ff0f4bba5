"""How good a general model is on photos that it does not learn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch

from bozzetto.bench.datasets import HeadTruth, head_files, load_head, load_packed_heads
from bozzetto.bench.truth import truth_of
from bozzetto.config import GeneralConfig
from bozzetto.errors import InputError
from bozzetto.gan.generator import Gan
from bozzetto.gather import Gatherer
from bozzetto.general_job import GeneralJob, GeneralProgress, Source, plans_of
from bozzetto.geometry.render import render
from bozzetto.losses.photometric import photometric
from bozzetto.method.joint import JointState
from bozzetto.method.problem import Problem, predict
from bozzetto.metrics.truth import score_truth
from bozzetto.results.assemble import normals_to_view


class Judge:
    """Scores of networks on photos that they do not learn from; "score" is what decides, lower is better."""

    def __init__(self, problem: Problem, heads: HeadTruth | None) -> None:
        self.problem, self.heads = problem, heads

    @torch.no_grad()
    def __call__(self, state: JointState) -> dict[str, float]:
        problem = self.problem
        factors = predict(state.nets, problem.exact)
        seen = render(factors, problem.camera, problem.depth_range)
        error = photometric(seen.image, problem.photo, problem.mask * seen.mask).mean()
        found = {"photo_l1": float(error)}
        if self.heads is None:
            return {"score": found["photo_l1"], **found}
        normal = normals_to_view(seen.normal, seen.grid, factors.view)
        rows = [
            score_truth(
                seen.depth[i].cpu(), normal[i].cpu(), seen.mask[i].cpu(), truth_of(self.heads, i), problem.camera
            )
            for i in range(len(self.heads))
        ]
        for name in ("side_x100", "mad_mesh_deg"):
            found[name] = sum(row[name] for row in rows) / len(rows)
        return {"score": found["mad_mesh_deg"], **found}


def score_table(lines: Sequence[Mapping[str, Any]], step: str, key: str) -> str:
    """What judges said, as a table in Markdown; empty where nothing was said.

    step: heading of the first column, which stands under `key` in a line.
    """
    names = [name for name in ("side_x100", "mad_mesh_deg", "photo_l1") if lines and name in lines[0]]
    if not names:
        return ""
    head = f"| {step} | " + " | ".join(names) + " |\n|" + "---|" * (len(names) + 1) + "\n"
    return head + "".join(f"| {line[key]} | " + " | ".join(f"{line[n]:.3f}" for n in names) + " |\n" for line in lines)


def judge_of(job: GeneralJob, config: GeneralConfig, gan: Gan, held: Source, progress: GeneralProgress) -> Judge | None:
    """What validates; None where nothing is held out."""
    heads = None if job.validate is None else read_heads(job.validate, job.held, gan.info.resolution)
    if heads is not None:
        held = Source(heads.image)
    if len(held.images) == 0:
        return None
    # Of these photos only the masks are needed: their latents are not looked for.
    nothing = torch.zeros(len(held.images), gan.info.num_ws, gan.info.w_dim)
    fit = replace(config.fit, turn=replace(config.fit.turn, use=False))
    plans = plans_of(
        job, replace(config, fit=fit), gan, replace(held, latents=nothing), [f"held {i}" for i in range(len(nothing))]
    )
    found = Gatherer(plans[0], None, lambda what, done, total: None, progress.on_note).gather(plans, "held")
    if heads is not None and found.failed:
        raise InputError(f"{job.validate}: {found.failed[0][0]} cannot be validated on ({found.failed[0][1]}).")
    return Judge(found.problem, heads)


def read_heads(path: Path, count: int, size: int) -> HeadTruth:
    """Rendered heads, the first ones. Raises InputError where there are none of the size."""
    if path.is_dir():
        split = path / "val" if (path / "val").is_dir() else path
        several = [load_head(split, i) for i in range(min(count, len(head_files(split))))]
        heads = HeadTruth(*(torch.cat([getattr(one, f.name) for one in several]) for f in fields(HeadTruth)))
    else:
        heads = load_packed_heads(path).take(slice(0, count))
    if heads.image.shape[-1] != size:
        raise InputError(f"{path} holds heads of {heads.image.shape[-1]} px, and the generator makes {size}.")
    return heads
