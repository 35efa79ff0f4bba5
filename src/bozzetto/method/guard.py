"""When the numbers of a fit go wrong: seen before they reach the networks, set right once, explained otherwise."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bozzetto.errors import FitError
from bozzetto.method.schedule import Phase
from bozzetto.method.state import FitState
from bozzetto.types import DepthRange

LOWER_RATE = 0.1  # of the rate, after a step that was not taken
AT_END = 0.005  # of the depth range's width: nearer to an end is at the end
COLLAPSED = 0.98  # share of the object at one end that is no shape any more
ADVICE = "try a lower --lr, another --seed or --precision fp32"

_log = logging.getLogger("bozzetto")


def find_trouble(terms: Mapping[str, Tensor], parameters: Sequence[nn.Parameter]) -> str | None:
    """What is not finite, a loss or its gradient, in words; None where all is well. Changes nothing."""
    for name, value in terms.items():
        if not math.isfinite(float(value.detach())):
            return f"The loss '{name}' became {float(value.detach())}"
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not gradients or bool(torch.stack([gradient.sum() for gradient in gradients]).isfinite().all()):
        return None
    # A sum of finite numbers may overflow, so they are looked at one by one.
    whole = all(bool(gradient.isfinite().all()) for gradient in gradients)
    return None if whole else "A gradient became infinite or undefined"


def step_back(state: FitState, trouble: str, phase: Phase) -> None:
    """Leave the networks as they were before the bad step, forget Adam's moments and lower the rate, once in a fit.

    Raises:
        FitError: it is the second time.
    """
    where = f"{trouble} in {phase.title}, iteration {state.iteration + 1}"
    if state.rate < 1:
        raise FitError(f"{where}, and again with a tenth of the rate; {ADVICE}.")
    state.rate, state.optimiser = LOWER_RATE, None
    _log.warning("%s; the step is not taken, and the fit goes on with a tenth of the rate.", where)


def check_shape(depth: Float[Tensor, "1 s s"], mask: Float[Tensor, "1 s s"], limits: DepthRange) -> None:
    """Refuse a depth that has collapsed: all but everywhere on the object at one end of its range.

    Raises:
        FitError: it has; or it is not finite.
    """
    inside = depth[mask > 0.5]
    if not bool(depth.isfinite().all()):
        raise FitError(f"The depth is not finite at the end of the fit; {ADVICE}.")
    for name, end in (("near", limits.near), ("far", limits.far)):
        share = float(((inside - end).abs() < AT_END * (limits.far - limits.near)).float().mean()) if len(inside) else 0
        if share > COLLAPSED:
            raise FitError(
                f"The shape has collapsed: {100 * share:.0f} % of the object lies at the {name} end of the depth range "
                f"({end:g}); try another --seed, another --prior or a lower --lr."
            )
