"""Many photos to one problem: masks, latents, priors and turns, chunk by chunk, each kept on disk once found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bozzetto.errors import BozzettoError, FitError, InputError
from bozzetto.gan.invert import invert, judge_inversion
from bozzetto.gan.start import StartTable, start_table
from bozzetto.gan.whiten import whitening
from bozzetto.ingredients import Plan, inversion_loss, mask_of, prior_of, yaw_of
from bozzetto.keep import Quiet
from bozzetto.losses.registry import make_perceptual
from bozzetto.method.problem import Problem, Turned
from bozzetto.method.turn import Yaw, turn
from bozzetto.results.partial import Partial
from bozzetto.segment.registry import Masked
from bozzetto.segment.segmenter import covers_everything

CHUNK = 16  # photos inverted and turned at once

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Gathered:
    """What became of the photos."""

    problem: Problem
    names: list[str]  # of the photos that are in it
    failed: list[tuple[str, BozzettoError]]


class _Named(Quiet):
    """Hands notes on under a photo's name."""

    def __init__(self, name: str, note: Callable[[str], None]) -> None:
        self.name, self.note = name, note

    def on_note(self, text: str) -> None:
        self.note(f"{self.name}: {text}")


class Gatherer:
    """Finds the ingredients of photos that share one generator and one configuration."""

    def __init__(
        self,
        first: Plan,
        partial: Partial | None,
        told: Callable[[str, int, int], None],
        note: Callable[[str], None] = lambda text: None,
    ) -> None:
        """first: any of the plans; told: hears (what, done, total); note: what a user should know of a photo."""
        self.first, self.partial, self.told, self.note = first, partial, told, note
        self.loss = inversion_loss(first.inversion, first.gan)
        self.table: StartTable | None = None
        self.drawn = torch.Generator().get_state()  # behind what the table drew
        self.yaw: Yaw | None = None

    def gather(self, plans: Sequence[Plan], what: str = "photos") -> Gathered:
        """The problem of all photos that can be worked on; `what` names their files in the working folder.

        Raises InputError if there are none.
        """
        parts: list[Tensors] = []
        names: list[str] = []
        failed: list[tuple[str, BozzettoError]] = []
        for start in range(0, len(plans), CHUNK):
            chunk = plans[start : start + CHUNK]
            name = f"{what}_{start:06d}.safetensors"
            kept = self.partial.load(name) if self.partial else None
            if kept is not None:
                tensors, facts = kept
                bad: list[tuple[str, BozzettoError]] = [(one, FitError(text)) for one, text in facts["failed"]]
            else:
                tensors, bad = self._chunk(chunk, strict=what == "photos")
                if self.partial:
                    self.partial.save(name, tensors, {"failed": [(one, str(error)) for one, error in bad]})
            failed += bad
            out = {one for one, _ in bad}
            names += [plan.picture.name for plan in chunk if plan.picture.name not in out]
            if tensors:
                parts.append(tensors)
            self.told(what, min(start + CHUNK, len(plans)), len(plans))
        if not parts:
            why = f" ({failed[0][1]})" if failed else ""
            raise InputError(f"None of the {len(plans)} photos can be worked on{why}.")
        whole = {key: torch.cat([part[key] for part in parts]) for key in parts[0]}
        return Gathered(self._problem(whole), names, failed)

    def _chunk(self, plans: Sequence[Plan], strict: bool) -> tuple[Tensors, list[tuple[str, BozzettoError]]]:
        """Tensors of the photos, the first dimension being theirs; and those that failed.

        strict: photos whose object nobody finds fail.
        """
        good: list[tuple[Plan, Masked]] = []
        failed: list[tuple[str, BozzettoError]] = []
        for plan in plans:
            try:
                notes: list[str] = []
                masked = mask_of(plan, None, _Named(plan.picture.name, notes.append))[0]
                if strict:
                    _require_outline(plan, masked)
                for note in notes:
                    self.note(note)
                good.append((plan, masked))
            except BozzettoError as error:
                failed.append((plan.picture.name, error))
        if not good:
            return {}, failed
        try:
            tensors, poor = self._ingredients(good)
            return tensors, failed + poor
        except FitError as error:  # one photo's numbers ran away: find out whose
            if len(good) == 1:
                return {}, [*failed, (good[0][0].picture.name, error)]
        found = [self._chunk([plan], strict) for plan, _ in good]
        parts = [tensors for tensors, _ in found if tensors]
        whole = {key: torch.cat([part[key] for part in parts]) for key in parts[0]} if parts else {}
        return whole, failed + [bad for _, more in found for bad in more]

    def _ingredients(self, good: Sequence[tuple[Plan, Masked]]) -> tuple[Tensors, list[tuple[str, BozzettoError]]]:
        """Tensors of the photos whose inversion is good enough; and the others."""
        first = self.first
        device, turns = first.gan.device, first.config.turn.use
        photo = torch.stack([plan.picture.image for plan, _ in good]).to(device)
        mask = torch.cat([masked.mask for _, masked in good]).to(device)
        w, mirror_w, psnr_db = self._latents([plan.latent for plan, _ in good], photo, mask)
        failed = self._judge([plan.picture.name for plan, _ in good], psnr_db)
        out = {name for name, _ in failed}
        stay = [i for i, (plan, _) in enumerate(good) if plan.picture.name not in out]
        if not stay:
            return {}, failed
        good, photo, mask, w = [good[i] for i in stay], photo[stay], mask[stay], w[stay]
        mirror_w = None if mirror_w is None else mirror_w[stay]
        tensors = {"photo": photo, "mask": mask, "latent": w}
        priors = [prior_of(plan, masked) for plan, masked in good]
        if priors[0] is not None:
            prior = torch.cat([one for one in priors if one is not None]).to(device)
            tensors["prior"] = prior
            if turns and mirror_w is not None:
                config = first.config.turn
                if self.yaw is None and self.table is not None:
                    self.yaw = yaw_of(first, self.table)
                turned = turn(
                    photo, mask, w, mirror_w, prior, first.gan, first.camera, first.depth_range, config, self.yaw
                )
                # The photos first: so that they can be cut into chunks and taken.
                tensors |= {
                    "turned_images": turned.images.transpose(0, 1),
                    "turned_view": turned.view.transpose(0, 1),
                    "turned_light": turned.light.transpose(0, 1),
                }
        return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}, failed

    def _judge(self, names: Sequence[str], psnr_db: Sequence[float | None]) -> list[tuple[str, BozzettoError]]:
        """Photos whose inversion is too poor to learn from; a note of those that are merely poor."""
        failed: list[tuple[str, BozzettoError]] = []
        for name, value in zip(names, psnr_db, strict=True):
            try:
                note = value is not None and judge_inversion(value, self.first.inversion, self.first.gan.info.name)
                if note:
                    self.note(f"{name}: {note}")
            except FitError as error:
                failed.append((name, error))
        return failed

    def _latents(
        self,
        given: Sequence[Tensor | None],
        photo: Float[Tensor, "b 3 s s"],
        mask: Float[Tensor, "b 1 s s"],
    ) -> tuple[Float[Tensor, "b l d"], Float[Tensor, "b l d"] | None, list[float | None]]:
        """The photos' latents, found where not given; their mirror images', where the settings ask for them; PSNR."""
        job = self.first
        turns = job.config.turn.use
        wanting = [i for i, w in enumerate(given) if w is None]
        photos = torch.cat((photo[wanting], photo.flip(3))) if turns else photo[wanting]
        masks = torch.cat((mask[wanting], mask.flip(3))) if turns else mask[wanting]
        known = [None if w is None else w.to(photo.device) for w in given]
        if len(photos) == 0:
            return torch.cat([w for w in known if w is not None]), None, [None] * len(known)
        generator = torch.Generator()
        if self.table is None:
            generator.manual_seed(job.seed)
            self.table = start_table(job.gan, whitening(job.gan), generator, job.inversion.start_samples)
            self.drawn = generator.get_state()
        generator.set_state(self.drawn)  # so that a chunk is the same after a resume, which draws the table anew
        found = invert(
            photos,
            job.gan,
            self.loss[0],
            generator=generator,
            mask=masks,
            perceptual=self.loss[1],
            table=self.table,
        )
        psnr_db: list[float | None] = [None] * len(known)
        for place, i in enumerate(wanting):
            known[i], psnr_db[i] = found.w[place : place + 1], float(found.psnr_db[place])
        whole = torch.cat([w for w in known if w is not None])
        return whole, found.w[len(wanting) :] if turns else None, psnr_db

    def _problem(self, whole: Tensors) -> Problem:
        first = self.first
        device = first.gan.device
        turned = None
        if "turned_images" in whole:
            rows = (whole[f"turned_{name}"].transpose(0, 1).to(device) for name in ("images", "view", "light"))
            turned = Turned(*rows)
        return Problem(
            photo=whole["photo"].to(device),
            mask=whole["mask"].to(device),
            latent=whole["latent"].to(device),
            prior=whole["prior"].to(device) if "prior" in whole else None,
            turned=turned,
            gan=first.gan,
            perceptual=make_perceptual(first.config.loss.perceptual, first.gan, device),
            scenes=first.scenes,
            camera=first.camera,
            depth_range=first.depth_range,
            config=first.config,
        )


def _require_outline(plan: Plan, masked: Masked) -> None:
    """Raise InputError where no segmenter found the object: a photo alone is then worked on whole, but as one of many
    it would teach the networks that its backdrop is part of the shape."""
    if plan.mask == "auto" and covers_everything(masked.mask[0]):
        raise InputError("its object was not found; --mask none takes photos whole")
