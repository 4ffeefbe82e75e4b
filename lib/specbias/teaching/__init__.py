"""Assignments that grade themselves: what their checks are written with, and what grades them.

Students use :func:`check`, :func:`close` and :func:`generator`, which need NumPy alone. Lecturers use the
commands ``specbias assignments`` and ``specbias grade``, which need the extra ``[teach]``.
"""

from specbias.teaching.checks import check, close, generator

__all__ = ["check", "close", "generator"]
