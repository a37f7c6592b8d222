"""A trained operator as a program of `torch.export`: runs without pdeml, checked before the file gets its name."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from pdeml.data.mask import MASK
from pdeml.data.signature import Signature
from pdeml.errors import InputError, RunError
from pdeml.files import atomic_bytes
from pdeml.nn.operator import Operator
from pdeml.solvers.operator_inputs import axis_points, wanted_arrays

__all__ = ["ExportedOperator", "export"]

_SAMPLES, _TOLERANCE = 3, 1e-4
_DESCRIPTION = "pdeml.json"


class ExportedOperator(nn.Module):
    """Operators with plain tensors as arguments: the inputs, then the points of each dimension.

    Args:
        members: of an ensemble; the result is their mean.
    """

    def __init__(self, members: Sequence[Operator]):
        super().__init__()
        self.members = nn.ModuleList(members)
        self.names, self.dims = argument_names(members[0].signature)

    def forward(self, *arguments: Tensor) -> Tensor:
        """Return (S, C, *n), see `Operator.forward`."""
        inputs = dict(zip(self.names, arguments[: len(self.names)], strict=True))
        grid = dict(zip(self.dims, arguments[len(self.names) :], strict=True))
        found = [member(inputs, grid) for member in self.members]
        return found[0] if len(found) == 1 else torch.stack(found).mean(0)


def argument_names(signature: Signature) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the inputs and of the dimensions, in the order of the arguments."""
    masked = (MASK,) if signature.masked else ()
    march = signature.march
    dims = tuple(axis.name for axis in signature.axes if march is None or axis.name != march.time)
    return (*wanted_arrays(signature), *masked), dims


def export(members: Sequence[Operator], path: Path, arrays: Mapping[str, np.ndarray] | None = None) -> str:
    """Write the program; see `OperatorSolution.export`.

    Args:
        members: of an ensemble.
        path: ends in ``.pt2``.
        arrays: inputs to check the program on, on the grid of training; default: random ones.
    """
    if path.suffix != ".pt2":
        raise InputError(f"{path}: programs of torch.export end in .pt2")
    signature = members[0].signature
    module = ExportedOperator(members).eval()
    like = next(members[0].parameters())
    example = _arguments(signature, like, _SAMPLES, 0, arrays)
    content = _program(module, example, signature)
    loaded = torch.export.load(content).module()
    with torch.no_grad():
        _compare(module(*example), loaded(*example))
        others = {
            "the number of samples": _arguments(signature, like, _SAMPLES + 2, 0),
            "the numbers of points": _arguments(signature, like, _SAMPLES, 4),
        }
        free = [what for what, arguments in others.items() if _takes(module, loaded, arguments)]
    atomic_bytes(path, content.getvalue())
    return f"{' and '.join(free) or 'no size'} may differ from training"


def _program(module: ExportedOperator, example: Sequence[Tensor], signature: Signature) -> io.BytesIO:
    """Trace and store with as many free sizes as the operator and torch allow."""
    description = json.dumps({**signature.to_plain(), "inputs_order": module.names, "grid_order": module.dims})
    for axes in (_all_axes(module, signature), [(0,)] * len(module.names) + [()] * len(module.dims)):
        shapes = tuple(dict.fromkeys(own, torch.export.Dim.AUTO) for own in axes)
        content = io.BytesIO()
        try:
            with torch.no_grad(), warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="No complete tensor found")  # of constants that share memory
                program = torch.export.export(module, tuple(example), dynamic_shapes=(shapes,), strict=False)
                torch.export.save(program, content, extra_files={_DESCRIPTION: description})
        except Exception as error:  # torch raises many kinds here
            reason = error
            continue
        content.seek(0)
        return content
    text = str(reason).strip().partition("\n")[0]
    raise InputError(f"torch.export cannot trace this operator: {text}") from reason


def _all_axes(module: ExportedOperator, signature: Signature) -> list[tuple[int, ...]]:
    """Return the axes of every argument whose sizes are not fixed by the operator: all but frames of time."""
    wanted, march = wanted_arrays(signature), signature.march
    found: list[tuple[int, ...]] = []
    for name in module.names:
        dims = signature.space if name == MASK else wanted[name]
        free = (k + 1 for k, dim in enumerate(dims) if march is None or dim != march.time)
        found.append((0, *free))
    return [*found, *[(0,)] * len(module.dims)]


def _takes(module: nn.Module, loaded: nn.Module, arguments: Sequence[Tensor]) -> bool:
    """Return whether the program takes arguments of other sizes; what it then gives must be right."""
    try:
        found = loaded(*arguments)
    except (RuntimeError, AssertionError, ValueError):
        return False
    _compare(module(*arguments), found)
    return True


def _arguments(
    signature: Signature, like: Tensor, samples: int, more: int, arrays: Mapping[str, np.ndarray] | None = None
) -> list[Tensor]:
    """Return inputs (smooth noise of the training's mean and spread, where none are given) and the points."""
    names, dims = argument_names(signature)
    march, rng = signature.march, np.random.default_rng(0)
    sizes = {axis.name: axis.size + more for axis in signature.axes}
    known = {quantity.name: quantity for quantity in (*signature.inputs, *signature.outputs)}
    wanted, outputs = wanted_arrays(signature), {quantity.name for quantity in signature.outputs}
    found = []
    for name in names:
        own = signature.space if name == MASK else wanted[name]
        shape = []
        for dim in own:
            is_time = march is not None and dim == march.time
            shape.append((march.history if name in outputs else march.window) if is_time else sizes[dim])
        values = np.ones((samples, *shape))
        if name != MASK:
            values = known[name].mean + known[name].std * rng.standard_normal((samples, *shape))
        if arrays is not None and np.shape(arrays.get(name))[1:] == tuple(shape):
            values = np.resize(arrays[name], (samples, *shape))
        found.append(torch.from_numpy(values).to(like))
    return [*found, *(torch.from_numpy(axis_points(signature.axis(dim), sizes[dim])).to(like) for dim in dims)]


def _compare(wanted: Tensor, found: Tensor) -> None:
    error = float((found - wanted).norm() / wanted.norm().clamp(min=1e-30))
    if not error <= _TOLERANCE:
        raise RunError(f"the exported program differs from the operator by {error:.1e}; nothing was written")
