"""When the numbers of a fit go wrong: seen early, set right where possible, explained otherwise.

A bad step is left out, once. Where the weights themselves are damaged, the shape has collapsed, or trouble comes again,
the networks go back to where the phase began, once. Each time the rate falls to a tenth. What it takes is part of the
saved state, so that a resumed fit ends bit for bit where it would have.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Adam

from bozzetto.errors import FitError
from bozzetto.method.canonical_mask import canonical_mask
from bozzetto.method.problem import Problem, predict_depth, predict_view
from bozzetto.nets.networks import Networks
from bozzetto.types import BORDER_COLUMNS, DepthRange

LOWER_RATE = 0.1  # of the rate, each time that trouble is met
AT_END = 0.005  # of the depth range's width: nearer to an end is at the end
COLLAPSED = 0.98  # share of the object at one end that is no shape any more
LOOKED_AT = 16  # photos at most that are looked at for a collapse
ADVICE = "try a lower --lr, another --seed or --precision fp32"
SHAPE_ADVICE = "try another --seed, another --prior or a lower --lr"

_log = logging.getLogger("bozzetto")


@runtime_checkable
class Guarded(Protocol):
    """The state of a fit, as far as it is needed to go back."""

    nets: Networks
    iteration: int
    rate: float  # times the learning rate
    went_back: bool
    start: dict[str, Tensor]  # weights that the phase trains, as it began

    def forget(self, kind: str) -> None:
        """Drop Adam's moments of a kind of phase."""
        ...


def remember(state: Guarded, trained: Iterable[str]) -> None:
    """Keep the weights that a phase is about to move; nothing where it has begun and they are kept already."""
    names = set(trained)
    if not names:
        state.start = {}
    elif state.iteration == 0 or not state.start:
        whole = state.nets.state()
        state.start = {name: value.detach().clone() for name, value in whole.items() if name.split(".")[0] in names}


def find_trouble(terms: Mapping[str, Tensor], parameters: Sequence[nn.Parameter]) -> str | None:
    """What is not finite, a loss or its gradient, in words; None where all is well. Changes nothing."""
    for name, value in terms.items():
        if not math.isfinite(float(value.detach())):
            return f"The loss '{name}' became {float(value.detach())}"
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not gradients or bool(torch.stack([gradient.norm() for gradient in gradients]).isfinite().all()):
        return None
    # A sum of finite squares may overflow, so they are looked at one by one. Adam keeps the squares: one that is
    # infinite would stop its weight for good.
    if not all(bool(gradient.isfinite().all()) for gradient in gradients):
        return "A gradient became infinite or undefined"
    whole = all(bool(gradient.square().isfinite().all()) for gradient in gradients)
    return None if whole else "A gradient became too large"


def find_damage(parameters: Sequence[nn.Parameter], optimiser: Adam | None) -> str | None:
    """Weights or Adam's moments that are not finite, in words; None where all is well."""
    if not _are_finite(parameters):
        return "A weight became infinite or undefined"
    moments = [] if optimiser is None else [value for one in optimiser.state.values() for value in one.values()]
    return None if _are_finite(moments) else "The optimiser's moments became infinite or undefined"


def _are_finite(tensors: Iterable[Tensor]) -> bool:
    return all(bool(tensor.detach().isfinite().all()) for tensor in tensors)


@torch.no_grad()
def find_collapse(nets: Networks, problem: Problem) -> str | None:
    """The depths of all photos at one end of the range, in words; None where any is a shape."""
    some = problem.take(torch.arange(min(LOOKED_AT, len(problem.photo))))
    depth = predict_depth(nets, some.photo, some)
    mask = canonical_mask(some.mask, depth, predict_view(nets, some.photo, some), some.camera)
    found = [collapse(*one, some.depth_range) for one in zip(depth, mask, strict=True)]
    return found[0] if all(found) else None


def recover(
    state: Guarded,
    trouble: str,
    kind: str,
    title: str,
    parameters: Sequence[nn.Parameter],
    at_end: bool = False,
    advice: str = ADVICE,
) -> bool:
    """Set right what can be: leave the step out and lower the rate, or go back to where the phase began.

    Args:
        trouble: what is wrong, in words.
        kind, title: of the phase.
        parameters: that the phase trains.
        at_end: it is what the phase ends with that is wrong; leaving out a step does not mend that.
        advice: what to try where nothing is left.

    Returns:
        Whether the state is back at the phase's beginning.

    Raises:
        FitError: both were done before.
    """
    where = f"{trouble} in {title}, iteration {state.iteration + (not at_end)}"
    if state.went_back:
        raise FitError(f"{where}, and again with {_share(state.rate)} of the rate; {advice}.")
    back = at_end or state.rate < 1 or not _are_finite(parameters)
    state.rate *= LOWER_RATE
    state.forget(kind)
    goes_on = f"the fit goes on with {_share(state.rate)} of the rate"
    if not back:
        _log.warning("%s; the step is not taken, and %s.", where, goes_on)
        return False
    state.nets.load_state(state.nets.state() | state.start)
    state.iteration, state.went_back = 0, True
    _log.warning("%s; the networks go back to where %s began, and %s.", where, title, goes_on)
    return True


def _share(rate: float) -> str:
    return "a tenth" if rate > LOWER_RATE**2 * 2 else "a hundredth"


def collapse(depth: Float[Tensor, "1 s s"], mask: Float[Tensor, "1 s s"], limits: DepthRange) -> str | None:
    """A depth that is all but everywhere on the object at one end of its range, in words; None for a shape."""
    shown = slice(BORDER_COLUMNS, -BORDER_COLUMNS)  # the outer columns have a depth of their own (nets/heads.py)
    inside = depth[..., shown][mask[..., shown] > 0.5]
    for name, end in (("near", limits.near), ("far", limits.far)):
        share = float(((inside - end).abs() < AT_END * (limits.far - limits.near)).float().mean()) if len(inside) else 0
        if share > COLLAPSED:
            return (
                f"The shape has collapsed: {100 * share:.0f} % of the object lies at the {name} end of the depth range "
                f"({end:g})"
            )
    return None


def check_shape(depth: Float[Tensor, "1 s s"], mask: Float[Tensor, "1 s s"], limits: DepthRange) -> None:
    """Refuse a depth that has collapsed.

    Raises:
        FitError: it has; or it is not finite.
    """
    if not bool(depth.isfinite().all()):
        raise FitError(f"The depth is not finite at the end of the fit; {ADVICE}.")
    found = collapse(depth, mask, limits)
    if found:
        raise FitError(f"{found}; {SHAPE_ADVICE}.")
