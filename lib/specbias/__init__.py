"""Why neural networks learn low frequencies first, and how they can learn the rest, to the last bit."""

__version__ = "0.1.0"
