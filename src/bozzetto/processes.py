"""Processes that train: several together, launched by torchrun (who this one is, its share, sums over all); speed."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator

import torch
import torch.distributed as dist
from torch import Tensor

from bozzetto.errors import InputError

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


def hold_memory() -> bool:
    """Keep freed memory for the next step instead of handing it back to the system, for the whole process.

    A batch's activations are large enough for glibc to ask the system for pages at every step and to return them after
    it. That took a quarter of the time of joint trainings. Costs some more memory; returns whether it could be done,
    which it cannot without glibc, whose older versions go less far.
    """
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    # Both: one alone ends glibc's own adapting of the other.
    large = any(set_option(_M_MMAP_THRESHOLD, size) for size in (2**30, 2**25))
    return large and bool(set_option(_M_TRIM_THRESHOLD, 2**31 - 1))


@contextlib.contextmanager
def without_denormals() -> Iterator[bool]:
    """Take numbers too small for float32's normal form as 0, in this thread and those that it starts meanwhile.

    Weight decay brings the weights of channels that died down to such numbers after some thousand iterations, and a CPU
    computes with them many times slower (docs/log.md). Gives whether the CPU can.
    """
    before = bool(torch.tensor(torch.finfo(torch.float32).tiny) / 2 == 0)  # torch does not tell
    can = bool(torch.set_flush_denormal(True))
    try:
        yield can
    finally:
        torch.set_flush_denormal(before)


def join(device: torch.device) -> torch.device:
    """Under torchrun, meet the other processes and take the device of this one's place; alone, change nothing."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return device
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return device


def leave() -> None:
    """Part from the other processes, where there are any."""
    if dist.is_initialized():
        dist.destroy_process_group()


def place() -> tuple[int, int]:
    """This process's rank and how many there are; (0, 1) for one that is alone."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def share_of(batch: int) -> int:
    """How many of a batch are this process's. Raises InputError where the batch cannot be shared evenly."""
    world = place()[1]
    if batch % world:
        raise InputError(f"The batch of {batch} cannot be shared by {world} processes.")
    return batch // world


def mean(value: Tensor) -> Tensor:
    """The mean over processes."""
    world = place()[1]
    if world > 1:
        value = value.contiguous()
        dist.all_reduce(value)
        value = value / world
    return value


def wait() -> None:
    """Until every process has come here."""
    if dist.is_initialized():
        dist.barrier()
