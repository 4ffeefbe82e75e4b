"""Train very many tiny networks on a CUDA device: each by one warp, a whole launch of steps on the chip.

A step of a 5 x 5 network costs about 650 operations a sample: 160,000 networks, 361 samples and 50,000 steps
are 1.9e15, half a minute at an H100's nominal 67e12 a second in float32. That comes near only if nothing but
arithmetic is done. So a warp reads its network once, makes all the steps of a launch, and writes it back.

- The samples are split over the 32 lanes. A lane takes ``TOGETHER`` of them at a time, whose activations and
  gradient stay in its registers; weights lie in shared memory, where all lanes read the same one at once.
- Then the lanes' gradients are summed through a tile of shared memory, 32 parameters at a time, each of which
  has a lane of its own that keeps its optimizer's memory, updates it and writes it back for the next step.

Why ``numba.cuda``: Triton thinks in blocks of tensors, and here none is large enough to be one; what counts
is that each number is in the register or the bank where it should be. And Numba has a simulator, so that this
is tested where there is no device. The simulator knows no shuffles between lanes, hence the tile, and no
barrier of a single warp, hence one warp a block: there a block's barrier is as cheap.

Registers have no index. Arrays in a kernel become registers only if every index is a constant, so the loops
over layers, units and samples of a small network are written out before it is compiled. A network of more
than ``WRITTEN_OUT`` parameters keeps its loops, and its arrays spill into the first cache.
"""

from __future__ import annotations

import ast
import math
import os
import warnings
from functools import cache

import numpy as np

from specbias.ensembles.networks import check_data, check_parameters, count_parameters
from specbias.ensembles.optimizers import Settings

__all__ = ["available", "kernel_source", "train_on_gpu"]

LANES = 32
TOGETHER = 2  # samples a lane computes at once: each weight that is read serves for both
WRITTEN_OUT = 200  # parameters: beyond, neither the registers nor the compiler hold it
WORK = 2e12  # operations in one launch: tenths of a second, two on a slow device; then an interrupt is heard
BUSY = 1000  # fewer networks than this leave the device idle, and take as long

_KERNEL = """
def kernel(theta, state, x, y, weight, corrections, first, steps, rates):
    lane, model = cuda.threadIdx.x, cuda.blockIdx.x
    w = cuda.shared.array(OWNED * 32, TYPE)
    tile = cuda.shared.array(32 * 33, TYPE)  # 33: lanes that read along a row meet in no bank
    g = cuda.local.array(OWNED * 32, TYPE)
    a = cuda.local.array(DEPTH * WIDTH * TOGETHER, TYPE)
    d = cuda.local.array(WIDTH * TOGETHER, TYPE)
    c = cuda.local.array(WIDTH * TOGETHER, TYPE)
    z = cuda.local.array(TOGETHER, TYPE)
    memory = cuda.local.array(OWNED * STATES, TYPE)
    for t in range(OWNED):
        w[t * 32 + lane] = ZERO
        for m in range(STATES):
            memory[t * STATES + m] = ZERO
        if t * 32 + lane < COUNT:
            w[t * 32 + lane] = theta[model, t * 32 + lane]
            for m in range(STATES):
                memory[t * STATES + m] = state[m, model, t * 32 + lane]
    cuda.syncthreads()
    for step in range(first, first + steps):
        for p in range(OWNED * 32):
            g[p] = ZERO
        for at in range(lane, x.size, 32 * TOGETHER):
            cuda.syncthreads()  # else all weights are read before the loop, and no registers left
            for j in range(WIDTH):
                for k in range(TOGETHER):
                    v = w[j] * x[at + 32 * k] + w[WIDTH + j]
                    a[j * TOGETHER + k] = v if v > ZERO else ZERO
            for l in range(1, DEPTH):
                for j in range(WIDTH):
                    for k in range(TOGETHER):
                        z[k] = w[2 * WIDTH + (l - 1) * BLOCK + WIDTH * WIDTH + j]
                    for i in range(WIDTH):
                        q = w[2 * WIDTH + (l - 1) * BLOCK + j * WIDTH + i]
                        for k in range(TOGETHER):
                            z[k] += q * a[((l - 1) * WIDTH + i) * TOGETHER + k]
                    for k in range(TOGETHER):
                        a[(l * WIDTH + j) * TOGETHER + k] = z[k] if z[k] > ZERO else ZERO
            for k in range(TOGETHER):
                z[k] = w[LAST + WIDTH] - y[at + 32 * k]
            for i in range(WIDTH):
                q = w[LAST + i]
                for k in range(TOGETHER):
                    z[k] += q * a[((DEPTH - 1) * WIDTH + i) * TOGETHER + k]
            cuda.syncthreads()  # as above: they are read again, not kept
            for k in range(TOGETHER):
                z[k] *= weight[at + 32 * k]
                g[LAST + WIDTH] += z[k]
            for i in range(WIDTH):
                q = w[LAST + i]
                for k in range(TOGETHER):
                    v = a[((DEPTH - 1) * WIDTH + i) * TOGETHER + k]
                    g[LAST + i] += z[k] * v
                    d[i * TOGETHER + k] = q * z[k] if v > ZERO else ZERO
            for l in range(DEPTH - 1, 0, -1):
                for i in range(WIDTH * TOGETHER):
                    c[i] = ZERO
                for j in range(WIDTH):
                    for i in range(WIDTH):
                        q = w[2 * WIDTH + (l - 1) * BLOCK + j * WIDTH + i]
                        for k in range(TOGETHER):
                            v = d[j * TOGETHER + k]
                            r = a[((l - 1) * WIDTH + i) * TOGETHER + k]
                            g[2 * WIDTH + (l - 1) * BLOCK + j * WIDTH + i] += v * r
                            c[i * TOGETHER + k] += q * v
                    for k in range(TOGETHER):
                        g[2 * WIDTH + (l - 1) * BLOCK + WIDTH * WIDTH + j] += d[j * TOGETHER + k]
                for i in range(WIDTH * TOGETHER):
                    d[i] = c[i] if a[(l - 1) * WIDTH * TOGETHER + i] > ZERO else ZERO
            for j in range(WIDTH):
                for k in range(TOGETHER):
                    g[j] += d[j * TOGETHER + k] * x[at + 32 * k]
                    g[WIDTH + j] += d[j * TOGETHER + k]
        for t in range(OWNED):
            for p in range(32):
                tile[p * 33 + lane] = g[t * 32 + p]
            cuda.syncthreads()
            one, two = ZERO, ZERO  # so that not every sum waits for the one before
            for p in range(lane * 33, lane * 33 + 32, 2):
                one += tile[p]
                two += tile[p + 1]
            grad = one + two
            UPDATE
            cuda.syncthreads()
    for t in range(OWNED):
        if t * 32 + lane < COUNT:
            theta[model, t * 32 + lane] = w[t * 32 + lane]
            for m in range(STATES):
                state[m, model, t * 32 + lane] = memory[t * STATES + m]
"""

_UPDATES = {
    "momentum": """
memory[t] = rates[1] * memory[t] + grad
w[t * 32 + lane] -= rates[0] * memory[t]
""",
    "adadelta": """
memory[t * 2] = rates[1] * memory[t * 2] + rates[3] * grad * grad
move = math.sqrt(memory[t * 2 + 1] + rates[2]) / math.sqrt(memory[t * 2] + rates[2]) * grad
memory[t * 2 + 1] = rates[1] * memory[t * 2 + 1] + rates[3] * move * move
w[t * 32 + lane] -= rates[0] * move
""",
    "adam": """
memory[t * 2] = rates[1] * memory[t * 2] + rates[4] * grad
memory[t * 2 + 1] = rates[2] * memory[t * 2 + 1] + rates[5] * grad * grad
move = memory[t * 2] / (math.sqrt(memory[t * 2 + 1]) / corrections[step, 1] + rates[3])
w[t * 32 + lane] -= corrections[step, 0] * move
""",
}


@cache
def available() -> bool:
    """Whether ``numba.cuda`` finds a device; its simulator is none."""
    if os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0"):
        return False
    try:
        from numba import cuda

        return bool(cuda.is_available())
    except Exception:  # no package, no driver, or one that does not answer: there is no device
        return False


def train_on_gpu(
    parameters: np.ndarray, state: np.ndarray, x: np.ndarray, y: np.ndarray, settings: Settings
) -> tuple[np.ndarray, np.ndarray]:
    """Train every network by ``settings.steps`` full-batch steps; nothing that is passed changes.

    Parameters
    ----------
    parameters, state
        ``(models, P)``, float32 or float64, and ``(1 or 2, models, P)``. All of one precision.
    x, y
        The data, ``(n,)`` each.
    settings
        Optimizer, shape and steps; those before ``settings.first_step`` count for Adam.

    Returns
    -------
    tuple of numpy.ndarray
        Parameters and state, shaped as they came. Passed back, they go on, to the digits of one call.

    Raises
    ------
    ValueError
        For arrays of other shapes, and parameters that are not finite. Without a device, Numba's own error.
    """
    parameters = check_parameters(parameters, settings.depth, settings.width)
    dtype, expected = parameters.dtype, (settings.states, *parameters.shape)
    if state.shape != expected:
        raise ValueError(f"state must have shape {expected}, got {state.shape}")
    from numba import cuda

    kernel = _kernel(settings.depth, settings.width, dtype.name, settings.optimizer)
    data = _padded(x, y, dtype)
    theta, memory = cuda.to_device(parameters), cuda.to_device(np.ascontiguousarray(state, dtype))
    constant = [cuda.to_device(array) for array in (*data, _corrections(settings, dtype))]
    rates, piece = settings.rates(dtype), _steps_per_launch(*parameters.shape, data[0].size)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*under-utilization")  # few networks are no mistake
        for begin in range(0, settings.steps, piece):
            count = min(piece, settings.steps - begin)
            kernel[len(parameters), LANES](theta, memory, *constant, begin, count, rates)
            cuda.synchronize()
    return theta.copy_to_host(), memory.copy_to_host()


def kernel_source(depth: int, width: int, optimizer: str) -> str:
    """Python source of the kernel, with its loops written out if the network is small.

    Examples
    --------
    >>> "for j in range" in kernel_source(2, 3, "adam"), "for j in range" in kernel_source(3, 16, "adam")
    (False, True)
    """
    count = count_parameters(depth, width)
    sizes = {
        "DEPTH": depth, "WIDTH": width, "BLOCK": width * width + width, "LAST": count - width - 1,
        "COUNT": count, "OWNED": -(-count // LANES), "TOGETHER": TOGETHER,
        "STATES": Settings(optimizer).states,
    }  # fmt: skip
    text = _KERNEL.replace("UPDATE", _UPDATES[optimizer].strip().replace("\n", "\n" + " " * 12))
    tree = _Constants(sizes).visit(ast.parse(text))
    if count <= WRITTEN_OUT:
        tree = _Unrolled().visit(tree)
    return ast.unparse(ast.fix_missing_locations(tree))


@cache
def _kernel(depth: int, width: int, dtype: str, optimizer: str):
    """The compiled kernel; Numba needs ``cuda`` as a global of it, and the simulator replaces it there."""
    import numba
    from numba import cuda

    scope = {"cuda": cuda, "math": math, "TYPE": getattr(numba, dtype), "ZERO": np.dtype(dtype).type(0)}
    exec(compile(kernel_source(depth, width, optimizer), f"<kernel {depth} x {width}>", "exec"), scope)
    return cuda.jit(scope["kernel"])


class _Constants(ast.NodeTransformer):
    """Put numbers for names, and work out what can be."""

    def __init__(self, values: dict[str, int]):
        self.values = values

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Constant(self.values[node.id]) if node.id in self.values else node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.left, ast.Constant) and isinstance(node.right, ast.Constant):
            return ast.Constant(eval(ast.unparse(node), {}))
        return node


class _Unrolled(ast.NodeTransformer):
    """Write out every loop over a range of constants."""

    def visit_For(self, node: ast.For) -> ast.AST | list[ast.AST]:
        bounds = [ast.unparse(bound) for bound in node.iter.args]
        try:
            values = range(*(ast.literal_eval(bound) for bound in bounds))
        except ValueError:  # over samples or steps
            return self.generic_visit(node)
        bodies = (ast.parse("\n".join(map(ast.unparse, node.body))) for _ in values)
        copies = (_Constants({node.target.id: v}).visit(body) for v, body in zip(values, bodies, strict=True))
        return [self.visit(line) for copy in copies for line in copy.body]


def _padded(x: np.ndarray, y: np.ndarray, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``x``, ``y`` and weights, filled up with samples of weight 0 to what the lanes take at once."""
    x, y = check_data(x, y)
    padded = np.zeros((3, -(-x.size // (LANES * TOGETHER)) * LANES * TOGETHER), dtype)
    padded[:, : x.size] = x, y, np.full(x.size, 2 / x.size)
    return tuple(padded)


def _corrections(settings: Settings, dtype: np.dtype) -> np.ndarray:
    """Adam's step and root of each step, ``(steps, 2)``: powers in float64, which many devices do slowly."""
    if settings.optimizer != "adam":
        return np.ones((1, 2), dtype)
    lr, first, second = (float(rate) for rate in settings.rates(dtype)[:3])
    count = np.arange(settings.first_step + 1, settings.first_step + settings.steps + 1, dtype=float)
    return np.stack([lr / (1 - first**count), np.sqrt(1 - second**count)], axis=1).astype(dtype)


def _steps_per_launch(models: int, count: int, samples: int) -> int:
    return max(1, int(WORK / (6.0 * count * samples * max(models, BUSY))))
