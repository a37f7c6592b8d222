"""Functions of the coordinates drawn at random: the inputs of operators."""

from pdeml.sampling.functions.base import Function

__all__ = ["Function"]
