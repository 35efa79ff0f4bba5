"""Start a generator from another one, whatever the widths: what both have is copied, the rest keeps its fresh draw."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from bozzetto.gan.discriminator import Discriminator, DiscriminatorBlock, EqualConv
from bozzetto.gan.stylegan2 import EqualLinear, Generator, StyledConv, ToRgb

Layers = EqualConv | EqualLinear | StyledConv | ToRgb


@torch.no_grad()
def warm_start(new: Generator | Discriminator, old: Generator | Discriminator) -> int:
    """Copy the weights of layers of the same name, cut to the smaller width; returns how many tensors were copied.

    A wider layer ignores its additional inputs at first, so a greater width gives the same latents, styles, pictures
    and verdicts as before. Effective weights (gains included) are kept. Layers of one resolution are held
    together, so a generator of pictures of a greater size makes at first the smaller ones enlarged (of the `skip`
    architecture, where no layer becomes narrower), as if trained by growing (Karras et al. 2018). A discriminator of
    pictures of a greater size (`resnet`) begins by judging them made smaller, as it did (`_hand_on_colours`).
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
            known = source.shape[1] - (name == "final_conv")  # the last input there is the minibatch deviation
            weight[: source.shape[0], known:] = 0
            if name == "final_linear":  # inputs are channels x 4 x 4
                weight, source = weight.view(len(weight), -1, 16), source.view(len(source), -1, 16)
            if name == "final_conv":
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
    if isinstance(new, Discriminator) and isinstance(old, Discriminator):
        _hand_on_colours(new, old)
    return copied


def _hand_on_colours(new: Discriminator, old: Discriminator) -> None:
    """Let the blocks that a smaller network had not hand the picture's colours on, made smaller, to those it had.

    The picture enters as lrelu(x) and lrelu(-x), whose difference is 1.2 x; a block's first convolution makes these
    anew, its second makes them for half the size, or at last what the old network made of a picture of its own size.
    The other channels keep their draw and are not listened to yet. Without this a network that has learned one size
    begins the next by judging noise, and the generator forgets its objects before it has learned better.
    """
    added = len(new.blocks) - len(old.blocks)
    blocks = [block for block in new.blocks[: max(0, added)] if isinstance(block, DiscriminatorBlock)]
    narrow = any(block.conv1.weight.shape[1] < 6 for block in blocks)
    if not blocks or new.arch != "resnet" or old.arch != "resnet" or narrow:
        return
    pairs = torch.tensor([[1.0], [-1.0]])
    split = torch.block_diag(pairs, pairs, pairs).to(next(new.parameters()))  # [6, 3]: colours to signed colours
    read = split.T / 1.2  # [3, 6]: and back, behind a leaky ReLU of slope 0.2
    (first,) = new.from_rgb.values()
    (known,) = old.from_rgb.values()
    assert isinstance(first, EqualConv)
    assert isinstance(known, EqualConv)
    assert known.bias is not None
    _point_wise(first, split / math.sqrt(2), None)
    for i, block in enumerate(blocks):
        assert block.skip is not None
        _point_wise(block.conv1, split @ read / math.sqrt(2), None)
        # Times the square root of two, since the sum with the skip is divided by it.
        last = i == added - 1
        wanted = known.weight[:, :, 0, 0].to(read) * known.gain * math.sqrt(2) if last else split
        _point_wise(block.conv2, wanted @ read, known.bias * math.sqrt(2) if last else None)
        block.skip.weight[: len(wanted)] = 0


def _point_wise(layer: EqualConv, matrix: Tensor, bias: Tensor | None) -> None:
    """Make the first outputs this matrix of the first inputs, at the kernel's middle, and nothing of the others."""
    rows, columns = min(len(matrix), len(layer.weight)), matrix.shape[1]
    middle = layer.k // 2
    layer.weight[:rows] = 0
    layer.weight[:rows, :columns, middle, middle] = matrix[:rows] / layer.gain
    assert layer.bias is not None
    layer.bias[:rows] = 0 if bias is None else bias[:rows]


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
