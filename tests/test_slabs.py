"""A plane shared by two processes gives what one process gives: sums of waves, gradients, a few steps."""

from __future__ import annotations

import socket

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing

from specbias.multistage.features import AbsorbedLayer
from specbias.multistage.gauss_newton import gauss_newton
from specbias.multistage.slabs import Slab
from specbias.multistage.spectral_network import SpectralNetwork
from specbias.multistage.transforms import GridTransform, Lattice

SHAPES = ((12, 10), (7, 9))  # even; and odd, which two processes cannot share equally


def waves_of(shape: tuple[int, int]) -> np.ndarray:
    """One of each pair of waves, the constant and, on even grids, alternating ones among them."""
    along, across = (np.arange(-((n - 1) // 2), n // 2 + 1) for n in shape)
    return np.array([(a, b) for a in along for b in across if b > 0 or (b == 0 and a >= 0)])


def problem(shape: tuple[int, int]) -> tuple[Lattice, np.ndarray, torch.Tensor]:
    steps = tuple(2 * np.pi / n for n in shape)
    lattice = Lattice((0.3, -1.0), steps, shape, shape)
    x, y = lattice.points().T
    return lattice, waves_of(shape), torch.from_numpy(np.exp(np.sin(x) + np.cos(y)) / 2)


def found(layer: AbsorbedLayer, goal: torch.Tensor, together: Slab | None) -> dict:
    """Values, gradients and a few steps from one start."""
    net = SpectralNetwork(layer, (4, 3), together)
    first = torch.from_numpy(0.1 * np.random.default_rng(1).standard_normal(layer.size))
    row = net.initial(first, np.random.default_rng(2))
    fitted = gauss_newton(net, row, goal, max_iter=4, dtype=torch.float64)
    return {
        "output": net.predict(row), "square": net.loss_and_gradient(row, goal),
        "tenth": net.loss_and_gradient(row, goal, 10), "row": fitted.row, "history": fitted.history,
    }  # fmt: skip


def work(rank: int, shape: tuple[int, int], port: int, folder: str) -> None:
    address = f"tcp://127.0.0.1:{port}"
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    torch.set_num_threads(1)
    lattice, waves, goal = problem(shape)
    slab = Slab(lattice, waves)
    mine = goal.reshape(shape)[slab.rows].reshape(-1)
    torch.save(found(AbsorbedLayer(slab, 4), mine, slab), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.mark.skipif(not dist.is_gloo_available(), reason="PyTorch without gloo")
@pytest.mark.parametrize("shape", SHAPES)
def test_two_processes_are_one(shape, tmp_path):
    multiprocessing.spawn(work, (shape, free_port(), str(tmp_path)), nprocs=2)
    both = [torch.load(tmp_path / f"{rank}.pt", weights_only=False) for rank in range(2)]
    lattice, waves, goal = problem(shape)
    alone = found(AbsorbedLayer(GridTransform(lattice, waves), 4), goal, None)
    output = torch.cat([one["output"] for one in both])
    torch.testing.assert_close(output, alone["output"], rtol=1e-12, atol=1e-13)
    for one in both:
        for kind in ("square", "tenth"):
            np.testing.assert_allclose(one[kind][0], alone[kind][0], rtol=1e-12)
            torch.testing.assert_close(one[kind][1], alone[kind][1], rtol=1e-10, atol=1e-13)
        torch.testing.assert_close(one["row"], alone["row"], rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(one["history"], alone["history"], rtol=1e-9)
    assert torch.equal(both[0]["row"], both[1]["row"])  # else they would drift apart


def test_what_cannot_be_shared_is_refused(monkeypatch):
    monkeypatch.setattr(dist, "get_rank", lambda: 0)
    monkeypatch.setattr(dist, "get_world_size", lambda: 9)
    for lattice in (
        Lattice((0.0,), (0.1,), (8,), (8,)),
        Lattice((0.0, 0.0), (0.1, 0.1), (20, 8), (38, 14)),
        Lattice((0.0, 0.0), (0.1, 0.1), (8, 8), (8, 8)),
    ):
        with pytest.raises(ValueError, match="lattice"):
            Slab(lattice, np.array([[1, 0]]))
