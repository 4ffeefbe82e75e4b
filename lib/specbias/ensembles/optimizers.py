"""The optimizers of tiny networks, by PyTorch's definitions, and what a training depends on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

from specbias._checks import check_choice, check_count, check_positive
from specbias.ensembles.compiled import loops

OPTIMIZERS: dict[str, dict] = {
    "momentum": {"lr": 0.03, "momentum": 0.9},
    "adadelta": {"lr": 1.0, "rho": 0.9, "epsilon": 1e-6},
    "adam": {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8},
}
"""Name -> its settings and their defaults (PyTorch's; momentum's are ours, as PyTorch has none)."""

_STATES = {"momentum": 1, "adadelta": 2, "adam": 2}


@dataclass(frozen=True)
class Settings:
    """What a training depends on besides its networks and data."""

    optimizer: str = "momentum"
    depth: int = 5
    width: int = 5
    steps: int = 1
    values: tuple[tuple[str, float], ...] = ()
    first_step: int = 0
    device: str = "cpu"

    @classmethod
    def checked(cls, optimizer: str, depth: int, width: int, steps: int, values: dict, **more) -> Settings:
        """With every value checked, or an error that says what is allowed."""
        check_choice("optimizer", optimizer, OPTIMIZERS)
        check_count("steps", steps)
        known = OPTIMIZERS[optimizer]
        for name, value in values.items():
            if name not in known:
                raise TypeError(f"{name} is no setting of {optimizer}; allowed: {', '.join(known)}")
            if name in ("momentum", "rho", "beta1", "beta2"):
                if not 0 <= value < 1:
                    raise ValueError(f"{name} must be at least 0 and below 1, got {value}")
            else:
                check_positive(name, value)
        return cls(optimizer, depth, width, steps, tuple(sorted({**known, **values}.items())), **more)

    @property
    def states(self) -> int:
        """How many numbers a parameter the optimizer remembers."""
        return _STATES[self.optimizer]

    def compiled(self, dtype: np.dtype) -> Callable:
        """The compiled loop, for networks in this precision."""
        return getattr(loops(self.width, dtype.name), self.optimizer)

    def rates(self, dtype: np.dtype) -> tuple:
        """What the compiled loop takes, in the networks' precision."""
        v = {**OPTIMIZERS[self.optimizer], **dict(self.values)}
        if self.optimizer == "momentum":
            numbers = (v["lr"], v["momentum"])
        elif self.optimizer == "adadelta":
            numbers = (v["lr"], v["rho"], v["epsilon"], 1 - v["rho"])
        else:
            numbers = (v["lr"], v["beta1"], v["beta2"], v["epsilon"], 1 - v["beta1"], 1 - v["beta2"])
        return tuple(np.dtype(dtype).type(number) for number in numbers)

    def computed(self) -> dict:
        """What decides the result: everything but the device."""
        return {key: value for key, value in asdict(self).items() if key != "device"}
