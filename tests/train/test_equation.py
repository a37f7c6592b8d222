"""The loss from the equation itself: on grids and at points, against the pointwise residual and nested autograd."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
import sympy
import torch
from torch import Tensor, nn

import pdeml as pm
from pdeml.data.signature import Quantity, Signature
from pdeml.errors import InputError
from pdeml.lower import KnownFunctions, Scales, make_block, statements
from pdeml.lower.jets import Jet
from pdeml.lower.scales import coordinate_sizes
from pdeml.nn import MLP
from pdeml.nn.boundary import lifts
from pdeml.train.equation import EquationLoss

from .equation_cases import FLOAT, FLOW, FLOW_EXACT, T, X, Y, evaluated, grid_of, signature_of


class Fixed(nn.Module):
    """An operator that gives these outputs whatever it is given."""

    def __init__(self, outputs: Tensor):
        super().__init__()
        self.outputs = outputs

    def forward(self, inputs: Mapping[str, Tensor], grid: Mapping[str, Tensor]) -> Tensor:
        return self.outputs


def solved(problem: pm.Problem, formulas: Mapping[str, sympy.Expr], dims, sizes, numbers=(), accuracy: int = 4):
    """The residual norms on a grid of functions given by formulas: inputs, numbers and outputs."""
    grid = grid_of(problem, sizes)
    signature = signature_of(problem, dims, numbers)
    inputs = {
        quantity.name: evaluated(sympy.sympify(formulas[quantity.name]), quantity.dims, grid)
        for quantity in signature.inputs
        if quantity.dims
    }
    inputs |= {name: torch.tensor([float(formulas[name])], dtype=FLOAT) for name in numbers}
    outputs = torch.stack([evaluated(formulas[q.name], dims, grid) for q in signature.outputs], 1)
    loss = EquationLoss.of(problem, signature, inputs, grid, accuracy=accuracy)
    value, norms = loss(Fixed(outputs), inputs, grid)
    assert value.item() == pytest.approx(sum(norm.item() ** 2 for norm in norms.values()))
    return norms


# Two periodic coordinates, a coefficient whose gradient occurs, a source.
DARCY = pm.Problem(
    coordinates={"x": (0, 1), "y": (-1, 1)},
    unknowns="u",
    inputs={"a": {"over": ["x", "y"]}, "f": {"over": ["x", "y"]}},
    equations="-div(a*grad(u)) + u**2 = f",
    conditions=[{"periodic": ["x", "y"]}],
)
A = 2 + sympy.sin(2 * sympy.pi * X) * sympy.cos(sympy.pi * Y)
U = sympy.cos(4 * sympy.pi * X + sympy.pi * Y)
F = -(A * U.diff(X)).diff(X) - (A * U.diff(Y)).diff(Y) + U**2


@pytest.mark.parametrize("sizes", [{"x": 15, "y": 13}, {"x": 16, "y": 12}])
def test_residual_of_a_band_limited_periodic_solution_is_rounding(sizes: Mapping[str, int]):
    norms = solved(DARCY, {"a": A, "u": U, "f": F}, ("y", "x"), sizes)
    assert norms["equation"].item() < 1e-13
    wrong = solved(DARCY, {"a": A, "u": 1.01 * U, "f": F}, ("y", "x"), sizes)
    assert wrong["equation"].item() > 1e-3


@pytest.mark.parametrize("accuracy", [4, 6])
def test_residual_of_an_exact_solution_falls_with_the_order_of_the_differences(accuracy: int):
    first, second = (solved(FLOW, FLOW_EXACT, ("t", "x"), {"x": n, "t": n}, ("nu",), accuracy) for n in (33, 65))
    assert list(first) == ["equation", "u on initial", "u on boundary.left", "flux of u on boundary.right"]
    for name in ("equation", "flux of u on boundary.right"):
        assert np.log2((first[name] / second[name]).item()) > accuracy - 0.4, name
        assert second[name].item() < 1e-4
    assert second["u on initial"].item() < 1e-15
    assert second["u on boundary.left"].item() < 1e-15


@pytest.mark.parametrize("name", ["c", "u0", "g", "s", "nu"])
def test_every_input_is_that_of_the_sample(name: str):
    changed = {**FLOW_EXACT, name: FLOW_EXACT[name] * sympy.Float(1.05)}
    right = solved(FLOW, FLOW_EXACT, ("t", "x"), {"x": 33, "t": 33}, ("nu",))
    norms = solved(FLOW, changed, ("t", "x"), {"x": 33, "t": 33}, ("nu",))
    where = {"u0": "u on initial", "g": "flux of u on boundary.right"}.get(name, "equation")
    assert norms[where].item() > max(1e-4, 50 * right[where].item())


def test_samples_of_a_batch_do_not_mix():
    grid = grid_of(FLOW, {"x": 9, "t": 7})
    signature = signature_of(FLOW, ("t", "x"), ("nu",))
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, dtype=FLOAT)

    inputs = {"c": draw(3, 9), "u0": draw(3, 9), "g": draw(3, 7), "s": draw(3, 7, 9), "nu": draw(3)}
    inputs["c"] = 1 + 0.1 * inputs["c"].cumsum(1)
    outputs = draw(3, 1, 7, 9)
    loss = EquationLoss.of(FLOW, signature, inputs, grid)
    whole, norms = loss(Fixed(outputs), inputs, grid)
    alone = [
        loss(Fixed(outputs[k : k + 1]), {name: part[k : k + 1] for name, part in inputs.items()}, grid)
        for k in range(3)
    ]
    assert whole.item() == pytest.approx(sum(value.item() for value, _ in alone) / 3)
    for name, norm in norms.items():
        assert norm.item() ** 2 == pytest.approx(sum(parts[name].item() ** 2 for _, parts in alone) / 3)


def test_gradient_by_the_outputs():
    grid = grid_of(FLOW, {"x": 8, "t": 7})
    signature = signature_of(FLOW, ("t", "x"), ("nu",))
    generator = torch.Generator().manual_seed(1)
    sizes = {"c": (8,), "u0": (8,), "g": (7,), "s": (7, 8), "nu": ()}
    inputs = {name: 1 + 0.05 * torch.rand((2, *n), generator=generator, dtype=FLOAT) for name, n in sizes.items()}
    inputs["c"] = inputs["c"].cumsum(1)
    loss = EquationLoss.of(FLOW, signature, inputs, grid)
    outputs = torch.rand((2, 1, 7, 8), generator=generator, dtype=FLOAT).requires_grad_()
    assert torch.autograd.gradcheck(lambda values: loss(Fixed(values), inputs, grid, values)[0], (outputs,))


class Formulas:
    """An ansatz of known functions, for `pdeml.lower`'s residual at points."""

    parameter_count = 0

    def __init__(self, formulas: tuple[sympy.Expr, ...], problem: pm.Problem):
        self.formulas, self.names = formulas, problem.names

    def prepare(self, points_ND: Tensor, spec):
        values = KnownFunctions.of(self.formulas, self.names, spec).jet(points_ND).values
        return type("Prepared", (), {"jets": staticmethod(lambda theta: values)})()


def test_grid_residual_equals_the_pointwise_residual_of_the_same_problem_without_inputs():
    # Coupled, with a mixed derivative, a collapsed sum, a weight, and both signs of a normal.
    text = ["laplacian(u) + d(d(v, x), y) = f*v", {"equation": "v_x + u*v = h + y_weight*u_y", "weight": 3}]
    conditions = ["dn(u) + f*v = x"]
    shape = {"coordinates": {"x": (0, 1), "y": (0, 2)}, "unknowns": "u v", "parameters": {"y_weight": 0.7}}
    f, h = 1 + X * Y / 3, sympy.Integer(2) + X**2
    operator_problem = pm.Problem(
        **shape,
        inputs={"f": {"over": ["x", "y"]}, "h": {"over": ["x"]}},
        equations=text,
        conditions=[pm.Condition(conditions[0], on="boundary.left"), pm.Dirichlet(v="h")],
    )

    def filled(part: str) -> str:
        return part.replace("f*v", f"({f})*v").replace("h + ", f"({h}) + ")

    pointwise_problem = pm.Problem(
        **shape,
        equations=[filled(text[0]), {"equation": filled(text[1]["equation"]), "weight": 3}],
        conditions=[pm.Condition(filled(conditions[0]), on="boundary.left"), pm.Dirichlet(v=str(h))],
    )
    u, v = X**3 * Y**2 - Y, 1 + X**2 * Y**3
    grid = grid_of(operator_problem, {"x": 9, "y": 10})
    signature = signature_of(operator_problem, ("y", "x"))
    inputs = {"f": evaluated(f, ("y", "x"), grid), "h": evaluated(h, ("x",), grid)}
    loss = EquationLoss.of(operator_problem, signature, inputs, grid)
    outputs = torch.stack([evaluated(u, ("y", "x"), grid), evaluated(v, ("y", "x"), grid)], 1)
    value, norms = loss(Fixed(outputs), inputs, grid)

    ansatz = Formulas((u, v), pointwise_problem)
    mesh = torch.cartesian_prod(grid["x"], grid["y"])
    inner = (mesh[:, 0] > 0) & (mesh[:, 0] < 1) & (mesh[:, 1] > 0) & (mesh[:, 1] < 2)
    left = mesh[mesh[:, 0] == 0]
    sides = [(grid["x"], 0.0), (grid["x"], 2.0), (0.0, grid["y"]), (1.0, grid["y"])]
    parts = [
        torch.stack(torch.broadcast_tensors(*(torch.as_tensor(c, dtype=FLOAT) for c in side)), 1) for side in sides
    ]
    ends = torch.cat(parts)
    shares = torch.cat(
        [
            torch.full((len(part),), length / 6 / len(part), dtype=FLOAT)
            for part, length in zip(parts, (1, 1, 2, 2), strict=True)
        ]
    )
    outward = torch.tensor([[-1.0, 0.0]], dtype=FLOAT).expand(len(left), 2)
    places = [
        (mesh[inner], torch.full((int(inner.sum()),), 1 / inner.sum().item(), dtype=FLOAT), None),
        (left, torch.full((len(left),), 1 / len(left), dtype=FLOAT), outward),
        (ends, shares, None),
    ]
    total = 0.0
    sizes = {"u": 1.0, "v": 1.0}
    stated = statements(pointwise_problem, Scales(coordinate_sizes(pointwise_problem), sizes))
    names = iter(norms)
    for own, statement, (points, weights, normals) in zip(loss.statements, stated, places, strict=True):
        block = make_block(statement, ansatz, points, weights, normals)
        none = torch.zeros(0, dtype=FLOAT)
        raw = block.scaled(none, none) * torch.tensor(statement.scales, dtype=FLOAT)[:, None]
        rms = (raw.square() * weights).sum(1).sqrt()
        # The sizes of terms are estimated from formulas there, from a batch here; and agree roughly.
        np.testing.assert_allclose(own.scales, statement.scales, rtol=0.5)
        for one, scale, weight in zip(rms.tolist(), own.scales, statement.weights, strict=True):
            assert norms[next(names)].item() == pytest.approx(one / scale, rel=1e-9)
            total += (weight * one / scale) ** 2
    assert value.item() == pytest.approx(total, rel=1e-9)


class TinyDeepONet(nn.Module):
    """``Σ_f branch_f(inputs) trunk_f(t, x)``, with the trunk's jets."""

    def __init__(self, branch: int):
        super().__init__()
        self.network = MLP(2, 4, 5, 1)
        self.theta = nn.Parameter(self.network.initial(torch.Generator().manual_seed(0)))
        self.matrix = torch.randn(branch, 4, generator=torch.Generator().manual_seed(1), dtype=FLOAT)

    def coefficients(self, inputs: Mapping[str, Tensor]) -> Tensor:
        return torch.cat([part.reshape(len(part), -1) for part in inputs.values()], 1) @ self.matrix

    def at(self, inputs: Mapping[str, Tensor], points: Tensor) -> Tensor:
        spec_free = self.network.layers(self.theta)
        hidden = points
        for weight, bias in spec_free[:-1]:
            hidden = torch.tanh(hidden @ weight.T + bias)
        weight, bias = spec_free[-1]
        return self.coefficients(inputs) @ (hidden @ weight.T + bias).T

    def jets(self, inputs: Mapping[str, Tensor], grid: Mapping[str, Tensor], points: Tensor, spec) -> Tensor:
        values = points.new_zeros(len(spec), *points.shape)
        values[0] = points
        for k, members in enumerate(spec.members):
            for coefficient, index in members:
                if sum(index) == 1:
                    values[k, :, index.index(1)] += coefficient
        trunk = self.network.jet(self.theta, Jet(spec, values)).values
        return torch.einsum("bf,knf->kbn", self.coefficients(inputs), trunk)[..., None]


def test_jets_route_equals_nested_autograd(monkeypatch: pytest.MonkeyPatch):
    grid = grid_of(FLOW, {"x": 33, "t": 17})
    signature = signature_of(FLOW, ("t", "x"), ("nu",))
    dims = {quantity.name: quantity.dims for quantity in signature.inputs}
    inputs = {name: evaluated(sympy.sympify(FLOW_EXACT[name]), own, grid) for name, own in dims.items() if own}
    inputs = {name: torch.cat([part, 1.5 * part]) for name, part in inputs.items()}
    inputs["nu"] = torch.tensor([0.3, 0.2], dtype=FLOAT)
    operator = TinyDeepONet(sum(part[0].numel() for part in inputs.values()))
    loss = EquationLoss.of(FLOW, signature, inputs, grid, points=40)
    drawn = []
    original = pm.sampling.sample

    def recorded(*arguments):
        drawn.append(original(*arguments))
        return drawn[-1]

    monkeypatch.setattr("pdeml.train.equation.sample", recorded)
    value, norms = loss(operator, inputs, grid, step=5)
    assert len(drawn[0]) == 40
    factors = torch.tensor([[1.0], [1.5]], dtype=FLOAT)

    def known(name: str, x: np.ndarray, index: tuple[sympy.Symbol, ...] = ()) -> Tensor:
        formula = sympy.sympify(FLOW_EXACT[name]).diff(*index) if index else sympy.sympify(FLOW_EXACT[name])
        values = sympy.lambdify([X, T], formula, "numpy")(*x.T)
        return factors * torch.tensor(np.broadcast_to(values, len(x)).copy())

    def slopes(values: Tensor, x: Tensor) -> Tensor:
        """∂/∂(x, t) of (B, N) by reverse mode, (2, B, N)."""
        rows = [torch.autograd.grad(row.sum(), x, create_graph=True)[0].T for row in values]
        return torch.stack(rows, 1)

    def u(points: np.ndarray) -> tuple[Tensor, Tensor]:
        x = torch.tensor(points, requires_grad=True)
        return x, operator.at(inputs, x[:, [1, 0]])

    nu = inputs["nu"][:, None]
    inside, start, left, right = drawn
    x, values = u(inside.x)
    u_x, u_t = slopes(values, x)
    u_xx = slopes(u_x, x)[0]
    c, c_x, s = known("c", inside.x), known("c", inside.x, (X,)), known("s", inside.x)
    rows = [u_t + values * u_x - nu * (c * u_xx + c_x * u_x) - s]
    rows.append(u(start.x)[1] - known("u0", start.x))
    rows.append(u(left.x)[1])
    x, values = u(right.x)
    rows.append(slopes(values, x)[0] - known("g", right.x))
    total = 0.0
    for row, points, statement in zip(rows, drawn, loss.statements, strict=True):
        square = ((row / statement.scales[0]).square() @ torch.tensor(points.weights)).mean()
        # Input functions are interpolated on 33 points.
        assert norms[statement.name].item() == pytest.approx(square.sqrt().item(), rel=1e-6)
        total = total + square
    assert value.item() == pytest.approx(total.item(), rel=1e-6)
    by_loss, by_oracle = (torch.autograd.grad(part, operator.theta)[0] for part in (value, total))
    torch.testing.assert_close(by_loss, by_oracle, rtol=1e-5, atol=1e-5 * by_oracle.abs().max().item())
    again, other = loss(operator, inputs, grid, step=5)[0], loss(operator, inputs, grid, step=6)[0]
    assert again.item() == value.item()
    assert other.item() != value.item()


def test_exact_conditions_are_left_out():
    grid = grid_of(FLOW, {"x": 9, "t": 9})
    signature = signature_of(FLOW, ("t", "x"), ("nu",))
    inputs = {q.name: torch.ones(1, *(9 for _ in q.dims), dtype=FLOAT) for q in signature.inputs}
    loss = EquationLoss.of(FLOW, signature, inputs, grid, exact=["u on initial", "u on boundary.left"])
    _, norms = loss(Fixed(torch.zeros(1, 1, 9, 9, dtype=FLOAT)), inputs, grid)
    assert list(norms) == ["equation", "flux of u on boundary.right"]
    with pytest.raises(InputError, match="did you mean 'u on initial'"):
        EquationLoss.of(FLOW, signature, inputs, grid, exact=["u on inital"])


def test_conditions_that_the_signature_lifts_are_left_out_by_default():
    grid = grid_of(FLOW, {"x": 9, "t": 9})
    signature = signature_of(FLOW, ("t", "x"))
    signature = replace(signature_of(FLOW, ("t", "x"), ("nu",)), lift=lifts(FLOW, signature))
    inputs = {q.name: torch.ones(1, *(9 for _ in q.dims), dtype=FLOAT) for q in signature.inputs}
    loss = EquationLoss.of(FLOW, signature, inputs, grid)
    assert [own.name for own in loss.statements] == ["equation", "flux of u on boundary.right"]


def test_sizes_do_not_change_the_loss_when_units_do():
    """Lengths in millimetres, times in minutes, values in another unit: the scaled residuals stay what they are."""
    length, time, size = 1000.0, 1 / 60, 7.0

    def heat(length: float, time: float, size: float) -> float:
        problem = pm.Problem(
            coordinates={"x": (0, length), "t": (0, time)},
            time="t",
            unknowns={"u": {"scale": size}},
            parameters={"D": 0.4 * length**2 / time},
            inputs={"f": {"over": ["x"]}},
            equations="u_t = D*u_xx + f",
            conditions=[pm.Initial(u=0), pm.Dirichlet(u=0)],
        )
        grid = grid_of(problem, {"x": 9, "t": 8})
        generator = torch.Generator().manual_seed(3)
        inputs = {"f": torch.rand((2, 9), generator=generator, dtype=FLOAT) * size / time}
        outputs = torch.rand((2, 1, 8, 9), generator=generator, dtype=FLOAT) * size
        signature = signature_of(problem, ("t", "x"))
        signature = Signature(signature.inputs, (Quantity("u", ("t", "x"), 0.0, size),), signature.axes)
        return EquationLoss.of(problem, signature, inputs, grid)(Fixed(outputs), inputs, grid)[0].item()

    assert heat(length, time, size) == pytest.approx(heat(1.0, 1.0, 1.0), rel=1e-9)
