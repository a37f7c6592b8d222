"""Gaussian processes with learned spectra, conditioned on equations and conditions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field as Option

from pdeml.errors import InputError, one_of
from pdeml.gp.envelopes import Envelope, Gaussian, Matern, smallest_nu
from pdeml.gp.fitting import check_memory, default_counts, initial_kernels
from pdeml.gp.grid import GridModel
from pdeml.gp.joint import JointObjective, first_guess
from pdeml.gp.kernels import computed_by
from pdeml.gp.posterior import Space
from pdeml.gp.rows import held_out_sites, highest_orders, make_sites
from pdeml.lower import estimate_scales, statements
from pdeml.lower.bandwidth import Bandwidth, bandwidth
from pdeml.problem import Problem
from pdeml.sampling import sample
from pdeml.sampling.fresh import fresh_norms
from pdeml.solvers.device import check_kernels, choose_device
from pdeml.solvers.gp_grid import GridTask, MapTask
from pdeml.solvers.gp_task import EvidenceTask, GPTask
from pdeml.solvers.options import Preview
from pdeml.solvers.problem_solver import Found, Monitor, ProblemSolver, Work
from pdeml.solvers.record import UNTRUSTED
from pdeml.tensor import TensorSystem
from pdeml.train import Callback, Limits, Outcome, TrainState, train

__all__ = ["GP"]

_STEPS, _MAP_STEPS = 100, 3000
_MAP_NUGGET = 1e-6
_SCATTERED = 400  # points over a box beyond which a linear problem is solved by its grid structure
_FEW_COMPONENTS = 8
_SMOOTHER = 2  # the smallest Matérn order is worth two digits, this one eight
_FRESH, _PROBES, _HELD_OUT = 1024, 512, 256
_FEW = 20  # points along each coordinate that resolve what one peak at zero can learn

Count = Annotated[int, Option(ge=2)]
Positive = Annotated[float, Option(gt=0, allow_inf_nan=False)]


class GP(ProblemSolver):
    """Solve a problem by Gaussian processes whose spectra are learned from its own equations.

    The unknowns are Gaussian processes with stationary kernels ``Σ_q w_q e(z; κ_q) cos(m_q z)`` along each coordinate.
    Equations and conditions are linear functionals of them: the evidence of these rows, with the unknowns integrated
    out, is maximised over weights, widths and frequencies by L-BFGS; then the processes are conditioned on the rows.
    Non-linear equations are linearised at the current solution (Gauss-Newton), which is continued from that of their
    linear part.

    Good at: smooth solutions of one or a few high frequencies, to many digits, with a standard deviation.
    Bad at: jumps, kinks, and thin layers; many thousand points on geometries that are no boxes.

    Args:
        mode: evidence (linear problems), gauss_newton (non-linear ones), auto (either), or map, the published joint
            objective over grid values, kernels and precisions (boxes; slower by far, and less exact).
        kernel: spectral_mixture (Gaussian peaks), student (peaks of Student's t), rbf or matern (one peak at zero);
            auto is spectral_mixture in one dimension and where there are many waves, otherwise rbf.
        nu: Matérn order of student and matern, a half-integer; by default two more than the smallest that the equation
            admits. The error falls with the distance h of points like ``h^(2ν − 2m + 1)`` for equations of order m:
            sin 6x + x from u″ at 60 points to 1e-3 with ν = 2.5, the smallest, and to 3e-8 with ν = 4.5.
        components: peaks of each kernel along each coordinate, at most.
        points: of the grid along each coordinate, for all of them or by name; by default from the problem's bandwidth.
        steps: of L-BFGS, at most.
        tolerance: wanted relative L2 error. Grids grow until it is met; otherwise it decides what counts as converged.
        nugget: share of noise added to the prior variance of each row while the spectrum is learned.
        max_seconds: stop after this wall time; the result is then not reproducible.
        seed: of points that residual and standard deviation are checked on, and of draws from the prior on grids.
        device: auto, cpu or cuda. Grids over boxes are solved axis by axis, by LAPACK, on the CPU.
        precision: float64.
        kernels: triton (on a CUDA device), torch, or auto: whichever is faster there, measured once; on a CPU torch.

    Raises:
        InputError: an option is unknown, of the wrong type or out of its range.

    Reference: Fang, Cooley, Long, Li, Kirby & Zhe, *Solving high frequency and multi-scale PDEs with Gaussian
        processes* (ICLR 2024), section 3, for spectral kernels with pruned weights; Chen, Hosseini, Owhadi & Stuart
        (2021), section 3, for Gauss-Newton on rows.
    """

    kind: ClassVar[str] = "gp"

    mode: Literal["auto", "map", "evidence", "gauss_newton"] = "auto"
    kernel: Literal["auto", "spectral_mixture", "student", "rbf", "matern"] = "auto"
    nu: Positive | None = None
    components: Annotated[int, Option(ge=1, le=512)] = 30
    points: Count | dict[str, Count] | None = None
    steps: Annotated[int, Option(ge=1)] | None = None
    tolerance: Positive = 1e-6
    nugget: Annotated[float, Option(ge=1e-14, le=1e-2)] = 1e-10
    max_seconds: Positive | None = None
    seed: Annotated[int, Option(ge=0, lt=2**63)] = 0
    device: str = "auto"
    precision: Literal["float64"] = "float64"
    kernels: Literal["auto", "triton", "torch"] = "auto"

    def _work(self, problem: Problem, callbacks: Sequence[Callback], monitor: Monitor | None) -> Work:
        task, device = self._task(problem, monitor)
        exact = tuple(f"periodic in {name}" for name in problem.periodic)
        return Work(problem, task, device, exact, task.notes)

    def _preview(self, work: Work) -> Preview:
        return Preview(
            parameters=work.task.parameter_count,
            points=work.task.points,
            exact=work.exact,
            optimisers=(("lbfgs", work.task.steps),),
            device=work.device,
            notes=(*work.notes, computed_by(self.kernels, work.device)),
        )

    def _trained(self, work: Work, state: TrainState | None, callbacks: Sequence[Callback]) -> Outcome:
        begun = work.task.begin() if state is None else state
        return train(work.task, begun, Limits(work.task.steps, self.max_seconds), callbacks)

    def _found(self, work: Work, state: TrainState) -> Found:
        """Solve with what has been learned."""
        found = work.task.solved(state)
        return replace(
            found,
            residuals=lambda: fresh_norms(work.task.statements, found.ansatz, found.theta, self.seed, _FRESH),
            converged=found.converged and (found.estimate is None or found.estimate <= self.tolerance),
            remark=_what_is_wrong(found.estimate),
            notes=(*found.notes, computed_by(self.kernels, work.device)),
        )

    def _owns(self, problem: Problem, state: TrainState) -> bool:
        return self._task(problem, None)[0].owns(state)

    def _task(self, problem: Problem, monitor: Monitor | None) -> tuple[GPTask, str]:
        """Return what is done, and where.

        Raises:
            InputError: the mode, the kernel or the memory does not suit the problem.
        """
        device, notes = choose_device(self.device)
        check_kernels(self.kernels, device)
        linear = all(form.is_linear for form in (*problem.forms, *(c.form for c in problem.constraints)))
        if self.mode == "evidence" and not linear:
            raise InputError(
                "evidence is for linear problems, and this one is not linear: take gauss_newton or auto", ("mode",)
            )
        scales = estimate_scales(problem)
        stated, space, band = statements(problem, scales), _space(problem, self.seed), bandwidth(problem)
        usual = default_counts(band, space)
        counts, orders = self._counts(problem, usual), highest_orders(stated, len(usual))
        envelope, components = self._kernel(2 * max(orders), usual)
        told = (*notes, *problem.warnings, *band.notes, *_too_few(counts, band, space))
        closed = [name in problem.periodic for name in space.coordinates]
        sizes = [scales.unknowns[name] for name in problem.names.real_unknowns]
        if self.mode == "map":
            several = components if components > 1 else _FEW_COMPONENTS
            usual, kernel = first_guess(band.highest, space.extents, several, envelope)
            kernels = [kernel.scaled(size**2) for size in sizes]
            counts = usual if self.points is None else counts
            objective = JointObjective(problem, counts, kernels, nugget=max(self.nugget, _MAP_NUGGET), device=device)
            return MapTask(objective, stated, self.steps or _MAP_STEPS, told, monitor), device
        structured = len(counts) > 1 and (not linear or math.prod(counts) > _SCATTERED)
        if structured and TensorSystem.refusal(problem) is None:
            check_kernels(self.kernels, "cpu")
            few = self.components if components > 1 else _FEW_COMPONENTS
            given = None if self.points is None else counts
            model = GridModel(problem, band.highest, few, envelope, given, self.tolerance)
            return GridTask(model, stated, self.seed, told, monitor), "cpu"
        check_memory(math.prod(counts) * stated[0].residuals, len(counts))
        sites = make_sites(stated, problem.domain, counts, device)
        beginning = initial_kernels(sizes, band, space, closed, components, envelope).to(device)
        held = held_out_sites(stated, _HELD_OUT, self.seed, device)
        most = self.steps or _STEPS
        task = EvidenceTask(sites, space, beginning, orders, linear, self.nugget, most, told, held, monitor)
        return task, device

    def _counts(self, problem: Problem, usual: tuple[int, ...]) -> tuple[int, ...]:
        """Return points along each coordinate."""
        names, given = problem.names.coordinates, self.points
        if given is None:
            return usual
        if isinstance(given, int):
            return (given,) * len(names)
        for name in given:
            if name not in names:
                raise InputError(one_of(name, names, "a coordinate"), ("points", name))
        return tuple(given.get(name, count) for name, count in zip(names, usual, strict=True))

    def _kernel(self, order: int, usual: tuple[int, ...]) -> tuple[Envelope, int]:
        """Return the envelope and the number of components of the kernels.

        Raises:
            InputError: the kernel is too rough for the equation, or does not take a nu.
        """
        rough = self.kernel in ("student", "matern")
        if self.nu is not None and not rough:
            raise InputError(f"nu is for the kernels student and matern, not {self.kernel}", ("nu",))
        envelope: Envelope = Gaussian(self.kernels)
        if rough:
            smallest = smallest_nu(order)
            if self.nu is not None and self.nu < smallest:
                raise InputError(
                    f"the equation has derivatives of order {order // 2}: a Matérn kernel needs nu > {order // 2}, "
                    f"{smallest} at least; got {self.nu:g}",
                    ("nu",),
                )
            envelope = Matern(self.nu or smallest + _SMOOTHER, self.kernels)
        few = self.kernel == "auto" and len(usual) > 1 and max(usual) <= _FEW
        return envelope, 1 if few or self.kernel in ("rbf", "matern") else self.components


def _what_is_wrong(estimate: float | None) -> str:
    """Return what to think of an estimated error that is no small part of the solution."""
    if estimate is None or estimate <= UNTRUSTED:
        return ""
    return (
        f"; but equations and conditions leave a standard deviation of {estimate:.1e} of the solution: conditions are "
        "missing or contradict each other, or the points do not resolve it"
    )


def _too_few(counts: tuple[int, ...], band: Bandwidth, space: Space) -> list[str]:
    """Return which coordinates have fewer than two points a wave: a wave is then taken for a slower one."""
    found = []
    for name, n, w, extent in zip(space.coordinates, counts, band.highest, space.extents, strict=True):
        least = math.ceil(w * extent / math.pi)
        if n < least:
            found.append(
                f"{n} points along {name} are fewer than two points a wave of the highest frequency, {w:.3g}: "
                f"take {least} at least"
            )
    return found


def _space(problem: Problem, seed: int) -> Space:
    bounds = problem.domain.bounds
    low, extents = bounds[:, 0].tolist(), (bounds[:, 1] - bounds[:, 0]).tolist()
    probes = torch.tensor(sample(problem.domain.region("interior"), _PROBES, "sobol", (seed, 1)).x)
    return Space(problem.names.coordinates, tuple(low), tuple(extents), probes)
