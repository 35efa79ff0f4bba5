"""One upload and what becomes of it, as a frozen record that is kept as JSON."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bozzetto.errors import InputError
from bozzetto.pipeline import REFINE
from bozzetto.results.provenance import plain
from bozzetto.serve.rebuild import rebuild
from bozzetto.serve.settings import Settings

State = Literal["waiting", "running", "done", "failed", "cancelled", "stopped"]
AT_REST: tuple[State, ...] = ("done", "failed", "cancelled", "stopped")
RESUMABLE: tuple[State, ...] = ("failed", "cancelled", "stopped")
ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{8}")
MAX_SEED = 2**53 - 1  # the largest whole number that a page can hold exactly
MAX_NAME = 100


@dataclass(frozen=True)
class Wishes:
    """What was chosen for a photo; every value is one of `Settings.choices`."""

    gan: str
    preset: str
    mask: str = "auto"  # "file": the one that came along
    prior: str = "preset"
    crop: str = "auto"
    category: str = "generator"
    seed: int = 0


@dataclass(frozen=True)
class Job:
    id: str
    name: str  # as the upload was called: shown, and never used as a path
    wishes: Wishes
    made_s: float  # Unix time
    state: State = "waiting"
    message: str = ""  # one sentence on why it is not done
    notes: tuple[str, ...] = ()  # what the user should know about the result
    max_memory: float | None = None  # bytes, that it was begun with

    def to_json(self) -> dict[str, Any]:
        stored = plain(self)
        assert isinstance(stored, dict)
        return stored

    @staticmethod
    def from_json(stored: Any) -> Job:
        """Inverse of `to_json`. Raises ValueError for anything else."""
        job = rebuild(Job, stored)
        if not ID.fullmatch(job.id) or job.name != shown_name(job.name):
            raise ValueError("not a job of ours")
        return job


def new_id() -> str:
    """Sorts by time; cannot be guessed."""
    return time.strftime("%Y%m%d-%H%M%S-", time.gmtime()) + secrets.token_hex(4)


def shown_name(given: str) -> str:
    """An upload's file name as it may be shown: its last part, printable, not too long."""
    last = re.split(r"[/\\]", given)[-1]
    kept = "".join(c if c.isprintable() else " " for c in last).strip()
    return kept[:MAX_NAME].strip() or "photo"


def read_wishes(given: Mapping[str, str], has_mask: bool, settings: Settings) -> Wishes:
    """The choices of a form, checked; what is not given is the first choice.

    Raises:
        InputError: a name is not among the choices, or the seed is no whole number.
    """
    choices = settings.choices()
    unknown = sorted(set(given) - set(choices) - {"seed"})
    if unknown:
        raise InputError(f"There is no setting '{shown_name(unknown[0])}'; there are {', '.join(choices)} and seed.")
    chosen = {name: given.get(name) or offered[0] for name, offered in choices.items()}
    if not given.get("preset") and chosen["gan"] in settings.generators:
        chosen["preset"] = settings.preset_of(chosen["gan"])
    for name, value in chosen.items():
        if value not in choices[name]:
            raise InputError(f"The {name} cannot be '{shown_name(value)}'; choose one of {', '.join(choices[name])}.")
    if chosen["preset"] == REFINE and settings.general_of(chosen["gan"], REFINE) is None:
        raise InputError(f"The generator '{chosen['gan']}' has no general model to refine; choose another preset.")
    if chosen["preset"] == REFINE and chosen["prior"] != "preset":
        raise InputError(f"The preset '{REFINE}' begins with a general model and with no shape; leave the prior out.")
    seed = given.get("seed") or "0"
    if not re.fullmatch(r"[0-9]{1,16}", seed) or int(seed) > MAX_SEED:
        raise InputError(f"The seed cannot be '{shown_name(seed)}'; give a whole number from 0 to {MAX_SEED}.")
    return Wishes(**{**chosen, "mask": "file" if has_mask else chosen["mask"]}, seed=int(seed))
