"""From normal forms to numbers: which channels to carry, and programs for the residuals and their derivatives.

A `ResidualPlan` serves equations that are evaluated at the same points. It collapses what may be collapsed: the linear
terms of an equation with constant coefficients whose derivatives occur nowhere else become a single channel.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import sympy

from pdeml.errors import InputError
from pdeml.expr import Names, NormalForm, Program, compile_program, jet_symbol, normal_symbol, slopes, with_values
from pdeml.lower.multi_index import Combination, Index, JetSpec, below
from pdeml_kernels import programs
from pdeml_kernels.residual import ResidualProgram

__all__ = ["ResidualPlan", "make_residual_plan"]

MAX_ORDER = 4


@dataclass(frozen=True)
class Slot:
    """One input of the residual that depends on the ansatz: channel ``channel`` of unknown number ``unknown``."""

    symbol: str
    unknown: int
    channel: int


@dataclass(frozen=True)
class ResidualPlan:
    """How M residuals follow from coordinates, normals, learned parameters and jet channels.

    Args:
        spec: the channels to carry.
        columns: names of the coordinates, normal components and given quantities that lead the programs' inputs.
        learned: names of the unknown parameters, next among the inputs.
        slots: the channels, last among the inputs.
        residual: program with M outputs.
        partials: program with an output for every non-zero derivative of a residual.
        partial_of: per output of ``partials``, (residual number, input number after the columns).
    """

    spec: JetSpec
    columns: tuple[str, ...]
    learned: tuple[str, ...]
    slots: tuple[Slot, ...]
    residual: Program
    partials: Program
    partial_of: tuple[tuple[int, int], ...]

    @cached_property
    def program(self) -> str:
        """The plan as the text that operators of `pdeml_kernels` take."""
        slots = tuple((slot.channel, slot.unknown) for slot in self.slots)
        residual, partials = map(plain, (self.residual, self.partials))
        counts = len(self.columns), len(self.learned)
        return ResidualProgram(*counts, slots, residual, partials, self.partial_of).encoded()


def plain(program: Program) -> programs.Program:
    """Return a program as `pdeml_kernels` takes it: without names."""
    return programs.Program(len(program.inputs), program.constants, program.code, program.outputs)


def make_residual_plan(
    forms: Sequence[NormalForm],
    names: Names,
    parameters: Mapping[str, float],
    learned: Sequence[str] = (),
    given: Collection[str] = (),
) -> ResidualPlan:
    """Plan the evaluation of several residuals at common points.

    Args:
        forms: the residuals.
        names: what the names mean.
        parameters: values of the known parameters.
        learned: names of the parameters that are solved for.
        given: names of the input functions and parameters whose values come with the points. The columns then end
            with those parameters, and with the jet symbols of the input functions, that occur.

    Raises:
        InputError: a derivative of order above 4, an integral of an unknown, or an input function that is not given
            occurs.
        ExpressionError: a derivative of a residual would be too large a formula.
    """
    known = {name: value for name, value in parameters.items() if name not in learned and name not in given}
    residuals = [with_values(form.residual, names, known) for form in forms]
    for form in forms:
        _refuse_what_cannot_be_lowered(form, names, given)
    spec, residuals, channels = _collapse(forms, residuals, names, known)
    unknown_number = {name: k for k, name in enumerate(names.real_unknowns)}
    slots = tuple(Slot(s, unknown_number[u], k) for s, (u, k) in sorted(channels.items(), key=lambda item: item[1]))
    columns = (*names.coordinates, *(normal_symbol(axis).name for axis in names.space), *_given_columns(forms, given))
    varying = [sympy.Symbol(name, real=True) for name in (*learned, *(slot.symbol for slot in slots))]
    partials = {
        (m, v): derivative
        for m, residual in enumerate(residuals)
        for v, derivative in enumerate(slopes(residual, varying))
        if derivative != 0
    }
    inputs = (*columns, *(symbol.name for symbol in varying))
    return ResidualPlan(
        spec,
        columns,
        tuple(learned),
        slots,
        compile_program(residuals, inputs),
        compile_program(list(partials.values()), inputs),
        tuple(partials),
    )


def _given_columns(forms: Sequence[NormalForm], given: Collection[str]) -> tuple[str, ...]:
    """Return the symbols of what comes with the points: parameters, then jets of input functions."""
    jets = {jet_symbol(*jet).name for form in forms for jet in form.input_jets}
    free = {symbol.name for form in forms for symbol in form.residual.free_symbols}
    return (*(name for name in sorted(given) if name in free), *sorted(jets))


def _refuse_what_cannot_be_lowered(form: NormalForm, names: Names, given: Collection[str]) -> None:
    if form.integrals:
        raise InputError("the integral of an unknown is understood but not solved by this method yet")
    for unknown, index in form.jets:
        if sum(index) > MAX_ORDER:
            raise InputError(
                f"a derivative of order {sum(index)} of {unknown!r} occurs; at most order {MAX_ORDER} is supported: "
                "write the equation as a system with an unknown for a lower derivative"
            )
    missing = [name for name in names.input_names if name not in given]
    if missing:
        raise InputError(f"the input function {missing[0]!r} needs data or a generator: not for this method")


def _collapse(
    forms: Sequence[NormalForm], residuals: Sequence[sympy.Expr], names: Names, known: Mapping[str, float]
) -> tuple[JetSpec, list[sympy.Expr], dict[str, tuple[str, int]]]:
    """Return the channels, the residuals written in them, and symbol -> (unknown, channel)."""
    wanted = {index for form in forms for _, index in form.jets}
    eligible = [_constant_terms(form, names, known) for form in forms]
    pinned = _pinned(forms, eligible)
    groups = [
        {unknown: {i: c for i, c in terms.items() if i not in pinned} for unknown, terms in per_form.items()}
        for per_form in eligible
    ]
    lower = {low for per_form in groups for terms in per_form.values() for index in terms for low in below(index)}
    groups = [
        {u: kept for u, terms in g.items() if len(kept := {i: c for i, c in terms.items() if i not in lower}) > 1}
        for g in groups
    ]
    combinations = sorted({_normalised(terms)[1] for g in groups for terms in g.values()})
    collapsed = {index for g in groups for terms in g.values() for index in terms}
    stays = {
        index for g, e in zip(groups, eligible, strict=True) for u in e for index in e[u] if index not in g.get(u, {})
    }
    if not combinations or len(combinations) >= len(collapsed - stays) or collapsed & stays:
        groups, combinations, collapsed = [{} for _ in forms], [], set()
    spec = JetSpec.closed(wanted - collapsed, combinations, len(names.coordinates))
    channels: dict[str, tuple[str, int]] = {}
    rewritten = []
    for residual, group in zip(residuals, groups, strict=True):
        for unknown, terms in group.items():
            factor, combination = _normalised(terms)
            number = combinations.index(combination)
            symbol = sympy.Symbol(f"{unknown}[sum{number}]", real=True)
            channels[symbol.name] = (unknown, len(spec.indices) + number)
            for index in terms:
                residual = residual.xreplace({jet_symbol(unknown, index): sympy.Integer(0)})
            residual = residual + sympy.Float(factor, 17) * symbol
        rewritten.append(residual)
    for form in forms:
        for unknown, index in form.jets:
            symbol = jet_symbol(unknown, index)
            if any(residual.has(symbol) for residual in rewritten):
                channels[symbol.name] = (unknown, spec.position[index])
    return spec, rewritten, channels


def _constant_terms(form: NormalForm, names: Names, known: Mapping[str, float]) -> dict[str, dict[Index, float]]:
    """Linear terms of order one and more whose coefficient is a number: unknown -> index -> coefficient."""
    found: dict[str, dict[Index, float]] = {}
    for term in form.terms:
        coefficient = with_values(term.coefficient, names, known)
        if sum(term.index) and coefficient.is_number:
            found.setdefault(term.unknown, {})[term.index] = float(coefficient)
    return found


def _pinned(forms: Sequence[NormalForm], eligible: Sequence[Mapping[str, Mapping[Index, float]]]) -> set[Index]:
    """Indices that must be carried one by one: they occur in a product or with a variable coefficient."""
    pinned = set()
    for form, constant in zip(forms, eligible, strict=True):
        nonlinear = sympy.sympify(form.rest, strict=True).free_symbols
        for unknown, index in form.jets:
            if jet_symbol(unknown, index) in nonlinear or index not in constant.get(unknown, {}):
                pinned |= {index, *below(index)}
    return pinned


def _normalised(terms: Mapping[Index, float]) -> tuple[float, Combination]:
    """Write ``Σ c_α ∂^α`` as ``factor · Σ c'_α ∂^α`` with the first c' one, so that equal sums share a channel."""
    ordered = sorted(terms.items())
    factor = ordered[0][1]
    return factor, tuple((coefficient / factor, index) for index, coefficient in ordered)
