"""The frozen teacher: StyleGAN2 in plain torch, its files, its latents."""

from bozzetto.gan.generator import Gan, GanInfo, NoiseMode
from bozzetto.gan.zoo import load_gan
from bozzetto.precision import Precision

__all__ = ["Gan", "GanInfo", "NoiseMode", "Precision", "load_gan"]
