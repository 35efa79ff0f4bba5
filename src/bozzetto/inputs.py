"""What a user hands in, in all its forms, to what the method works on; every complaint is one sentence."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from bozzetto.autocrop import Choice, choose
from bozzetto.config import FitConfig
from bozzetto.crop import Square, middle_square, parse_crop
from bozzetto.disk import DAMAGED, require_plain
from bozzetto.download import sha256_of
from bozzetto.errors import InputError
from bozzetto.gan.generator import Gan, GanInfo
from bozzetto.gan.latent import read_latent
from bozzetto.gan.zoo import load_gan
from bozzetto.method.sampling import LightDistribution, SceneDistribution, ViewDistribution
from bozzetto.nets.heads import ViewScale
from bozzetto.photo import (
    ORIENTATIONS,
    Upright,
    check_size,
    cut_photo,
    open_photo,
    photo_sha256,
    read_orientation,
    split_alpha,
    to_srgb,
)
from bozzetto.precision import PrecisionChoice, resolve
from bozzetto.results.texture_file import MOST_PX
from bozzetto.segment.categories import CATEGORIES, Category, find_category
from bozzetto.segment.file import read_whole_mask
from bozzetto.segment.framings import find_framing
from bozzetto.segment.registry import (
    FRAMED,
    MAKERS,
    NAMES,
    Masked,
    is_at_hand,
    make_segmenter,
    mask_photo,
    run_segmenter,
)
from bozzetto.segment.segmenter import Segmenter, mask_problem

MIN_RESOLUTION = 16  # px: smaller pictures have no levels for the networks

CropLike: TypeAlias = "str | tuple[int, int, int] | Square"
PictureLike: TypeAlias = "str | Path | Image.Image | np.ndarray | Tensor"


@dataclass(frozen=True)
class Picture:
    """One photo at the generator's size."""

    image: Float[Tensor, "3 s s"]  # [0, 1]
    alpha: Float[Tensor, "1 s s"] | None  # [0, 1]
    name: str  # file name, or what it was given as
    original_size: tuple[int, int]  # width and height in pixels
    sha256: str  # of the file, or of the pixels
    square: Square  # of the photo, in its pixels
    how: str = "whole"  # how the square was chosen, see `autocrop.Choice`
    note: str | None = None  # what the user should know about it
    fine: UInt8[Tensor, "3 t t"] | None = None  # the same square, larger, where it was asked for and the photo has it


def read_picture(
    image: PictureLike, size: int, choice: Callable[[Upright], Choice] | None = None, fine_px: int = 0
) -> Picture:
    """A photo from a path, a PIL image, or an array or tensor [3, H, W] or [H, W, 3]: uint8, or float in [0, 1].

    A square of it, the middle one if none is chosen, is resized unless it has the size; `fine` is that square in the
    photo's own pixels, or in `fine_px` a side if it has more.

    Raises:
        InputError: none of these, not finite, or out of range.
    """
    if isinstance(image, str | Path):
        photo, name = open_photo(Path(image)), Path(image).name
    elif isinstance(image, Image.Image):
        photo = _from_pil(image)
        name = photo.path.name
    else:
        photo = _from_values(torch.as_tensor(image))
        name = photo.path.name
    chosen = Choice(middle_square(*photo.size), "middle") if choice is None else choice(photo)
    rgb, alpha = cut_photo(photo, chosen.square, size)
    sha256 = photo_sha256(Path(image)) if isinstance(image, str | Path) else digest(rgb, alpha)
    side = min(chosen.square.side, fine_px)
    fine = as_bytes(cut_photo(photo, chosen.square, side)[0]) if side > size else None
    return Picture(rgb, alpha, name, photo.size, sha256, chosen.square, chosen.how, chosen.note, fine)


def as_bytes(picture: Float[Tensor, "3 t t"]) -> UInt8[Tensor, "3 t t"]:
    """A picture in [0, 1] as 0..255, a quarter of the memory."""
    return (picture * 255).round().to(torch.uint8)


def _from_pil(image: Image.Image) -> Upright:
    name = Path(str(getattr(image, "filename", "") or "image"))
    check_size(name, *image.size)
    turned = ORIENTATIONS.get(read_orientation(image))
    upright = image if turned is None else image.transpose(turned)
    upright.info = dict(image.info)
    colours, alpha = split_alpha(to_srgb(upright, name))
    return Upright((colours,), alpha, name)


def _from_values(values: Tensor) -> Upright:
    shape = list(values.shape)
    if values.ndim == 4 and shape[0] == 1:
        values = values[0]
    if values.ndim == 3 and values.shape[0] != 3 and values.shape[2] == 3:
        values = values.permute(2, 0, 1)
    if values.ndim != 3 or values.shape[0] != 3:
        raise InputError(f"An image is an array of shape [3, H, W] or [H, W, 3], not {shape}.")
    if values.dtype == torch.uint8:
        return _from_pil(Image.fromarray(values.permute(1, 2, 0).contiguous().cpu().numpy()))
    if not values.is_floating_point():
        raise InputError(f"An image is uint8 or float in [0, 1], not {str(values.dtype).removeprefix('torch.')}.")
    rgb = values.detach().to("cpu", torch.float32)
    if not bool(rgb.isfinite().all()) or float(rgb.min()) < -1e-3 or float(rgb.max()) > 1 + 1e-3:
        raise InputError("An image of floats has its values in [0, 1]; divide by 255, or add 1 and halve, first.")
    height, width = rgb.shape[1:]
    check_size(Path("image"), width, height)
    planes = [Image.fromarray(np.ascontiguousarray(plane)) for plane in rgb.clamp(0, 1).numpy()]
    return Upright(tuple(planes), None, Path("image"))


def chooser(crop: CropLike, mask: MaskLike, category: str, info: GanInfo) -> Callable[[Upright], Choice]:
    """How the square of a photo is chosen: auto, none, "x,y,size" or three numbers; see `autocrop`.

    Where a mask of the whole photo is given, the object is where it says. A mask as a tensor, or a square file of a
    photo that is not square, belongs to the middle square. Raises InputError for a crop that is none of these.
    """
    wanted = crop if isinstance(crop, Square) else parse_crop(crop)
    row, framing = find_category(category), find_framing(category, info.name)

    def choice(photo: Upright) -> Choice:
        if wanted != "auto" or isinstance(mask, Tensor):
            return choose(photo, info.resolution, "none" if wanted == "auto" else wanted, framing, ())
        name, weights = parser_with_weights(mask)
        drawn = None if name in NAMES else read_whole_mask(Path(name), photo.size)
        if drawn is None and name not in NAMES:
            return choose(photo, info.resolution, "none", framing, ())
        named = name in MAKERS and name not in ("none", *FRAMED)
        asked = [name] if named else [n for n in row.segmenters if n not in FRAMED and is_at_hand(n)]
        looks = [partial(_look, cache(partial(make_segmenter, one, weights if named else None)), row) for one in asked]
        return choose(photo, info.resolution, wanted, framing, looks, drawn)

    return choice


def _look(make: Callable[[], Segmenter], row: Category, image: Float[Tensor, "1 3 n n"]) -> Masked:
    return run_segmenter(make(), image, row)


def digest(*tensors: Tensor | None) -> str:
    """SHA-256 of tensors' shapes and values."""
    found = hashlib.sha256()
    for tensor in tensors:
        if tensor is not None:
            found.update(repr((tuple(tensor.shape), str(tensor.dtype))).encode())
            found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def check_fit(config: FitConfig, info: GanInfo) -> None:
    """Refuse settings that cannot be worked with. Raises InputError."""
    per_stage = ("albedo", "project", "factorise", "samples", "repeat")
    counts = [(name, getattr(s, name)) for s in config.stages for name in per_stage]
    positive = [
        *((name, getattr(config.project, name)) for name in ("collect_batches", "tail_layers")),
        ("feature_blocks", config.loss.feature_blocks),
        *((name, getattr(config.optim, name)) for name in ("lr", "prior_lr", "project_lr")),
        ("nets.width", config.nets.width),
        *((f"turn.{name}", getattr(config.turn, name)) for name in ("steps", "iterations", "wide_steps", "directions")),
    ]
    loss = config.loss
    counts += [
        ("prior iterations", config.prior.iterations),
        ("prior threshold", config.prior.threshold),
        *((f.name, getattr(loss, f.name)) for f in fields(loss) if f.name.endswith("_weight")),
        *((f.name, getattr(config.view, f.name)) for f in fields(config.view)),
        *((name, getattr(config.optim, name)) for name in ("final_lr", "weight_decay", "beta1", "beta2")),
        ("teach_weight", config.project.teach_weight),
        ("turn.weight", config.turn.weight),
        ("turn.share", config.turn.share),
        ("turn.wide_deg", config.turn.wide_deg),
        ("texture_px", config.texture_px),
        ("chunk", config.compute.chunk),
        ("keep_mb", config.compute.keep_mb),
    ]
    if any(stage.project > 0 and stage.samples == 0 for stage in config.stages):
        raise InputError("Step 2 needs samples: give --samples above 0, or --project 0 for a fit to the photo alone.")
    for name, value in [*counts, *positive]:
        if not math.isfinite(value) or value < 0 or (value == 0 and (name, value) in positive):
            raise InputError(f"{name} cannot be {value}; give a number {'above' if value == 0 else 'from'} 0.")
    if config.texture_px > MOST_PX:
        raise InputError(f"texture_px cannot be {config.texture_px}; a texture has at most {MOST_PX} pixels a side.")
    if config.turn.share > 1:
        raise InputError(f"turn.share cannot be {config.turn.share}; it is a share, from 0 to 1.")
    if max(config.optim.beta1, config.optim.beta2) >= 1:
        raise InputError("beta1 and beta2 must be below 1.")
    if info.resolution < MIN_RESOLUTION:
        raise InputError(
            f"'{info.name}' makes pictures of {info.resolution} px; the networks need {MIN_RESOLUTION} at least."
        )
    layers = info.num_mapping_layers
    if config.project.tail_layers > layers:
        raise InputError(f"'{info.name}' has {layers} mapping layers; --tail-layers must be one of 1 to {layers}.")
    if config.project.tail_layers == layers and (info.num_classes or info.z_dim != info.w_dim):
        raise InputError(
            f"'{info.name}' takes inputs of another width than its latents; --tail-layers must be below {layers}."
        )


def find_gan(
    gan: str | Path | Gan, device: torch.device, precision: PrecisionChoice, class_index: int | None = None
) -> Gan:
    """A generator by name, path or as it is, on the device. Raises CheckpointError, and InputError about the class."""
    if isinstance(gan, Gan):
        return gan.to(device).with_precision(resolve(precision, device))
    return load_gan(gan, device, resolve(precision, device), class_index)


def category_of(category: str | None, info: GanInfo) -> str:
    """The category asked for, or else the generator's, or else "object". Raises InputError for one that is unknown."""
    if category is not None:
        return find_category(category).name
    return info.category if info.category in CATEGORIES else "object"


MaskLike: TypeAlias = "str | Path | Tensor"


PARSERS = ("face-parser", "object-parser", "learned")  # segmenters that read a weight file


def mask_identity(mask: MaskLike) -> str:
    """What tells one choice of mask from another: the segmenter's name, or the content's SHA-256."""
    if isinstance(mask, Tensor):
        return digest(mask)
    name, weights = parser_with_weights(mask)
    if weights is not None:
        return f"{name} {_file_identity(weights, 'weight file')}"
    return str(mask) if str(mask) in NAMES else _file_identity(Path(mask))


def parser_with_weights(mask: str | Path) -> tuple[str, Path | None]:
    """A parser and the weight file given with it, as in `face-parser:79999_iter.pth`; else the choice as it is."""
    name, _, weights = str(mask).partition(":")
    return (name, Path(weights)) if name in PARSERS and weights else (str(mask), None)


def find_mask(mask: MaskLike, picture: Picture, category: str) -> Masked:
    """The mask of a photo: a segmenter's name (auto, alpha, none, ...), a file, or a tensor [.., S, S] in [0, 1].

    A parser may bring its weight file along, as in `face-parser:79999_iter.pth`.

    Raises:
        InputError, MissingExtraError, CheckpointError: the segmenter or mask asked for cannot be used.
    """
    if isinstance(mask, Tensor):
        size = picture.image.shape[-1]
        given = mask.detach().to("cpu", torch.float32)
        if list(given.shape[-2:]) != [size, size] or given.numel() != size * size:
            raise InputError(f"A mask of shape [{size}, {size}] is needed, not {list(mask.shape)}.")
        given = given.reshape(1, 1, size, size)
        if not bool(given.isfinite().all()) or float(given.min()) < 0 or float(given.max()) > 1:
            raise InputError("A mask has its values in [0, 1].")
        return Masked(given, given.clone(), "given", mask_problem(given[0]))
    name, weights = parser_with_weights(mask)
    named = name in NAMES
    return mask_photo(
        picture.image,
        category,
        picture.alpha,
        segmenter=name if named else "file",
        mask_file=None if named else mask,
        original_size=picture.original_size,
        weights=weights,
        square=picture.square,
    )


LatentLike: TypeAlias = "str | Path | Tensor"


def find_latent(latent: LatentLike, info: GanInfo) -> Float[Tensor, "1 l d"]:
    """A latent from a file or a tensor, for every layer of the generator. Raises InputError as `read_latent` does."""
    if not isinstance(latent, Tensor):
        return read_latent(Path(latent), info)[None]
    rows = latent.detach().to("cpu", torch.float32)
    rows = rows.reshape(-1, rows.shape[-1]) if rows.ndim else rows
    if rows.ndim != 2 or rows.shape[1] != info.w_dim or len(rows) not in (1, info.num_ws):
        raise InputError(
            f"A latent of shape [{info.w_dim}] or [{info.num_ws}, {info.w_dim}] is needed, not {list(latent.shape)}."
        )
    if not bool(rows.isfinite().all()):
        raise InputError("The latent has values that are not finite numbers; make it again.")
    return rows.expand(info.num_ws, -1).contiguous()[None]


def _file_identity(path: Path, what: str = "mask file") -> str:
    if not path.exists():
        raise InputError(f"There is no {what} {path}, nor a segmenter of that name; choose {', '.join(NAMES)}.")
    try:
        return sha256_of(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check the path.") from error


def read_scenes(path: Path) -> SceneDistribution:
    """Views and lights from a file that `bozzetto estimate-views` wrote. Raises InputError for anything else."""
    try:
        require_plain(path)
        stored = json.loads(path.read_text("utf-8"))
        views, lights = stored["views"], stored["lights"]
        correlation = views.pop("correlation", None)
        rows = None if correlation is None else tuple(tuple(float(v) for v in row) for row in correlation)
        pairs: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in {**views, **lights}.items()}
        found = SceneDistribution(
            ViewDistribution(**{k: pairs[k] for k in views}, correlation=rows),
            LightDistribution(**{k: pairs[k] for k in lights}),
        )
        found.views.draw(1, ViewScale(1.0, 1.0, 1.0), torch.Generator().manual_seed(0))
        found.lights.draw(torch.zeros(1, 4), torch.Generator().manual_seed(0))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check the path.") from error
    except DAMAGED as error:
        raise InputError(f"{path} holds no views and lights; make it with `bozzetto estimate-views`.") from error
    return found
