"""The record of a finished fit and the folder it is kept in."""

from bozzetto.results.assemble import assemble
from bozzetto.results.folder import (
    export_folder,
    is_result_folder,
    keep_through_gan,
    read,
    read_log,
    read_networks,
    write,
)
from bozzetto.results.provenance import Provenance
from bozzetto.results.reconstruction import Reconstruction

__all__ = [
    "Provenance",
    "Reconstruction",
    "assemble",
    "export_folder",
    "is_result_folder",
    "keep_through_gan",
    "read",
    "read_log",
    "read_networks",
    "write",
]
