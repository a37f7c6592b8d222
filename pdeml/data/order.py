"""In which order an epoch visits the samples, and which of them are whose: plain functions of seed, epoch and rank."""

from __future__ import annotations

import numpy as np

__all__ = ["epoch_order", "shard"]


def epoch_order(numbers: np.ndarray, per_chunk: int, mixed: int, seed: int, epoch: int) -> np.ndarray:
    """Shuffle sample numbers for one epoch: a permutation, each sample once.

    With one sample a chunk all permutations are equally likely. Otherwise single samples cannot be read without the
    rest of their chunk; then the chunks are shuffled, and within each run of ``mixed`` chunks the samples: two samples
    of one chunk are never more than ``mixed * per_chunk`` places apart. That is no uniform permutation.

    Args:
        numbers: distinct sample numbers.
        per_chunk: samples that are read together.
        mixed: chunks whose samples are mixed.
        seed: of the whole training.
        epoch: 0, 1, 2, ...

    Returns:
        the numbers in the order of the epoch.
    """
    rng = np.random.default_rng((seed, epoch))
    if per_chunk <= 1:
        return rng.permutation(numbers)
    chunks, owner = np.unique(np.asarray(numbers) // per_chunk, return_inverse=True)
    run = rng.permutation(len(chunks))[owner] // max(mixed, 1)
    return np.asarray(numbers)[np.lexsort((rng.random(len(numbers)), run))]


def shard(order: np.ndarray, rank: int, world: int) -> np.ndarray:
    """Return the part of an epoch that process ``rank`` of ``world`` reads: over all of them, each sample once.

    Parts are equally long up to one sample, and contiguous, so that processes rarely read the same chunk.
    """
    return np.array_split(order, world)[rank]
