"""Networks that carry jets, and the known maps around them."""

from pdeml.nn.activations import ACTIVATIONS, activation
from pdeml.nn.ansatz import NetworkAnsatz
from pdeml.nn.lift import Lift, exact_lift, features
from pdeml.nn.mlp import MLP

__all__ = ["ACTIVATIONS", "MLP", "Lift", "NetworkAnsatz", "activation", "exact_lift", "features"]
