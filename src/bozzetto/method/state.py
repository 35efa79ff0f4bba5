"""Everything a fit is between two iterations, as tensors: what it takes to go on bit for bit where it stopped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.optim import Adam

from bozzetto.config import OptimConfig
from bozzetto.nets.networks import Networks


@dataclass
class FitState:
    """Moves through the schedule. `phase` and `iteration` say what comes next."""

    nets: Networks
    generator: torch.Generator
    phase: int = 0
    iteration: int = 0
    optimiser: Adam | None = None
    collected: list[Tensor] = field(default_factory=list)  # each [b * Np, 3, S, S], [0, 1]
    rate: float = 1.0  # times the learning rate; lower after trouble (method/guard.py)
    went_back: bool = False  # to where a phase began
    start: dict[str, Tensor] = field(default_factory=dict)  # weights that the phase trains, as it began

    def tensors(self, copy: bool = True) -> dict[str, Tensor]:
        """The whole state under flat names, for a file without code (safetensors).

        copy: so that training on does not change it; without, it is to be written at once.
        """
        own = _copy if copy else torch.Tensor.detach
        out = {f"nets.{key}": own(t) for key, t in self.nets.state().items()}
        out["rng"] = self.generator.get_state()
        out["position"] = torch.tensor([self.phase, self.iteration, len(self.collected)])
        for i, batch in enumerate(self.collected):
            out[f"collected.{i}"] = batch.cpu().contiguous()  # never changed
        out |= guard_tensors(self.rate, self.went_back, self.start)
        if self.optimiser is not None:
            out |= adam_tensors(self.optimiser, "adam.", copy)
        return out

    def restore(self, tensors: dict[str, Tensor], moves: tuple[str, ...], optim: OptimConfig, fused: bool) -> None:
        """Inverse of `tensors`. `moves` names the networks of the phase the state stopped in."""
        self.nets.load_state({k[5:]: v for k, v in tensors.items() if k.startswith("nets.")})
        self.generator.set_state(tensors["rng"])
        self.phase, self.iteration, kept = (int(v) for v in tensors["position"])
        self.collected = [tensors[f"collected.{i}"] for i in range(kept)]
        self.rate, self.went_back, self.start = guard_from(tensors, next(self.nets.depth.parameters()).device)
        self.optimiser = None
        if any(name.startswith("adam.") for name in tensors):
            self.optimiser = make_optimiser(self.nets.parameters(moves), optim, optim.lr, fused)
            restore_adam(self.optimiser, tensors, "adam.")

    def forget(self, kind: str) -> None:
        """Drop Adam's moments."""
        self.optimiser = None


def guard_tensors(rate: float, went_back: bool, start: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What it takes to go back to where a phase began, under flat names; nothing of what was never needed."""
    out = {f"start.{name}": _copy(value) for name, value in start.items()}
    if rate != 1:
        out["rate"] = torch.tensor(rate, dtype=torch.float64)
    if went_back:
        out["went_back"] = torch.ones(1)
    return out


def guard_from(tensors: Mapping[str, Tensor], device: torch.device) -> tuple[float, bool, dict[str, Tensor]]:
    """Inverse of `guard_tensors`."""
    start = {name[6:]: value.to(device) for name, value in tensors.items() if name.startswith("start.")}
    return float(tensors["rate"]) if "rate" in tensors else 1.0, "went_back" in tensors, start


def _copy(value: Tensor) -> Tensor:
    """A contiguous copy on the CPU, also where the value is both already."""
    return torch.empty(value.shape, dtype=value.dtype).copy_(value.detach())


def _like(value: Tensor, parameter: Tensor) -> Tensor:
    """The value with the parameter's device and memory layout."""
    return torch.empty_like(parameter).copy_(value)


def make_optimiser(parameters: list[nn.Parameter], optim: OptimConfig, lr: float, fused: bool) -> Adam:
    """Adam with the papers' betas and weight decay. Fused: one pass over memory instead of ten."""
    return Adam(
        parameters, lr=lr, betas=(optim.beta1, optim.beta2), weight_decay=optim.weight_decay, fused=fused, foreach=False
    )


def adam_tensors(optimiser: Adam, prefix: str, copy: bool = True) -> dict[str, Tensor]:
    """The moments under `<prefix><number of the parameter>.<name>`, as copies or as they are."""
    state = optimiser.state_dict()["state"]
    own = _copy if copy else torch.Tensor.detach
    return {
        f"{prefix}{i}.{key}": own(torch.as_tensor(value))
        for i, moments in state.items()
        for key, value in moments.items()
    }


def restore_adam(optimiser: Adam, tensors: dict[str, Tensor], prefix: str) -> None:
    """Inverse of `adam_tensors`."""
    for group in optimiser.param_groups:
        for i, parameter in enumerate(group["params"]):
            optimiser.state[parameter] = {
                # Where Adam itself keeps it: the fused one beside the parameter, the other on the CPU.
                "step": tensors[f"{prefix}{i}.step"].to(parameter.device if group["fused"] else "cpu"),
                "exp_avg": _like(tensors[f"{prefix}{i}.exp_avg"], parameter),
                "exp_avg_sq": _like(tensors[f"{prefix}{i}.exp_avg_sq"], parameter),
            }
