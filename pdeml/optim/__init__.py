"""Optimisers of residual systems: options in a frozen class, state in tensors, one pure step at a time."""

from pdeml.optim.adam import Adam
from pdeml.optim.base import Objective, Optimiser, State, Step
from pdeml.optim.gauss_newton import GaussNewton
from pdeml.optim.lbfgs import LBFGS

__all__ = ["LBFGS", "Adam", "GaussNewton", "Objective", "Optimiser", "State", "Step"]
