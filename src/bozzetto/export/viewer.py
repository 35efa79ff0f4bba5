"""The offline viewer: one page that holds the object, its photo and the program that shows them."""

from __future__ import annotations

import html
from pathlib import Path

from bozzetto.export.files import write_text
from bozzetto.export.page import page
from bozzetto.export.scene import Scene
from bozzetto.export.viewer_data import viewer_data

VIEWER = "viewer.html"  # the page's name in a result folder


def viewer_html(scene: Scene) -> str:
    """The page as HTML. It opens from a file, needs nothing beside it and asks nothing of any network."""
    return page("viewer", {"title": scene.title or "Untitled"}, viewer_data(scene))


def write_viewer(scene: Scene, path: Path) -> Path:
    """Write the page, whole or not at all; returns `path`. Raises OutputError."""
    return write_text(path, viewer_html(scene))


def viewer_frame(scene: Scene, height_px: int = 720) -> str:
    """The viewer inside another page, such as a notebook: a frame that holds it whole and shares nothing with its host.

    The frame's sandbox lets the viewer's script run and save files, and gives it an origin of its own.
    """
    whole = html.escape(viewer_html(scene), quote=True)
    title = html.escape(f"3D viewer: {scene.title or 'Untitled'}", quote=True)
    return (
        f'<iframe title="{title}" sandbox="allow-scripts allow-downloads" width="100%" height="{height_px}" '
        f'frameborder="0" srcdoc="{whole}"></iframe>'
    )
