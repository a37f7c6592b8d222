"""An inverse problem through a solver: the conductivity of a rod from noisy temperatures.

Heat is produced in a rod whose ends are kept cold. Its conductivity varies along it, and is wanted; the temperature has
been measured at sixty places. A guess of the conductivity is put into the problem, the problem is solved, the solution
compared with the measurements, and the guess improved. The gradient for that comes from the equation: the solution is
the root of a residual, and `implicit_root` differentiates it by one linear solution, whatever the solver does inside.
Run it from anywhere, ``python tutorials/07_inverse_problem.py``. It writes temperature.png, conductivity.png and
conductivity.h5 into the current folder.
"""

import numpy as np
import torch
from numpy.polynomial.chebyshev import Chebyshev
from scipy.optimize import minimize

import pdeml as pm
from pdeml.linalg import condition, implicit_root
from pdeml.reference import Case, make_method

TRUE = "1 + 1.5*exp(-80*(x - 0.3)**2) - 0.5*exp(-80*(x - 0.75)**2)"
TERMS = 12
SOURCE = 10.0
NOISE = 0.005
NODES = 0.5 - 0.5 * np.cos(np.pi * np.arange(57) / 56)


# 1. The problem, with numbers in it that are not known. It is read once, and solved for any values of them.
def rod(conductivity: str, **parameters: float) -> pm.Problem:
    """Return the problem of the temperature for a conductivity."""
    return pm.Problem(
        coordinates={"x": (0, 1)},
        unknowns="u",
        parameters=parameters,
        equations=f"-d(({conductivity})*u_x, x) = {SOURCE}",
        conditions=[pm.Dirichlet(u=0)],
    )


# 2. What is sought: the logarithm of the conductivity, which keeps it positive, as a sum of cosines. Smooth ones are
#    likelier: this is said by the standard deviation of each coefficient before anything is measured. In units of it
#    all coefficients z are alike, which the optimiser likes.
PRIOR = 1.0 / (1.0 + np.arange(TERMS) / 4) ** 2


NAMES = [f"c{k}" for k in range(TERMS)]
GUESSED = rod("exp(" + " + ".join(f"{c}*cos({k}*pi*x)" for k, c in enumerate(NAMES)) + ")", **dict.fromkeys(NAMES, 0.0))
METHOD = make_method("chebyshev", {}, GUESSED)


def solve(z: torch.Tensor) -> np.ndarray:
    """Solve for the temperature at the nodes."""
    case = Case.fixed(GUESSED, dict(zip(NAMES, PRIOR * z.numpy(), strict=True)))
    (solved,) = METHOD.solve(GUESSED, [case], {"x": len(NODES)})
    return solved.evaluate(NODES[:, None])["u"]


def cosines(x: np.ndarray) -> torch.Tensor:
    """Return the functions that the coefficients multiply."""
    return torch.as_tensor(PRIOR * np.cos(np.pi * np.outer(x, np.arange(TERMS))))


# 3. The residual of which the temperature is the root, in operations that torch can differentiate. It need not be how
#    the solver computes, as long as it vanishes where the solver ends.
def matrix(x: np.ndarray, order: int) -> torch.Tensor:
    """Return what takes values at the nodes to values, or derivatives, of their interpolant at x."""
    parts = [Chebyshev.fit(NODES, unit, len(NODES) - 1, domain=[0, 1]) for unit in np.eye(len(NODES))]
    return torch.as_tensor(np.stack([part.deriv(order)(x) if order else part(x) for part in parts], axis=1))


SLOPE = matrix(NODES, 1)
BASIS = cosines(NODES)


def residual(u: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    """Return ``−(κ u′)′ − f`` at the inner nodes, and u at the ends."""
    flux = torch.exp(BASIS @ z) * (SLOPE @ u)
    inside = -(SLOPE @ flux) - SOURCE
    return torch.cat([u[:1], inside[1:-1], u[-1:]])


temperature = implicit_root(residual, solve)


def main() -> None:
    """Measure, recover, say how sure."""
    rng = np.random.default_rng(0)
    places = np.sort(rng.uniform(0, 1, 60))
    seen = matrix(places, 0)
    exact = torch.tensor(pm.solve(rod(TRUE), pm.ReferenceSolver(method="chebyshev")).at({"x": places})["u"])
    deviation = NOISE * float(exact.max())
    data = exact + deviation * torch.as_tensor(rng.standard_normal(60))

    # 4. Least squares of measurements and prior, by a quasi-Newton method that asks for values and gradients.
    def misfit(z: np.ndarray) -> tuple[float, np.ndarray]:
        guess = torch.tensor(z, requires_grad=True)
        off = (seen @ temperature(guess) - data) / deviation
        value = 0.5 * off.square().sum() + 0.5 * guess.square().sum()
        (gradient,) = torch.autograd.grad(value, guess)
        return float(value.detach()), gradient.numpy()

    found = minimize(misfit, np.zeros(TERMS), jac=True, method="L-BFGS-B", options={"maxcor": 30, "ftol": 1e-6})
    z = torch.tensor(found.x, requires_grad=True)
    print(f"{found.nfev} solutions; objective {misfit(np.zeros(TERMS))[0]:.0f} -> {found.fun:.1f}")

    # 5. How sure? Near the optimum the temperature is linear in the coefficients; conditioning the prior on what was
    #    measured gives their covariance. Where the temperature is flat, no heat flows and nothing is learned.
    sensitivity = torch.autograd.functional.jacobian(lambda z: seen @ temperature(z), z)
    nothing, one = torch.zeros(60).double(), torch.eye(TERMS).double()
    known = condition(0 * z.detach(), one, sensitivity, nothing, deviation**2)
    x = np.linspace(0, 1, 201)
    logarithm = cosines(x) @ z.detach()
    spread = ((cosines(x) @ known.covariance) * cosines(x)).sum(1).sqrt()

    # 6. Look: the measured temperature with the fitted one, and the conductivity with its deviation beside the truth.
    conductivity = torch.exp(logarithm).numpy()
    field = pm.Field(("x",), {"x": x}, {"kappa": conductivity}, std={"kappa": conductivity * spread.numpy()})
    true = pm.Field.from_expression({"kappa": TRUE}, like=field)
    field = field.with_reference(true)
    field.to_hdf5("conductivity.h5")
    field.plot("conductivity.png", "conductivity: recovered, and true")
    fitted = pm.Field.at_points(
        places[:, None],
        ("x",),
        {"u": (seen @ temperature(z)).detach().numpy()},
        reference={"u": data.numpy()},
    )
    fitted.plot("temperature.png", "temperature: fitted, and measured")
    inside = np.abs(conductivity - true["kappa"]) < 1.96 * field.std["kappa"]
    print(f"relative error of the conductivity {field.error()['kappa'].relative_l2:.1%}")
    print(f"the 95 % band holds {inside.mean():.0%} of it")


if __name__ == "__main__":
    main()
