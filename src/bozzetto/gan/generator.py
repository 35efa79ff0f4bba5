"""A frozen GAN as the rest of the package sees it: latents in, images out, features of the discriminator."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bozzetto.errors import CheckpointError, InputError
from bozzetto.gan.discriminator import Discriminator
from bozzetto.gan.frozen import FrozenDiscriminator, FrozenSynthesis
from bozzetto.gan.protocol import GeneratorNet, SynthesisNet
from bozzetto.gan.stylegan2 import Synthesis
from bozzetto.gan.stylegan3 import FrozenSynthesis3, Synthesis3
from bozzetto.precision import Precision

NoiseMode = Literal["const", "random", "none"]

# What computes a synthesis whose weights stay as they are: a row a kind, which makes the module that is called instead.
FROZEN: dict[type[SynthesisNet], Callable[[SynthesisNet, Precision], nn.Module]] = {
    Synthesis: FrozenSynthesis,  # type: ignore[dict-item]
    Synthesis3: FrozenSynthesis3,  # type: ignore[dict-item]
}

# A network whose weights were drawn after manual_seed(0) has the first z of that stream as rows of its first mapping
# layer, and makes untypical pictures of them (seen: the first 256 images of "heads" far too bright). So small seeds are
# moved away from where people start their training.
_SEED_OFFSET = 0x5EED0000


@dataclass(frozen=True)
class GanInfo:
    """What is known of a loaded generator."""

    name: str
    kind: str  # "stylegan2", "stylegan3-t" or "stylegan3-r"
    resolution: int  # pixels
    z_dim: int
    w_dim: int
    num_ws: int  # layers that take their own w
    num_mapping_layers: int
    licence: str  # "unknown" where the file does not say
    sha256: str  # of the file; empty for networks that never were one
    category: str  # what it makes pictures of, e.g. "heads"; "unknown" where the file does not say
    num_classes: int = 0  # kinds of picture that it was taught to tell apart; 0: it was not
    class_index: int | None = None  # the one that is made


class Gan:
    """A frozen StyleGAN pair on one device. No parameter takes a gradient; images and latents do, of any order.

    Batch items are independent in every method, the discriminator's included (no minibatch deviation).
    """

    def __init__(
        self,
        generator: GeneratorNet,
        discriminator: Discriminator | None,
        info: GanInfo,
        device: torch.device | str = "cpu",
        precision: Precision = "fp32",
        w_avg: Float[Tensor, " w"] | None = None,
    ) -> None:
        self.info = info
        self.w_avg = None if w_avg is None else w_avg.detach().to(torch.device(device), torch.float32)
        self.precision: Precision = precision
        self.device = torch.device(device)
        self.generator = generator.requires_grad_(False).eval().to(self.device)
        self.discriminator = discriminator
        if discriminator is not None:
            self.discriminator = discriminator.requires_grad_(False).eval().to(self.device)
        self._synthesis: dict[Precision, nn.Module] = {}
        self._features: dict[Precision, FrozenDiscriminator] = {}
        self._samples: dict[tuple[int, int], Tensor] = {}

    def to(self, device: torch.device | str) -> Gan:
        """The same GAN on another device; this object stays where it is."""
        if torch.device(device) == self.device:
            return self
        generator, discriminator = copy.deepcopy(self.generator), copy.deepcopy(self.discriminator)
        return Gan(generator, discriminator, self.info, device, self.precision, self.w_avg)

    def with_precision(self, precision: Precision) -> Gan:
        """The same GAN, weights shared, computing in `precision` unless told otherwise."""
        other = copy.copy(self)
        other.precision = precision
        return other

    def modules(self, precision: Precision | None = None) -> tuple[nn.Module, FrozenDiscriminator | None]:
        """What makes pictures and features at a precision; made at its first use, as by that itself."""
        precision = precision or self.precision
        features = None if self.discriminator is None else self._frozen_discriminator(precision)
        return self._frozen_synthesis(precision), features

    # -- mapping ---------------------------------------------------------------------------------------------------

    def mapping_head(self, z: Float[Tensor, "b z"], k: int) -> Float[Tensor, "b d"]:
        """The activation before the last k mapping layers (pixel norm included). k = all layers: the normalised z.

        At z = 0 the pixel norm gives 0, so the result is what the biases alone make (Pan's c_h).
        """
        self._check_layers(k)
        return self.generator.mapping.head(z, k, self._label(z.shape[0]))

    def mapping_tail(self, x: Float[Tensor, "b d"], k: int) -> Float[Tensor, "b w"]:
        """The last k mapping layers: tail(head(z, k), k) is the w of z."""
        self._check_layers(k)
        return self.generator.mapping.tail(x, k)

    def w_from_z(self, z: Float[Tensor, "b z"], psi: float = 1.0) -> Float[Tensor, "b l d"]:
        """Latents of every layer, pulled to the mean by the truncation psi (1: not at all, 0: the mean).

        The mean is the one that the file stores, where it does (official truncation); otherwise that of samples.
        Raises InputError for a z of the wrong shape, or where a class is needed.
        """
        if z.shape[1:] != (self.info.z_dim,):
            raise InputError(f"'{self.info.name}' reads latents z [B, {self.info.z_dim}], not {list(z.shape)}.")
        w = self.generator.mapping(z, self._label(z.shape[0]))
        if psi != 1.0:
            mean = self.w_mean() if self.w_avg is None else self.w_avg
            w = mean + psi * (w - mean)
        return w[:, None].expand(-1, self.info.num_ws, -1)

    def z_samples(self, n: int, seed: int = 0) -> Float[Tensor, "n z"]:
        """n random z; the same for the same n and seed on every device."""
        generator = torch.Generator().manual_seed(seed + _SEED_OFFSET)
        return torch.randn(n, self.info.z_dim, generator=generator).to(self.device)

    def w_samples(self, n: int = 4096, seed: int = 0) -> Float[Tensor, "n d"]:
        """n latents w of random z; the same for the same n and seed on every device."""
        if (n, seed) not in self._samples:
            with torch.no_grad():
                self._samples[n, seed] = self.generator.mapping(self.z_samples(n, seed), self._label(n))
        return self._samples[n, seed]

    def w_mean(self, n: int = 4096, seed: int = 0) -> Float[Tensor, " d"]:
        """Mean of n latents of random z."""
        return self.w_samples(n, seed).mean(dim=0)

    def w_std(self, n: int = 4096, seed: int = 0) -> Float[Tensor, " d"]:
        """Standard deviation of each coordinate over n latents of random z."""
        return self.w_samples(n, seed).std(dim=0)

    # -- images ----------------------------------------------------------------------------------------------------

    def image_from_w(
        self,
        w: Float[Tensor, "b d"] | Float[Tensor, "b l d"],
        noise: NoiseMode | Sequence[Float[Tensor, "n 1 _ _"]] = "const",
        generator: torch.Generator | None = None,
        precision: Precision | None = None,
    ) -> Float[Tensor, "b 3 s s"]:
        """Images, about -1..1 and not clamped, float32.

        w: one for all layers [b, d], or one a layer [b, num_ws, d].
        noise: the stored one, a fresh draw from `generator` for every item (without one, from a new seed), none, or the
            maps themselves (one a layer).
        Raises InputError for a w of the wrong shape, or noise of another name.
        """
        if w.ndim == 2:
            w = w[:, None].expand(-1, self.info.num_ws, -1)
        if w.ndim != 3 or tuple(w.shape[1:]) != (self.info.num_ws, self.info.w_dim):
            raise InputError(
                f"The generator '{self.info.name}' takes a latent of shape [batch, {self.info.w_dim}] or [batch, "
                f"{self.info.num_ws}, {self.info.w_dim}], not {list(w.shape)}."
            )
        return self._frozen_synthesis(precision or self.precision)(w, self._noises(noise, w.shape[0], generator))

    def _frozen_synthesis(self, precision: Precision) -> nn.Module:
        if precision not in self._synthesis:
            synthesis = self.generator.synthesis
            self._synthesis[precision] = FROZEN[type(synthesis)](synthesis, precision).to(self.device)
        return self._synthesis[precision]

    def noise_shapes(self) -> list[tuple[int, int]]:
        """Height and width of the noise map of every layer; none where the architecture has no noise (StyleGAN3)."""
        return [(n.shape[2], n.shape[3]) for n in self.generator.synthesis.noises()]

    def _noises(
        self, noise: NoiseMode | Sequence[Tensor], batch: int, generator: torch.Generator | None
    ) -> Sequence[Tensor] | None:
        if noise == "none":
            return None
        if noise == "const":
            return self.generator.synthesis.noises()
        if noise != "random":
            if isinstance(noise, str):
                raise InputError(f"The noise can be const, random, none or maps of one's own, not '{noise}'.")
            return noise
        shapes = self.noise_shapes()
        if not shapes:
            return None
        if generator is None:  # nothing to repeat is asked for; torch's own generator stays as it is
            generator = torch.Generator()
            generator.seed()
        source = generator.device
        return [torch.randn(batch, 1, h, w, generator=generator, device=source).to(self.device) for h, w in shapes]

    # -- discriminator ---------------------------------------------------------------------------------------------

    @property
    def feature_names(self) -> list[str]:
        """Names of the discriminator's taps: "from_rgb" (input of block 0), "block0", "block1", ..."""
        return ["from_rgb", *(f"block{i}" for i in range(len(self._discriminator().blocks)))]

    def features(
        self,
        image: Float[Tensor, "b 3 s s"],
        count: int | Sequence[str] = 4,
        precision: Precision | None = None,
    ) -> list[Float[Tensor, "b _ _ _"]]:
        """Discriminator activations of images in [-1, 1], float32, fine to coarse.

        count: the outputs of the first `count` blocks (at most all of them), or names out of `feature_names`.
        """
        names = self.feature_names
        wanted = names[1 : 1 + count] if isinstance(count, int) else list(count)
        unknown = [name for name in wanted if name not in names]
        if unknown or not wanted:
            raise InputError(f"The discriminator's features are {', '.join(names)}; asked for {unknown or count}.")
        taps = self._frozen_discriminator(precision).features(image, max(names.index(name) for name in wanted))
        return [taps[names.index(name)] for name in wanted]

    def logits(
        self, image: Float[Tensor, "b 3 s s"], mbstd_group: int | None = None, precision: Precision | None = None
    ) -> Float[Tensor, "b 1"]:
        """How real the discriminator finds images in [-1, 1], raw.

        mbstd_group: items whose deviation the last layers see (Karras et al. 2018, section 3). None: as many as the
            network was trained with, as in the published code, so that an item's logit depends on the batch it is in;
            1: every item by itself.
        Raises InputError for images of another size, CheckpointError where the file holds no discriminator.
        """
        net = self._discriminator()
        side = self.info.resolution
        if image.shape[1:] != (3, side, side):
            raise InputError(f"The discriminator reads images [B, 3, {side}, {side}], not {list(image.shape)}.")
        last = self._frozen_discriminator(precision).features(image, len(net.blocks))[-1]
        return net.head(last, mbstd_group, self._label(image.shape[0]))

    def _discriminator(self) -> Discriminator:
        if self.discriminator is None:
            raise CheckpointError(
                f"The file of '{self.info.name}' holds no discriminator, and this needs one; use a full checkpoint."
            )
        return self.discriminator

    def _frozen_discriminator(self, precision: Precision | None) -> FrozenDiscriminator:
        precision = precision or self.precision
        if precision not in self._features:
            self._features[precision] = FrozenDiscriminator(self._discriminator(), precision).to(self.device)
        return self._features[precision]

    def _label(self, batch: int) -> Float[Tensor, "b c"] | None:
        """The class as one-hot rows; None where there are no classes."""
        if not self.info.num_classes:
            return None
        if self.info.class_index is None:
            raise InputError(ask_for_class(self.info))
        label = torch.zeros(batch, self.info.num_classes, device=self.device)
        label[:, self.info.class_index] = 1
        return label

    def _check_layers(self, k: int) -> None:
        if not 1 <= k <= self.info.num_mapping_layers:
            raise InputError(f"The number of mapping layers must be 1 to {self.info.num_mapping_layers}, not {k}.")


def ask_for_class(info: GanInfo) -> str:
    """What to tell who did not say which class, or one that there is not."""
    return (
        f"The generator '{info.name}' makes pictures of {info.num_classes} classes; say which with --gan-class "
        f"(in Python, load_gan(..., class_index=...)), 0 to {info.num_classes - 1}."
    )
