"""Lossy codecs: the error is the one that theory gives, is recorded, and never exceeds the tolerance."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.fft
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pdeml.data import ArrayInfo, Coordinate, Schema, Writer, open_source
from pdeml.data.codecs import BFloat16, Codec, Float32, Mantissa, Spectral, parse_codec
from pdeml.errors import InputError

from .making import ATTRS, small_schema

numbers = hnp.arrays(np.float64, st.integers(1, 40), elements=st.floats(-1e30, 1e30, allow_subnormal=False))


@given(numbers, st.integers(1, 30))
def test_rounding_is_to_the_nearest(values: np.ndarray, bits: int) -> None:
    kept = Mantissa(bits=bits).encode(values)
    assert (np.abs(kept - values) <= np.abs(values) * 2.0 ** -(bits + 1)).all()
    fraction, _ = np.frexp(kept)
    assert (fraction * 2.0 ** (bits + 1) == np.round(fraction * 2.0 ** (bits + 1))).all()
    np.testing.assert_array_equal(Mantissa(bits=bits).encode(kept), kept)


@given(hnp.arrays(np.float32, 20, elements=st.floats(-(2.0**100), 2.0**100, width=32)))
def test_bfloat16_is_that_of_torch(values: np.ndarray) -> None:
    kept = BFloat16().encode(values)
    np.testing.assert_array_equal(kept, torch.from_numpy(values).to(torch.bfloat16).to(torch.float32).numpy())
    assert not (kept.view(np.uint32) & 0xFFFF).any()


@pytest.mark.parametrize("codec", [BFloat16(), Float32(), Mantissa(bits=9), Spectral(modes=(2,))], ids=str)
def test_numbers_too_large_for_an_error_are_refused(codec: Codec) -> None:
    with pytest.raises(InputError, match=r"has a relative L2 error of (nan|inf)"):
        codec.apply(np.linspace(1e300, 1.7e308, 9), [np.arange(9.0)])


def test_float32_is_that_of_numpy() -> None:
    values = np.random.default_rng(0).standard_normal((3, 50))
    np.testing.assert_array_equal(Float32().encode(values), values.astype(np.float32))


def test_rounding_keeps_what_is_no_number() -> None:
    values = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0])
    np.testing.assert_array_equal(Mantissa(bits=3).encode(values), values)


@settings(deadline=None)
@given(st.integers(2, 30), st.integers(2, 30), st.integers(1, 40), st.integers(1, 40), st.integers(0, 10))
@pytest.mark.parametrize("basis", ["fourier", "cosine"])
def test_spectral_truncation_is_the_projection_of_parseval(
    basis: str, rows: int, columns: int, first: int, second: int, seed: int
) -> None:
    values = np.random.default_rng(seed).standard_normal((2, rows, columns))
    codec = Spectral(modes=(first, second), basis=basis, tolerance=2.0)
    kept, error = codec.apply(values, [np.arange(size, dtype=float) for size in values.shape])
    if basis == "fourier":
        spectrum = scipy.fft.fft2(values, norm="ortho")
        waves = [np.abs(np.fft.fftfreq(size, 1 / size)) for size in (rows, columns)]
    else:
        spectrum = scipy.fft.dctn(values, axes=(1, 2), norm="ortho")
        waves = [np.arange(size) for size in (rows, columns)]
    dropped = (waves[0][:, None] >= first) | (waves[1][None, :] >= second)
    parseval = np.sqrt((np.abs(spectrum[:, dropped]) ** 2).sum() / (values**2).sum())
    assert error.relative_l2 == pytest.approx(parseval, rel=1e-10, abs=1e-14)
    np.testing.assert_allclose(codec.encode(kept), kept, atol=1e-13)


def test_the_error_of_one_mode_is_known_in_every_norm() -> None:
    x = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    values = np.sin(x) + 1e-3 * np.cos(9 * x)
    _, error = Spectral(modes=(5,)).apply(values, [x])
    assert error.relative_l2 == pytest.approx(1e-3 / np.sqrt(1 + 1e-6), rel=1e-12)
    assert error.max == pytest.approx(1e-3, rel=1e-12)
    assert error.h1 == pytest.approx(1e-3 * np.sqrt((1 + 81) / (2 + 82e-6)), rel=1e-3)


def test_the_errors_of_all_samples_are_recorded_and_survive_a_resume(tmp_path: Path) -> None:
    x = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    codec = Spectral(modes=(5,), tolerance=0.02)
    for gzip in (0, 2):
        path = tmp_path / f"{gzip}.h5"
        array = ArrayInfo("u", ("x",), (64,), np.float64, "output")
        schema = Schema({"u": array}, {"x": Coordinate(x)}, {"u": codec}, gzip)
        sizes = [1e-3, 1e-2, 2e-3]
        for number, size in enumerate(sizes):
            with Writer(path, schema, 3, ATTRS, resume=True) as writer:
                writer.append({"u": np.sin(x) + size * np.cos(9 * x)})
                if number == 2:
                    writer.finish()
        with open_source(path) as source, h5py.File(path) as file:
            attrs = source.array_attributes("u")
            assert attrs["codec_max"] == pytest.approx(1e-2, rel=1e-12)
            assert attrs["codec_relative_l2"] == pytest.approx(1e-2 / np.sqrt(1 + 1e-4), rel=1e-12)
            assert 0 < attrs["codec_h1"] < 1
            np.testing.assert_allclose(file["u"][:], np.tile(np.sin(x), (3, 1)), atol=1e-14)


def test_a_codec_above_its_tolerance_is_refused_and_writes_nothing(tmp_path: Path) -> None:
    schema = small_schema(u=Mantissa(bits=3, tolerance=1e-4))
    values = {name: np.ones(info.shape) * 0.3 for name, info in schema.arrays.items()}
    with Writer(tmp_path / "a.h5", schema, 1, ATTRS) as writer:
        with pytest.raises(InputError, match=r"'u'.*relative L2 error of 4.17e-02, above its tolerance 0.0001"):
            writer.append(values)
        assert writer.done == 0


def test_zero_bits_and_low_modes_are_packed_by_gzip(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sizes = {}
    for name, codecs in {"exact": {}, "rounded": {"u": BFloat16()}}.items():
        array = ArrayInfo("u", ("x",), (100_000,), np.float32, "output")
        with Writer(tmp_path / f"{name}.h5", Schema({"u": array}, {}, codecs, 4), 1, ATTRS) as writer:
            writer.append({"u": rng.standard_normal(100_000)})
            writer.finish()
        sizes[name] = writer.path.stat().st_size
    assert sizes["rounded"] < 0.6 * sizes["exact"]


@pytest.mark.parametrize(
    "codec", [Mantissa(bits=5), BFloat16(tolerance=0.1), Float32(), Spectral(modes=(3, 4), basis="cosine")], ids=str
)
def test_a_codec_is_read_back_from_its_text(codec: object) -> None:
    assert parse_codec(str(codec)) == codec


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"kind": "zip"}', '{"kind": "mantissa", "bits": 99}', "nonsense(3)"])
def test_other_texts_are_no_codec(text: str) -> None:
    with pytest.raises(InputError):
        parse_codec(text)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Mantissa(bits=0), "1 to 51"),
        (lambda: Spectral(modes=()), "positive integers"),
        (lambda: Spectral(basis="chebyshev"), "'chebyshev' is not a basis"),
        (lambda: Spectral().encode(np.array([1.0, np.nan])), "some are NaN"),
        (lambda: small_schema(mask=Float32()), "lossy codecs are for floats"),
        (lambda: small_schema(a=Spectral(modes=(2, 2))), "has 1 axes"),
        (lambda: small_schema(w=Float32()), "'w' is not an array"),
    ],
)
def test_wrong_codecs_are_refused(make: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()
