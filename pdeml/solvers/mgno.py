"""The multigrid neural operator."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field as Option
from pydantic import field_validator

from pdeml.data.signature import Signature
from pdeml.errors import InputError, did_you_mean, one_of
from pdeml.nn.mgno import BOUNDARIES, TrainingGridOperator, default_levels
from pdeml.nn.mgno import MgNO as MultigridNetwork
from pdeml.solvers.operator import OperatorSolver

__all__ = ["MgNO"]

_MOST = 16
_FAR = 3.0
"""Values whose mean is that many standard deviations from zero are not zero at the boundary."""


class MgNO(OperatorSolver):
    """Learn an operator between functions on grids whose linear maps are multigrid V-cycles of learned stencils.

    Good at elliptic problems with rough coefficients (Darcy flow, multiscale media), with few parameters. Its stencils
    count points, so that it works on the grid it was trained on: other grids are interpolated to that and back.

    Args:
        width: channels of each layer.
        depth: number of layers.
        levels: number of grids, or (pre, post) iterations of each, finest first; by default as many grids as leave
            about 8 intervals on the coarsest, with one iteration before going down and two on the coarsest.
        boundary: how functions go on beyond the ends, by padding: dirichlet (zeros), neumann (mirrored), periodic; or
            one of these for each coordinate. auto: periodic where the problem is, else dirichlet.
        activation: gelu, silu, tanh or relu.
        coordinates: whether the network sees the coordinates along axes that are not periodic.

    The other options are those of every operator method: `pdeml.solvers.operator.OperatorSolver`.

    Raises:
        InputError: an option is unknown, of the wrong type or out of its range.

    Reference: He, Liu & Xu, *MgNO: Efficient parameterization of linear operators via multigrid* (ICLR 2024), §3.
    """

    kind: ClassVar[str] = "mgno"

    width: Annotated[int, Option(ge=1, le=4096)] = 24
    depth: Annotated[int, Option(ge=1, le=64)] = 4
    levels: int | tuple[tuple[int, int], ...] | None = None
    boundary: str | dict[str, str] = "auto"
    activation: Literal["gelu", "silu", "tanh", "relu"] = "gelu"
    coordinates: bool = False

    @field_validator("levels", mode="before")
    @classmethod
    def _levels(cls, value: Any) -> Any:
        """Take lists, as they stand in a spec, for tuples."""
        wanted = f"a number of grids or [pre, post] iterations of each, such as [[1, 0], [2, 0]], at most {_MOST}"
        if isinstance(value, list | tuple):
            value = tuple(tuple(pair) if isinstance(pair, list | tuple) else (pair,) for pair in value)
            fits = all(len(pair) == 2 and all(_count(part, 0) for part in pair) for pair in value)
            fits = fits and 1 <= len(value) <= _MOST and value[0][0] > 0
        else:
            fits = value is None or _count(value, 1)
        if not fits:
            raise ValueError(f"must be {wanted}; the first grid needs one before; got {value!r:.80}")
        return value

    @field_validator("boundary", mode="before")
    @classmethod
    def _kinds(cls, value: Any) -> Any:
        """Refuse unknown words."""
        allowed = ("auto", *BOUNDARIES)
        for kind in value.values() if isinstance(value, dict) else (value,):
            if kind not in allowed:
                raise ValueError(one_of(str(kind), allowed, "a kind of boundary"))
        return value

    def operator(self, signature: Signature) -> TrainingGridOperator:
        """Build the operator for a signature, with random weights from torch's generator.

        Raises:
            InputError: the levels do not suit the grid, or a coordinate of ``boundary`` is unknown.
        """
        taken, given = TrainingGridOperator.channels(signature, self.coordinates)
        sizes = tuple(signature.axis(dim).size for dim in signature.space)
        boundary = self._boundary(signature)
        levels = self.levels if isinstance(self.levels, tuple) else default_levels(sizes, self.levels)
        network = MultigridNetwork(
            taken,
            given,
            sizes,
            boundary,
            width=self.width,
            depth=self.depth,
            levels=levels,
            activation=self.activation,
        )
        # Without the mean, values are near zero where the padding of the network is.
        vanishing = "dirichlet" in boundary and all(abs(part.mean) < _FAR * part.std for part in signature.outputs)
        return TrainingGridOperator(
            signature, network, coordinates=self.coordinates, centred=not vanishing, residual=self.residual
        )

    def _boundary(self, signature: Signature) -> tuple[str, ...]:
        """Return the kind of each axis of the network."""
        chosen = self.boundary if isinstance(self.boundary, dict) else dict.fromkeys(signature.space, self.boundary)
        for name in chosen:
            if name not in signature.space:
                message = f"{name!r} is no coordinate of the outputs{did_you_mean(name, signature.space)}"
                raise InputError(message, ("boundary", name))
        automatic = {dim: "periodic" if signature.axis(dim).periodic else "dirichlet" for dim in signature.space}
        kinds = ((chosen.get(dim, "auto"), automatic[dim]) for dim in signature.space)
        return tuple(auto if kind == "auto" else kind for kind, auto in kinds)


def _count(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= _MOST
