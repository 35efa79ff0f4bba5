"""The six numbers of a pose that also open the viewer when they are called.

A record's `view` is its pose, as in the papers, and `result.view()` is what a person types who wants to see the object.
Both work: what `view` gives is a tensor like any other, and calling it is `Reconstruction.show`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


class Pose(Tensor):
    """rx, ry, rz in radians, tx, ty, tz in scene units. Whatever is computed from it is a plain tensor."""

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]
    _show: Callable[..., Path]

    def __call__(self, path: Path | str | None = None, browser: bool = True) -> Path:
        """See `Reconstruction.show`."""
        return self._show(path, browser)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Copies and pickles are plain tensors: they belong to no record."""
        return self.as_subclass(Tensor).__reduce_ex__(protocol)

    def __deepcopy__(self, memo: Any) -> Tensor:
        return self.as_subclass(Tensor).__deepcopy__(memo)


class PoseField:
    """The field `view` of a record, which has `show`: kept as a plain tensor, handed out as a `Pose` of its record."""

    def __get__(self, record: Any, kind: type) -> Any:
        if record is None:
            return self
        pose = record.__dict__["view"].as_subclass(Pose)
        pose._show = record.show
        return pose

    def __set__(self, record: Any, value: Tensor) -> None:
        record.__dict__["view"] = value.as_subclass(Tensor) if isinstance(value, Pose) else value
