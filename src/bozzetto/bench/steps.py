"""How long an iteration of each step takes, with our settings and in its plain form, in one run.

The plain form is the same code with everything that makes it fast switched off: the reference rasteriser, float32,
nothing kept that a step leaves fixed, Adam parameter by parameter, and the GAN by its readable modules
(`gan/plain.py`). Both walk short schedules through the very loop that fits photos, in turns, so that a machine that
grows slower or faster meets both alike; the median over all iterations counts. Left out are the first iteration of
each phase, which warms caches up, and the preparation of a phase, which is done once however long the phase is.
"""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from bozzetto.config import ComputeConfig, FitConfig, Stage
from bozzetto.devices import find_device
from bozzetto.errors import InputError
from bozzetto.gan.discriminator import Discriminator
from bozzetto.gan.generator import Gan, GanInfo
from bozzetto.gan.initialise import initialise
from bozzetto.gan.plain import plain
from bozzetto.gan.spec import StyleGan2Spec
from bozzetto.gan.stylegan2 import Generator
from bozzetto.gan.zoo import load_gan
from bozzetto.inputs import MIN_RESOLUTION
from bozzetto.losses.registry import make_perceptual
from bozzetto.method import instance
from bozzetto.method.problem import Problem
from bozzetto.method.sampling import find_distribution
from bozzetto.precision import resolve
from bozzetto.presets import find_preset
from bozzetto.priors.registry import prior_depth
from bozzetto.results.provenance import versions
from bozzetto.types import Camera, DepthRange

PLAIN = ComputeConfig(precision="fp32", gan_precision="fp32", rasteriser="reference", reuse=False, fused_adam=False)
STEPS = ("prior", "albedo", "project", "collect", "factorise")
WIDTHS = (32, 80, 160)  # channels from the largest size down, then 256: the shape of the built-in 64 px generator


@dataclass(frozen=True)
class StepsConfig:
    """What to time."""

    size: int = 64  # pixels; 64 takes the built-in generator, others one of the same kind with random weights
    np: int = 8  # pseudo views and lights an iteration
    repeats: int = 5  # turns of each side
    iterations: int = 4  # of each step a turn, the first of which is not counted
    preset: str = "quick"  # whose settings are "ours"
    device: str = "cpu"


def time_steps(config: StepsConfig, on_turn: Callable[[int], None] | None = None) -> dict[str, Any]:
    """Time every step both ways.

    Args:
        on_turn: called with the number of each finished turn, from 1.

    Returns:
        rows: step, size, np, ms (ours), ms_plain, ratio; and what they were measured on and with.

    Raises:
        InputError: fewer than two iterations, no repeat, an unknown preset or an impossible size.
    """
    if config.iterations < 2 or config.repeats < 1:
        raise InputError("Timing takes 2 iterations and 1 repeat at least; the first iteration is not counted.")
    if config.np < 1 or config.size < MIN_RESOLUTION:
        raise InputError(f"Timing takes an Np of 1 and a size of {MIN_RESOLUTION} px at least.")
    preset = find_preset(config.preset)
    n, first = config.iterations, preset.stages[0]
    mirror = {"mirror": first.mirror, "mirror_albedo": first.mirror_albedo}
    fit = replace(
        preset,
        stages=(Stage(n, n, n, samples=config.np, **mirror),),
        prior=replace(preset.prior, iterations=n, threshold=0.0),
        project=replace(preset.project, collect="redraw", collect_batches=n),
        turn=replace(preset.turn, use=False),
    )
    gan = find_gan(config.size, find_device(config.device))
    sides = {
        "ms": make_problem(gan.with_precision(resolve(fit.compute.gan_precision, gan.device)), fit),
        "ms_plain": make_problem(plain(gan), replace(fit, compute=PLAIN)),
    }
    times: dict[str, dict[str, list[float]]] = {side: {} for side in sides}
    for turn in range(config.repeats):
        for side, problem in sides.items():
            one_turn(problem, times[side], config.device)
        if on_turn is not None:
            on_turn(turn + 1)
    medians = {side: {step: statistics.median(v) for step, v in found.items()} for side, found in times.items()}
    rows = []
    for step in sorted(medians["ms"], key=lambda name: STEPS.index(name) if name in STEPS else len(STEPS)):
        ours, theirs = medians["ms"][step], medians["ms_plain"][step]
        rows.append(
            {
                "step": step,
                "size": config.size,
                "np": config.np,
                "ms": round(ours, 3),
                "ms_plain": round(theirs, 3),
                "ratio": round(theirs / ours, 3),
                "iterations_per_second": round(1000 / ours, 3),
            }
        )
    generator = "built-in heads" if config.size == 64 else "random weights"
    channels = gan.generator.spec.describe()["channels"]
    return {
        "rows": rows,
        "machine": machine(config.device),
        "versions": versions(),
        "settings": {**asdict(config), **mirror, "generator": generator, "channels": channels},
        "compute": asdict(fit.compute),
        "compute_plain": {**asdict(PLAIN), "gan": "readable modules, grouped convolutions"},
    }


class Stopwatch(instance.Silent):
    """Notes the milliseconds of every iteration but each phase's first."""

    def __init__(self, times: dict[str, list[float]], device: str) -> None:
        self.times, self.device = times, device

    def on_iteration(self, event: instance.Event) -> None:
        if event.iteration > 1:
            self.times.setdefault(event.phase.kind, []).append(1000 * event.seconds)


def one_turn(problem: Problem, times: dict[str, list[float]], device: str) -> None:
    """A short fit from fresh networks."""
    instance.fit(problem, instance.new_state(problem, 0), Stopwatch(times, device))


def make_problem(gan: Gan, config: FitConfig) -> Problem:
    """A picture of the generator's own, with a disc for its mask: timings do not depend on what is to be seen."""
    size, device = gan.info.resolution, gan.device
    z = torch.randn(1, gan.info.z_dim, generator=torch.Generator().manual_seed(1)).to(device)
    with torch.no_grad():
        w = gan.w_from_z(z, psi=0.7)
        photo = (gan.image_from_w(w) / 2 + 0.5).clamp(0, 1).contiguous()
    ticks = torch.linspace(-1, 1, size, device=device)
    mask = (ticks[:, None] ** 2 + ticks[None] ** 2 < 0.7).to(photo.dtype)[None, None]
    depth_range = DepthRange()
    return Problem(
        photo=photo,
        mask=mask,
        latent=w.contiguous(),
        prior=prior_depth("ellipsoid", mask, depth_range, "heads"),
        gan=gan,
        perceptual=make_perceptual(config.loss.perceptual, gan, device),
        scenes=find_distribution("heads"),
        camera=Camera(size),
        depth_range=depth_range,
        config=config,
    )


def find_gan(size: int, device: torch.device) -> Gan:
    """The built-in generator at 64 px; at other sizes one of the same widths with random weights."""
    if size == 64:
        return load_gan("heads", device)
    sizes = [2**i for i in range(2, max(3, size.bit_length()))]
    if sizes[-1] != size:
        raise InputError(f"A generator's size is a power of two, not {size}.")
    widths = [*WIDTHS, *[256] * len(sizes)]
    channels = dict(zip(reversed(sizes), widths, strict=False))
    spec = StyleGan2Spec(size, channels, z_dim=256, w_dim=256)
    rng = torch.Generator().manual_seed(0)
    generator, discriminator = Generator(spec), Discriminator(spec)
    for net in (generator, discriminator):
        initialise(net, rng)
    info = GanInfo("random", "stylegan2", size, 256, 256, spec.num_ws, spec.num_mapping_layers, "MIT", "", "heads")
    return Gan(generator, discriminator, info, device)


def machine(device: str) -> dict[str, Any]:
    """What the timings were taken on."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
    except OSError:
        pass
    found: dict[str, Any] = {"cpu": model, "cores": os.cpu_count(), "threads": torch.get_num_threads()}
    if torch.device(device).type == "cuda":
        found["gpu"] = torch.cuda.get_device_name(device)
    return found
