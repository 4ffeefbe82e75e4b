"""Neural tangent kernels of ReLU networks, and how fast they predict each frequency to be learned.

Near its start, a wide network trained by gradient descent behaves like a linear model with a fixed kernel
(Jacot et al. 2018).  For points spread evenly over the circle that kernel is circulant: its eigenvectors are
the Fourier modes, and the residual at frequency k shrinks by ``1 - learning_rate · n · λ_k`` per step of
gradient descent on half the sum of squares.  (On the mean of squares the same step size counts ``2/n`` as
much.)  Step sizes and eigenvalues below are for half the sum.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy import stats
from torch.func import functional_call, jacrev, vmap

from specbias._checks import check_count, check_positive, check_real


def circle_eigenvalues(frequencies: ArrayLike, *, bias: bool = True) -> np.ndarray:
    """Eigenvalues of `two_layer_kernel` for angles uniform on the circle, in closed form (Basri et al. 2019).

    They are ``λ_k = (1/2π) ∫ K(δ) cos(kδ) dδ``: the kernel matrix of n regularly spaced angles has the
    eigenvalues ``n λ_k``.  Without bias, the odd frequencies from 3 on have the eigenvalue 0: they are never
    learned.

    Parameters
    ----------
    frequencies : array_like of int, shape (K,)
        Wavenumbers k >= 0.
    bias : bool
        Whether the hidden units have a trained bias.

    Returns
    -------
    ndarray of float64, shape (K,)

    Raises
    ------
    ValueError
        If a frequency is negative or no integer.

    Notes
    -----
    The paper lists coefficients of the cosine series, which count every k >= 1 twice, and with bias it halves
    the kernel.  Its table therefore reads the same as this one for k >= 1 with bias; its value for k = 0 with
    bias is half of this one, and its values for k >= 1 without bias are twice these.

    References
    ----------
    Basri, Jacobs, Kasten, Kritchman (2019), arXiv:1906.00425.

    Examples
    --------
    >>> circle_eigenvalues([1, 2, 3], bias=False) * np.pi**2
    array([1.23370055, 0.55555556, 0.        ])
    """
    k = np.asarray(frequencies)
    if k.dtype.kind not in "iu" or (k < 0).any():
        raise ValueError(f"frequencies must be integers >= 0, got {np.array2string(k, threshold=8)}")
    k = k.astype(np.float64)
    even = (k**2 + 1) / (np.pi * np.where(k % 2 == 0, k**2 - 1, np.inf)) ** 2
    weights = np.where(k == 1, 1 / 8, even)
    if bias:  # the bias adds a kernel without the factor cos δ, whose spectrum is on the odd frequencies
        odd = 1 / (np.pi * np.where(k % 2 == 1, k, np.inf)) ** 2
        weights = weights + np.where(k == 0, 1 / 4, odd)
    return weights


def two_layer_kernel(cosine: ArrayLike, *, bias: bool = True) -> np.ndarray:
    """Kernel of an infinitely wide two-layer ReLU network of which only the first layer is trained.

    The network is ``f(x) = Σ_j a_j relu(w_j · x + b_j) / √m`` with ``a_j = ±1``, normal ``w_j``, ``b_j = 0``
    at the start, and unit vectors x; then ``K = (x·x' + 1) (π - δ) / 2π`` for the angle δ between them,
    without the 1 when the units have no bias.

    Parameters
    ----------
    cosine : array_like of float
        ``x · x' = cos δ``, between -1 and 1.
    bias : bool
        Whether the hidden units have a trained bias.

    Returns
    -------
    ndarray of float64, the shape of `cosine`

    Raises
    ------
    ValueError
        If a cosine is outside [-1, 1] by more than round-off.

    References
    ----------
    Cho, Saul (2009), Kernel methods for deep learning (the arc-cosine kernels); Basri et al. (2019),
    arXiv:1906.00425.

    Examples
    --------
    >>> two_layer_kernel([1.0, 0.0, -1.0])
    array([1.  , 0.25, 0.  ])
    """
    cosine = check_real("cosine", cosine)
    if not (np.abs(cosine) <= 1 + 1e-9).all():
        raise ValueError(f"cosine must lie in [-1, 1], got {np.min(cosine):g} to {np.max(cosine):g}")
    cosine = np.clip(cosine, -1.0, 1.0)
    return (cosine + bool(bias)) * _both_on(cosine)


def relu_ntk(
    x1: ArrayLike,
    x2: ArrayLike,
    *,
    hidden_layers: int = 1,
    weight_variance: float = 2.0,
    bias_variance: float = 0.0,
) -> np.ndarray:
    """Neural tangent kernel of an infinitely wide, fully connected ReLU network, all its layers trained.

    Every layer, the output's included, computes ``√(weight_variance / fan_in) W h + √bias_variance b`` with
    standard normal ``W`` and ``b``.

    Parameters
    ----------
    x1, x2 : array_like of float, shapes (n1, d) and (n2, d)
        Inputs.
    hidden_layers : int
        Number of hidden layers.
    weight_variance, bias_variance : float
        As above; the default weights keep the signal's size from layer to layer (He et al. 2015).

    Returns
    -------
    ndarray of float64, shape (n1, n2)

    Raises
    ------
    ValueError
        If the shapes do not match or an argument has an impossible value.

    References
    ----------
    Jacot, Gabriel, Hongler (2018), Neural tangent kernel, arXiv:1806.07572.

    Examples
    --------
    >>> relu_ntk([[1.0, 0.0]], [[1.0, 0.0], [-1.0, 0.0]])
    array([[2., 0.]])
    """
    x1, x2 = check_real("x1", x1), check_real("x2", x2)
    if x1.ndim != 2 or x2.ndim != 2 or x1.shape[1] != x2.shape[1]:
        raise ValueError(f"x1 and x2 must have shapes (n1, d) and (n2, d), got {x1.shape} and {x2.shape}")
    check_count("hidden_layers", hidden_layers)
    check_positive("weight_variance", weight_variance)
    if not bias_variance >= 0:
        raise ValueError(f"bias_variance must be 0 or more, got {bias_variance!r}")
    gain = weight_variance / x1.shape[1]
    covariance = gain * x1 @ x2.T + bias_variance
    variance1, variance2 = (gain * np.sum(x**2, axis=1) + bias_variance for x in (x1, x2))
    kernel = covariance
    for _ in range(hidden_layers):
        size = np.sqrt(np.outer(variance1, variance2))
        cosine = np.clip(covariance / np.where(size > 0, size, 1.0), -1.0, 1.0)
        covariance = weight_variance * size * _product_of_relus(cosine) + bias_variance
        variance1, variance2 = (weight_variance * v / 2 + bias_variance for v in (variance1, variance2))
        kernel = covariance + weight_variance * _both_on(cosine) * kernel
    return kernel


def empirical_ntk(model: torch.nn.Module, x: torch.Tensor | ArrayLike) -> np.ndarray:
    """Neural tangent kernel matrix ``J Jᵀ`` of a network as it is now, from its Jacobian, in float64.

    Parameters
    ----------
    model : torch.nn.Module
        Maps ``(n, d)`` to ``(n,)`` or ``(n, 1)``, each sample on its own.  It is not changed.
    x : tensor or array_like of float, shape (n, d)
        Inputs.

    Returns
    -------
    ndarray of float64, shape (n, n)
        Sums over the parameters that require a gradient.  Their Jacobians are formed one tensor at a time:
        the largest needs 8 bytes times n times its size.

    Raises
    ------
    ValueError
        If the model has more than one output, or nothing to train.

    Examples
    --------
    >>> layer = torch.nn.Linear(1, 1)
    >>> empirical_ntk(layer, [[2.0], [3.0]])  # x x' + 1
    array([[ 5.,  7.],
           [ 7., 10.]])
    """
    model = copy.deepcopy(model).double()
    trained = {name: value.detach() for name, value in model.named_parameters() if value.requires_grad}
    if not trained:
        raise ValueError("model must have a parameter that requires a gradient, got none")
    device = next(iter(trained.values())).device
    x = torch.as_tensor(x, dtype=torch.float64, device=device)
    with torch.no_grad():
        shape = tuple(model(x).shape)
    if shape not in ((len(x),), (len(x), 1)):
        raise ValueError(f"model must have one output per sample, got the shape {shape} for {len(x)} samples")

    kernel = torch.zeros(len(x), len(x), dtype=torch.float64, device=device)
    for name, value in trained.items():

        def output(parameter, sample, name=name):
            return functional_call(model, {**trained, name: parameter}, (sample[None],)).reshape(())

        jacobian = vmap(jacrev(output), in_dims=(None, 0))(value, x).reshape(len(x), -1)
        kernel += jacobian @ jacobian.T
    return kernel.detach().cpu().numpy()


def kernel_spectrum(row: ArrayLike) -> np.ndarray:
    """Eigenvalues per frequency of the kernel matrix on a regular grid of the circle, from its first row.

    Such a matrix is circulant when the kernel depends on the angle between two points only.

    Parameters
    ----------
    row : array_like of float, shape (n,)
        ``K(0), K(2π/n), ..., K(2π(n-1)/n)``; symmetric, ``row[i] == row[n-i]``.

    Returns
    -------
    ndarray of float64, shape (n // 2 + 1,)
        Eigenvalue of the modes cos(kθ) and sin(kθ), for k = 0 ... n // 2.  Divide by n to compare with
        `circle_eigenvalues`.

    Raises
    ------
    ValueError
        If the row is not symmetric.

    Examples
    --------
    >>> kernel_spectrum([2.0, 1.0, 0.0, 1.0])
    array([4., 2., 0.])
    """
    row = check_real("row", row)
    if row.ndim != 1 or row.size == 0 or not np.allclose(row[1:], row[:0:-1], atol=1e-9 * np.abs(row).max()):
        raise ValueError(f"row must be one symmetric row, row[i] == row[n-i], got the shape {row.shape}")
    return np.fft.rfft(row).real


def learning_time(eigenvalue: ArrayLike, learning_rate: float, remaining: float) -> np.ndarray:
    """Steps of gradient descent until a mode's residual amplitude has fallen to the fraction `remaining`.

    Parameters
    ----------
    eigenvalue : array_like of float
        Eigenvalue of the kernel **matrix** (``n λ_k`` on n angles), for gradient descent on half the sum of
        squares.
    learning_rate : float
        Step size; each step multiplies the amplitude by ``1 - learning_rate · eigenvalue``.
    remaining : float
        Fraction of the amplitude that may be left, between 0 and 1.

    Returns
    -------
    ndarray of float64, the shape of `eigenvalue`
        Whole numbers; infinite where the mode is never learned (eigenvalue 0) or diverges (a product of 2 or
        more).

    Raises
    ------
    ValueError
        If an argument is out of range.

    Examples
    --------
    >>> learning_time([0.5, 0.1, 0.0], learning_rate=1.0, remaining=0.5)
    array([ 1.,  7., inf])
    """
    eigenvalue = check_real("eigenvalue", eigenvalue)
    if not (eigenvalue >= 0).all():
        raise ValueError(f"eigenvalue must not be negative, got {np.min(eigenvalue):g}")
    check_positive("learning_rate", learning_rate)
    if not 0 < remaining < 1:
        raise ValueError(f"remaining must lie between 0 and 1, got {remaining!r}")
    step = learning_rate * eigenvalue
    with np.errstate(divide="ignore"):
        shrinkage = np.where(step < 1, np.log1p(-np.minimum(step, 1.0)), np.log(np.abs(1 - step)))
        times = np.ceil(
            np.log(remaining) / shrinkage * (1 - 1e-12)
        )  # a hair less: 2.0000000000000004 steps are 2
    learned = (step > 0) & (step < 2)
    return np.where(learned, np.maximum(times, 1.0), np.inf)


@dataclass(frozen=True)
class PowerLaw:
    """``times = prefactor · frequencies ** exponent``; ``low`` to ``high`` is a confidence interval."""

    exponent: float
    low: float
    high: float
    prefactor: float


def power_law(frequencies: ArrayLike, times: ArrayLike, *, confidence: float = 0.95) -> PowerLaw:
    """Fit a power law by least squares on logarithms, with a confidence interval from Student's t.

    Parameters
    ----------
    frequencies : array_like of float, shape (K,)
        Positive.
    times : array_like of float, shape (K,) or (runs, K)
        Positive; with several runs each is a point of the fit.  The interval then speaks of the scatter of
        runs, not of how straight the line is.
    confidence : float
        Probability that the interval covers the exponent, if the logarithms scatter normally about a line.

    Returns
    -------
    PowerLaw

    Raises
    ------
    ValueError
        If shapes do not match, values are not positive and finite, or fewer than 3 points are given.

    Examples
    --------
    >>> law = power_law([1, 2, 4], [3.0, 12.0, 48.0])
    >>> round(law.exponent, 6), round(law.prefactor, 6)
    (2.0, 3.0)
    """
    frequencies, times = check_real("frequencies", frequencies), check_real("times", times)
    if frequencies.ndim != 1 or times.ndim not in (1, 2) or times.shape[-1] != len(frequencies):
        raise ValueError(
            "frequencies must have shape (K,) and times (K,) or (runs, K), "
            f"got {frequencies.shape} and {times.shape}"
        )
    for name, values in (("frequencies", frequencies), ("times", times)):
        if not (values > 0).all():
            raise ValueError(f"{name} must be positive, got {values.min():g} among them")
    if times.size < 3 or len(np.unique(frequencies)) < 2:
        raise ValueError(f"times must hold at least 3 points at 2 frequencies, got {times.size}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence!r}")
    x, y = np.log(np.broadcast_to(frequencies, times.shape)).ravel(), np.log(times).ravel()
    exponent, intercept = np.polyfit(x, y, 1)
    scatter = np.sum((y - exponent * x - intercept) ** 2) / (times.size - 2)
    standard_error = np.sqrt(scatter / np.sum((x - x.mean()) ** 2))
    half_width = stats.t.ppf((1 + confidence) / 2, times.size - 2) * standard_error
    return PowerLaw(
        exponent=float(exponent),
        low=float(exponent - half_width),
        high=float(exponent + half_width),
        prefactor=float(np.exp(intercept)),
    )


def _both_on(cosine):
    """Probability that two normal variables of this correlation are both positive: E[1(u>0) 1(v>0)]."""
    return (np.pi - np.arccos(cosine)) / (2 * np.pi)


def _product_of_relus(cosine):
    """E[relu(u) relu(v)] for two standard normal variables of this correlation."""
    return np.sqrt(1 - cosine**2) / (2 * np.pi) + cosine * _both_on(cosine)
