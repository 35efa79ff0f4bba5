"""Read a pickle or a torch.save file without trusting it: data come out, and nothing in the file is ever run.

    value = read_pickle(Path("network.pkl"))

What comes out: None, bool, int, float, str, bytes, list, tuple, dict (also for OrderedDict), set, frozenset;
`torch.Tensor` (on the CPU, also for parameters); `numpy.ndarray` of numbers; `Global(module, name)` for a name that is
only referred to; and `Stub` for every object of any other class: `.module`, `.name`, `.args`, `.kwargs` of the call
that would have made it, `.state` that it would have been given, `.items` and `.elements` that would have been put into
it. A StyleGAN2-ADA or StyleGAN3 network is `Stub("torch_utils.persistence", "_reconstruct_persistent_obj")` whose
`args[0]` is the dict with `class_name`, `module_src` (text, never run) and `state` (`_parameters`, `_buffers`,
`_modules`, `_init_args`, `_init_kwargs`).

The result contains no cycle, is at most 100 levels deep and not larger than the file explains, so code that reads it
need not defend itself.
"""

from __future__ import annotations

import io
import mmap
from pathlib import Path

from bozzetto.errors import CheckpointError
from bozzetto.gan.pickle_records import Global, Limits, Stub
from bozzetto.gan.torch_archive import ZIP_HEAD, read_stream, read_zip

__all__ = ["Global", "Stub", "read_pickle", "read_pickle_bytes"]

MAX_FILE_BYTES = 16 * 2**30


def read_pickle(path: Path) -> object:
    """The content of a torch zip archive, a torch file of before 1.6, or a bare pickle.

    Raises CheckpointError, one sentence, for what is not whole, asks for code to be run, points outside of itself,
    unpacks to more than it is, or is not plain data.
    """
    try:
        size = path.stat().st_size
        if not 0 < size <= MAX_FILE_BYTES:
            raise CheckpointError(f"The file {path.name} is empty or larger than any checkpoint.")
        limits = Limits.of(path.name, size)
        with path.open("rb") as file:
            if file.read(len(ZIP_HEAD)) == ZIP_HEAD:
                return read_zip(file, size, limits)
            # Mapped: a length that the file only claims is then never allocated.
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return read_stream(data, size, limits)
    except OSError as error:
        raise CheckpointError(f"The file {path} cannot be read ({error.strerror}).") from None


def read_pickle_bytes(data: bytes, file: str = "in memory") -> object:
    """`read_pickle` of bytes; `file` names them in complaints."""
    return read_stream(io.BytesIO(data), len(data), Limits.of(file, len(data)))
