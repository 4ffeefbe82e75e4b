"""What settings a multistage regressor may have, and the grid on which it may use a spectrum."""

from __future__ import annotations

import numbers

import numpy as np
import torch
from sklearn.utils import check_random_state

from specbias._checks import check_choice, check_count
from specbias.multistage.minimizers import OPTIMIZERS
from specbias.multistage.networks import FIRST, check_hidden
from specbias.multistage.transforms import Lattice, find_lattice
from specbias.multistage.waves import is_periodic, is_resolved
from specbias.spectra.scattered import METHODS

INITIALIZATIONS = ("auto", "spectrum", "scale-factor", "plain")
RECIPES = ("ours", "published")
BOUNDARIES = ("auto", "periodic", "even")
SMALLEST = 8  # points along each axis of a grid that has a spectrum


def check_parameters(model) -> None:
    """Refuse settings of a regressor that cannot be meant, by their names."""
    check_choice("initialization", model.initialization, INITIALIZATIONS)
    check_choice("activation", model.activation, FIRST[1:])
    check_choice("frequency", model.frequency, METHODS)
    check_choice("optimizer", model.optimizer, OPTIMIZERS)
    check_choice("recipe", model.recipe, RECIPES)
    check_choice("boundary", model.boundary, BOUNDARIES)
    check_choice("device", model.device, ("auto", "cpu", "cuda"))
    if model.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device must be 'auto' or 'cpu' here: PyTorch finds no CUDA device")
    for name in ("guard", "normalize"):
        if not isinstance(getattr(model, name), (bool, np.bool_)):
            raise TypeError(f"{name} must be True or False, got {getattr(model, name)!r}")
    for name in ("stages", "max_iter", "history", "patience"):
        check_count(name, getattr(model, name))
    check_hidden(model.hidden)
    _check_features(model)
    if model.validation_fraction != "auto":
        _check_number("validation_fraction", model.validation_fraction)
        if not 0 <= model.validation_fraction < 0.9:
            raise ValueError(f"validation_fraction must be in [0, 0.9), got {model.validation_fraction}")
    _check_number("tol", model.tol)
    if not model.tol >= 0:
        raise ValueError(f"tol must be at least 0, got {model.tol}")


def _check_features(model) -> None:
    if isinstance(model.features, str):
        check_choice("features", model.features, ("auto",))
        if model.recipe == "published" and model.initialization in ("auto", "spectrum"):
            raise ValueError(
                "features must be given, one number or one for each stage, with recipe 'published'"
            )
        return
    counts = model.features if np.ndim(model.features) else [model.features] * model.stages
    for count in counts:
        check_count("features", count)
    if len(counts) < model.stages:
        raise ValueError(f"features must be one for each of {model.stages} stages, got {len(counts)}")


def find_grid(model, x: np.ndarray, y: np.ndarray) -> Lattice | None:
    """The regular grid of scaled inputs ``x``, where a spectrum is asked for or, with "auto", is of use."""
    wanted = model.initialization == "spectrum"
    whole = model.validation_fraction in ("auto", 0)  # a spectrum needs every point
    if wanted and not whole:
        raise ValueError("validation_fraction must be 0 or 'auto' with initialization='spectrum'")
    if not wanted and (model.initialization != "auto" or x.shape[1] < 2 or not whole):
        return None
    lattice = find_lattice(x)
    if lattice is None or min(lattice.shape) < SMALLEST:
        if wanted:
            raise ValueError(
                "initialization='spectrum' needs points that fill a regular grid, of at least "
                f"{SMALLEST} along each axis; for others there is 'scale-factor'"
            )
        return None
    even = model.boundary == "even" or (
        model.boundary == "auto" and not is_periodic(y.reshape(lattice.shape))
    )
    if not wanted and (even or not is_resolved(y.reshape(lattice.shape))):
        return None
    sizes = tuple(2 * n - 2 for n in lattice.shape) if even else lattice.shape
    return Lattice(lattice.low, lattice.step, lattice.shape, sizes)


def _check_number(name: str, value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number, got {value!r}")


def random_generator(random_state: int | np.random.RandomState | None) -> np.random.Generator:
    """A generator of its own, seeded by what scikit-learn calls a random state."""
    try:
        random = check_random_state(random_state)
    except ValueError as error:
        raise ValueError(f"random_state: {error}") from error
    return np.random.default_rng(random.randint(2**31))
