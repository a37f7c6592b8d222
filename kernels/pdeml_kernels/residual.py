"""Residuals of equations at points, from the jets of the unknowns: the definition, in torch.

Shapes: K (channels), N (points), U (unknowns), C (columns), L (learned parameters), M (residuals). At point n

    rows[m, n] = root[n] · factor[m] · R_m(columns[:, n], learned, jets[:, n, :])

and the loss is ½ Σ rows². R and its partial derivatives are straight-line programs, which operators take as text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from pdeml_kernels.programs import Program, run

__all__ = ["ResidualProgram", "residual_linearised", "residual_loss", "residual_rows"]


class ResidualProgram(NamedTuple):
    """How M residuals and their partial derivatives follow from columns, learned parameters and slots, in this order.

    A slot is a channel of an unknown: what of the jets occurs. Inputs are counted from the learned parameters on.
    """

    columns: int
    learned: int
    slots: tuple[tuple[int, int], ...]
    """(channel, unknown), all different."""
    residual: Program
    """With M outputs."""
    partials: Program
    """With an output for every partial derivative that is not zero everywhere."""
    partial_of: tuple[tuple[int, int], ...]
    """For each of them (residual, input)."""

    def encoded(self) -> str:
        """Return the text that operators take."""
        return json.dumps(self)


@torch.compiler.assume_constant_result
def decoded(text: str) -> ResidualProgram:
    """Return the program of a text; to compilers it is a constant."""
    return _decoded(text)


@lru_cache(maxsize=1024)
def _decoded(text: str) -> ResidualProgram:
    columns, learned, slots, residual, partials, partial_of = json.loads(text)
    slots, partial_of = (tuple((a, b) for a, b in pairs) for pairs in (slots, partial_of))
    return ResidualProgram(columns, learned, slots, Program.of(*residual), Program.of(*partials), partial_of)


def residual_rows(
    jets: Tensor, learned: Tensor, columns: Tensor, roots: Tensor, factors: Tensor, program: str
) -> Tensor:
    """Return the weighted residuals.

    Args:
        jets: channels of the unknowns, (K, N, U).
        learned: parameters that are solved for, (L,).
        columns: coordinates, components of normals and given quantities, (C, N).
        roots: of the weights of the points, (N,).
        factors: of the residuals, (M,).
        program: a `ResidualProgram`, encoded.

    Returns: (M, N).

    Raises:
        ValueError: shapes do not fit together, or types differ.
    """
    parts = check(jets, learned, columns, roots, factors, program)
    outputs = run(parts.residual, _inputs(jets, learned, columns, parts), roots)
    return torch.stack([output.expand_as(roots) for output in outputs]) * (roots * factors[:, None])


def residual_linearised(
    jets: Tensor, learned: Tensor, columns: Tensor, roots: Tensor, factors: Tensor, program: str
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the rows and their partial derivatives; for the arguments and errors see `residual_rows`.

    Returns: rows (M, N), ``∂rows/∂jets`` (M, K, N, U) and ``∂rows/∂learned`` (M, N, L).
    """
    rows = residual_rows(jets, learned, columns, roots, factors, program)
    by_jets = jets.new_zeros(len(rows), *jets.shape)
    by_learned = jets.new_zeros(*rows.shape, len(learned))
    parts, shares = decoded(program), roots * factors[:, None]
    for m, v, partial in _partials(jets, learned, columns, roots, parts):
        if v < parts.learned:
            by_learned[m, :, v] = partial * shares[m]
        else:
            channel, unknown = parts.slots[v - parts.learned]
            by_jets[m, channel, :, unknown] = partial * shares[m]
    return rows, by_jets, by_learned


def residual_loss(
    jets: Tensor, learned: Tensor, columns: Tensor, roots: Tensor, factors: Tensor, program: str
) -> tuple[Tensor, Tensor, Tensor]:
    """Return ½ Σ rows² and its gradients; for the arguments and errors see `residual_rows`.

    The loss may be differentiated by jets and learned parameters; its gradients, which come with it, may not.

    Returns: the loss, ``∂loss/∂jets`` (K, N, U) and ``∂loss/∂learned`` (L,).
    """
    rows = residual_rows(jets, learned, columns, roots, factors, program)
    with torch.no_grad():
        by_jets, by_learned = torch.zeros_like(jets), torch.zeros_like(learned)
        parts, towards = decoded(program), rows * (roots * factors[:, None])
        for m, v, partial in _partials(jets, learned, columns, roots, parts):
            if v < parts.learned:
                by_learned[v] += (partial * towards[m]).sum()
            else:
                channel, unknown = parts.slots[v - parts.learned]
                by_jets[channel, :, unknown].addcmul_(partial, towards[m])
    return 0.5 * rows.square().sum(), by_jets, by_learned


def check(
    jets: Tensor, learned: Tensor, columns: Tensor, roots: Tensor, factors: Tensor, program: str
) -> ResidualProgram:
    """Decode a program that fits the tensors.

    Raises:
        ValueError: it does not, or types differ.
    """
    parts = decoded(program)
    points, wanted = len(roots), (parts.columns, parts.learned, len(parts.residual.outputs))
    if jets.ndim != 3 or any(k >= jets.shape[0] or u >= jets.shape[2] for k, u in parts.slots):
        raise ValueError(f"jets are (channels, points, unknowns) with all of {parts.slots}, not {tuple(jets.shape)}")
    if jets.shape[1] != points or columns.shape != (wanted[0], points) or roots.ndim != 1:
        raise ValueError(
            f"{points} weights of points need jets and columns (K, {points}, U) and ({wanted[0]}, {points}), "
            f"not {tuple(jets.shape)} and {tuple(columns.shape)}"
        )
    if (learned.shape, factors.shape) != (wanted[1:2], wanted[2:]):
        raise ValueError(
            f"the program takes {wanted[1]} learned parameters and {wanted[2]} factors, not tensors of shapes "
            f"{tuple(learned.shape)} and {tuple(factors.shape)}"
        )
    types = {tensor.dtype for tensor in (jets, learned, columns, roots, factors)}
    if types not in ({torch.float32}, {torch.float64}):
        raise ValueError(f"residuals are of one type, float32 or float64, not {', '.join(sorted(map(str, types)))}")
    return parts


def _inputs(jets: Tensor, learned: Tensor, columns: Tensor, parts: ResidualProgram) -> list[Tensor]:
    slots = (jets[channel, :, unknown] for channel, unknown in parts.slots)
    return [*columns.unbind(), *learned.unbind(), *slots]


def _partials(
    jets: Tensor, learned: Tensor, columns: Tensor, roots: Tensor, parts: ResidualProgram
) -> Iterator[tuple[int, int, Tensor]]:
    """Return (residual, input, partial derivative)."""
    found = run(parts.partials, _inputs(jets, learned, columns, parts), roots)
    for (m, v), partial in zip(parts.partial_of, found, strict=True):
        yield m, v, partial
