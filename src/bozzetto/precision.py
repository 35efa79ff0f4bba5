"""Which numbers convolutions compute with: float32, or bfloat16 where the machine multiplies it in hardware."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

Precision = Literal["fp32", "bf16"]
PrecisionChoice = Literal["auto", "fp32", "bf16"]


def resolve(choice: PrecisionChoice, device: torch.device | str) -> Precision:
    """What a choice comes to on a device; "auto" is bf16 where that is faster than fp32, and fp32 elsewhere.

    It asks for instructions and not for a clock, so the answer on one machine is always the same.
    """
    if choice != "auto":
        return choice
    return "bf16" if has_fast_bf16(str(device)) else "fp32"


@cache
def has_fast_bf16(device: str) -> bool:
    """Whether a device by name ("cpu", "cuda:1") multiplies bfloat16 in hardware.

    A CPU without it converts every number on the way in and out: with AVX2 alone a convolution in bfloat16 takes more
    than ten times as long as one in float32 (docs/log.md). torch has the CPU's instructions under private names only,
    so a version without them counts as a CPU without the instructions.
    """
    import torch

    if device.startswith("cuda"):
        # From Ampere on; older cards emulate it.
        return torch.cuda.is_available() and torch.cuda.get_device_capability(device)[0] >= 8
    asked = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return device == "cpu" and any(bool(ask()) for ask in asked if ask is not None)
