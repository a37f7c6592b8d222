"""Several processes that share the work of one: sums over all of them, by `torch.distributed` (torchrun)."""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, distributed

__all__ = ["World", "current_world"]


@dataclass(frozen=True)
class World:
    """This process among those that work together. Every process calls the same methods in the same order.

    Args:
        rank: its number.
        size: how many there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and talks to people."""
        return self.rank == 0

    def sum(self, value: Tensor) -> Tensor:
        """Return the sum of a tensor over all processes, equal bits in each."""
        if self.size == 1:
            return value
        value = value.detach().clone()
        distributed.all_reduce(value)
        return value

    def any(self, told: bool) -> bool:
        """Return whether any process says so."""
        return told if self.size == 1 else bool(self.sum(torch.tensor(float(told))))

    def spread(self, tensors: Iterable[Tensor]) -> None:
        """Give every process the values that the first one has."""
        if self.size > 1:
            for tensor in tensors:
                distributed.broadcast(tensor.data, 0)

    def wait(self) -> None:
        """Wait until every process is here."""
        if self.size > 1:
            distributed.barrier()

    def sum_gradients(self, parameters: Iterable[Tensor], loss: Tensor) -> Tensor:
        """Replace the gradient of every parameter by its sum over all processes; return the sum of the losses."""
        if self.size == 1:
            return loss
        parameters = list(parameters)
        for p in parameters:
            p.grad = torch.zeros_like(p) if p.grad is None else p.grad
        flat = self.sum(torch.cat([loss.detach().reshape(1), *(p.grad.reshape(-1) for p in parameters)]))
        parts = flat[1:].split([p.numel() for p in parameters])
        for p, part in zip(parameters, parts, strict=True):
            p.grad.copy_(part.view_as(p))
        return flat[0]


def current_world(device: str = "cpu") -> World:
    """Return the world that torchrun started this process in (and join it); alone, if none did.

    With ``cuda`` each process takes the GPU of its number on the machine.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return World()
    if not distributed.is_initialized():
        on_gpu = device.startswith("cuda")
        if on_gpu:
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        # Flags and other small values are summed by the CPU in either case: that makes no GPU wait.
        distributed.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo")
        atexit.register(_leave)
    return World(distributed.get_rank(), distributed.get_world_size())


def _leave() -> None:
    """Leave the group of processes, if this has not happened yet."""
    if distributed.is_initialized():
        distributed.destroy_process_group()
