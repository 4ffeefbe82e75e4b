"""Controls, a progress bar and a figure around a training, for a live notebook: ``panel("spectral-bias")``.

A panel starts nothing by itself. **Train** trains in a thread of its own, so that the kernel stays free; the
figure is drawn in the kernel's main thread, as matplotlib's settings are not a thread's own. Where no kernel
will be at hand, in a page or in an executed copy of a chapter (``SPECBIAS_PANELS=no``), a panel is a
sentence that says what would be there.
"""

from __future__ import annotations

import asyncio
import importlib.util
import threading
from collections.abc import Callable
from functools import cached_property
from html import escape

from matplotlib.figure import Figure

from specbias._checks import check_choice
from specbias.panels.trainings import TRAININGS, Training
from specbias.parameters import Parameter
from specbias.plots import show
from specbias.provenance import switch
from specbias.training.threads import own_threads

__all__ = ["Panel", "panel"]

REFRESH = 0.3  # seconds from the end of one drawing to the next: in between the kernel is the reader's


def panel(chapter: str) -> Panel:
    """The panel of a chapter, as the last line of a cell.

    Parameters
    ----------
    chapter
        ``"spectral-bias"``, ``"sequential-fitting"``, ``"energy-landscape"``, ``"multistage"`` or
        ``"si-msnn"``.

    Raises
    ------
    ValueError
        For any other name.

    Examples
    --------
    >>> panel("spectral-bias").training.knobs["slow_wave"].default
    4
    """
    return Panel(TRAININGS[check_choice("chapter", chapter, TRAININGS)])


class Stopped(Exception):
    """The reader has pressed Stop; raised inside the training."""


class Panel:
    """A training that a reader sets up, starts, watches and stops.

    Parameters
    ----------
    training
        What is trained: see :class:`~specbias.panels.trainings.Training`.

    Attributes
    ----------
    controls : dict
        A widget for each knob of the training, by its name.
    train, stop : ipywidgets.Button
    running : bool
        Whether a training goes on.
    result : object
        What the last training that came to its end has left; else None.

    Examples
    --------
    >>> panel("multistage").result is None
    True
    """

    def __init__(self, training: Training):
        self.training, self.result, self.running = training, None, False
        self._stopping, self._resting, self._latest, self._problem = threading.Event(), False, None, None

    @cached_property
    def controls(self) -> dict:
        """A labelled widget for each knob, with its default."""
        controls = {name: _control(knob) for name, knob in self.training.knobs.items()}
        if self.training.rates:
            controls["optimizer"].observe(self._take_usual_rate, "value")
        return controls

    @cached_property
    def train(self):
        """The button that starts."""
        return _button("Train", "play", "Start with these settings", self._start)

    @cached_property
    def stop(self):
        """The button that ends what goes on."""
        button = _button("Stop", "stop", "End this training; what it has reached stays", self._end)
        button.disabled = True
        return button

    @cached_property
    def progress(self):
        """The bar, from 0 to 1."""
        from ipywidgets import FloatProgress

        return FloatProgress(value=0, min=0, max=1, tooltip="Share of the training that is done")

    @cached_property
    def message(self):
        """One line: how far the training is, how it ended, or what is wrong."""
        from ipywidgets import HTML

        return HTML()

    @cached_property
    def figure(self):
        """The figure, as inline SVG."""
        from ipywidgets import HTML, Layout

        return HTML(layout=Layout(width="100%"))

    @cached_property
    def box(self):
        """Everything, one below the other."""
        from ipywidgets import HBox, Layout, VBox

        rows = [HBox(list(self.controls.values()), layout=Layout(flex_flow="row wrap"))]
        rows += [HBox([self.train, self.stop, self.progress], layout=Layout(flex_flow="row wrap"))]
        return VBox([*rows, self.message, self.figure])

    def _repr_mimebundle_(self, **_) -> dict:
        """The widgets for a notebook that can show them, and the sentence for everything else."""
        bundle = {"text/html": self._sentence(), "text/plain": "a panel to train with"}
        if switch("SPECBIAS_PANELS", default=True) and importlib.util.find_spec("ipywidgets"):
            bundle |= self.box._repr_mimebundle_()
        return bundle

    def _sentence(self) -> str:
        *first, last = (_label(knob) for knob in self.training.knobs.values())
        return (
            '<p class="specbias-panel"><strong>Your turn.</strong> Run in JupyterLab, this cell is a panel '
            f"in which you choose {escape(', '.join(first))} and {escape(last)}, press Train, and watch "
            f"{escape(self.training.shows)}. {self.training.without}</p>"
        )

    def _take_usual_rate(self, change: dict) -> None:
        """Another optimizer takes another learning rate, or none at all."""
        usual, control = self.training.rates[change["new"]], self.controls["learning_rate"]
        control.value, control.disabled = usual or 0.0, usual is None

    def _start(self, _button) -> None:
        try:
            values = {
                name: None if control.disabled else self.training.knobs[name].read(control.value)
                for name, control in self.controls.items()
            }
        except ValueError as error:
            self._say(str(error), "alert")
            return
        self.result, self.running, self._resting = None, True, False
        self._latest = self._problem = None
        self.train.disabled, self.stop.disabled, self.progress.value = True, False, 0.0
        self._stopping.clear()
        self._say("starting; what has to be compiled takes some seconds the first time")
        self._loop = asyncio.get_running_loop()  # the kernel's
        threading.Thread(target=self._work, args=(values,), daemon=True).start()

    def _end(self, _button) -> None:
        self._stopping.set()
        self.stop.disabled = True

    def _work(self, values: dict) -> None:
        """In the thread: train, and tell the main one how it ended."""
        result, problem = None, None
        try:
            with own_threads():  # PyTorch's would spin while the main thread draws
                result = self.training.run(self._report, **values)
        except Stopped:
            pass
        except Exception as error:  # whatever it is, the reader is told
            problem = error
        self._loop.call_soon_threadsafe(self._finish, result, problem)

    def _report(self, share: float, words: str, draw: Callable[[], Figure] | None) -> None:
        """In the thread: keep what there is to show, and ask for a drawing, not too often."""
        if self._stopping.is_set():
            raise Stopped
        self._latest = share, words, draw
        if not self._resting:
            self._resting = True
            self._loop.call_soon_threadsafe(self._draw_and_rest)

    def _draw_and_rest(self) -> None:
        self._draw()
        self._loop.call_later(REFRESH, self._wake)

    def _wake(self) -> None:
        self._resting = False

    def _draw(self) -> None:
        """In the main thread: show the latest report; what goes wrong there ends the training."""
        share, words, draw = self._latest
        self.progress.value = share
        self._say(words)
        try:
            if draw:
                self.figure.value = show(draw(), alt=f"While it trains: {self.training.shows}.")._repr_html_()
        except Exception as error:
            self._problem = error
            self._stopping.set()

    def _finish(self, result: object, problem: Exception | None) -> None:
        """In the main thread: the last state, one line on how it ended, and the buttons for another one."""
        words = "stopped before the first step"
        if self._latest:
            self._draw()
            words = ("finished: " if result is not None else "stopped: ") + self._latest[1]
        self.result, self.running = result, False
        self.train.disabled, self.stop.disabled = False, True
        problem = problem or self._problem
        self._say(_in_words(problem) if problem else words, "alert" if problem else "status")

    def _say(self, words: str, role: str = "") -> None:
        """One line; with a role, a screen reader reads it out."""
        self.message.value = f"<p{f' role={role}' if role else ''}>{escape(' '.join(words.split()))}</p>"


def _in_words(error: Exception) -> str:
    """The message of an error that is meant for readers; of another one its kind, too."""
    known = isinstance(error, (ValueError, FloatingPointError)) and str(error)
    return str(error) if known else f"{type(error).__name__}: {error}"


def _label(knob: Parameter) -> str:
    return knob.name.replace("_", " ")


def _control(knob: Parameter):
    """A widget for one knob, with its name, and its meaning and limits as a tooltip."""
    from ipywidgets import Dropdown, FloatText, IntText, Layout

    limits = f" ({knob.allowed})" if ".." in knob.allowed else ""
    look = {
        "description": _label(knob), "tooltip": knob.description + limits, "value": knob.default,
        "style": {"description_width": "initial"}, "layout": Layout(width="max-content"),
    }  # fmt: skip
    if "|" in knob.allowed:
        return Dropdown(options=[knob.read(choice.strip()) for choice in knob.allowed.split("|")], **look)
    look["layout"] = Layout(width="13em")
    return (IntText if knob.type == "int" else FloatText)(**look)


def _button(text: str, icon: str, tooltip: str, action: Callable):
    from ipywidgets import Button

    button = Button(description=text, icon=icon, tooltip=tooltip)
    button.on_click(action)
    return button
