"""What a DeepONet takes from its training samples before it is trained: POD modes, and the best linear operator.

Both come from one kind of factor: rows of samples are gathered block by block and reduced by orthogonal
transformations, so that no more than some hundred rows are held, and no squares of data lose digits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

from pdeml.data.mask import MASK
from pdeml.nn.deeponet import DeepONet
from pdeml.nn.trunk import ModeTrunk, NetworkTrunk

__all__ = ["best_linear", "principal_modes", "start"]

_ROWS = 512
_SMALLEST_FEATURE = 1e-7
"""Combinations of hidden units smaller than this, compared to the largest, are left out of a fitted trunk."""
_MOST_POINTS = 20_000

Samples = Callable[[], Iterable[tuple[Mapping[str, Tensor], Tensor]]]
"""Called for every sweep; yields (inputs, outputs (B, C, *n)) in physical units."""


def start(operator: DeepONet, samples: Samples, grid: Mapping[str, Tensor]) -> None:
    """Set what is not trained then: the trunk, the linear part, and the size of what that leaves over.

    A trunk of POD modes takes those of the samples; of a network's hidden units those combinations are taken that
    hold most of the samples' variance.

    Args:
        operator: with a POD trunk or a linear part; one without either is left as it is.
        samples: the training samples; they are swept twice.
        grid: dimension -> coordinates of the samples.
    """
    if operator.linear is None and isinstance(operator.trunk, NetworkTrunk):
        return
    dtype = operator.scale.dtype
    operator.double()
    grid = {name: along.double().to(operator.scale.device) for name, along in grid.items()}
    with torch.no_grad():
        _set_trunk(operator, _modes(operator, samples, grid), grid)
        _set_coefficients(operator, samples, grid)
    operator.to(dtype)


def principal_modes(blocks: Iterable[Tensor], count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the modes that hold most of the variance of samples (proper orthogonal decomposition).

    Args:
        blocks: samples as rows (b, M), some at a time.
        count: number of modes.

    Returns: modes (count, M), orthonormal; standard deviations of their coefficients (count,); mean (M,). Where there
        are more modes than samples vary in, the last modes are zero.

    Reference: Sirovich, *Turbulence and the dynamics of coherent structures* (1987), part I; blocks and means as by
        Ross, Lim, Lin & Yang, *Incremental learning for robust visual tracking* (2008), §3.1.
    """
    rows, samples = _gathered(blocks, max(_ROWS, 2 * count))
    _, sizes, modes = torch.linalg.svd(rows[1:, 1:], full_matrices=False)
    sizes, modes = sizes[:count], modes[:count]
    modes = modes * (sizes > 1e-14 * sizes[:1])[:, None]
    missing = count - len(modes)
    mean = rows[0, 1:] / rows[0, 0]
    pad = torch.nn.functional.pad
    return pad(modes, (0, 0, 0, missing)), pad(sizes, (0, missing)) / samples**0.5, mean


def best_linear(blocks: Iterable[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor, Tensor]:
    """Fit ``y ≈ W x + offset`` by ridge regression, with its own penalty for each component of y.

    Args:
        blocks: (x (b, S), y (b, Y)), some samples at a time.

    Returns: W (Y, S), offset (Y,), and the expected error of each component on new samples (Y,).

    Reference: Golub, Heath & Wahba, *Generalized cross-validation as a method for choosing a good ridge parameter*
        (1979), §2.
    """
    width = 0

    def joined() -> Iterable[Tensor]:
        nonlocal width
        for x, y in blocks:
            width = x.shape[1]
            yield torch.cat([x, y], 1)

    rows, samples = _gathered(joined(), None)
    means, x, y = rows[0, 1:] / rows[0, 0], rows[1:, 1 : width + 1], rows[1:, width + 1 :]
    left, sizes, right = torch.linalg.svd(x, full_matrices=False)
    seen, squares = left.T @ y, sizes.square()
    never = (y - left @ seen).square().sum(0)
    best, chosen = torch.full_like(never, torch.inf), torch.zeros_like(never)
    for penalty in squares[0].clamp(min=1e-300) * torch.logspace(-16, 4, 81, dtype=x.dtype, device=x.device):
        kept = squares / (squares + penalty)
        lost = never + ((1 - kept)[:, None] * seen).square().sum(0)
        error = lost / samples / (1 - (kept.sum() + 1) / samples).clamp(min=1e-3).square()
        chosen, best = torch.where(error < best, penalty, chosen), torch.minimum(error, best)
    shrunk = (sizes / (squares + chosen[:, None])).T
    weight = (right.T @ (shrunk * seen)).T
    return weight, means[width:] - weight @ means[:width], best.sqrt()


def _gathered(blocks: Iterable[Tensor], limit: int | None) -> tuple[Tensor, int]:
    """Reduce rows to a factor R with ``RᵀR = [1 A]ᵀ [1 A]``, and count them.

    The first row of R holds the means (times its first element), the others belong to the centred samples.

    Args:
        blocks: (b, M).
        limit: so many rows are kept of the centred samples, the largest combinations; none: all.
    """
    held, samples = None, 0
    for block in blocks:
        fresh = torch.cat([block.new_ones(len(block), 1), block], 1)
        samples += len(block)
        held = fresh if held is None else torch.cat([held, fresh])
        if len(held) > min(2 * held.shape[1] + _ROWS, 2 * limit if limit else len(held)):
            held = _reduced(held, limit)
    return _reduced(held, limit), samples


def _reduced(rows: Tensor, limit: int | None) -> Tensor:
    if len(rows) >= rows.shape[1]:
        return torch.linalg.qr(rows, mode="r").R
    first = rows[:, 0]
    mirror = first.clone()
    mirror[0] += torch.where(first[0] >= 0, 1.0, -1.0) * first.norm()
    rows = rows - torch.outer(mirror * (2 / mirror.square().sum()), mirror @ rows)
    if limit is None or len(rows) <= limit + 1:
        return rows
    _, turn = torch.linalg.eigh(rows[1:] @ rows[1:].T)
    return torch.cat([rows[:1], turn[:, -limit:].T @ rows[1:]])


def _targets(operator: DeepONet, inputs: Mapping[str, Tensor], outputs: Tensor, grid: Mapping[str, Tensor]) -> Tensor:
    """Return what trunk and coefficients must make, (B, C, M): outputs less g, in units of their deviation."""
    base, _ = operator.values.on_grid(operator.given(inputs), operator.along(grid))
    left = outputs - base
    if operator.signature.masked:
        mask = inputs[MASK].to(left)
        left = left * mask.view(len(mask), 1, *[1] * (left.ndim - 1 - mask.ndim), *mask.shape[1:])
    return (left / operator.in_units(torch.ones_like(left[:1]))).flatten(2)


def _double(samples: Samples, like: Tensor) -> Iterable[tuple[dict[str, Tensor], Tensor]]:
    for inputs, outputs in samples():
        yield {name: values.to(like) for name, values in inputs.items()}, outputs.to(like)


def _modes(operator: DeepONet, samples: Samples, grid: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Return for each output modes (C, k, M), sizes of their coefficients (C, k), and means (C, M)."""
    found = []
    for number in range(len(operator.signature.outputs)):
        targets = (_targets(operator, *pair, grid)[:, number] for pair in _double(samples, operator.scale))
        found.append(principal_modes(targets, operator.basis))
    modes, sizes, means = (torch.stack(parts) for parts in zip(*found, strict=True))
    return modes, sizes, means


def _set_trunk(operator: DeepONet, found: tuple[Tensor, Tensor, Tensor], grid: Mapping[str, Tensor]) -> None:
    """Make the functions of the trunk orthogonal on the grid, with mean squares one (D included)."""
    modes, sizes, means = found
    along = operator.along(grid)
    coordinates, root = [along[axis.name] for axis in operator.axes], modes.shape[2] ** 0.5
    if isinstance(operator.trunk, ModeTrunk):
        functions = torch.cat([modes * root, means[:, None]], 1)
        operator.trunk.modes.copy_(functions.view_as(operator.trunk.modes))
        for nodes, points in zip(operator.trunk.nodes, coordinates, strict=True):
            nodes.copy_(points)
        return
    points = torch.stack([part.flatten() for part in torch.meshgrid(*coordinates, indexing="ij")], 1)
    chosen = torch.arange(0, len(points), -(-len(points) // _MOST_POINTS), device=points.device)
    operator.trunk.sharpen()
    hidden = operator.trunk.hidden(points[chosen])
    hidden = torch.cat([hidden, torch.ones_like(hidden[:, :1])], 1)
    solutions = []
    for number, factor in enumerate(operator.values.factors(along).flatten(1)):
        wanted = (modes[number] * sizes[number, :, None])[:, chosen].T
        solutions.append(_fitted(factor[chosen, None] * hidden, wanted, means[number, chosen]))
    operator.trunk.set_last(torch.cat(solutions, 1))


def _fitted(hidden: Tensor, wanted: Tensor, mean: Tensor) -> Tensor:
    """Return combinations of hidden units (M, H): those nearest to what is wanted (M, k), and that nearest to the mean.

    Args:
        hidden: values at the points.
        wanted: modes times the sizes of their coefficients.
        mean: (M,).

    Returns: (H, k + 1).
    """
    left, sizes, right = torch.linalg.svd(hidden, full_matrices=False)
    kept = sizes > _SMALLEST_FEATURE * sizes[0]
    left, back = left[:, kept], right[kept].T / sizes[kept]
    turn, _, _ = torch.linalg.svd(left.T @ wanted, full_matrices=False)
    missing = wanted.shape[1] - turn.shape[1]
    functions = torch.nn.functional.pad(back @ turn * len(mean) ** 0.5, (0, missing))
    return torch.cat([functions, (back @ (left.T @ mean))[:, None]], 1)


def _set_coefficients(operator: DeepONet, samples: Samples, grid: Mapping[str, Tensor]) -> None:
    """Set the linear part and the scale of each coefficient, by least squares in the functions of the trunk."""
    along, outputs = operator.along(grid), len(operator.signature.outputs)
    functions = operator.trunk.on_grid([along[axis.name] for axis in operator.axes])
    functions = functions.unflatten(0, (outputs, -1)).flatten(2) * operator.values.factors(along).flatten(1)[:, None]
    dual = functions[:, :-1] / functions.shape[2]

    def pairs() -> Iterable[tuple[Tensor, Tensor]]:
        for inputs, reference in _double(samples, operator.scale):
            left = _targets(operator, inputs, reference, grid) - functions[:, -1]
            seen = torch.cat([part.flatten(1) for part in operator.sensors(inputs, grid)], 1)
            yield seen, torch.einsum("ckm,bcm->bck", dual, left).flatten(1)

    if operator.linear is None:
        sizes = torch.cat([y for _, y in pairs()]).square().mean(0).sqrt()
    else:
        weight, offset, sizes = best_linear(pairs())
        operator.linear.weight.copy_(weight)
        operator.linear.offset.copy_(offset)
    operator.scale.copy_(sizes.view_as(operator.scale))
