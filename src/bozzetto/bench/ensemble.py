"""Whether photos' own networks are faster as one batched program than one after another.

Every photo has networks of its own. Apart, each is called by itself; together, their weights are stacked and one call
serves all (`torch.func.vmap`, which makes grouped convolutions of it). Both sides take turns; medians count, the first
turn of each is left out.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from bozzetto.bench.gan_speed import timed
from bozzetto.bench.steps import machine
from bozzetto.devices import find_device
from bozzetto.errors import InputError
from bozzetto.nets.networks import Networks, make_networks
from bozzetto.results.provenance import versions

NAMES = ("view", "light", "depth", "albedo")  # V, L, D, A; E is the same for all sizes of a fit


@dataclass(frozen=True)
class EnsembleConfig:
    """What to time."""

    size: int = 64  # pixels
    photos: int = 8  # each with networks of its own
    batch: int = 4  # pictures a photo in one call, as Np of a step
    width: float = 0.5  # of the networks against the papers' tables, as in `quick`
    repeats: int = 7  # turns of each side, one more is not counted
    device: str = "cpu"


def apart(nets: Sequence[nn.Module], images: Float[Tensor, "p b 3 s s"]) -> list[tuple[Tensor, list[Tensor]]]:
    """Each photo's output and the gradients of its mean square to its own weights, one network after another."""
    out = []
    for net, image in zip(nets, images, strict=True):
        found = net(image)
        out.append((found.detach(), list(torch.autograd.grad(found.square().mean(), list(net.parameters())))))
    return out


def together(nets: Sequence[nn.Module], images: Float[Tensor, "p b 3 s s"]) -> tuple[Tensor, list[Tensor]]:
    """The same of all photos at once, the first dimension being theirs."""
    weights, buffers = stack_module_state(list(nets))  # type: ignore[arg-type]
    return Together(nets[0], weights, buffers)(images)


class Together:
    """Networks of one shape whose weights are stacked."""

    def __init__(self, one: nn.Module, weights: dict[str, Tensor], buffers: dict[str, Tensor]) -> None:
        # vmap cannot ask whether a tensor is channels-last, so these are not.
        self.weights = {name: w.detach().contiguous().requires_grad_() for name, w in weights.items()}
        bare = deepcopy(one).to("meta")

        def call(weights: dict[str, Tensor], buffers: dict[str, Tensor], image: Tensor) -> Tensor:
            return functional_call(bare, (weights, buffers), (image,))

        self._call = vmap(call)
        self._buffers = buffers

    def __call__(self, images: Float[Tensor, "p b 3 s s"]) -> tuple[Tensor, list[Tensor]]:
        found = self._call(self.weights, self._buffers, images)
        each = found.square().flatten(1).mean(1)  # no photo's gradient hears of another's
        return found.detach(), list(torch.autograd.grad(each.sum(), list(self.weights.values())))


def time_ensemble(config: EnsembleConfig, on_turn: Callable[[int], None] | None = None) -> dict[str, Any]:
    """Time forward and backward of each of the networks, apart and together.

    Returns:
        rows: network, ms_apart, ms_together and ratio, above 1 where together is faster; and the same of all four.

    Raises:
        InputError: an impossible size or count.
    """
    if min(config.photos, config.batch, config.repeats) < 1:
        raise InputError("Timing takes a photo, a batch and a repeat of 1 at least.")
    device = find_device(config.device)
    rng = torch.Generator().manual_seed(0)
    fits: list[Networks] = [make_networks(config.size, 16, rng, device, config.width) for _ in range(config.photos)]
    shape = (config.photos, config.batch, 3, config.size, config.size)
    images = (torch.rand(shape, generator=rng) * 2 - 1).to(device)
    sides: dict[str, dict[str, Callable[[], object]]] = {}
    for name in NAMES:
        nets = [getattr(fit, name) for fit in fits]
        stacked = Together(nets[0], *stack_module_state(nets))
        sides[name] = {
            "apart": lambda nets=nets: apart(nets, images),  # type: ignore[misc]
            "together": lambda stacked=stacked: stacked(images),  # type: ignore[misc]
        }
    times: dict[tuple[str, str], list[float]] = {}
    for turn in range(config.repeats + 1):
        for name, works in sides.items():
            for side, work in works.items():
                seconds = timed(work, device)
                if turn > 0:
                    times.setdefault((name, side), []).append(1000 * seconds)
        if on_turn is not None:
            on_turn(turn + 1)
    rows = [
        _row(name, {side: statistics.median(times[name, side]) for side in ("apart", "together")}) for name in NAMES
    ]
    whole = {side: sum(row[f"ms_{side}"] for row in rows) for side in ("apart", "together")}
    return {
        "rows": [*rows, _row("all", whole)],
        "machine": machine(config.device),
        "versions": versions(),
        "settings": asdict(config),
    }


def _row(name: str, ms: dict[str, float]) -> dict[str, Any]:
    return {
        "network": name,
        "ms_apart": round(ms["apart"], 2),
        "ms_together": round(ms["together"], 2),
        "ratio": round(ms["apart"] / ms["together"], 2),
    }
