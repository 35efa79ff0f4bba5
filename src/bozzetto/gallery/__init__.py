"""Many results as one static site: a grid of objects, each opening its viewer, and a wipe between any two."""

from bozzetto.gallery.site import find_results, write_site

__all__ = ["find_results", "write_site"]
