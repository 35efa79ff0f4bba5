"""How much memory a reconstruction takes at its peak, part by part, before it begins.

What is kept of an iteration for its gradients is not guessed: the networks' own code runs on tensors without content
(torch's device "meta"), and every storage that autograd keeps is counted. Weights, moments, samples and the copies on
their way to the disk follow from shapes. What is left (the program itself, what a convolution works with, what the
allocator does not give back) are the constants below; `bozzetto bench memory` sets them beside measured peaks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.func import functional_call

from bozzetto.config import ComputeConfig, FitConfig, PerceptualName
from bozzetto.errors import InputError
from bozzetto.gan.frozen import DTYPES, FrozenDiscriminator
from bozzetto.gan.generator import Gan
from bozzetto.ingredients import Plan, inverted_at_once, started_at_once
from bozzetto.losses.discriminator import BLOCKS
from bozzetto.losses.vgg16 import HalvingPool, Vgg16
from bozzetto.method.instance import moves_of
from bozzetto.method.schedule import Phase, phases
from bozzetto.method.through_gan import CHUNK as THROUGH_GAN
from bozzetto.nets.autoencoder import Autoencoder
from bozzetto.nets.encoder import Encoder
from bozzetto.nets.offset_encoder import OffsetEncoder
from bozzetto.precision import Precision, resolve
from bozzetto.priors.registry import find_prior

MB = 10**6
PROGRAM = 640 * MB  # Python, torch, the compiled rasteriser and its compiler, the library of convolutions
WORKING = 1.5  # times what is kept for gradients: gradients on their way, and what convolutions work with
TO_SPARE = 1.05  # times the prediction is what a limit has to allow
SAVED = 1.1  # copies of what is on its way to the disk
RENDERED = 300  # bytes a pixel of a rendered sample: rays, triangles, sampling grid, colours
DRAWN = 3000  # bytes a pixel of a result's pictures, sheet and mesh


# ---------------------------------------------------------------- what a network keeps


@dataclass(frozen=True)
class Cost:
    """Bytes of a network: its weights, what it keeps of a picture for the gradients, its largest tensor of one."""

    weights: int = 0
    each: int = 0
    largest: int = 0
    outputs: int = 0  # what it puts out for one, in float32


class Kept(NamedTuple):
    """Bytes of all storages that autograd keeps, of the largest, and what came out."""

    total: int
    largest: int
    out: Any


def kept_for_gradients(run: Callable[[], Any], weights: Iterable[Tensor]) -> Kept:
    """What autograd keeps while `run` runs; weights are not counted."""
    kept: dict[int, tuple[int, Tensor]] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = (storage.nbytes(), tensor)  # held, so that no other storage takes its place
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        out = run()
    for tensor in weights:
        kept.pop(tensor.untyped_storage()._cdata, None)
    sizes = [size for size, _ in kept.values()]
    return Kept(sum(sizes), max(sizes, default=0), out)


def cost_of(net: nn.Module, inputs: Callable[[int], tuple[Any, ...]]) -> Cost:
    """What a network costs; inputs: its arguments for so many pictures, on "meta"."""
    named = list(chain(net.named_parameters(), net.named_buffers()))
    empty = {
        name: torch.empty_like(tensor, device="meta").requires_grad_(tensor.requires_grad) for name, tensor in named
    }
    one, two = (
        kept_for_gradients(partial(functional_call, net, empty, inputs(count)), empty.values()) for count in (1, 2)
    )
    outputs = one.out if isinstance(one.out, list) else [one.out]
    return Cost(
        weights=sum(tensor.nbytes for _, tensor in named),
        each=two.total - one.total,
        largest=two.largest // 2,
        outputs=sum(4 * tensor.numel() for tensor in outputs),
    )


class _Features(nn.Module):
    """A discriminator's first blocks as a module's forward."""

    def __init__(self, net: FrozenDiscriminator, count: int) -> None:
        super().__init__()
        self.net, self.count = net, count

    def forward(self, image: Tensor) -> list[Tensor]:
        return self.net.features(image, self.count)


def _picture(size: int, channels: int = 3, dtype: torch.dtype = torch.float32) -> Callable[[int], tuple[Tensor]]:
    return lambda count: (
        torch.empty(count, channels, size, size, device="meta", dtype=dtype)
        .contiguous(memory_format=torch.channels_last)
        .requires_grad_(),
    )


def synthesis_cost(gan: Gan, precision: Precision) -> Cost:
    """Pictures of latents that take a gradient."""
    noises = [noise.to("meta") for noise in gan.generator.synthesis.noises()]
    shape = gan.info.num_ws, gan.info.w_dim
    return cost_of(
        gan.modules(precision)[0],
        lambda count: (torch.empty(count, *shape, device="meta", requires_grad=True), noises or None),
    )


def features_cost(gan: Gan, blocks: int, precision: Precision) -> Cost:
    """Features of the discriminator's first blocks, of pictures that take a gradient."""
    net = gan.modules(precision)[1]
    if net is None or blocks == 0:
        return Cost()
    return cost_of(_Features(net, min(blocks, len(net.conv1))), _picture(gan.info.resolution))


def distance_cost(name: PerceptualName, gan: Gan) -> Cost:
    """A perceptual distance of the method or the inversion."""
    if name == "none":
        return Cost()
    if name == "discriminator":
        return replace(features_cost(gan, BLOCKS, gan.precision), weights=0)  # the generator's weights have it
    with torch.device("meta"):  # the other trunk's poolings are filters: nearly the same
        trunk = Vgg16([HalvingPool() for _ in range(4)])
    dtype = DTYPES[gan.precision]
    found = cost_of(trunk.requires_grad_(False).to(dtype), _picture(gan.info.resolution, dtype=dtype))
    return replace(found, weights=sum(p.numel() * 4 for p in trunk.parameters()), each=2 * found.each)


def network_costs(size: int, w_dim: int, config: FitConfig, device: torch.device | str) -> dict[str, Cost]:
    """V, L, D, A and E."""
    dtype, width = DTYPES[resolve(config.compute.precision, device)], config.nets.width
    with torch.device("meta"):
        nets: dict[str, nn.Module] = {
            "view": Encoder(size, 6, width=width),
            "light": Encoder(size, 4, width=width),
            "depth": Autoencoder(size, 1, width=width),
            "albedo": Autoencoder(size, 3, nn.Tanh(), width),
            "offset": OffsetEncoder(size, w_dim),
        }
    found = {}
    for name, net in nets.items():
        weights = sum(parameter.numel() * 4 for parameter in net.parameters())
        found[name] = replace(cost_of(net.to(dtype), _picture(size, dtype=dtype)), weights=weights)
    return found


# ---------------------------------------------------------------- what a run keeps


@dataclass(frozen=True)
class Peak:
    """Bytes by name, in one phase."""

    phase: str
    parts: dict[str, float]

    @property
    def total(self) -> float:
        return sum(self.parts.values())


def _peak(phase: str, parts: Mapping[str, float | int]) -> Peak:
    return Peak(phase, {name: float(size) for name, size in parts.items()})


class Forecast:
    """The peaks of a planned run under any settings of `compute`; what networks cost is counted once."""

    def __init__(self, job: Plan) -> None:
        gan, config = job.gan, job.config
        self.job, self.size = job, gan.info.resolution
        self.pixels = self.size**2
        precise = gan.precision
        self.synthesis = synthesis_cost(gan, precise)
        self.compared = features_cost(gan, config.loss.feature_blocks, precise)
        self.inverted = features_cost(gan, job.inversion.feature_blocks, precise)
        self.distance = distance_cost(config.loss.perceptual, gan)
        self.inversion_distance = Cost()
        if job.inversion.perceptual != "discriminator":
            self.inversion_distance = distance_cost(job.inversion.perceptual, gan)
            self.inverted = Cost()
        self.nets = network_costs(self.size, gan.info.w_dim, config, gan.device)
        self.weights = sum(net.weights for net in self.nets.values())
        self.turned = config.turn.use and job.general is None and find_prior(config.prior.shape).has_shape
        self.rows = phases(config, job.general is None and find_prior(config.prior.shape).has_shape)

    def peak(self, compute: ComputeConfig | None = None) -> Peak:
        """The phase that takes most."""
        return max(self.peaks(compute or self.job.config.compute), key=lambda peak: peak.total)

    def peaks(self, compute: ComputeConfig) -> Iterator[Peak]:
        """Every phase's peak, in order."""
        always = self._always()
        if not self.job.is_preview:
            yield _peak("inversion", {**always, "activations": self._inversion(compute)})
        if self.turned:
            steps = self.job.config.turn.pictures
            yield _peak("turn", {**always, "renderer": steps * self._rendered()})
        collected = 0
        for row in self.rows:
            if row.samples == 0:
                collected = 0
            if row.kind == "collect":
                collected = row.iterations * row.samples
            trained = sum(self.nets[name].weights for name in moves_of(self.job.config, self.turned, row.kind))
            samples = collected * self.pixels * 3 * 4
            activations, rendered, kept = self._iteration(row, compute, collected)
            # Of what a phase trains the state also holds the weights that the phase began with (method/guard.py).
            saving = 0.0 if self._on_card else SAVED * (self.weights + 3 * trained + samples)
            copies = 2 if row.kind == "factorise" else 1
            parts = {
                **always,
                "networks": self.weights + 4 * trained,
                "samples": kept + (0 if self._on_card else copies * samples),
            }
            # Added up: on a CPU the allocator keeps what an iteration gave back when the state is written.
            yield _peak(row.title, {**parts, "activations": activations, "renderer": rendered, "saving": saving})
        writing = 0.0 if self._on_card else SAVED * self.weights + DRAWN * self.pixels
        pictures = min(THROUGH_GAN, compute.chunk or THROUGH_GAN)
        through = WORKING * pictures * (self.synthesis.each + self.inverted.each)
        name, most_at_end = max(("saving", writing), ("activations", through), key=lambda pair: pair[1])
        yield _peak("result", {**always, "networks": self.weights, name: most_at_end})

    @property
    def _on_card(self) -> bool:
        """Whether it is the memory of a graphics card that counts."""
        return self.job.gan.device.type == "cuda"

    def _always(self) -> dict[str, float]:
        """The program, and what is loaded before the first phase and stays."""
        gan, general = self.job.gan, self.job.general
        nets = [gan.generator, *gan.modules(gan.precision), *gan.modules("fp32")[:1], gan.discriminator]
        tensors = {id(t): t.nbytes for net in nets if net is not None for t in chain(net.parameters(), net.buffers())}
        loaded = 0 if general is None else sum(t.nbytes for t in general.networks.state().values())
        found = {"generator": sum(tensors.values()), "distances": self.distance.weights, "general model": loaded}
        found["distances"] += self.inversion_distance.weights
        program = {} if self._on_card else {"program": float(PROGRAM)}
        return {**program, **{name: float(size) for name, size in found.items() if size}}

    def _rendered(self) -> int:
        return RENDERED * self.pixels

    def _inversion(self, compute: ComputeConfig) -> float:
        photos = int(self.job.latent is None) + int(self.job.config.turn.use)
        each = self.synthesis.each + self.inverted.each + self.inversion_distance.each
        start = started_at_once(compute, self.size) * self.synthesis.largest * 4
        return max(WORKING * inverted_at_once(compute, photos) * each, float(start))

    def _iteration(self, row: Phase, compute: ComputeConfig, collected: int) -> tuple[float, float, float]:
        """Bytes of one iteration's activations and of its renderings; and of features kept for the phase."""
        nets, config = self.nets, self.job.config
        chunked = 0 < compute.chunk < row.samples
        count = compute.chunk if chunked else row.samples
        branches = 2 if row.mirror else 1
        seen = nets["view"].each + nets["light"].each  # of V and L, a picture
        turned = seen * config.turn.pictures if self.turned else 0
        photo = nets["albedo"].each + branches * self.distance.each
        if row.kind == "prior":
            return WORKING * (nets["depth"].each + nets["albedo"].each + turned), 0.0, 0.0
        if row.kind == "albedo":
            return WORKING * photo, float(branches * self._rendered()), 0.0
        if row.kind == "collect":
            return 4.0 * count * self.synthesis.largest, float(count * self._rendered()), 0.0
        if row.kind == "project":
            each = nets["offset"].each + self.synthesis.each + self.compared.each
            each += seen if config.project.teach else 0
            once = nets["offset"].each + (0 if chunked else turned)
            return WORKING * max(count * each + once, turned), float(count * self._rendered()), 0.0
        each = seen + branches * self.distance.each
        once = nets["depth"].each + photo + seen + turned
        sampled = count * each + nets["depth"].each + nets["albedo"].each
        pool = collected * self.distance.outputs
        pool = pool if compute.reuse and pool <= compute.keep_mb * 2**20 else 0
        activations = max(once, sampled) if chunked else once + count * each
        return WORKING * activations, float((count + 1) * branches * self._rendered()), float(pool)


# ---------------------------------------------------------------- keeping to a limit


def settings_within(most: int) -> Iterator[tuple[int | None, int]]:
    """What to try, gentlest first: (megabytes of features kept, samples at once); None and 0 as it was."""
    yield None, 0
    yield 0, 0
    chunk = most // 2
    while chunk >= 1:
        yield 0, chunk
        chunk //= 2


def fitted(job: Plan, limit: float) -> Plan:
    """The plan with as small chunks as it takes to keep its peak within `limit` bytes, with a little to spare.

    Raises:
        InputError: the smallest chunks take more.
    """
    forecast, least = Forecast(job), None
    # Where no samples are drawn it is the inversion and the pictures through the GAN that come in smaller parts.
    most = max((row.samples or THROUGH_GAN for row in forecast.rows), default=1)
    for keep_mb, chunk in settings_within(most):
        compute = job.config.compute
        compute = replace(compute, keep_mb=compute.keep_mb if keep_mb is None else min(keep_mb, compute.keep_mb))
        compute = replace(compute, chunk=chunk if compute.chunk == 0 else min(chunk or compute.chunk, compute.chunk))
        peak = forecast.peak(compute)
        if peak.total * TO_SPARE <= limit:
            return replace(job, config=replace(job.config, compute=compute))
        if least is None or peak.total < least.total:
            least = peak
    assert least is not None
    needed = gigabytes(least.total * TO_SPARE)
    raise InputError(
        f"About {needed} of memory are needed at least (in {least.phase}; {largest_part(least)}), more "
        f"than the {gigabytes(limit)} of --max-memory; allow more, or choose a smaller generator or thinner networks."
    )


def parse_memory(text: str) -> float:
    """Bytes of "2G", "1500M", "1.5GiB". Raises InputError for anything else."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([MGT])(i?)B?\s*", text, re.IGNORECASE)
    if found is None or float(found[1]) == 0:
        raise InputError(f"--max-memory cannot be {text!r}; give a size such as 2G, 1500M or 1.5GiB.")
    power = {"M": 2, "G": 3, "T": 4}[found[2].upper()]
    return float(found[1]) * (1024 if found[3] else 1000) ** power


def gigabytes(size: float) -> str:
    """1.24 GB."""
    return f"{size / 1e9:.2f} GB"


def largest_part(peak: Peak) -> str:
    name, size = max(peak.parts.items(), key=lambda part: part[1])
    return f"{name} {gigabytes(size)}"
