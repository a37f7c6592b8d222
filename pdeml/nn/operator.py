"""What every operator network is: from input functions on their grids to output functions on a grid or at points.

Shapes: B (samples of a batch), C (channels), n (points along each axis of a grid), P (scattered points).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from pdeml.data.mask import MASK
from pdeml.data.signature import Axis, Quantity, Signature
from pdeml.errors import InputError

__all__ = ["GridOperator", "Operator"]


class Operator(nn.Module, ABC):
    """A map between functions. Values go in and come out in their own units; scaling is inside.

    Parameters and buffers do not depend on the grid it is applied on. An operator that goes on in time
    (``signature.march``) is given, under the name of each output, its last ``history`` frames (B, history, *space),
    and of each input that depends on time the ``window`` frames at the times of the outputs; it returns the next
    ``window`` frames.

    Args:
        signature: what it maps.
    """

    def __init__(self, signature: Signature):
        super().__init__()
        self.signature = signature

    @abstractmethod
    def forward(self, inputs: Mapping[str, Tensor], grid: Mapping[str, Tensor]) -> Tensor:
        """Apply the operator.

        Args:
            inputs: name -> (B, *dims of that input).
            grid: dimension -> (n,) coordinates, of all dimensions of inputs and outputs.

        Returns: (B, C, *n), the outputs in the order of the signature; an operator that goes on in time returns
            (B, C, window, *n of the space).
        """

    @property
    def notes(self) -> tuple[str, ...]:
        """What there is to say about how it is computed."""
        return ()

    def use_kernels(self, kernels: str, device: torch.device) -> bool:
        """Compute by the kernels auto, triton or torch on a device; return whether there is such a choice.

        ``notes`` then say what was chosen.

        Raises:
            InputError: triton is asked for, and cannot run on the device.
        """
        return False

    @property
    def parameter_count(self) -> int:
        """Number of trained real numbers."""
        return sum(parameter.numel() for parameter in self.parameters() if parameter.requires_grad)


class GridOperator(Operator):
    """A network on grids between scalings: all inputs become channels on the grid of the outputs.

    Inputs that lack a dimension of the outputs are repeated along it, numbers become constant channels. Coordinates of
    axes that are not periodic are channels too, if asked for: along periodic axes the operator stays equivariant to
    translations.

    Args:
        signature: what it maps.
        network: (B, C_in, *n) -> (B, C_out, *n) for any n; see `channels`. One that has a choice of kernels offers
            ``use_kernels`` and ``notes`` as `Operator` does.
        coordinates: whether coordinates are channels.
        centred: whether outputs are ``mean + std · network``, or ``std · network`` (which keeps zero boundary values).
        residual: of an operator that goes on in time: whether the network gives the change from the last frame.
    """

    def __init__(
        self,
        signature: Signature,
        network: nn.Module,
        *,
        coordinates: bool = True,
        centred: bool = True,
        residual: bool = False,
    ):
        super().__init__(signature)
        self.network = network
        self.coordinates, self.centred, self.residual = coordinates, centred, residual

    @staticmethod
    def channels(signature: Signature, coordinates: bool = True) -> tuple[int, int]:
        """Return how many channels the network takes and gives.

        Raises:
            InputError: an input depends on what the outputs do not depend on.
        """
        _check_inputs(signature)
        march = signature.march
        frames = {} if march is None else {march.time: march.window}
        taken = sum(_frames(quantity, frames) for quantity in signature.inputs) + signature.masked
        if march is not None:
            taken += march.history * len(signature.outputs)
        if coordinates:
            taken += len(_open_axes(signature))
        return taken, len(signature.outputs) * (1 if march is None else march.window)

    @property
    def notes(self) -> tuple[str, ...]:
        """What there is to say about how the network is computed."""
        return getattr(self.network, "notes", ())

    def use_kernels(self, kernels: str, device: torch.device) -> bool:
        """Choose the kernels of the network; see `Operator.use_kernels`."""
        chosen = getattr(self.network, "use_kernels", None)
        return chosen is not None and chosen(kernels, device)

    def forward(self, inputs: Mapping[str, Tensor], grid: Mapping[str, Tensor]) -> Tensor:
        """Apply the operator; see `Operator.forward`."""
        return self.decode(self.network(self.encode(inputs, grid)), inputs)

    def encode(self, inputs: Mapping[str, Tensor], grid: Mapping[str, Tensor]) -> Tensor:
        """Return what the network sees: (B, C_in, *n)."""
        signature = self.signature
        n = tuple(grid[dim].shape[0] for dim in signature.space)
        parts = []
        if signature.march is not None:
            parts += [_scaled(inputs[quantity.name], quantity) for quantity in signature.outputs]
        parts += [self._channels_of(quantity, inputs[quantity.name], n) for quantity in signature.inputs]
        like = parts[0]
        if signature.masked:
            parts.append(_spread(inputs[MASK].to(like), _mask_dims(signature, inputs[MASK]), signature.space, n))
        if self.coordinates:
            parts += [_coordinate(axis, grid[axis.name], signature.space, n, like) for axis in _open_axes(signature)]
        return torch.cat(parts, dim=1)

    def decode(self, found: Tensor, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return the outputs in their own units from what the network gives."""
        signature = self.signature
        if signature.march is not None:
            found = found.unflatten(1, (len(signature.outputs), signature.march.window))
        columns = []
        for number, quantity in enumerate(signature.outputs):
            column = found[:, number] * quantity.std
            if signature.march is not None and self.residual:
                column = column + inputs[quantity.name][:, -1:]
            elif self.centred:
                column = column + quantity.mean
            columns.append(column)
        return torch.stack(columns, dim=1)

    def _channels_of(self, quantity: Quantity, values: Tensor, n: tuple[int, ...]) -> Tensor:
        """Return an input as channels (B, C, *n): frames of time are channels where the operator goes on in time."""
        scaled, march = _scaled(values, quantity), self.signature.march
        if march is not None and march.time in quantity.dims:
            rest = tuple(dim for dim in quantity.dims if dim != march.time)
            frames = [_spread(frame, rest, self.signature.space, n) for frame in scaled.unbind(1)]
            return torch.cat(frames, dim=1)
        return _spread(scaled, quantity.dims, self.signature.space, n)


def _check_inputs(signature: Signature) -> None:
    for quantity in signature.inputs:
        for dim in quantity.dims:
            if dim not in signature.dims:
                raise InputError(
                    f"{quantity.name!r} depends on {dim!r}, the outputs only on {', '.join(signature.dims)}: a network "
                    f"on grids cannot take it; take it at a place, as {quantity.name}: {quantity.name}({dim}=last)",
                    ("inputs", quantity.name),
                )


def _frames(quantity: Quantity, frames: Mapping[str, int]) -> int:
    return next((count for time, count in frames.items() if time in quantity.dims), 1)


def _open_axes(signature: Signature) -> list[Axis]:
    return [axis for axis in map(signature.axis, signature.space) if not axis.periodic]


def _scaled(values: Tensor, quantity: Quantity) -> Tensor:
    return (values - quantity.mean) / quantity.std


def _mask_dims(signature: Signature, mask: Tensor) -> tuple[str, ...]:
    return signature.space[len(signature.space) - (mask.ndim - 1) :]


def _spread(values: Tensor, dims: tuple[str, ...], wanted: tuple[str, ...], n: tuple[int, ...]) -> Tensor:
    """Repeat (B, *dims) along the dimensions it lacks: (B, 1, *n)."""
    sizes = dict(zip(dims, values.shape[1:], strict=True))
    shape = (values.shape[0], 1, *(sizes.get(dim, 1) for dim in wanted))
    return values.reshape(shape).expand(values.shape[0], 1, *n)


def _coordinate(axis: Axis, values: Tensor, wanted: tuple[str, ...], n: tuple[int, ...], like: Tensor) -> Tensor:
    """Return a coordinate as a channel between 0 and 1: (B, 1, *n)."""
    scaled = ((values.to(like) - axis.low) / (axis.high - axis.low)).expand(like.shape[0], values.shape[0])
    return _spread(scaled, (axis.name,), wanted, n)
