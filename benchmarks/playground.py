"""How many epochs a second does the playground make in a browser, and how does that compare with PyTorch?

    python benchmarks/playground.py
    python benchmarks/playground.py --width 50 --points 200

Chapter 2's network, 1-100-100-1 with tanh and Adam on 500 points in float64, from the same initial weights by
`training.fit`'s compiled loop, by the playground's own loop in Chromium, and by plain PyTorch, all on one
thread. Then the whole page, pictures included, as a reader sees it.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from _timing import Fused, Side, Start, microseconds, parser, read_options, report, write_json

from browser import chromium_browser
from specbias import targets
from specbias.models import MLP, generators
from specbias.playground import NUMERICS, playground_html, script

GOAL = 50  # epochs a second, of the page

SETUP = """({sizes, x, y, parameters, lr}) => {
  const network = new Network(sizes, "tanh", 1, Float64Array.from(x));
  const settings = {optimizer: "adam", lr};
  window.trainer = new Trainer(network, Float64Array.from(parameters), Float64Array.from(y), settings);
}"""
ADVANCE = """epochs => {
  let loss;
  for (let i = 0; i < epochs; i++) { loss = trainer.loss; trainer.advance(); }
  return loss;
}"""


def in_browser(page, start: Start):
    """The playground's numerics, without its pictures."""
    net = start.nets[0]
    parameters = torch.cat([p.detach().flatten() for p in net.parameters()]).tolist()
    argument = {"sizes": [1, *net.hidden, 1], "x": start.x.tolist(), "y": start.y[0].tolist(),
                "parameters": parameters, "lr": start.lr}  # fmt: skip
    page.evaluate(f"argument => {{ {script(NUMERICS)}; return ({SETUP})(argument); }}", argument)
    return lambda epochs: [page.evaluate(ADVANCE, epochs)]


def plain_pytorch(start: Start):
    """What one writes without this library, in float64."""
    net = start.nets[0]
    layers = [nn.Linear(layer.in_features, layer.out_features, dtype=torch.float64) for layer in net.layers]
    for ours, layer in zip(net.layers, layers, strict=True):
        layer.load_state_dict(ours.state_dict())
    model = nn.Sequential(*(part for layer in layers for part in (layer, nn.Tanh())))[:-1]
    inputs, targets_ = torch.tensor(start.x)[:, None], torch.tensor(start.y[0])[:, None]
    step = torch.optim.Adam(model.parameters(), lr=start.lr)

    def advance(epochs: int) -> list[float]:
        for _ in range(epochs):
            step.zero_grad()
            loss = ((model(inputs) - targets_) ** 2).mean()
            loss.backward()
            step.step()
        return [loss.item()]

    return advance


def whole_page(browser, options) -> list[float]:
    """Epochs a second of the page while it draws, one number a round of three seconds."""
    settings = {"target": "envelope", "halves": 26, "points": options.points, "width": options.width}
    address = "#" + "&".join(f"{name}={value}" for name, value in (settings | {"epochs": 100000}).items())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "page.html"
        path.write_text(f'<!doctype html><meta charset="utf-8">{playground_html()}', "utf-8")
        page = browser.new_page(viewport={"width": 1200, "height": 900})
        page.goto(path.as_uri() + address)
        page.locator("button[name=train]").click()
        page.wait_for_timeout(1000)
        rates, epoch = [], lambda: int(page.locator(".specbias-playground").get_attribute("data-epoch"))
        for _ in range(options.rounds):
            began, first = time.perf_counter(), epoch()
            page.wait_for_timeout(3000)
            rates.append((epoch() - first) / (time.perf_counter() - began))
        page.close()
    return rates


def main() -> None:
    """Time all sides in turn, then the page."""
    made = parser(__doc__, rounds=7, quick=3)
    made.add_argument("--width", type=int, default=100, help="units a layer (default: 100)")
    made.add_argument("--points", type=int, default=500, help="(default: 500)")
    made.set_defaults(threads=1)
    options, machine = read_options(made)
    target = targets.sequential_sine(points=options.points)
    nets = [MLP(1, [options.width] * 2, generator=g, dtype=torch.float64) for g in generators([0])]
    start = Start(nets, target.x[:, 0], target.y[None], "adam", 5e-3)
    with chromium_browser() as browser:
        page = browser.new_page()
        sides = {
            "training.fit": Side(Fused(start), 1, 50),
            "the playground's loop": Side(in_browser(page, start), 1, 50),
            "plain PyTorch": Side(plain_pytorch(start), 1, 50),
        }
        times = microseconds(sides, rounds=options.rounds, check=50, tolerance=1e-8)
        ratios = report(times)
        for name, time_of in times.items():
            best, usual = (1e6 / time_of[which] for which in ("best", "median"))
            print(f"  {name:36s}{best:9.0f} epochs/s at best, {usual:.0f} usually")
        page.close()
        rates = whole_page(browser, options)
    usual = statistics.median(rates)
    print(f"  the page with its pictures: {usual:.0f} epochs/s ({min(rates):.0f} to {max(rates):.0f})")
    print(f"  goal: {GOAL} epochs/s: {'met' if usual >= GOAL else 'MISSED'}")
    write_json(
        options.json, {"machine": machine, "times": times, "ratios": ratios, "page": np.array(rates).tolist()}
    )


if __name__ == "__main__":
    main()
