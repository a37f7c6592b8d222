"""A network between two known maps: features of the coordinates before it, a lift to exact conditions after it."""

from __future__ import annotations

from dataclasses import dataclass, field

import sympy
import torch
from torch import Tensor

from pdeml.expr import Names
from pdeml.lower.jets import Jet
from pdeml.lower.known import KnownFunctions
from pdeml.lower.multi_index import JetSpec
from pdeml.lower.residual import Tape
from pdeml.nn.mlp import MLP
from pdeml_kernels.dispatch import JetChoice, JetKernels, jet_kernels
from pdeml_kernels.jets import Chain
from pdeml_kernels.network import Network

__all__ = ["NetworkAnsatz"]


@dataclass(frozen=True)
class NetworkAnsatz:
    """``u(x) = base(x) + factor(x) · network(features(x); θ)``, unknown by unknown.

    The maps are closed forms in the coordinates, so their derivatives of every order are exact; they are composed
    with the network's jets by the product rule, and transposed by the same table in the reverse sweep.

    Args:
        names: the coordinates and unknowns.
        network: from features to one output per real unknown.
        features: scaled coordinates, or the periodic embedding of periodic ones.
        base: g, equal to the exact conditions where these are imposed; zero elsewhere.
        factor: D, zero where conditions are exact, times the unknown's scale.
        kernels: what carries jets through the network at prepared points; see `pdeml_kernels.dispatch.jet_kernels`.
    """

    names: Names
    network: MLP
    features: tuple[sympy.Expr, ...]
    base: tuple[sympy.Expr, ...]
    factor: tuple[sympy.Expr, ...]
    kernels: JetChoice = "torch"
    _compiled: dict[JetSpec, _CompiledMaps] = field(default_factory=dict, compare=False, repr=False)

    @property
    def parameter_count(self) -> int:
        """Length of θ."""
        return self.network.parameter_count

    def prepare(self, points_ND: Tensor, spec: JetSpec) -> PreparedNetwork:
        """Evaluate features, base and factor with all channels at the points.

        Raises:
            ValueError: the kernels cannot run on the device of the points.
        """
        return self._prepared(points_ND, spec, self.kernels)

    def _prepared(self, points_ND: Tensor, spec: JetSpec, kernels: JetChoice) -> PreparedNetwork:
        if spec not in self._compiled:
            self._compiled[spec] = _CompiledMaps.of(self, spec)
        maps, chosen = self._compiled[spec], jet_kernels(kernels, points_ND.device, self.network.sizes)
        features, base = maps.features.jet(points_ND), maps.base.jet(points_ND).values
        return PreparedNetwork(self.network, chosen, features, base, maps.products(points_ND))

    def values(self, theta_P: Tensor, points_ND: Tensor) -> Tensor:
        """Return the unknowns at the points, (N, U)."""
        spec = JetSpec.closed((), dimension=len(self.names.coordinates))
        # Trained networks are evaluated anywhere, whatever they were trained with.
        return self._prepared(points_ND, spec, "torch").jets(theta_P)[0]


Products = tuple[tuple[int, int, Tensor], ...]
"""``(c, k, M)``: channel c of the lifted jet gains ``M · channel k`` of the network's jet; M is (N, U)."""


@dataclass(frozen=True)
class _CompiledMaps:
    features: KnownFunctions
    base: KnownFunctions
    factor: KnownFunctions
    spec: JetSpec

    @classmethod
    def of(cls, ansatz: NetworkAnsatz, spec: JetSpec) -> _CompiledMaps:
        derivatives = {index for parts in spec.product for _, terms in parts for _, index in terms}
        single = JetSpec.closed(derivatives, dimension=len(ansatz.names.coordinates))
        names = ansatz.names
        return cls(
            KnownFunctions.of(ansatz.features, names, spec),
            KnownFunctions.of(ansatz.base, names, spec),
            KnownFunctions.of(ansatz.factor, names, single),
            spec,
        )

    def products(self, points_ND: Tensor) -> Products:
        factor = self.factor.jet(points_ND)
        found = []
        for c, parts in enumerate(self.spec.product):
            for k, terms in parts:
                multiplier = sum(weight * factor.values[factor.spec.position[index]] for weight, index in terms)
                if k == c or bool(multiplier.any()):
                    found.append((c, k, multiplier))
        return tuple(found)


@dataclass(frozen=True)
class PreparedNetwork:
    """The ansatz at fixed points; see `pdeml.lower.Prepared`."""

    network: MLP
    kernels: JetKernels
    inputs: Jet
    base_KNU: Tensor
    products: Products

    def jets(self, theta_P: Tensor) -> Tensor:
        """Return the channels of the unknowns, (K, N, U)."""
        return self._lift(self.kernels.jets(*self._given(theta_P)))

    def linearise(self, theta_P: Tensor) -> tuple[Tensor, LiftedTape]:
        """Return the channels of the unknowns and a tape for reverse sweeps."""
        jet_KNU, tape = self.kernels.linearised(*self._given(theta_P))
        return self._lift(jet_KNU), LiftedTape(tape, self.products)

    def _given(self, theta_P: Tensor) -> tuple[Tensor, Tensor, Chain, Network]:
        return theta_P, self.inputs.values, self.inputs.spec.chain, self.network.sizes

    def _lift(self, network_KNU: Tensor) -> Tensor:
        lifted = list(self.base_KNU)
        for c, k, multiplier in self.products:
            lifted[c] = lifted[c] + multiplier * network_KNU[k]
        return torch.stack(lifted)


@dataclass(frozen=True)
class LiftedTape:
    """The network's tape behind the transposed lift; see `pdeml.lower.Tape`."""

    tape: Tape
    products: Products

    def jacobian(self, adjoint_KNU: Tensor, out_NP: Tensor) -> Tensor:
        """Fill and return the (N, P) Jacobian of the contracted channels."""
        return self.tape.jacobian(self._transposed(adjoint_KNU), out_NP)

    def pullback(self, adjoint_KNU: Tensor) -> Tensor:
        """Return the (P,) gradient of the contracted channels."""
        return self.tape.pullback(self._transposed(adjoint_KNU))

    def _transposed(self, adjoint_KNU: Tensor) -> Tensor:
        result = torch.zeros_like(adjoint_KNU)
        for c, k, multiplier in self.products:
            result[k] += multiplier * adjoint_KNU[c]
        return result
