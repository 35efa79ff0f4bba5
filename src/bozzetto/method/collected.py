"""Projected samples of many photos, kept in a file: they outgrow memory long before the disk."""

from __future__ import annotations

import math
import os
import tempfile
from pathlib import Path
from typing import IO

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from bozzetto.errors import OutputError


class Collected:
    """float16 pictures [photos, kept, 3, S, S] in a file that the system pages in and out as memory allows.

    Half precision is 0.0005 at most off a picture in [0, 1]. The file belongs to one phase of one run; what a
    repeated phase writes into it again is the same.
    """

    def __init__(self, path: Path | None, photos: int, kept: int, size: int) -> None:
        """path: None for a file that goes away with this object. Raises OutputError where there is no room."""
        shape = (photos, kept, 3, size, size)
        self.size_bytes = 2 * math.prod(shape)
        try:
            if path is None:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115  lives as long as the array
                _take_room(self._file, self.size_bytes)
                self.array = np.memmap(self._file, np.float16, "r+", shape=shape)
            else:
                fits = path.is_file() and path.stat().st_size == self.size_bytes
                with path.open("r+b" if fits else "w+b") as file:
                    _take_room(file, self.size_bytes)
                self.array = np.memmap(path, np.float16, "r+", shape=shape)
        except OSError as error:
            raise self._no_room(error) from error

    def _no_room(self, error: OSError) -> OutputError:
        return OutputError(
            f"There is no room for {self.size_bytes / 2**20:.0f} MB of samples ({error.strerror or error}); "
            "free some space, or use fewer photos or a smaller --fit.project.collect-batches."
        )

    def put(self, photos: Int[Tensor, "b"], batch: int, images: Float[Tensor, "m 3 s s"]) -> None:
        """Keep batch number `batch` of these photos: Np samples each, photo by photo."""
        count = len(images) // len(photos)
        pictures = images.detach().cpu().to(torch.float16).numpy().reshape(len(photos), count, *images.shape[1:])
        self.array[photos.numpy(), batch * count : (batch + 1) * count] = pictures

    def take(self, photos: Int[Tensor, "m"], samples: Int[Tensor, "m"]) -> Float[Tensor, "m 3 s s"]:
        """One sample each, in [0, 1]."""
        return torch.from_numpy(np.asarray(self.array[photos.numpy(), samples.numpy()])).float()

    def flush(self) -> None:
        """Write what is still in memory. Raises OutputError where the disk refuses."""
        try:
            self.array.flush()
        except OSError as error:
            raise self._no_room(error) from error


def _take_room(file: IO[bytes], size: int) -> None:
    """Make the file so large and have its room on the disk set aside; what is in it stays.

    A mapped file without room ends the process when it is written to and the disk is full (SIGBUS). Raises OSError.
    """
    file.seek(0, os.SEEK_END)
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
        return
    while (missing := size - file.tell()) > 0:
        file.write(bytes(min(missing, 2**20)))
    file.flush()
