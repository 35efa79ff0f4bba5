"""Start a generator from another one, whatever the widths: what both have is copied, the rest keeps its fresh draw."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bozzetto.gan.discriminator import Discriminator, EqualConv
from bozzetto.gan.stylegan2 import EqualLinear, Generator, StyledConv, ToRgb

Layers = EqualConv | EqualLinear | StyledConv | ToRgb


@torch.no_grad()
def warm_start(new: Generator | Discriminator, old: Generator | Discriminator) -> int:
    """Copy the weights of layers of the same name, cut to the smaller width; returns how many tensors were copied.

    A wider layer of the generator ignores its additional inputs at first, so a greater width gives the same latents,
    styles and pictures as before. Effective weights (gains included) are kept. Layers of one resolution are held
    together, so a generator of pictures of a greater size makes at first the smaller ones enlarged (of the `skip`
    architecture, where no layer becomes narrower), as if trained by growing (Karras et al. 2018).
    """
    theirs = _by_resolution(new, old)
    copied = 0
    for name, module in new.named_modules():
        other = theirs.get(name)
        if other is None or type(other) is not type(module):
            continue
        if isinstance(module, Layers):
            assert isinstance(other, Layers)
            ratio = other.gain / module.gain
            weight: Tensor = module.weight
            source: Tensor = other.weight * ratio
            if isinstance(module, EqualLinear | StyledConv | ToRgb):
                weight[: source.shape[0], source.shape[1] :] = 0
            if name == "final_linear":  # inputs are channels x 4 x 4
                weight, source = weight.view(len(weight), -1, 16), source.view(len(source), -1, 16)
            if name == "final_conv":  # the last input is the minibatch deviation
                weight[: len(source), -1] = source[: len(weight), -1]
                weight, source = weight[:, :-1], source[:, :-1]
            _overlap(weight, source)
            if module.bias is not None and other.bias is not None:
                _overlap(module.bias, other.bias * _bias_ratio(module, other))
            copied += 1
        for part in ("const", "noise", "noise_strength"):
            if isinstance(getattr(module, part, None), Tensor) and isinstance(getattr(other, part, None), Tensor):
                _overlap(getattr(module, part), getattr(other, part))
                copied += 1
    if isinstance(new, Generator) and isinstance(old, Generator) and old.synthesis.arch == "skip":
        ours, known = new.synthesis.to_rgb, old.synthesis.to_rgb
        assert isinstance(ours, nn.ModuleDict)
        assert isinstance(known, nn.ModuleDict)
        for size in ours.keys() - known.keys():
            _mute(ours[size])
    return copied


def _by_resolution(new: nn.Module, old: nn.Module) -> dict[str, nn.Module]:
    """The old network's layers by the name that the layer of the same resolution has in the new one.

    A generator counts its layers from 4x4 up, a discriminator its blocks from the full size down.
    """
    if not isinstance(new, Discriminator) or not isinstance(old, Discriminator):
        return dict(old.named_modules())
    shift = len(new.blocks) - len(old.blocks)
    named: dict[str, nn.Module] = {}
    for name, module in old.named_modules():
        head, *rest = name.split(".")
        if head == "blocks" and rest:
            rest[0] = str(int(rest[0]) + shift)
        named[".".join([head, *rest])] = module
    return named


def _mute(to_rgb: nn.Module) -> None:
    """A layer of colour that adds nothing yet."""
    assert isinstance(to_rgb, ToRgb)
    to_rgb.weight.zero_()
    if to_rgb.bias is not None:
        to_rgb.bias.zero_()


def _bias_ratio(new: Layers, old: Layers) -> float:
    if isinstance(new, EqualLinear) and isinstance(old, EqualLinear):
        return old.lr_multiplier / new.lr_multiplier
    return 1.0


def _overlap(new: Tensor, old: Tensor) -> None:
    if new.ndim != old.ndim:
        return
    window = tuple(slice(0, min(a, b)) for a, b in zip(new.shape, old.shape, strict=True))
    new[window] = old[window]
