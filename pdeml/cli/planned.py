"""What `pdeml validate` prints: what would be solved or learnt, and how."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pdeml.data.signature import Signature
    from pdeml.run import RunPlan

__all__ = ["describe_plan"]


def describe_plan(plan: RunPlan) -> str:
    """Return what a run would do."""
    lines = [] if plan.problem is None else [plan.problem.summary().partition("\n  warnings\n")[0]]
    if plan.problem is None:
        lines = [f"{plan.name}: an operator, learnt from samples"]
    for title, texts in (_operator(plan) if plan.is_operator else _single(plan)).items():
        lines += [f"  {title}", *(f"    {text}" for text in texts)]
    return "\n".join(lines)


def _single(plan: RunPlan) -> dict[str, list[str]]:
    preview = plan.preview
    most = ", then ".join(f"{name} for at most {count} steps" for name, count in preview.optimisers)
    trained = preview.parameters > 0
    first = f"{preview.parameters} parameters, {most}" if trained else most
    redrawn = " a draw" if "resample" in type(plan.solver).model_fields else ""
    solver = [
        f"{first}, on {preview.device}",
        *(f"{name}: {count} points{redrawn}" for name, count in preview.points.items()),
        *(f"exact by construction: {name}" for name in preview.exact),
        _options(plan),
        *plan.notes,
    ]
    where = [f"{len(plan.points)} points"] if plan.points is not None else []
    found = {f"solver {plan.solver.kind}": solver}
    if plan.reference is not None:
        found["reference"] = [plan.reference.description]
    return {**found, "export": where or [", ".join(f"{name} {size}" for name, size in plan.grid.items()) + " points"]}


def _operator(plan: RunPlan) -> dict[str, list[str]]:
    found = {} if plan.signature is None else {"maps": _mapped(plan.signature)}
    found["samples"] = list(_samples(plan))
    found[f"solver {plan.solver.kind}"] = [*_size(plan), _options(plan), *plan.notes]
    if plan.grid:
        found["export"] = [", ".join(f"{name} {size}" for name, size in plan.grid.items()) + " points"]
    return found


def _samples(plan: RunPlan) -> Iterator[str]:
    made = plan.recipe
    if plan.data is not None:
        yield str(plan.data.source.path)
    elif made is not None:
        parts = ", ".join(f"{name} {len(numbers)}" for name, numbers in made.plan.split.items() if len(numbers))
        yield f"{made.path}, generated when it is trained: {made.plan.samples} samples of the recipe {made.plan.name}"
        yield parts
    else:
        yield "drawn from the inputs of the problem, trained by its equation"
    if plan.preview is not None:
        yield ", ".join(f"{name} {count}" for name, count in plan.preview.points.items())


def _size(plan: RunPlan) -> Iterator[str]:
    if plan.preview is None:
        return
    most = ", then ".join(f"{name} for at most {count} steps" for name, count in plan.preview.optimisers)
    several = f" in each of {plan.solver.ensemble} members" if plan.solver.ensemble > 1 else ""
    yield f"{plan.preview.parameters} parameters{several}, {most}, on {plan.preview.device}"


def _mapped(signature: Signature) -> list[str]:
    given = [
        f"{quantity.name}({', '.join(quantity.dims)})" if quantity.dims else f"the number {quantity.name}"
        for quantity in signature.inputs
    ]
    made = ", ".join(f"{quantity.name}({', '.join(quantity.dims)})" for quantity in signature.outputs)
    march = signature.march
    if march is not None:
        given.insert(0, f"{march.history} frames")
        made = f"the next {march.window} of {made}, {march.step:g} apart"
    axes = [
        f"{axis.name}: {axis.size} points from {axis.low:.6g} to {axis.high:.6g}"
        + (", periodic, without the end" if axis.periodic else "")
        for axis in signature.axes
    ]
    return [f"{', '.join(given)} -> {made}", *axes]


def _options(plan: RunPlan) -> str:
    options = plan.solver.model_dump(exclude_none=True)
    return ", ".join(
        f"{name} {str(value).lower() if isinstance(value, bool) else value}" for name, value in options.items()
    )
