"""Writing the site: whole or not at all, one flat folder of files that any static host takes."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from bozzetto.errors import InputError
from bozzetto.export.files import write_bytes, write_text
from bozzetto.export.images import picture
from bozzetto.export.viewer import write_viewer
from bozzetto.gallery.cards import PICTURES, card_of, pictures_of, slugs
from bozzetto.gallery.index import MARK, index_html
from bozzetto.results import Reconstruction
from bozzetto.results.folder import is_result_folder
from bozzetto.results.replace import new_folder

INDEX = "index.html"
_OURS = re.compile(rf"[a-z0-9-]+\.(viewer\.html|({'|'.join(PICTURES)})\.jpg)")
_QUALITY = 90


def find_results(paths: Iterable[Path]) -> list[Path]:
    """The result folders among these and directly in them, in order, each once.

    Raises:
        InputError: a path is no result folder and holds none.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        inside = [path] if is_result_folder(path) else []
        if not inside and path.is_dir():
            inside = [folder for folder in sorted(path.iterdir()) if folder.is_dir() and is_result_folder(folder)]
        if not inside:
            raise InputError(f"{path} is no result folder and holds none; name what `bozzetto reconstruct` wrote.")
        for folder in inside:
            found.setdefault(folder.resolve(), folder)
    return list(found.values())


def write_site(
    folders: Sequence[Path], out: Path, title: str = "Gallery", tell: Callable[[Path], object] | None = None
) -> Path:
    """Write the site of these result folders into the folder `out`; returns its first page.

    A site of ours that is there is replaced, foreign files in it stay. `tell` hears of each result before it is drawn.

    Raises:
        InputError: no result is given.
        OutputError: a result is damaged, `out` holds other things, or the system refused to write.
    """
    if not folders:
        raise InputError("A gallery needs one result at least; name result folders.")
    names = [folder.resolve().name for folder in folders]
    with new_folder(out, _is_site, _our_names(out)) as fresh:
        cards = []
        for folder, slug, name in zip(folders, slugs(names), names, strict=True):
            if tell is not None:
                tell(folder)
            result = Reconstruction.load(folder)
            cards.append(card_of(result, slug, name))
            write_viewer(result, fresh / f"{slug}.viewer.html")
            for kind, image in pictures_of(result).items():
                write_bytes(fresh / f"{slug}.{kind}.jpg", _jpeg(image))
        write_text(fresh / INDEX, index_html(cards, title))
    return out / INDEX


def _jpeg(image: Float[Tensor, "3 t t"]) -> bytes:
    buffer = io.BytesIO()
    picture(image).save(buffer, format="JPEG", quality=_QUALITY, subsampling=0)
    return buffer.getvalue()


def _is_site(folder: Path) -> bool:
    try:
        with (folder / INDEX).open(encoding="utf-8", errors="replace") as file:
            return MARK in file.read(4096)
    except OSError:
        return False


def _our_names(folder: Path) -> frozenset[str]:
    """The files of a site that is there already: what a new one replaces."""
    if not folder.is_dir():
        return frozenset()
    return frozenset({INDEX, *(path.name for path in folder.iterdir() if _OURS.fullmatch(path.name))})
