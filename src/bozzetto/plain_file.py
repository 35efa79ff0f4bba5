"""Files that are handed in are files: opening a pipe waits for ever, and a device never ends."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def require_plain(path: Path) -> int:
    """Bytes of a plain file, links to one included.

    Raises:
        OSError: there is none, or it is a folder, a pipe or a device; `strerror` says which.
    """
    found = os.stat(path)
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder", str(path))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is a pipe or a device and no plain file", str(path))
    return found.st_size
