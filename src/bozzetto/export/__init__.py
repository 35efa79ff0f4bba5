"""Pictures, meshes and films of a finished reconstruction. Nothing here knows a network."""

from bozzetto.export.formats import DEFAULT_FORMATS, FORMATS, export_all
from bozzetto.export.scene import Scene

__all__ = ["DEFAULT_FORMATS", "FORMATS", "Scene", "export_all"]
