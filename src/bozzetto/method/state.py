"""Everything a fit is between two iterations, as tensors: what it takes to go on bit for bit where it stopped."""

from __future__ import annotations

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

    def tensors(self) -> dict[str, Tensor]:
        """The whole state under flat names, for a file without code (safetensors). Training on does not change it."""
        out = {f"nets.{key}": _copy(t) for key, t in self.nets.state().items()}
        out["rng"] = self.generator.get_state()
        out["position"] = torch.tensor([self.phase, self.iteration, len(self.collected)])
        for i, batch in enumerate(self.collected):
            out[f"collected.{i}"] = batch.cpu().contiguous()
        if self.optimiser is not None:
            for i, moments in self.optimiser.state_dict()["state"].items():
                for key, value in moments.items():
                    out[f"adam.{i}.{key}"] = _copy(torch.as_tensor(value))
        return out

    def restore(self, tensors: dict[str, Tensor], moves: tuple[str, ...], optim: OptimConfig, fused: bool) -> None:
        """Inverse of `tensors`. `moves` names the networks of the phase the state stopped in."""
        self.nets.load_state({k[5:]: v for k, v in tensors.items() if k.startswith("nets.")})
        self.generator.set_state(tensors["rng"])
        self.phase, self.iteration, kept = (int(v) for v in tensors["position"])
        self.collected = [tensors[f"collected.{i}"] for i in range(kept)]
        adam = {k: v for k, v in tensors.items() if k.startswith("adam.")}
        self.optimiser = None
        if adam:
            self.optimiser = make_optimiser(self.nets.parameters(moves), optim, optim.lr, fused)
            for i, parameter in enumerate(self.nets.parameters(moves)):
                self.optimiser.state[parameter] = {
                    # Where Adam itself keeps it: the fused one beside the parameter, the other on the CPU.
                    "step": adam[f"adam.{i}.step"].to(parameter.device if fused else "cpu"),
                    "exp_avg": _like(adam[f"adam.{i}.exp_avg"], parameter),
                    "exp_avg_sq": _like(adam[f"adam.{i}.exp_avg_sq"], parameter),
                }


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
