"""StyleGAN2's layers against a restatement of NVIDIA's definitions, with weights that are nowhere symmetric: every
orientation shows. Clamps, classes and the batch deviation; the fast networks with all of these."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from test_frozen import check_gradients, relative
from tiny_gan import ARCHS, tiny_networks, tiny_spec
from torch import Tensor
from torch.autograd import grad
from upfirdn import BINOMIAL, convolution, down_convolution, up_convolution, upfirdn

from bozzetto.errors import InputError
from bozzetto.gan import Gan, GanInfo, ops
from bozzetto.gan.discriminator import Discriminator
from bozzetto.gan.frozen import FrozenDiscriminator, FrozenSynthesis
from bozzetto.gan.spec import StyleGan2Spec
from bozzetto.gan.stylegan2 import StyledConv, Synthesis, ToRgb

CLAMP = 0.7  # most activations of the tiny networks are above


def official(resolution: int = 32, **settings: object) -> StyleGan2Spec:
    """A spec with everything that NVIDIA's PyTorch version has."""
    given = {"conv_clamp": CLAMP, "discriminator_conv_clamp": CLAMP, "demodulates_stored_weight": True} | settings
    return replace(tiny_spec(resolution), **given)


def array(x: Tensor) -> np.ndarray:
    return x.detach().double().numpy()


def activation(x: np.ndarray, gain: float = 1.0, clamp: float | None = CLAMP) -> np.ndarray:
    """Leaky ReLU, times gain sqrt 2, cut off at gain times the clamp."""
    y = np.where(x < 0, 0.2 * x, x) * math.sqrt(2) * gain
    return y if clamp is None else np.clip(y, -clamp * gain, clamp * gain)


def modulated(layer: StyledConv | ToRgb, w: Tensor, demodulate: bool) -> np.ndarray:
    """The weight of one item: the style on the stored weight, over its norm."""
    style = array(layer.style.weight) @ array(w) / math.sqrt(len(w)) + array(layer.style.bias)
    weight = array(layer.weight) * style[None, :, None, None]
    if not demodulate:
        return weight / math.sqrt(weight[0].size)
    return weight / np.sqrt((weight**2).sum(axis=(1, 2, 3), keepdims=True) + 1e-8)


def synthesised(s: Synthesis, w: Tensor) -> np.ndarray:
    """The picture of w [l, d] with the stored noise."""
    x, rgb = array(s.const), None
    for i, layer in enumerate(s.layers):
        up, before = i % 2 == 1, x
        weight = modulated(layer, w[i], demodulate=True)
        if up:
            x = up_convolution(x, weight, pad=1)
        else:
            x = convolution(np.pad(x, [(0, 0), (1, 1), (1, 1)]), weight, turned=False)
        x = x + array(layer.noise_strength) * array(layer.noise)[0]
        gain = math.sqrt(0.5) if s.arch == "resnet" and i > 0 and not up else 1.0
        x = activation(x + array(layer.bias)[:, None, None], gain)
        size = str(x.shape[-1])
        if up:
            skipped = before
        elif i > 0 and s.arch == "resnet":
            kernel = array(s.residual[size]) / math.sqrt(len(skipped)) * math.sqrt(0.5)
            x = x + up_convolution(skipped, kernel, pad=0)
        if not up and size in s.to_rgb:
            layer = s.to_rgb[size]
            colours = np.einsum("oc,chw->ohw", modulated(layer, w[i + 1], False)[:, :, 0, 0], x)
            colours = np.clip(colours + array(layer.bias)[:, None, None], -CLAMP, CLAMP)
            if rgb is not None:
                colours = colours + np.stack([upfirdn(p, BINOMIAL, up=2, pad=(2, 1), gain=4) for p in rgb])
            rgb = colours
    return rgb


def judged(d: Discriminator, image: np.ndarray, label: Tensor | None = None) -> float:
    """The logit of one picture, alone in its batch."""

    def conv(layer: torch.nn.Module, x: np.ndarray, gain: float = 1.0, clamp: float | None = CLAMP) -> np.ndarray:
        weight = array(layer.weight) / math.sqrt(layer.weight[0].numel())
        pad = layer.k // 2
        y = (
            down_convolution(x, weight, pad)
            if layer.down
            else convolution(np.pad(x, [(0, 0), (pad, pad), (pad, pad)]), weight, turned=False)
        )
        return y * gain if layer.bias is None else activation(y + array(layer.bias)[:, None, None], gain, clamp)

    x = conv(d.from_rgb[str(image.shape[-1])], image)
    for block in d.blocks:
        gain = math.sqrt(0.5) if d.arch == "resnet" else 1.0
        out = conv(block.conv2, conv(block.conv1, x), gain)
        x = out if block.skip is None else out + conv(block.skip, x, gain)
        if d.arch == "skip":
            image = np.stack([upfirdn(p, BINOMIAL, down=2, pad=(1, 1)) for p in image])
            size = image.shape[-1]
            x = x + conv(d.from_rgb[str(size)], image, clamp=CLAMP if size > 4 else None)
    flat = np.full((d.spec.mbstd_channels, 4, 4), math.sqrt(1e-8))
    x = conv(d.final_conv, np.concatenate([x, flat])).ravel()
    weight, bias = array(d.final_linear.weight), array(d.final_linear.bias)
    x = activation(weight @ x / math.sqrt(len(x)) + bias, clamp=None)
    x = array(d.logit.weight) @ x / math.sqrt(len(x)) + array(d.logit.bias)
    if label is None:
        return float(x[0])
    return float(x @ array(d.mapping(None, label[None]))[0] / math.sqrt(len(x)))


@pytest.mark.parametrize("arch", ARCHS)
def test_the_generator_is_its_definition(rng: torch.Generator, arch: str) -> None:
    g, _ = tiny_networks(official(generator_arch=arch))
    w = torch.randn(2, g.spec.num_ws, 8, generator=rng)
    with torch.no_grad():
        images = [net(w, g.synthesis.noises()) for net in (g.synthesis, FrozenSynthesis(g.synthesis))]
    for image in images:
        np.testing.assert_allclose(image[1].numpy(), synthesised(g.synthesis, w[1]), atol=1e-5)
    loose, _ = tiny_networks(official(generator_arch=arch, conv_clamp=None))
    assert relative(loose.synthesis(w, g.synthesis.noises()), images[0]) > 0.1  # the clamp was at work


@pytest.mark.parametrize("arch", ARCHS)
def test_the_discriminator_is_its_definition(rng: torch.Generator, arch: str) -> None:
    _, d = tiny_networks(official(discriminator_arch=arch, num_classes=3, cmap_dim=5, mbstd_channels=7))
    fast = FrozenDiscriminator(d)
    image = torch.randn(2, 3, 32, 32, generator=rng)
    label = torch.eye(3)[1:]
    with torch.no_grad():
        for net in (d, fast):
            logits = d.head(net.features(image, 3)[-1], 1, label)
            wanted = [judged(d, array(image[i]), label[i]) for i in range(2)]
            np.testing.assert_allclose(logits[:, 0].numpy(), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("arch", ARCHS)
def test_clamped_networks_agree_to_second_order(rng: torch.Generator, arch: str) -> None:
    g, d = tiny_networks(official(generator_arch=arch, discriminator_arch=arch))
    w = torch.randn(3, g.spec.num_ws, 8, generator=rng, requires_grad=True)
    image = torch.randn(2, 3, 32, 32, generator=rng, requires_grad=True)
    images = [net(w, g.synthesis.noises()) for net in (g.synthesis, FrozenSynthesis(g.synthesis))]
    taps = [net.features(image, 3)[-1] for net in (d, FrozenDiscriminator(d))]
    for outs, leaf in ((images, w), (taps, image)):
        weights = torch.randn(outs[0].shape, generator=rng)
        firsts = [grad((out.square() * weights).sum(), leaf, create_graph=True)[0] for out in outs]
        assert relative(firsts[1], firsts[0]) < 1e-5
        seconds = [grad(first.square().sum(), leaf)[0] for first in firsts]
        assert relative(seconds[1], seconds[0]) < 1e-4


@pytest.mark.parametrize("fast", [False, True])
def test_gradcheck_with_the_clamp(rng: torch.Generator, fast: bool) -> None:
    check_gradients(official(8), fast, rng)


def test_the_norm_of_stored_weights_differs_only_in_its_epsilon(rng: torch.Generator) -> None:
    x, weight = torch.randn(2, 4, 5, 5, generator=rng), torch.randn(6, 4, 3, 3, generator=rng)
    style = torch.randn(2, 4, generator=rng) * 1e-3
    gain = 1 / 6
    stored = ops.modulated_conv(x, weight, style)
    torch.testing.assert_close(ops.modulated_conv(x, weight * gain, style, eps=1e-8 * gain**2), stored)
    assert relative(ops.modulated_conv(x, weight * gain, style), stored) > 1e-3


def test_the_batch_deviation_by_groups_of_channels(rng: torch.Generator) -> None:
    x = torch.randn(4, 6, 2, 2, generator=rng)
    more = ops.minibatch_stddev(x, 2, channels=3)
    torch.testing.assert_close(more[:, :6], x, rtol=0, atol=0)
    for item in range(4):
        mates = x[[item % 2, item % 2 + 2]]
        for k in range(3):
            deviation = torch.sqrt(mates[:, 2 * k : 2 * k + 2].var(dim=0, correction=0) + 1e-8).mean()
            torch.testing.assert_close(more[item, 6 + k], deviation.expand(2, 2))
    assert ops.minibatch_stddev(x, 2, channels=0) is x


# -- classes ---------------------------------------------------------------------------------------------------------


def class_gan(index: int | None) -> Gan:
    spec = official(16, num_classes=4, num_cmap_layers=2)
    info = GanInfo("c", spec.kind, 16, 6, 8, spec.num_ws, 3, "MIT", "", "noise", 4, index)
    return Gan(*tiny_networks(spec), info)


def test_classes_are_what_the_label_says(rng: torch.Generator) -> None:
    z = torch.randn(3, 6, generator=rng)
    gans = [class_gan(i) for i in range(4)]
    m = gans[0].generator.mapping
    for i, gan in enumerate(gans):
        e = m.embed.weight[:, i] / 2 + m.embed.bias  # one-hot times W^T / sqrt(4)
        x = torch.cat([ops.pixel_norm(z), ops.pixel_norm(e[None]).expand(3, -1)], dim=1)
        for layer in m.layers:
            x = ops.scaled_leaky_relu(layer(x))
        torch.testing.assert_close(gan.w_from_z(z)[:, 5], x)
        torch.testing.assert_close(gan.mapping_tail(gan.mapping_head(z, 2), 2), x)
        assert gan.w_samples(5).shape == (5, 8)
    image = gans[0].image_from_w(x)
    logits = torch.cat([gan.logits(image, 1) for gan in gans], dim=1)
    assert logits.std(dim=1).min() > 1e-3
    torch.testing.assert_close(gans[1].logits(image[2:], 1), logits[2:, 1:2], rtol=1e-4, atol=1e-5)


def test_a_class_is_asked_for(rng: torch.Generator) -> None:
    gan = class_gan(None)
    with pytest.raises(InputError, match=r"4 classes; say which with --gan-class .* 0 to 3"):
        gan.w_from_z(torch.randn(1, 6, generator=rng))
    with pytest.raises(InputError, match="4 classes"):
        gan.logits(torch.zeros(1, 3, 16, 16))
