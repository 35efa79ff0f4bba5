"""A small network that finds the object in pictures of one kind, and its file."""

from __future__ import annotations

import math
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from bozzetto.disk import UNREADABLE
from bozzetto.errors import CheckpointError, InputError
from bozzetto.segment.weights import load_strictly

KIND = "bozzetto-masks"
PX = 64  # at which the network looks
CHANNELS = (8, 16, 16, 24)  # at 64, 32, 16, 8 px
MAX_BYTES = 10_000_000  # such a file has 50 thousand
DTYPES = (torch.float16, torch.bfloat16, torch.float32)


class MaskNet(nn.Module):
    """A U-Net of 25 thousand parameters: RGB at 64 px, and where in the picture, to the log odds of object."""

    def __init__(self) -> None:
        super().__init__()
        fine, coarse = CHANNELS[:-1], CHANNELS[1:]
        self.first = _block(3 + 2, fine[0])
        self.down = nn.ModuleList(_block(a, b) for a, b in zip(fine, coarse, strict=True))
        self.low = _block(CHANNELS[-1], CHANNELS[-1])
        self.up = nn.ModuleList(_block(a + b, b) for a, b in zip(coarse[::-1], fine[::-1], strict=True))
        self.last = nn.Conv2d(CHANNELS[0], 1, 1)

    def forward(self, images: Float[Tensor, "b 3 64 64"]) -> Float[Tensor, "b 1 64 64"]:
        """Images in [0, 1]. A mirrored image has the mirrored answer only as far as that was learnt."""
        x = self.first(torch.cat([images * 2 - 1, _places(images)], 1))
        kept = []
        for down in self.down:
            kept.append(x)
            x = down(F.avg_pool2d(x, 2))
        x = self.low(x)
        for up in self.up:
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = up(torch.cat([x, kept.pop()], 1))
        return self.last(x)


def _block(cin: int, cout: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(cin, cout, 3, padding=1), nn.GroupNorm(4, cout), nn.LeakyReLU(0.1))


def _places(images: Tensor) -> Float[Tensor, "b 2 h w"]:
    """Distance from the middle column, and height, so that left and right are alike."""
    b, _, h, w = images.shape
    across = torch.linspace(-1, 1, w, device=images.device).abs().expand(b, 1, h, w)
    down = torch.linspace(-1, 1, h, device=images.device)[:, None].expand(b, 1, h, w)
    return torch.cat([across, down], 1)


def read_mask_net(path: Path) -> tuple[MaskNet, dict[str, str]]:
    """The network of a file of `bozzetto gan masks`, and what the file says of itself.

    Raises InputError if there is no such file, CheckpointError if it is anything else.
    """
    if not path.is_file():
        raise InputError(f"There is no weight file {path}; check the path, or make one with `bozzetto gan masks`.")
    size = path.stat().st_size
    try:
        with safe_open(path, "pt") as file:
            facts = dict(file.metadata() or {})
        state = load_file(path, device="cpu") if size <= MAX_BYTES else {}
    except UNREADABLE as error:
        raise CheckpointError(f"{path} is not a whole file of `bozzetto gan masks`.") from error
    if facts.get("kind") != KIND:
        raise CheckpointError(f"{path} is not a file of `bozzetto gan masks`.")
    if any(value.dtype not in DTYPES for value in state.values()):
        raise CheckpointError(f"{path} holds numbers of another kind than `bozzetto gan masks` writes; make it again.")
    net = empty_net()
    load_strictly(net, {name: value.float() for name, value in state.items()}, path)
    if not all(bool(value.isfinite().all()) for value in net.state_dict().values()):
        raise CheckpointError(f"{path} holds values that are not finite; make it again.")
    return net.eval().requires_grad_(False), facts


def fresh_net(generator: torch.Generator) -> MaskNet:
    """A network to be taught (He et al., ICCV 2015), a function of the generator's state; generator: on the CPU."""
    net = empty_net()
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.Conv2d):
                scale = math.sqrt(2 / module.weight[0].numel())
                module.weight.copy_(torch.randn(module.weight.shape, generator=generator) * scale)
                module.bias.zero_()  # type: ignore[union-attr]
            elif isinstance(module, nn.GroupNorm):
                module.weight.fill_(1)
                module.bias.zero_()
    return net


def empty_net() -> MaskNet:
    """A network without values, which are to be filled in; torch's own generator is not asked for any."""
    with torch.device("meta"):
        net = MaskNet()
    return net.to_empty(device="cpu")
