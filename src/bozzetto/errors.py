"""Errors a user can cause. Each message is one sentence that says what is wrong and what to do about it.

The command line prints the message alone and leaves with the class's exit code; library callers catch `BozzettoError`.
"""

from __future__ import annotations


class BozzettoError(Exception):
    """Base of everything the package raises on purpose."""

    exit_code = 1


class InputError(BozzettoError):
    """A photo, mask, latent or option that cannot be used."""

    exit_code = 2


class CheckpointError(BozzettoError):
    """A generator or weight file that is not understood, not whole, or not safe to open."""

    exit_code = 3


class MissingExtraError(BozzettoError):
    """An optional dependency is needed for what was asked; the message names the `pip install` line."""

    exit_code = 4


class OutputError(BozzettoError):
    """A result cannot be written or read: no space, no permission, not a result folder, newer schema."""

    exit_code = 5


class FitError(BozzettoError):
    """The numbers of a fit went wrong and could not be recovered."""

    exit_code = 6
