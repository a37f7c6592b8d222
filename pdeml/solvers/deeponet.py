"""DeepONet and POD-DeepONet, learned from samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

from pydantic import Field as Option
from torch import Tensor

from pdeml.data.operator import OperatorData
from pdeml.data.signature import Signature
from pdeml.nn.boundary import lifts
from pdeml.nn.deeponet import DeepONet as Network
from pdeml.nn.pod import start
from pdeml.problem import Problem
from pdeml.solvers.operator import OperatorSolver
from pdeml.train.drawn import DrawnData
from pdeml.train.misfit import split_batch

__all__ = ["DeepONet"]

_BLOCK = 256


class DeepONet(OperatorSolver):
    """Learn an operator as coefficients, which depend on the inputs, of functions, which depend on the coordinates.

    Outputs can be asked for anywhere. Before training, the trunk is fitted to the samples and the best linear operator
    is computed by least squares; the branch then learns what it leaves over. Where there are no samples, but an
    equation alone, branch and trunk are trained together. With ``history: 1`` and a ``window`` it
    goes on in time (sequence to sequence), each window from the last frame of the one before.

    Args:
        trunk: network, or pod: the functions are modes of the training outputs (POD-DeepONet).
        branch: mlp of the inputs at sensors, or cnn for inputs on grids.
        basis: number of functions of each output; with pod at most as many as there are samples and grid points.
        width: units of each hidden layer of the branch.
        depth: its number of hidden layers.
        activation: of the branch: gelu, silu, tanh or sin.
        trunk_width: units of each hidden layer of the trunk; by default 512 where it is fitted to samples (its units
            need only span the solutions), and ``width`` where it is trained.
        trunk_depth: its number of hidden layers.
        sensors: number of sensors along each axis of an input, or input -> list of points; by default the training
            grid, thinned where it is large.
        harmonics: waves of periodic coordinates that the trunk sees.
        octaves: waves of other coordinates that the trunk sees.
        exact_conditions: take initial and Dirichlet values exactly where the problem, or an input, gives them.
        linear: fit the trunk, and start from the best linear operator; otherwise both are trained together.

    Raises:
        InputError: an option is unknown, of the wrong type or out of its range; or modes are wanted without samples.

    Reference: Lu, Jin, Pang, Zhang & Karniadakis, *Learning nonlinear operators via DeepONet* (2021), §1.2; Lu et al.,
        *A comprehensive and fair comparison of two neural operators* (2022), §3.1.
    """

    kind: ClassVar[str] = "deeponet"

    trunk: Literal["network", "pod"] = "network"
    branch: Literal["mlp", "cnn"] = "mlp"
    basis: Annotated[int, Option(ge=1, le=65536)] = 128
    width: Annotated[int, Option(ge=1, le=4096)] = 128
    depth: Annotated[int, Option(ge=1, le=64)] = 3
    activation: Literal["gelu", "silu", "tanh", "sin"] = "gelu"
    trunk_width: Annotated[int, Option(ge=1, le=4096)] | None = None
    trunk_depth: Annotated[int, Option(ge=1, le=64)] = 2
    sensors: Annotated[int, Option(ge=1)] | dict[str, list[list[float]]] | None = None
    harmonics: Annotated[int, Option(ge=1, le=512)] = 8
    octaves: Annotated[int, Option(ge=0, le=16)] = 0
    exact_conditions: bool = True
    linear: bool = True

    def operator(self, signature: Signature) -> Network:
        """Build the operator for a signature, with random weights from torch's generator."""
        return Network(
            signature,
            trunk=self.trunk,
            branch=self.branch,
            basis=self.basis,
            width=self.width,
            depth=self.depth,
            activation=self.activation,
            trunk_width=self.trunk_width,
            trunk_depth=self.trunk_depth,
            sensors=self.sensors,
            harmonics=self.harmonics,
            octaves=self.octaves,
            linear=self.linear,
        )

    def start(self, operator: Network, data: OperatorData) -> None:
        """Compute modes and the best linear operator from the training samples."""
        part = data.part("train", operator.signature.march)

        def samples() -> Iterator[tuple[dict[str, Tensor], Tensor]]:
            for batch in part.batches(0, _BLOCK, shuffle=False):
                yield split_batch(operator, batch)

        start(operator, samples, part.coordinates)

    def _signature(self, problem: Problem | None, data: OperatorData | DrawnData) -> Signature:
        signature, known = super()._signature(problem, data), problem or data.problem
        if not isinstance(data, OperatorData):
            signature = replace(signature, samples=0)  # functions are drawn, but no solutions of them
        if known is None or not self.exact_conditions:
            return signature
        return replace(signature, lift=lifts(known, signature))
