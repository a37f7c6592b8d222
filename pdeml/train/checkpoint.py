"""Checkpoints: the whole training state in one safetensors file that is either absent or complete."""

from __future__ import annotations

from pathlib import Path

import torch

from pdeml.errors import FileFormatError
from pdeml.files import load_tensors, save_tensors
from pdeml.train.loop import TrainState

__all__ = ["STATE_FILE", "load_state", "save_state"]

STATE_FILE = "state.safetensors"


def save_state(folder: Path, state: TrainState) -> None:
    """Write ``state`` to ``folder/state.safetensors`` under a temporary name and rename it.

    Raises:
        RunError: the file cannot be written, for instance because the disk is full; an older one stays as it is.
    """
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {name: tensor.detach().cpu().contiguous().numpy() for name, tensor in state.tensors.items()}
    save_tensors(folder / STATE_FILE, arrays, {"step": state.step, "facts": dict(state.facts)})


def load_state(folder: Path, device: str = "cpu") -> TrainState:
    """Read the state that `save_state` wrote.

    Raises:
        FileFormatError: there is no checkpoint, or it is damaged.
    """
    arrays, meta = load_tensors(folder / STATE_FILE)
    if not isinstance(meta.get("step"), int) or not isinstance(meta.get("facts"), dict):
        raise FileFormatError(f"{folder / STATE_FILE} is not a pdeml checkpoint: it does not say its step")
    # Copied into torch's own memory: the last bits of sums depend on the alignment.
    tensors = {name: torch.from_numpy(array).to(device, copy=True) for name, array in arrays.items()}
    return TrainState(meta["step"], tensors, meta["facts"])
