"""An iteration in chunks of its samples: the gradient of a mean is the weighted sum of those of its parts.

The numbers are those of the whole iteration but for the order in which they are added up: the same to the accuracy of
the arithmetic (float32: 1e-6 of the gradient's length; bfloat16 convolutions: 5e-3), and not bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor


def pieces(count: int, chunk: int) -> Iterator[slice]:
    """Slices that cover `count` things, `chunk` at a time; 0: one slice."""
    size = chunk if chunk > 0 else max(count, 1)
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def back_propagated(terms: Mapping[str, Tensor], weight: float = 1.0) -> dict[str, Tensor]:
    """Add the gradient of the weighted sum of these losses to the parameters'; returns the weighted losses alone."""
    weighted = {name: weight * term.mean() for name, term in terms.items()}
    if weighted:
        torch.stack(list(weighted.values())).sum().backward()
    return {name: value.detach() for name, value in weighted.items()}


class Sum:
    """Losses of parts, added up by name."""

    def __init__(self) -> None:
        self.found: dict[str, Tensor] = {}

    def add(self, terms: Mapping[str, Tensor]) -> None:
        for name, value in terms.items():
            self.found[name] = self.found[name] + value if name in self.found else value

    def terms(self) -> dict[str, Tensor]:
        """All of them, and "total", their sum; none takes a gradient any more."""
        return {"total": torch.stack(list(self.found.values())).sum(), **self.found}
