"""The benchmark of the kernels: it runs, finds what is wrong, and counts right."""

from __future__ import annotations

import csv
import math
import time
from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from pdeml.lower import statements
from pdeml.problem import Dirichlet, Initial, Problem, library
from pdeml.solvers import PINN
from pdeml_kernels.bench import case as bench_case
from pdeml_kernels.bench import mixture_cases, record
from pdeml_kernels.bench.__main__ import main
from pdeml_kernels.bench.case import GRAPH, PASSES, Asked, Case, Implementation, Inputs, Work, by_torch
from pdeml_kernels.bench.cases import cases
from pdeml_kernels.bench.device import Ceilings, ceilings, peak_bytes, seconds
from pdeml_kernels.bench.equations import BURGERS, EQUATIONS, KURAMOTO_SIVASHINSKY
from pdeml_kernels.bench.measure import Result, Setting, Trial, error_of, exact, measure
from pdeml_kernels.bench.residual_cases import Task, pinn
from pdeml_kernels.bench.tables import replace_between
from pdeml_kernels.network import jets
from pdeml_kernels.programs import run

CPU = torch.device("cpu")
SETTING = Setting(CPU, "ieee", Ceilings(1e9, {"ieee": 1e9}), 0.0)
MARKS = "before\n<!-- bench-cpu:begin -->\n<!-- bench-cpu:end -->\n<!-- bench-cuda:begin -->\n<!-- bench-cuda:end -->\n"


def twice(x, factor):
    return 2 * factor * x


def small_case(*others: Implementation) -> Case:
    return Case(
        "product",
        "of three",
        lambda draw: Inputs((draw(3),), (draw(1),)),
        (by_torch("torch", twice), *others),
        {name: Work(1e6, 3e6) for name in PASSES},
    )


def test_it_measures_every_operator_and_writes_a_table(tmp_path, capsys):
    readme = tmp_path / "README.md"
    readme.write_text(MARKS)
    assert main(["--device", "cpu", "--quick", "--write"], tmp_path) == 0
    printed, written = capsys.readouterr().out, readme.read_text()
    for case in cases("cpu", "ieee", quick=True):
        assert f"\n{case}\n" in printed
        assert written.count(f"| {case} |") == 2
    for case in cases("cuda", "tf32x3"):
        assert f"| {case} | forward + backward | not measured: no GPU |" in written
    assert "needs a GPU" in printed
    assert "WRONG" not in printed
    assert written.startswith("before\n<!-- bench-cpu:begin -->\n2")
    assert "8 × nested autograd" in written
    assert not (tmp_path / "bench.csv").exists()


@pytest.mark.parametrize("case", cases("cpu", "ieee", quick=True), ids=str)
def test_triton_kernels_are_called_as_they_should_be(case, monkeypatch):
    """Interpreted, one call each; where there is a GPU, test_gpu_figures.py measures them."""
    pytest.importorskip("triton")
    monkeypatch.setattr(bench_case, "can_run_triton", lambda _: True)
    generator = torch.Generator().manual_seed(4)
    given = case.inputs(lambda *shape: torch.randn(shape, generator=generator, dtype=torch.float64))
    fields, parameters = ([tensor.float() for tensor in group] for group in given)
    own = [i for i in case.implementations if i.name.startswith("triton") and not i.graph]
    assert own
    for implementation in own:
        found = Trial(case, implementation, [fields], parameters, PASSES[-1])(0)
        assert error_of(found, exact(case, PASSES[-1], fields, parameters)) <= case.bound


def test_a_wrong_result_is_found(monkeypatch, capsys):
    right = mixture_cases.mixture_matrices

    def wrong(x, *given):
        return right(x, *given) * (1.0001 if x.dtype == torch.float32 else 1)

    monkeypatch.setattr(mixture_cases, "mixture_matrices", wrong)
    assert main(["--device", "cpu", "--quick", "--rows", "mixture"]) == 1
    printed = capsys.readouterr().out
    assert "WRONG" in printed
    assert "torch, forward: error 1.0e-04, at most 1e-05" in printed


def test_other_packages_may_round_as_they_like(monkeypatch, capsys):
    right = mixture_cases.by_formulas
    monkeypatch.setattr(mixture_cases, "by_formulas", lambda *given: 1.0001 * right(*given))
    assert main(["--device", "cpu", "--quick", "--rows", "mixture"]) == 0
    assert "WRONG" in capsys.readouterr().out


def test_a_wrong_gradient_is_found():
    detached = by_torch("torch, other", lambda x, factor: 2 * factor.detach() * x + 0 * factor)
    results = {(r.implementation, r.passed): r for r in measure(small_case(detached), SETTING)}
    assert not results["torch, other", "forward"].at_fault
    assert results["torch, other", "forward + backward"].at_fault
    assert not results["torch", "forward + backward"].at_fault


def test_kernels_that_fail_are_at_fault_and_other_packages_are_not():
    def fails(*_):
        raise RuntimeError("broken")

    case = small_case(Implementation("triton", fails), Implementation("other", fails))
    results = [r for r in measure(case, SETTING) if r.implementation != "torch"]
    assert [(r.at_fault, r.remark) for r in results[:2]] == [
        (True, "failed: RuntimeError: broken"),
        (False, "not possible: RuntimeError: broken"),
    ]


def test_errors_are_relative_to_the_largest_value_of_a_tensor():
    truth = [torch.tensor([2.0, 0.0]), torch.tensor([1e6])]
    assert error_of([torch.tensor([2.0, 0.01]), torch.tensor([1e6])], truth) == pytest.approx(0.005)
    assert error_of([torch.tensor([2.0, math.nan]), torch.tensor([1e6])], truth) == math.inf
    assert error_of([torch.tensor([2.0]), torch.tensor([1e6])], truth) == math.inf
    assert error_of([torch.tensor([1 + 2j])], [torch.tensor([[1.0, 2.0]])]) == 0
    assert error_of([torch.empty(0)], [torch.empty(0)]) == 0


def test_shares_of_the_roofline():
    limits = Ceilings(2e9, {"ieee": 4e9, "tf32": 1e12})
    assert limits.least_seconds(2e9, 2e9, "ieee") == 1.0
    assert limits.least_seconds(2e9, 8e9, "ieee") == 2.0
    assert limits.least_seconds(2e9, 8e9, "tf32") == 1.0
    for result in measure(small_case(), SETTING):
        assert result.share == pytest.approx(3e-3 / result.seconds)
        assert result.bytes_per_second == pytest.approx(1e6 / result.seconds)


def test_ceilings_are_positive():
    found = ceilings(CPU, quick=True)
    assert found.bytes_per_second > 1e6
    assert found.operations_per_second["ieee"] > 1e6


def test_time_is_that_of_each_call_and_inputs_take_turns():
    numbers = []
    slow, fast = seconds([lambda _: time.sleep(0.02), numbers.append], CPU, 0.0)
    assert slow >= 0.02 > fast
    assert {0, 1} <= set(numbers)


def test_the_peak_of_memory_is_counted():
    older = []

    def two_of_three(number):
        older.clear()
        if number is None:
            older.append(torch.ones(1 << 18))
        a = torch.ones(1 << 18)
        b = a + 1
        del a
        return (b * 2).sum()

    assert peak_bytes(two_of_three, CPU) == pytest.approx(2 << 20, rel=0.01)
    assert peak_bytes(lambda _: two_of_three(None), CPU) == pytest.approx(3 << 20, rel=0.01)
    assert peak_bytes(two_of_three, CPU) == pytest.approx(2 << 20, rel=0.01)


def test_operations_are_those_of_the_products():
    task = Task(KURAMOTO_SIVASHINSKY, 10, 8, 3)
    theta, entering = torch.randn(task.network.parameter_count), torch.randn(task.channels, 10, 2)
    with FlopCounterMode(display=False) as counted:
        jets(theta, entering, task.equation.chain, task.network)
    assert pinn(task, "ieee", ()).work["forward"].operations == counted.get_total_flops()


def problem(equation) -> Problem:
    if equation is BURGERS:
        return library.load("burgers")
    if equation is KURAMOTO_SIVASHINSKY:
        return Problem(
            coordinates={"x": (-1, 1), "t": (0, 1)},
            time="t",
            unknowns="u",
            equations="u_t + u*u_x + u_xx + u_xxxx = 0",
            conditions=[Initial(u="0"), Dirichlet(u=0)],
        )
    momentum = "{0}_t + u*{0}_x + v*{0}_y + p_{1} - nu*({0}_xx + {0}_yy) = 0"
    return Problem(
        coordinates={"x": (0, 1), "y": (0, 1), "t": (0, 1)},
        time="t",
        unknowns=["u", "v", "p"],
        parameters={"nu": 0.01},
        equations=[momentum.format("u", "x"), momentum.format("v", "y"), "u_x + v_y = 0"],
        conditions=[Initial(u="0", v="0"), Dirichlet(u=0, v=0)],
    )


@pytest.mark.parametrize("equation", EQUATIONS, ids=lambda equation: equation.name)
def test_the_equations_are_what_pdeml_lowers(equation):
    posed = problem(equation)
    _, scales, lift = PINN(exact_conditions=False).ansatz(posed)
    plan = statements(posed, scales, lift.exact)[0].plan
    found = [{tuple(sorted(term.factors)): term.coefficient for term in terms} for terms in plan.spec.chain]
    expected = [{tuple(sorted(term.factors)): term.coefficient for term in terms} for terms in equation.chain]
    assert found == [pytest.approx(terms) for terms in expected]
    assert len(plan.spec) == len(equation.chain) + 1
    axes = range(equation.coordinates)
    for members, slopes in zip(plan.spec.members[1:], equation.slopes, strict=True):
        assert slopes == tuple(sum(c for c, index in members if index == unit(axis, axes)) for axis in axes)
    assert plan.partial_of == equation.program.partial_of
    slots = [(slot.channel, slot.unknown) for slot in plan.slots]
    assert slots == list(equation.program.slots)
    values = list(torch.randn(len(plan.columns) + len(slots), 7, dtype=torch.float64))
    for theirs, ours in ((plan.residual, equation.program.residual), (plan.partials, equation.program.partials)):
        wanted = [torch.as_tensor(value).expand(7) for value in run(theirs, values, values[0])]
        given = [value.expand(7) for value in run(ours, values[len(plan.columns) :], values[0])]
        torch.testing.assert_close(torch.stack(given).double(), torch.stack(wanted).double())


def unit(axis, axes):
    return tuple(int(other == axis) for other in axes)


@pytest.mark.parametrize("equation", EQUATIONS, ids=lambda equation: equation.name)
def test_nested_differentiation_of_the_formulas_gives_the_same_in_double_precision(equation):
    case = pinn(Task(equation, 11, 6, 2), "ieee", ())
    generator = torch.Generator().manual_seed(3)
    fields, parameters = case.inputs(lambda *shape: torch.randn(shape, dtype=torch.float64, generator=generator))
    found = []
    for implementation in case.implementations:
        if implementation.name.endswith("compiled") or implementation.name.startswith("triton"):
            continue
        call, leaves = implementation.prepare(tuple(p.clone().requires_grad_() for p in parameters))
        loss = call(*fields)
        found.append((loss.detach(), *torch.autograd.grad(loss, leaves)))
    assert len(found) == 2
    torch.testing.assert_close(*found, rtol=1e-10, atol=1e-10)


RESULT = Result("product", "of three", "triton", "ieee", "forward + backward", 1e-3, 10, 1e9, 3e9, 0.6, 1e-7, 1e-5)


def test_what_was_not_reached_is_told():
    case = replace(small_case(), asked=(Asked("other", 3, memory=0.5),), share=0.5)
    slower = RESULT._replace(implementation="triton, channels last", seconds=2e-3, share=0.3)
    other = RESULT._replace(implementation="other", seconds=3e-3, peak_bytes=20)
    assert record.shortfalls(case, [RESULT, slower, other]) == []
    assert record.shortfalls(case, [slower, other]) == [
        "1.50 × other, 3 asked for",
        "30% of the roofline, 50% asked for",
    ]
    graph = RESULT._replace(implementation=GRAPH, seconds=1e-4, share=0.9)
    assert record.shortfalls(case, [slower, other, graph]) == ["1.50 × other, 3 asked for"]
    assert record.shortfalls(case, [RESULT, other._replace(peak_bytes=19)]) == [
        "0.53 of the memory of other, 0.5 asked for"
    ]
    assert record.shortfalls(case, [other]) == ["not measured: 3 × other, 0.5 of its memory"]
    assert record.shortfalls(case, [RESULT._replace(error=1.0), other]) == [
        "triton, forward + backward: error 1.0e+00, at most 1e-05"
    ]


def test_rows_of_the_table():
    case = replace(small_case(), asked=(Asked("other", 3),), share=0.5)
    other = RESULT._replace(implementation="other", seconds=3e-3, error=1.0)
    forward_only = [r._replace(passed="forward") for r in (RESULT._replace(implementation="torch"), other)]
    graph = RESULT._replace(implementation=GRAPH, seconds=5e-4, share=0.9)
    both = [RESULT._replace(implementation="torch", seconds=2e-3), RESULT, other, graph]
    first, second = record.rows(case, [*forward_only, *both])
    assert len(first) == len(second) == len(record.HEADER) == len(record.unmeasured(case)[0])
    assert first[:7] == ("product, of three", "forward", "–", "–", "1", "–", "3 (**error 1e+00**)")
    assert second[2:7] == ("1", "0.5", "2", "–", "3 (**error 1e+00**)")
    assert second[-2:] == ("1e-07", "3 × other; 50% of the roofline")


def test_lines_are_added_to_a_file_of_comma_separated_values(tmp_path):
    path, where = tmp_path / "bench.csv", record.origin(CPU)
    missing = RESULT._replace(seconds=None, error=None, remark="needs a GPU")
    record.append(path, where, [RESULT, missing])
    record.append(path, where._replace(kind="cuda"), [RESULT._replace(error=1.0)])
    with path.open() as stream:
        lines = list(csv.DictReader(stream))
    assert [(line["ms"], line["MB"], line["remark"]) for line in lines] == [("1", "1e-05", ""), ("1", "1e-05", "wrong")]
    assert record.kinds(path) == {"cpu", "cuda"}
    assert record.kinds(tmp_path / "none") == set()


def test_text_is_put_between_markers_that_must_be_there(tmp_path):
    path = tmp_path / "README.md"
    path.write_text("a\n<!-- x:begin -->\nold\n<!-- x:end -->\nb\n")
    replace_between(path, "x", "new")
    assert path.read_text() == "a\n<!-- x:begin -->\nnew\n<!-- x:end -->\nb\n"
    with pytest.raises(ValueError, match="does not have the markers <!-- y:begin -->"):
        replace_between(path, "y", "new")
