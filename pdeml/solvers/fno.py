"""Fourier neural operators, with full and with factorised weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field as Option
from pydantic import field_validator

from pdeml.data.signature import Signature
from pdeml.errors import InputError
from pdeml.nn.fno import FourierNetwork, FourierOptions, check_modes, default_modes
from pdeml.nn.operator import GridOperator
from pdeml.solvers.operator import OperatorSolver

__all__ = ["FNO", "TFNO"]

Count = Annotated[int, Option(ge=1, le=4096)]


class FNO(OperatorSolver):
    """Learn an operator between functions on grids by linear maps of their low Fourier modes.

    Good at smooth functions on boxes, periodic ones above all, and at any resolution: it is trained on one grid and
    applied on another. On a grid that is too coarse for some of its modes, these are left out.

    Args:
        modes: Fourier modes kept along each axis in total, negative frequencies included: one number or one for each
            axis; by default half of those the training grid carries, at most 32, 24 or 12 in 1, 2 or 3 dimensions.
        width: channels of each layer.
        depth: number of layers.
        mlp: channels inside the network of two layers that follows each Fourier layer, for each of the width; 0: none.
        padding: zeros at the end of each axis that is not periodic, as a fraction of its length.
        coordinates: whether the network sees the coordinates along axes that are not periodic.

    The other options are those of every operator method: `pdeml.solvers.operator.OperatorSolver`.

    Raises:
        InputError: an option is unknown, of the wrong type or out of its range.

    Reference: Li et al., *Fourier neural operator for parametric partial differential equations* (2021), §4.
    """

    kind: ClassVar[str] = "fno"

    modes: Count | Annotated[tuple[Count, ...], Option(min_length=1)] | None = None
    width: Count = 32
    depth: Annotated[int, Option(ge=1, le=64)] = 4
    mlp: Annotated[float, Option(ge=0, le=16)] = 0.5
    padding: Annotated[float, Option(ge=0, le=1)] = 0.0
    coordinates: bool = True

    @field_validator("modes", mode="before")
    @classmethod
    def _modes(cls, value: Any) -> Any:
        """Take lists, as they stand in a spec, for tuples."""
        return tuple(value) if isinstance(value, list) else value

    def operator(self, signature: Signature) -> GridOperator:
        """Build the operator for a signature, with random weights from torch's generator.

        Raises:
            InputError: there are more modes than the training grid carries, or not one number for each axis.
        """
        taken, given = GridOperator.channels(signature, self.coordinates)
        network = FourierNetwork(taken, given, self._options(signature))
        return GridOperator(signature, network, coordinates=self.coordinates, residual=self.residual)

    def _options(self, signature: Signature) -> FourierOptions:
        axes = [signature.axis(dim) for dim in signature.space]
        sizes = [axis.size for axis in axes]
        if len(axes) > 3:
            raise InputError(f"works on 1 to 3 axes, the outputs have {len(axes)}: {', '.join(signature.space)}")
        modes = default_modes(sizes) if self.modes is None else self.modes
        modes = (modes,) * len(axes) if isinstance(modes, int) else modes
        if len(modes) != len(axes):
            message = f"gives {len(modes)} numbers for the {len(axes)} axes {', '.join(signature.space)}"
            raise InputError(message, ("modes",))
        check_modes(modes, sizes, signature.space)
        padding = tuple(0.0 if axis.periodic else self.padding for axis in axes)
        return FourierOptions(modes, self.width, self.depth, self.mlp, padding=padding)


class TFNO(FNO):
    """Learn an operator as `FNO` does, with weights in factorised form: a fraction of the parameters.

    Args:
        factorization: tucker, cp (a sum of products) or tt (tensor train).
        rank: number of weights of each Fourier layer, as a fraction of the full number.

    The other options are those of `FNO`.

    Raises:
        InputError: an option is unknown, of the wrong type or out of its range.

    Reference: Kossaifi et al., *Multi-grid tensorized Fourier neural operator for high-resolution PDEs* (2024), §3.
    """

    kind: ClassVar[str] = "tfno"

    factorization: Literal["tucker", "cp", "tt"] = "tucker"
    rank: Annotated[float, Option(gt=0, le=1)] = 0.1

    def _options(self, signature: Signature) -> FourierOptions:
        return replace(super()._options(signature), factorization=self.factorization, rank=self.rank)
