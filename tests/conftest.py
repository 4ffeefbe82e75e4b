"""One place for what every test shares."""

from __future__ import annotations

import os
import warnings

from specbias.provenance import portable_instructions

os.environ.update(portable_instructions())  # as recorded runs are made; before Numba is imported

import hypothesis
import matplotlib.pyplot as plt
import pytest
import torch

# Property tests draw the same examples everywhere and are not timed: machines differ, results must not.
hypothesis.settings.register_profile("specbias", deadline=None, derandomize=True, max_examples=50)
hypothesis.settings.load_profile("specbias")

# The arrays of tests are so small that more threads would only wait for each other.
torch.set_num_threads(1)


@pytest.fixture
def figures_without_warnings():
    """Any warning is an error, and figures are closed afterwards."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
    plt.close("all")
