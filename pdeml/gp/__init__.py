"""Gaussian processes: kernels of learned spectra, conditioned on equations and conditions."""

from pdeml.gp.covariance import Covariance, covariance, evaluation, variances
from pdeml.gp.envelopes import Gaussian, Matern
from pdeml.gp.kernels import Kernel, KernelCodec, ProductKernel, matern, rbf, spectral_mixture
from pdeml.gp.prior import PriorSamples, SpectralFeatures
from pdeml.gp.spectrum import Peak, frequencies_found, pruned, spectral_quadrature, spectrum

__all__ = [
    "Covariance",
    "Gaussian",
    "Kernel",
    "KernelCodec",
    "Matern",
    "Peak",
    "PriorSamples",
    "ProductKernel",
    "SpectralFeatures",
    "covariance",
    "evaluation",
    "frequencies_found",
    "matern",
    "pruned",
    "rbf",
    "spectral_mixture",
    "spectral_quadrature",
    "spectrum",
    "variances",
]
