"""Tiny networks trained by the hundred thousand: against PyTorch, and each as if it were alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from specbias.ensembles import (
    OPTIMIZERS,
    Trained,
    chunks,
    count_parameters,
    initial_parameters,
    loss_and_gradient,
    predict,
    train,
    training,
)

SHAPES = [(5, 5), (1, 1), (16, 2), (3, 10), (12, 5)]  # depth, width: each width is compiled once
PEERS = {
    "momentum": lambda rows: torch.optim.SGD(rows, lr=0.03, momentum=0.9),
    "adadelta": lambda rows: torch.optim.Adadelta(rows, lr=1.0, rho=0.9, eps=1e-6),
    "adam": lambda rows: torch.optim.Adam(rows, lr=1e-3, betas=(0.9, 0.999), eps=1e-8),
}
quietly = partial(train, progress=False)


@pytest.fixture(autouse=True)
def interrupts():
    """Ctrl-C raises, also where the tests were started in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def networks(models, depth, width, dtype="float64", seed=0):
    """With all biases drawn, and weights large enough that deep networks still depend on x."""
    return initial_parameters(models, depth=depth, width=width, seed=seed, dtype=dtype) * 1.5


def data(samples, seed=0):
    generator = np.random.default_rng(seed)
    return generator.uniform(-1, 1, samples), generator.normal(size=samples)


def torch_outputs(row, x, depth, width):
    """What a Sequential of Linear and ReLU computes, from one row of parameters: ``torch.nn``'s own order."""
    sizes = [1, *[width] * depth, 1]
    parts = []
    for columns, rows in zip(sizes[:-1], sizes[1:], strict=True):
        parts += [torch.nn.Linear(columns, rows, dtype=row.dtype), torch.nn.ReLU()]
    model = torch.nn.Sequential(*parts[:-1])
    shapes = {name: p.shape for name, p in model.named_parameters()}
    pieces = row.split([shape.numel() for shape in shapes.values()])
    values = {name: piece.view(shape) for (name, shape), piece in zip(shapes.items(), pieces, strict=True)}
    return torch.func.functional_call(model, values, torch.as_tensor(x, dtype=row.dtype)[:, None])[:, 0]


def torch_gradient(row, x, y, depth, width):
    row = torch.tensor(row, requires_grad=True)
    loss = ((torch_outputs(row, x, depth, width) - torch.as_tensor(y, dtype=row.dtype)) ** 2).mean()
    return loss.item(), torch.autograd.grad(loss, row)[0].numpy()


def same(a: Trained, b: Trained) -> bool:
    return all(
        np.array_equal(getattr(a, name), getattr(b, name), equal_nan=True)
        for name in ("parameters", "loss", "state", "steps")
    )


@pytest.fixture
def threads():
    """Change PyTorch's number of threads, and have the old one again afterwards."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


# The gradient and the outputs


@pytest.mark.parametrize(("depth", "width"), SHAPES)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-4)])
def test_loss_gradient_and_outputs_are_those_of_autograd(depth, width, dtype, tolerance):
    rows, (x, y) = networks(7, depth, width, dtype), data(53)
    losses, gradients = loss_and_gradient(rows, x, y, depth=depth, width=width)
    outputs = predict(rows, x, depth, width)
    assert losses.dtype == gradients.dtype == outputs.dtype == dtype
    for row, loss, gradient, output in zip(rows, losses, gradients, outputs, strict=True):
        expected_loss, expected = torch_gradient(row, x, y, depth, width)
        assert loss == pytest.approx(expected_loss, rel=tolerance)
        np.testing.assert_allclose(gradient, expected, rtol=0, atol=tolerance * np.abs(expected).max())
        by_torch = torch_outputs(torch.tensor(row), x, depth, width).numpy()
        np.testing.assert_allclose(output, by_torch, rtol=0, atol=tolerance * max(1, np.abs(by_torch).max()))


def test_the_derivative_at_a_kink_is_zero():
    rows = np.array([[0.0, 0.0, 0.7, 0.3], [1.0, -0.5, 0.7, 0.3]])  # all samples, or one, at the kink
    x, y = np.array([0.5, 0.25, 0.75]), np.array([1.0, 2.0, -1.0])
    for row, gradient in zip(rows, loss_and_gradient(rows, x, y, depth=1, width=1)[1], strict=True):
        np.testing.assert_allclose(gradient, torch_gradient(row, x, y, 1, 1)[1], atol=1e-14)


@settings(max_examples=70)
@given(samples=st.integers(1, 70))
def test_samples_that_fill_up_the_vectors_do_not_count(samples):
    rows, (x, y) = networks(2, 2, 3, seed=samples), data(samples, seed=samples)
    losses, gradients = loss_and_gradient(rows, x, y, depth=2, width=3)
    for row, loss, gradient in zip(rows, losses, gradients, strict=True):
        expected_loss, expected = torch_gradient(row, x, y, 2, 3)
        assert loss == pytest.approx(expected_loss, rel=1e-12)
        np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-12 * (1 + np.abs(expected).max()))


@settings(max_examples=30)
@given(samples=st.integers(2, 70), seed=st.integers(0, 2**31))
def test_the_order_of_samples_matters_by_round_off_alone(samples, seed):
    rows, (x, y) = networks(2, 3, 5, seed=seed), data(samples, seed=seed)
    order = np.random.default_rng(seed).permutation(samples)
    loss, gradient = loss_and_gradient(rows, x, y, depth=3)
    again, gradient_again = loss_and_gradient(rows, x[order], y[order], depth=3)
    np.testing.assert_allclose(again, loss, rtol=1e-12)
    np.testing.assert_allclose(gradient_again, gradient, rtol=0, atol=1e-12 * (1 + np.abs(gradient).max()))


def test_outputs_of_many_networks_and_points_are_made_in_parts():
    rows, x = networks(30, 1, 5), np.linspace(-1, 1, 40_001)
    together = predict(rows, x, depth=1)
    np.testing.assert_allclose(together[29], predict(rows[29:], x, depth=1)[0], rtol=1e-12, atol=1e-14)


# The optimizers


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(("depth", "width"), [(5, 5), (3, 10)])
def test_a_hundred_steps_are_those_of_torch(optimizer, depth, width):
    rows, (x, y) = networks(3, depth, width), data(41)
    trained = quietly(rows, x, y, depth=depth, width=width, steps=100, optimizer=optimizer)
    assert trained.steps == 100
    for start, end, loss in zip(rows, trained.parameters, trained.loss, strict=True):
        row = torch.tensor(start, requires_grad=True)
        peer = PEERS[optimizer]([row])
        for _ in range(100):
            peer.zero_grad()
            ((torch_outputs(row, x, depth, width) - torch.tensor(y)) ** 2).mean().backward()
            peer.step()
        np.testing.assert_allclose(end, row.detach().numpy(), rtol=0, atol=1e-10)
        assert loss == pytest.approx(torch_gradient(end, x, y, depth, width)[0], rel=1e-12)
        assert np.abs(end - start).max() > 1e-3


def test_settings_reach_the_optimizer():
    rows, (x, y) = networks(2, 2, 3), data(20)
    shape = {"depth": 2, "width": 3}
    gradient = loss_and_gradient(rows, x, y, **shape)[1]
    first = quietly(rows, x, y, steps=1, lr=0.25, momentum=0.5, **shape)
    np.testing.assert_allclose(first.parameters, rows - 0.25 * gradient, atol=1e-14)
    second = quietly(rows, x, y, steps=2, lr=0.25, momentum=0.5, **shape)
    velocity = 0.5 * gradient + loss_and_gradient(first.parameters, x, y, **shape)[1]
    np.testing.assert_allclose(second.parameters, first.parameters - 0.25 * velocity, atol=1e-13)


# Untrained networks


@pytest.mark.parametrize("init", ["pytorch", "he", "xavier"])
def test_few_initial_networks_are_the_first_of_many(init):
    shape = {"depth": 3, "width": 4, "init": init}
    many = initial_parameters(50, seed=7, **shape)
    assert many.dtype == np.float32
    np.testing.assert_array_equal(initial_parameters(3, seed=7, **shape), many[:3])
    np.testing.assert_array_equal(many, initial_parameters(50, seed=7, dtype="float64", **shape).astype("f4"))
    assert not (initial_parameters(50, seed=8, **shape)[:, 0] == many[:, 0]).any()
    assert len(np.unique(many[:, 0])) == 50


@pytest.mark.parametrize("init", ["pytorch", "he", "xavier"])
def test_initial_networks_are_distributed_as_they_should(init):
    depth, width, models = 3, 10, 2000
    rows = initial_parameters(models, depth=depth, width=width, seed=0, init=init, dtype="float64")
    assert rows.shape == (models, count_parameters(depth, width))
    sizes, at = [1, *[width] * depth, 1], 0
    for columns, out in zip(sizes[:-1], sizes[1:], strict=True):
        weights = rows[:, at : at + out * columns]
        biases = rows[:, at + out * columns : at + out * columns + out]
        at += out * (columns + 1)
        noise = 6 / weights.size**0.5  # of a variance, in parts; six times the standard deviation at most
        if init == "pytorch":
            layer = torch.nn.Linear(columns, out)
            bound = columns**-0.5
            assert max(p.abs().max().item() for p in layer.parameters()) <= bound
            for values in (weights, biases):
                assert 0.99 * bound < np.abs(values).max() <= bound
                assert values.var() == pytest.approx(bound**2 / 3, rel=6 / values.size**0.5)
        else:
            variance = 2 / columns if init == "he" else 2 / (columns + out)
            assert weights.var() == pytest.approx(variance, rel=1.5 * noise)
            assert abs(weights.mean()) < 6 * (variance / weights.size) ** 0.5
            assert not biases.any()
    assert at == rows.shape[1]


# Each network is one sequential computation


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_threads_chunks_and_neighbours_change_no_bit(optimizer, dtype, threads):
    rows, (x, y) = networks(9, 5, 5, dtype), data(37)
    do = partial(quietly, x=x, y=y, steps=60, optimizer=optimizer)
    threads(1)
    reference = do(rows)
    assert reference.parameters.dtype == reference.loss.dtype == reference.state.dtype == dtype
    for count in (1, 2):
        threads(count)
        for chunk in (1, 2, 4, 256):
            assert same(do(rows, chunk=chunk), reference)
    backwards = do(rows[::-1])
    np.testing.assert_array_equal(backwards.parameters[::-1], reference.parameters)
    for index in (0, 4, 8):
        alone = do(rows[index : index + 1])
        np.testing.assert_array_equal(alone.parameters[0], reference.parameters[index])
        np.testing.assert_array_equal(alone.state[:, 0], reference.state[:, index])
        assert alone.loss[0] == pytest.approx(reference.loss[index], rel=1e-5)
    gradients = loss_and_gradient(rows, x, y)[1]
    np.testing.assert_array_equal(loss_and_gradient(rows[4:5], x, y)[1][0], gradients[4])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_going_on_is_as_if_never_stopped(optimizer, dtype, monkeypatch):
    rows, (x, y) = networks(4, 5, 5, dtype), data(37)
    do = partial(quietly, x=x, y=y, optimizer=optimizer)
    whole = do(rows, steps=90)
    first = do(rows, steps=35)
    kept = first.state.copy()
    assert same(do(first.parameters, steps=55, continues=first), whole)
    np.testing.assert_array_equal(first.state, kept)
    assert not same(do(first.parameters, steps=55), whole)
    monkeypatch.setattr(chunks, "SLICE", 6 * rows.shape[1] * 64 * 7)  # calls of seven steps
    assert same(do(rows, steps=90), whole)


def test_inputs_stay_as_they_are_and_may_be_read_only():
    rows, (x, y) = networks(3, 5, 5, "float32"), data(20)
    before = [array.copy() for array in (rows, x, y)]
    reference = quietly(rows, x, y, steps=5)
    for array in (rows, x, y, reference.state):
        array.flags.writeable = False
    assert same(quietly(rows, x, y, steps=5), reference)
    quietly(reference.parameters, x, y, steps=5, continues=reference)
    assert loss_and_gradient(rows, x, y)[0].shape == predict(rows, x)[:, 0].shape == (3,)
    for array, old in zip((rows, x, y), before, strict=True):
        np.testing.assert_array_equal(array, old)
    assert same(quietly(np.asfortranarray(rows), x[:, None], y[:, None], steps=5), reference)
    assert same(quietly(rows, x.tolist(), y.tolist(), steps=5), reference)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_training_that_diverges_has_no_loss_and_no_exception(optimizer, dtype):
    rows, (x, y) = networks(5, 5, 5, dtype), data(37)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trained = quietly(
            rows, x, y, steps=200, optimizer=optimizer, lr=1e300 if dtype == "float64" else 1e30
        )
    assert np.isnan(trained.loss).sum() >= 4  # one that is dead from the start may survive
    assert not np.isinf(trained.loss).any()


def test_networks_that_diverge_leave_the_others_alone():
    rows, (x, y) = networks(4, 5, 5), data(37)
    mixed = rows.copy()
    mixed[[1, 3]] *= 30
    found, expected = (quietly(start, x, y, steps=100) for start in (mixed, rows))
    assert np.isnan(found.loss).tolist() == [False, True, False, True]
    np.testing.assert_array_equal(found.parameters[::2], expected.parameters[::2])


# Progress


@pytest.mark.parametrize("count", [1, 2])
def test_progress_counts_every_network_once(count, threads, monkeypatch, tmp_path):
    bars = []

    class Bar(training.tqdm):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            bars.append(self)

    monkeypatch.setattr(training, "tqdm", Bar)
    threads(count)
    rows, (x, y) = networks(50, 2, 3), data(20)
    do = partial(train, x=x, y=y, depth=2, width=3, steps=3, chunk=8, checkpoint=tmp_path)
    do(rows[:24])
    do(rows)
    assert [(bar.n, bar.total) for bar in bars] == [(24, 24), (50, 50)]


# Chunks on disk

SLOW = {"depth": 5, "width": 5, "chunk": 2, "steps": 20_000}  # some tenths of a second a chunk
CHILD = """
import sys
import numpy as np
import torch
from specbias.ensembles import chunks, train

torch.set_num_threads(1)
train_chunk = chunks.train_chunk

def announced(*job):
    print("begin", flush=True)
    return train_chunk(*job)

chunks.train_chunk = announced
with np.load(sys.argv[1]) as given:
    train(given["rows"], given["x"], given["y"], depth=5, width=5, chunk=2, steps=20_000,
          checkpoint=sys.argv[2], progress=False)
"""


def counted(monkeypatch):
    """Networks of each chunk that is trained from now on, in this process."""
    seen, original = [], chunks.train_chunk

    def train_chunk(parameters, *args):
        seen.append(len(parameters))
        return original(parameters, *args)

    monkeypatch.setattr(chunks, "train_chunk", train_chunk)
    return seen


FIRST_AND_NEXT = """
import sys
import numpy as np
from specbias.ensembles import initial_parameters, train
rows, x = 1.5 * initial_parameters(2, seed=0), np.linspace(-1, 1, 361)
np.save(sys.argv[1], train(rows, x, np.sin(9 * x), steps=200, progress=False).parameters)
"""


def test_a_process_that_compiles_finds_what_the_next_one_finds(tmp_path):
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    for name in ("first", "next"):
        command = [sys.executable, "-c", FIRST_AND_NEXT, str(tmp_path / f"{name}.npy")]
        subprocess.run(command, check=True, env=environment)
    np.testing.assert_array_equal(np.load(tmp_path / "first.npy"), np.load(tmp_path / "next.npy"))


def test_a_killed_run_goes_on_where_it_was(tmp_path, monkeypatch):
    rows, (x, y) = networks(16, 5, 5, "float32"), data(361)
    quietly(rows[:1], x, y, steps=1)  # compiled here, not in the child
    folder, given = tmp_path / "kept", tmp_path / "given.npz"
    np.savez(given, rows=rows, x=x, y=y)
    command = [sys.executable, "-c", CHILD, str(given), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        begun = [child.stdout.readline() for _ in range(3)]
        time.sleep(0.05)  # in the midst of the third chunk
        os.kill(child.pid, signal.SIGKILL)
        begun += child.stdout.readlines()
    assert child.returncode == -signal.SIGKILL
    assert begun[:3] == ["begin\n"] * 3
    finished = {path: path.stat().st_mtime_ns for path in folder.glob("*.npz")}
    assert len(begun) - 1 <= len(finished) < 8  # what is lost is the chunk that had begun
    seen = counted(monkeypatch)
    resumed = quietly(rows, x, y, checkpoint=folder, **SLOW)
    assert seen == [2] * (8 - len(finished))
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert len(list(folder.glob("*.npz"))) == 8
    monkeypatch.undo()
    assert same(resumed, quietly(rows, x, y, **SLOW))


def test_more_networks_than_before_are_added_to_those_there(tmp_path, monkeypatch):
    rows, (x, y) = networks(10, 2, 3), data(20)
    do = partial(quietly, x=x, y=y, depth=2, width=3, steps=20, chunk=4)
    seen = counted(monkeypatch)
    do(rows[:8], checkpoint=tmp_path)
    more = do(rows, checkpoint=tmp_path)
    again = do(rows, checkpoint=str(tmp_path))
    assert seen == [4, 4, 2]
    assert same(more, do(rows)) and same(again, more)


def test_other_settings_never_find_these_files(tmp_path, monkeypatch):
    rows, (x, y) = networks(4, 2, 3), data(20)
    usual = {"x": x, "y": y, "depth": 2, "width": 3, "steps": 20, "chunk": 4}
    first = quietly(rows, checkpoint=tmp_path, **usual)
    usual["steps"] = 19
    later = Trained(rows, rows[:, 0], np.zeros((2, *rows.shape)), 3, "adam", "cpu")
    others = [
        {}, {"lr": 0.031}, {"momentum": 0.8}, {"optimizer": "adam"}, {"optimizer": "adadelta"},
        {"optimizer": "adam", "beta1": 0.8}, {"optimizer": "adadelta", "epsilon": 1e-5}, {"continues": first},
        {"optimizer": "adam", "continues": later},
        {"x": x + 1e-15}, {"y": np.r_[y[:-1], y[-1] + 1e-12]}, {"x": x[:-1], "y": y[:-1]}, {"chunk": 3},
        {"parameters": rows + 1e-15}, {"parameters": rows.astype("f4")}, {"parameters": rows[::-1]},
    ]  # fmt: skip
    seen = counted(monkeypatch)
    for other in others:
        begun = len(seen)
        asked = {"parameters": rows, **usual, **other}
        stored, computed = quietly(**asked, checkpoint=tmp_path), quietly(**asked)
        assert len(seen) - begun == (4 if other == {"chunk": 3} else 2), other  # each trained, both times
        assert same(stored, computed), other


@pytest.mark.parametrize("moment", ["writing", "closing", "training"])
def test_an_interrupt_leaves_whole_chunks_and_nothing_else(tmp_path, monkeypatch, moment):
    rows, (x, y) = networks(6, 2, 3), data(20)
    do = partial(quietly, rows, x, y, depth=2, width=3, steps=20, chunk=2)
    expected, calls = do(), []

    def interrupted(original):
        def call(*args, **kwargs):
            calls.append(args)
            if len(calls) < 2:
                return original(*args, **kwargs)
            if moment == "writing":
                args[0].write(b"half a file")
            raise KeyboardInterrupt

        return call

    owner, name = {"writing": (np, "savez"), "closing": (os, "fsync"), "training": (chunks, "train_chunk")}[
        moment
    ]
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, interrupted(getattr(owner, name)))
        with pytest.raises(KeyboardInterrupt):
            do(checkpoint=tmp_path)
    assert len(list(tmp_path.iterdir())) == len(list(tmp_path.glob("*.npz"))) == 1
    seen = counted(monkeypatch)
    assert same(do(checkpoint=tmp_path), expected)
    assert seen == [2, 2]


@pytest.mark.parametrize("count", [1, 2])
def test_ctrl_c_is_heard_while_networks_train(tmp_path, threads, count):
    rows, (x, y) = networks(4, 5, 5, "float32"), data(361)
    threads(count)
    quietly(rows, x, y, steps=1)
    steps = 20_000_000  # a minute or more each: so those that have begun stop midway
    here = threading.main_thread().ident  # as the system does: a thread that waits must wake for it
    timer = threading.Timer(0.5, signal.pthread_kill, [here, signal.SIGINT])
    timer.start()
    began = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        quietly(rows, x, y, steps=steps, checkpoint=tmp_path)
    timer.join()
    assert time.perf_counter() - began < 30
    assert not list(tmp_path.iterdir())


# What is refused


def test_memory_of_another_optimizer_is_refused():
    start, x = initial_parameters(2, depth=1, width=2, seed=0), np.linspace(0, 1, 9)
    small = {"depth": 1, "width": 2, "steps": 1, "progress": False}
    adam = train(start, x, x, optimizer="adam", **small)
    assert (adam.optimizer, adam.device) == ("adam", "cpu")
    with pytest.raises(ValueError, match="continues was trained by adam, this training is adadelta"):
        train(start, x, x, optimizer="adadelta", continues=adam, **small)


OF_OTHERS = Trained(*[np.zeros((1, 3, 136))] * 3, 1, "momentum", "cpu")


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"x": [0.0, np.nan, 1.0]}, ValueError, "x must be finite"),
        ({"y": [0.0, np.inf, 1.0]}, ValueError, "y must be finite"),
        ({"y": [1.0, 2.0]}, ValueError, "y must have as many values as x, got 2 and 3"),
        ({"x": [[0.0, 1.0, 2.0]]}, ValueError, r"x must have shape \(n,\)"),
        ({"x": [], "y": []}, ValueError, r"x must have shape \(n,\)"),
        ({"x": ["a", "b", "c"]}, TypeError, "x must hold real numbers"),
        ({"parameters": np.zeros((2, 135))}, ValueError, r"must have shape \(models, 136\) for 5 x 5"),
        ({"parameters": np.zeros(136)}, ValueError, "parameters must have shape"),
        ({"parameters": np.zeros((0, 136))}, ValueError, "parameters must have shape"),
        ({"parameters": np.full((2, 136), np.nan)}, ValueError, "parameters must be finite"),
        ({"depth": 17}, ValueError, "depth must be at most 16, got 17"),
        ({"width": 0}, ValueError, "width must be at least 1"),
        ({"depth": 2.5}, TypeError, "depth must be a whole number"),
        ({"steps": 0}, ValueError, "steps must be at least 1"),
        ({"chunk": 0}, ValueError, "chunk must be at least 1"),
        ({"optimizer": "momentun"}, ValueError, "did you mean 'momentum'"),
        ({"rho": 0.9}, TypeError, "rho is no setting of momentum; allowed: lr, momentum"),
        ({"lr": -1.0}, ValueError, "lr must be positive"),
        ({"momentum": 1.0}, ValueError, "momentum must be at least 0 and below 1"),
        ({"optimizer": "adam", "beta2": -0.1}, ValueError, "beta2 must be at least 0"),
        ({"device": "gpu"}, ValueError, "device must be one of auto, cpu, cuda"),
        ({"continues": OF_OTHERS}, ValueError, "continues has an optimizer's"),
    ],
)  # fmt: skip
def test_impossible_arguments_are_named(change, error, words):
    given = {
        "parameters": np.zeros((2, 136)),
        "x": [0.0, 0.5, 1.0],
        "y": [1.0, 2.0, 3.0],
        "steps": 1,
        **change,
    }
    with pytest.raises(error, match=words):
        quietly(**given)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: initial_parameters(0, seed=0), "models must be at least 1"),
        (lambda: initial_parameters(1, seed=0, init="torch"), "init must be one of pytorch, he, xavier"),
        (lambda: initial_parameters(1, seed=0, dtype="float16"), "dtype must be one of float32, float64"),
        (lambda: initial_parameters(1, seed=0, width=17), "width must be at most 16"),
        (lambda: predict(np.zeros((1, 136)), [np.nan]), "x must be finite"),
        (lambda: loss_and_gradient(np.zeros((1, 136)), [1.0], [1.0, 2.0]), "y must have as many values as x"),
        (lambda: loss_and_gradient(np.zeros((1, 137)), [1.0], [1.0]), "parameters must have shape"),
    ],
)
def test_impossible_arguments_of_the_parts_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


# Chunks elsewhere


@pytest.fixture(scope="module")
def cluster():
    """Two processes with one thread each, which are started again when they die."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as made:
        yield made


def test_workers_find_the_same(cluster, tmp_path, monkeypatch):
    rows, (x, y) = networks(22, 5, 5, "float32"), data(50)
    for array in (rows, x, y):
        array.flags.writeable = False
    counts = []
    monkeypatch.setattr(training, "_reporter", lambda bar, steps: counts.append)
    do = partial(quietly, x=x, y=y, steps=300, optimizer="adam", chunk=3)
    there = do(rows, scheduler=cluster.scheduler_address, checkpoint=tmp_path)
    assert sorted(counts) == [1, *[3] * 7]
    assert len(list(tmp_path.iterdir())) == 8
    assert same(there, do(rows))
    onward = do(there.parameters, continues=there, scheduler=cluster.scheduler_address)
    assert same(onward, quietly(rows, x, y, steps=600, optimizer="adam"))


def test_few_chunks_are_under_way_at_a_time(cluster, monkeypatch):
    rows, (x, y) = networks(20, 2, 3), data(20)
    asked = []

    def jobs():
        for begin in range(20):
            asked.append(begin)
            rows_of = rows[begin : begin + 1]
            plan = training.Settings.checked("momentum", 2, 3, 5, {})
            yield (begin, begin + 1), (rows_of, np.zeros((1, *rows_of.shape)), x, y, plan)

    finished = 0
    for _, (parameters, _) in chunks._elsewhere(jobs(), cluster.scheduler_address, lambda networks: None):
        finished += 1
        assert len(asked) <= finished + 4
        assert parameters.shape == (1, rows.shape[1])
    assert finished == 20


def test_every_worker_may_die_once(cluster, tmp_path):
    """Killed while it trains, as a batch system does: what it had begun is done again."""
    from distributed import Client

    rows, (x, y) = networks(20, 5, 5, "float32"), data(361)
    address, killed = cluster.scheduler_address, []

    def kill_each():
        with Client(address, set_as_default=False) as client:
            pids, deadline = client.run(os.getpid), time.monotonic() + 60
            while pids and time.monotonic() < deadline:
                busy = [worker for worker, chunk in client.processing().items() if chunk and worker in pids]
                if busy and len(list(tmp_path.glob("*.npz"))) > len(killed):
                    killed.append(pids.pop(busy[0]))
                    os.kill(killed[-1], signal.SIGKILL)
                time.sleep(0.05)

    killer = threading.Thread(target=kill_each)
    killer.start()
    there = quietly(rows, x, y, scheduler=address, checkpoint=tmp_path, **SLOW)
    killer.join()
    assert len(killed) == 2
    assert len(list(tmp_path.iterdir())) == len(list(tmp_path.glob("*.npz"))) == 10
    assert same(there, quietly(rows, x, y, **SLOW))


def test_an_interrupt_cancels_what_waits_at_the_scheduler(cluster, tmp_path):
    from distributed import Client

    rows, (x, y) = networks(40, 5, 5, "float32"), data(361)
    address = cluster.scheduler_address

    def interrupt():
        deadline = time.monotonic() + 30
        while not list(tmp_path.glob("*.npz")) and time.monotonic() < deadline:
            time.sleep(0.02)
        signal.raise_signal(signal.SIGINT)

    waiter = threading.Thread(target=interrupt)
    waiter.start()
    with pytest.raises(KeyboardInterrupt):
        quietly(rows, x, y, scheduler=address, checkpoint=tmp_path, **SLOW)
    waiter.join()
    assert len(list(tmp_path.iterdir())) == len(list(tmp_path.glob("*.npz"))) < 20
    with Client(address, set_as_default=False) as client:
        deadline = time.monotonic() + 10
        while client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)):
            assert time.monotonic() < deadline, "chunks are still queued"
            time.sleep(0.1)


def test_a_worker_uses_all_threads_that_it_has(threads, monkeypatch):
    distributed = pytest.importorskip("distributed")
    seen, original = [], chunks.train_chunk

    def train_chunk(*job):
        seen.append(torch.get_num_threads())
        return original(*job)

    rows, (x, y) = networks(4, 2, 3), data(20)
    do = partial(quietly, rows, x, y, depth=2, width=3, steps=20, chunk=2)
    expected = do()
    monkeypatch.setattr(chunks, "train_chunk", train_chunk)
    settings = {"n_workers": 1, "threads_per_worker": 3, "processes": False, "dashboard_address": ":0"}
    with distributed.LocalCluster(**settings) as here:
        assert same(do(scheduler=here.scheduler_address), expected)
    assert seen == [3, 3]


def test_without_dask_a_scheduler_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ImportError, match=r"pip install 'specbias\[cluster\]'"):
        quietly(networks(1, 2, 3), *data(5), depth=2, width=3, steps=1, scheduler="tcp://127.0.0.1:1")
