"""Plain .npz files, read without pickles and written whole or not at all."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from bozzetto.disk import UNREADABLE, clear, put_in_place, require_plain
from bozzetto.errors import InputError, OutputError
from bozzetto.gan.pickle_records import one_line

MAX_BYTES = 8 * 2**30  # of all arrays together


def read_npz(path: Path, advice: str) -> dict[str, np.ndarray]:
    """All arrays of an .npz.

    Raises:
        InputError: no such file, not an .npz, cut short, or with pickled objects; the message ends with `advice`.
    """
    try:
        require_plain(path)
        if not zipfile.is_zipfile(path):
            raise ValueError("not a whole .npz")
        with np.load(path, allow_pickle=False) as stored:
            if sum(entry.file_size for entry in stored.zip.infolist()) > MAX_BYTES:
                raise ValueError(f"it unpacks to more than {MAX_BYTES >> 30} GiB")
            arrays = {name: stored[name] for name in stored.files}
        for name, value in arrays.items():
            if not isinstance(value, np.ndarray):  # the bytes of what is no array
                raise ValueError(f"'{name}' in it is no array")
        return arrays
    except UNREADABLE as error:
        reason = (isinstance(error, OSError) and error.strerror) or one_line(error)
        raise InputError(f"{path} cannot be read ({reason}); {advice}.") from error


def write_npz(path: Path, arrays: Mapping[str, np.ndarray], compression: int = zipfile.ZIP_DEFLATED) -> None:
    """Write arrays under a temporary name in the same folder, then move the file into place.

    Raises:
        OutputError: the file cannot be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file, zipfile.ZipFile(file, "w", compression) as archive:
            for name, array in arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)
        put_in_place(part, path)
    except OSError as error:
        clear([part])
        raise OutputError(f"Cannot write {path}: {error.strerror or error}.") from error
