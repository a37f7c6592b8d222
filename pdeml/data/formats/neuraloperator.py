"""neuraloperator (Kossaifi et al.): ``.pt``, a dictionary of tensors ``x`` (input) and ``y``, both (N, [T], X, [Y]).

As coordinates are called x and y too, they are shown as ``a`` and ``u`` unless the user names them. ``visc`` and other
single numbers become attributes. Only weights-only loading is used, on archives whose members are stored as they are:
tensors are mapped from the file, nothing is unpickled or inflated.
"""

from __future__ import annotations

import zipfile
from typing import Any

import numpy as np

from pdeml.data.formats.found import Format, Found, Names
from pdeml.data.formats.unlabelled import Custom, open_unlabelled
from pdeml.data.source import Source
from pdeml.errors import FileFormatError
from pdeml.files import require_memory

__all__ = ["NEURALOPERATOR"]

_CUSTOM = Custom("neuraloperator .pt", time="first", names=Names({"a": "x"}, {"u": "y"}))
_MOST_STRUCTURE = 2**24


def _recognise(found: Found) -> bool:
    return any(name.endswith("/data.pkl") for name in found.names)


def _open(found: Found, names: Names) -> Source:
    _check_archive(found)
    import torch  # only here: no other format needs it

    try:
        loaded = torch.load(found.path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:
        # torch raises pickle.UnpicklingError, AttributeError, EOFError, ... with many lines of advice.
        reason = str(error).strip().partition("\n")[0][:120]
        raise FileFormatError(
            f"{found.path}: holds more than tensors, or is damaged; nothing is unpickled ({reason})"
        ) from None
    held = loaded if isinstance(loaded, dict) else {"data": loaded}
    if not all(isinstance(name, str) and isinstance(value, torch.Tensor | int | float) for name, value in held.items()):
        raise FileFormatError(f"{found.path}: must hold one dictionary of tensors, such as {{'x': ..., 'y': ...}}")
    return open_unlabelled(found, _CUSTOM, {name: _array(found, name, value) for name, value in held.items()}, names)


NEURALOPERATOR = Format(_CUSTOM.format, ("zip",), _recognise, _open, labelled=False)


def _check_archive(found: Found) -> None:
    """Refuse members that would have to be inflated (torch writes none) and a structure of absurd size."""
    with zipfile.ZipFile(found.path) as archive:
        for member in archive.infolist():
            if member.compress_type != zipfile.ZIP_STORED:
                raise FileFormatError(f"{found.path}: {member.filename!r} is compressed, which no .pt file of torch is")
            if member.filename.endswith("/data.pkl") and member.file_size > _MOST_STRUCTURE:
                raise FileFormatError(f"{found.path}: the description of its tensors has {member.file_size} bytes")


def _array(found: Found, name: str, value: Any) -> np.ndarray:
    if isinstance(value, int | float):
        return np.asarray(value, np.float64)
    where = f"{found.path}: tensor {name!r}"
    if str(value.layout) != "torch.strided" or value.is_complex() or value.is_quantized or value.device.type != "cpu":
        raise FileFormatError(f"{where} is no plain array of real numbers ({value.layout}, {value.dtype})")
    value = value.detach()
    if str(value.dtype) in ("torch.bfloat16", "torch.float16"):
        require_memory(value.numel() * 4, where)
        value = value.float()
    return value.numpy()
