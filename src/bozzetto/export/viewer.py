"""The offline viewer: one page that holds the object, its photo and the program that shows them."""

from __future__ import annotations

from pathlib import Path

from bozzetto.export.files import write_text
from bozzetto.export.page import page
from bozzetto.export.scene import Scene
from bozzetto.export.viewer_data import viewer_data


def viewer_html(scene: Scene) -> str:
    """The page as HTML. It opens from a file, needs nothing beside it and asks nothing of any network."""
    return page("viewer", {"title": scene.title or "Untitled"}, viewer_data(scene))


def write_viewer(scene: Scene, path: Path) -> Path:
    """Write the page, whole or not at all; returns `path`. Raises OutputError."""
    return write_text(path, viewer_html(scene))
