"""Every number of a fit, typed, with its source. The command line's flags are derived from these fields."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from bozzetto.precision import PrecisionChoice

PerceptualName = Literal["discriminator", "stlpips", "lpips-vgg", "none"]


@dataclass(frozen=True)
class Stage:
    """One round of steps 1, 2 and 3."""

    albedo: int  # iterations of step 1
    project: int  # iterations of step 2
    factorise: int  # iterations of step 3
    samples: int = 16  # Np: pseudo views and lights drawn an iteration; 0: step 3 sees the photo alone (ours)
    mirror: bool = False  # add the losses of the mirrored object in step 3 (Pan)
    mirror_albedo: bool = False  # the same in step 1 (ours)
    repeat: int = 1  # how many times in a row


@dataclass(frozen=True)
class OptimConfig:
    """Adam, the same for every step in both papers."""

    lr: float = 1e-4
    prior_lr: float = 1e-4  # step 0
    project_lr: float = 1e-4  # step 2
    final_lr: float = 1.0  # share of the rate that a cosine leaves at the end of every step 3; papers: 1, constant
    beta1: float = 0.9
    beta2: float = 0.999
    weight_decay: float = 5e-4


@dataclass(frozen=True)
class LossConfig:
    perceptual: PerceptualName = "discriminator"
    perceptual_weight: float = 0.5  # Pan 0.5, Rep 1
    smooth_depth_weight: float = 0.01
    smooth_light_weight: float = 0.01  # on the diffuse shading
    offset_weight: float = 0.01  # step 2, on the mean squared offset
    feature_blocks: int = 4  # discriminator blocks compared in step 2 (Pan)
    mask_photo: bool = True  # compare the photo inside the object's mask only
    prior_weight: float = 0.0  # step 3, pull of the depth to the prior, mean square in half ranges; papers: 0


@dataclass(frozen=True)
class ProjectConfig:
    """Step 2: how the offset encoder reaches the generator, and what is kept of it."""

    tail_layers: int = 2  # mapping layers that an offset passes through: 2, 8 for synthetic faces (Pan)
    relative: bool = True  # subtract the offset of G(w) itself (Pan, faces and cats)
    collect: Literal["redraw", "last"] = "redraw"  # Pan renders and projects anew; Rep keeps the last batch
    collect_batches: int = 100  # batches of Np that "redraw" keeps, no more than step 3 has iterations
    teacher: Literal["generator", "none"] = "generator"  # "none": step 3 sees the renderings themselves, a control
    teach: bool = False  # V and L also learn, from the pseudo images, the view and light each was drawn under (ours)
    teach_weight: float = 1.0  # on the mean squared error in network units


@dataclass(frozen=True)
class PriorConfig:
    shape: str = "ellipsoid"
    iterations: int = 1000  # cap
    threshold: float = 1e-6  # step 0 stops when the mean squared error is below (scene units squared); 0: never


@dataclass(frozen=True)
class TurnConfig:
    """Ours: the path through latent space from the photo to its mirror image shows the object turning.

    Halfway it is frontal and evenly lit. Its pictures are aligned by tracking, give V and L their start, and join the
    projected samples.
    """

    use: bool = False
    weight: float = 10.0  # in steps 2 and 3, of V's and L's mean squared error on the turned pictures
    share: float = 0.5  # of step 3's samples that are turned pictures; the others are projected ones
    steps: int = 5  # pictures from halfway to the photo
    iterations: int = 40  # of tracking, a picture
    wide_deg: float = 0.0  # how far pictures beyond the photo's own turn go to either side; 0: none
    wide_steps: int = 3  # such pictures to either side
    directions: int = 6  # of latent space that the mirror swaps, among which the turn is looked for
    albedo_weight: float = 0.0  # in step 0, of the mean absolute difference of A from the evened halfway picture

    @property
    def pictures(self) -> int:
        """How many there are of every photo: to both sides, halfway, and beyond the photo's own turn."""
        return 2 * self.steps + 1 + (2 * self.wide_steps if self.wide_deg > 0 else 0)


@dataclass(frozen=True)
class ViewConfig:
    """What the view network's output means."""

    rotation_deg: float = 60.0
    translation: float = 0.1
    translation_z: float = 0.0  # Pan 0, Rep 0.1


@dataclass(frozen=True)
class NetConfig:
    width: float = 1.0  # of V, L, D and A against the papers' tables
    seed: int | None = None  # of the weights that a fit begins with; None: the fit's own


@dataclass(frozen=True)
class ComputeConfig:
    """How the same numbers are computed; `plain` settings are the yardstick of `bozzetto bench steps`."""

    precision: PrecisionChoice = "fp32"  # of the five networks' convolutions
    gan_precision: PrecisionChoice = "fp32"
    rasteriser: Literal["auto", "reference", "fast"] = "auto"
    reuse: bool = True  # compute what a step leaves fixed once
    fused_adam: bool = True
    chunk: int = 0  # samples whose activations are held at once, the gradients added up; 0: all of an iteration's
    keep_mb: int = 512  # of target features kept for a phase of step 3; beyond, they are computed every time


@dataclass(frozen=True)
class FitConfig:
    stages: tuple[Stage, ...]
    optim: OptimConfig = field(default_factory=OptimConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    project: ProjectConfig = field(default_factory=ProjectConfig)
    prior: PriorConfig = field(default_factory=PriorConfig)
    turn: TurnConfig = field(default_factory=TurnConfig)
    view: ViewConfig = field(default_factory=ViewConfig)
    nets: NetConfig = field(default_factory=NetConfig)
    compute: ComputeConfig = field(default_factory=ComputeConfig)
    texture: Literal["network", "photo"] = "network"  # albedo: A's, or the photo's own and its mirror side's (ours)
    texture_px: int = 512  # a side at most of the photo's albedo as fine as the photo, for exports; 0: none (ours)


@dataclass(frozen=True)
class Round:
    """Some epochs of a joint training. A visit walks steps 1 to 3 on some of the photos.

    With visits to a batch, an epoch visits every batch of a fresh order, and every iteration takes the whole batch;
    with visits to all, an epoch is one visit, and every iteration draws a batch.
    """

    epochs: int
    albedo: int  # iterations of step 1, a visit
    project: int
    factorise: int
    samples: int = 16  # Np, a photo and iteration
    visit: Literal["batch", "all"] = "batch"
    mirror: bool = False
    mirror_albedo: bool = False


@dataclass(frozen=True)
class GeneralConfig:
    """Joint training of one set of networks, the general model M*, on many photos. `fit.stages` plays no part."""

    rounds: tuple[Round, ...]
    fit: FitConfig
    batch: int = 10  # photos an iteration, over all processes
    prior_epochs: int = 1000  # of step 0, over all photos
    patience: int = 0  # epochs without a better validation, after which the training ends; 0: never
    validate_every: int = 1  # epochs
    albedo_photos: int | None = None  # of a batch, that count in step 1; None: all (Rep's code counts the first alone)


@dataclass(frozen=True)
class AutoencodeConfig:
    """Photo-geometric autoencoding of many pictures by a general model's V, L, D and A (after Wu et al. 2020)."""

    iterations: int = 12000
    albedo_iterations: int | None = None  # before these, of A alone; None: 1000 where the model has no A, else 0
    batch: int = 8  # pictures an iteration
    lr: float = 4e-4
    final_lr: float = 0.1  # share of the rate that a cosine leaves at the end
    mirror_weight: float = 0.5  # of the picture out of the mirrored depth and albedo (Wu et al.: 0.5)
    smooth_depth_weight: float = 2.0
    precision: PrecisionChoice = "fp32"  # of the networks' convolutions
