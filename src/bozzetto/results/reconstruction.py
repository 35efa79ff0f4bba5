"""The record a finished fit hands over: every picture and factor of one photo, and where it came from."""

from __future__ import annotations

import dataclasses
import tempfile
import webbrowser
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from bozzetto.errors import InputError
from bozzetto.export.formats import DEFAULT_FORMATS
from bozzetto.export.matting import at_size
from bozzetto.export.viewer import VIEWER, viewer_frame, write_viewer
from bozzetto.geometry.render import render
from bozzetto.results.facts import facts_of
from bozzetto.results.pose import PoseField
from bozzetto.results.provenance import Provenance
from bozzetto.types import Camera, DepthRange, Factors, Rendering, ThroughGan

# The shape of each tensor; S is the camera's size, "L" and "d" are the latent's own.
SHAPES: dict[str, tuple[int | str, ...]] = {
    **dict.fromkeys(("image", "inversion", "recon", "normal", "normal_posed", "albedo"), (3, "S", "S")),
    **dict.fromkeys(
        ("recon_mask", "mask", "canonical_mask", "depth", "depth_posed", "diffuse", "shading"), (1, "S", "S")
    ),
    "view": (6,),
    "light": (4,),
    "latent": ("L", "d"),
}


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """One photo taken apart. Tensors are float32 on the CPU, detached, without a batch dimension.

    "Canonical" is the object's own frontal frame, "posed" the pose it has in the photo. Images are in [0, 1].

    Raises:
        ValueError: a tensor is not float32, not on the CPU, or not of its shape.
    """

    image: Float[Tensor, "3 s s"]  # the photo
    inversion: Float[Tensor, "3 s s"]  # G(w), the generator's picture of it
    recon: Float[Tensor, "3 s s"]  # the rendering in the photo's pose and light; not clamped
    recon_mask: Float[Tensor, "1 s s"]  # 1 where the height field covers the rendering's pixel, else 0
    mask: Float[Tensor, "1 s s"]  # the object in the photo, soft, 0..1
    canonical_mask: Float[Tensor, "1 s s"]  # the object in the canonical frame, soft, 0..1
    depth: Float[Tensor, "1 s s"]  # canonical, scene units
    depth_posed: Float[Tensor, "1 s s"]  # seen from the photo's camera, scene units; holds where recon_mask is 1
    normal: Float[Tensor, "3 s s"]  # canonical, unit, toward the camera (z <= 0)
    normal_posed: Float[Tensor, "3 s s"]  # in the photo's pose and camera frame; holds where recon_mask is 1
    albedo: Float[Tensor, "3 s s"]  # canonical
    diffuse: Float[Tensor, "1 s s"]  # canonical, max(0, n . direction)
    shading: Float[Tensor, "1 s s"]  # canonical, ambient + diffuse strength x diffuse
    view: Float[Tensor, "6"]  # of the photo: rx, ry, rz [rad], tx, ty, tz [scene units]; called, it is `show`
    light: Float[Tensor, "4"]  # of the photo: ambient, diffuse, dx, dy
    latent: Float[Tensor, "l d"]  # w of the photo, one row a layer (or one row for all)
    camera: Camera
    depth_range: DepthRange = field(default_factory=DepthRange)
    provenance: Provenance = field(default_factory=Provenance)
    texture: UInt8[Tensor, "3 t t"] | None = None  # canonical albedo as fine as the photo, 0..255; t > S
    through_gan: ThroughGan | None = None  # turned and relit pictures by the generator, where they were made

    def __post_init__(self) -> None:
        for name, shape in SHAPES.items():
            value = getattr(self, name)
            wanted = tuple(self.camera.size if side == "S" else side for side in shape)
            same = value.dim() == len(wanted) and all(
                isinstance(w, str) or s == w for s, w in zip(value.shape, wanted, strict=True)
            )
            if not same or value.dtype != torch.float32 or value.device.type != "cpu" or value.requires_grad:
                raise ValueError(
                    f"{name} is {value.dtype} {tuple(value.shape)} on {value.device} instead of a detached "
                    f"torch.float32 {wanted} on cpu"
                )
        if self.texture is not None:
            check_texture(self.texture, self.camera.size)
        if self.through_gan is not None:
            check_through_gan(self.through_gan, self.camera.size)

    @property
    def size(self) -> int:
        """Pixels a side."""
        return self.camera.size

    @property
    def title(self) -> str:
        """File name of the photo, for the head of a sheet; may be empty."""
        return self.provenance.input_name

    @property
    def facts(self) -> dict[str, str]:
        """What a page says beside the object, title to value, most telling first; see `results.facts`."""
        return facts_of(self.provenance, self.size)

    def tensors(self) -> dict[str, Tensor]:
        """The record's tensors by field name."""
        return {name: getattr(self, name) for name in SHAPES}

    def factors(self) -> Factors:
        """The canonical factors with the photo's view and light, as a batch of one."""
        return Factors(self.depth[None], self.albedo[None], self.view[None], self.light[None])

    @torch.no_grad()
    def render(
        self,
        view: Tensor | Sequence[float] | Sequence[Sequence[float]] | None = None,
        light: Tensor | Sequence[float] | Sequence[Sequence[float]] | None = None,
        size: int | None = None,
    ) -> Rendering:
        """Render the object from any view under any light.

        Args:
            view: [6] or [n, 6] (rx, ry, rz in radians, tx, ty, tz in scene units); None is the photo's own.
            light: [4] or [n, 4] (ambient, diffuse, dx, dy); None is the photo's own. One row serves all of the other.
            size: pixels a side; None is the record's own. Other sizes resample depth and albedo.

        Raises:
            InputError: a view or light has the wrong length or a value that is not finite, the numbers of views and
                lights do not go together, or the size is below 2.
        """
        if size is not None and size < 2:
            raise InputError(f"A picture of {size} pixels cannot be rendered; ask for a size of 2 or more.")
        views, lights = _rows(view, self.view, 6, "view"), _rows(light, self.light, 4, "light")
        count = max(len(views), len(lights))
        if {len(views), len(lights)} - {1, count}:
            raise InputError(f"{len(views)} views and {len(lights)} lights do not go together; give as many or one.")
        factors, camera = at_size(self.factors(), self.camera, size or self.size)
        moved = dataclasses.replace(factors, view=views.expand(count, -1), light=lights.expand(count, -1))
        return render(moved, camera, self.depth_range)

    def save(
        self,
        folder: Path | str,
        networks: Mapping[str, Tensor] | None = None,
        log: Iterable[Mapping[str, Any]] | Path | None = None,
        formats: Iterable[str] = DEFAULT_FORMATS,
        preview: Reconstruction | None = None,
    ) -> Path:
        """Write a result folder; see `results.folder.write`."""
        from bozzetto.results import folder as result_folder

        return result_folder.write(self, Path(folder), networks, log, formats, preview)

    def show(self, path: Path | str | None = None, browser: bool = True) -> Path:
        """Open the viewer in the web browser; returns the page's path. `result.view()` is the same.

        Args:
            path: where to write the page; None makes a file of its own among the temporary ones, which stays.
            browser: False only writes it.

        Raises:
            OutputError: the page cannot be written.
        """
        place = Path(tempfile.mkdtemp(prefix="bozzetto-")) / VIEWER if path is None else Path(path)
        write_viewer(self, place)
        if browser:
            webbrowser.open(place.resolve().as_uri())
        return place

    def _repr_html_(self) -> str:
        """The viewer, where a notebook shows the record."""
        return viewer_frame(self)

    @staticmethod
    def load(folder: Path | str) -> Reconstruction:
        """Read a result folder; see `results.folder.read`."""
        from bozzetto.results import folder as result_folder

        return result_folder.read(Path(folder))


setattr(Reconstruction, "view", PoseField())  # noqa: B010  after the class is made: a field with a value is a default


def check_texture(texture: Tensor, size: int) -> None:
    """Raise ValueError where a texture is not of its kind and shape."""
    side = texture.shape[-1] if texture.dim() == 3 else 0
    if texture.dtype != torch.uint8 or list(texture.shape) != [3, side, side] or side <= size:
        raise ValueError(f"the texture is {texture.dtype} {tuple(texture.shape)} and should be larger than {size} px")


def check_through_gan(kept: ThroughGan, size: int) -> None:
    """Raise ValueError where pictures or what goes with them are not of their kind and shape."""
    pairs = ((kept.turn, kept.turn_view, 6, "turn"), (kept.relight, kept.relight_light, 4, "relight"))
    for pictures, rows, width, name in pairs:
        good = pictures.dtype == torch.uint8 and list(pictures.shape[1:]) == [3, size, size] and len(pictures) > 0
        if not good or rows.dtype != torch.float32 or list(rows.shape) != [len(pictures), width]:
            raise ValueError(
                f"{name} through the GAN is {pictures.dtype} {tuple(pictures.shape)} with {tuple(rows.shape)}"
            )
        if not bool(torch.isfinite(rows).all()):
            raise ValueError(f"{name} through the GAN has a view or light that is not finite")


def _rows(
    value: Tensor | Sequence[float] | Sequence[Sequence[float]] | None, own: Tensor, width: int, name: str
) -> Float[Tensor, "n width"]:
    try:
        rows = own if value is None else torch.as_tensor(value, dtype=torch.float32, device="cpu").detach()
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"A {name} is {width} numbers or rows of {width} numbers.") from error
    rows = rows[None] if rows.dim() == 1 else rows
    if rows.dim() != 2 or rows.shape[1] != width or len(rows) == 0:
        raise InputError(f"A {name} is {width} numbers or rows of {width}, not a shape {list(rows.shape)}.")
    if not bool(torch.isfinite(rows).all()):
        raise InputError(f"A {name} has a number that is not finite; give finite numbers.")
    return rows
