"""The numbers of figures that are drawn from arrays at hand."""

from __future__ import annotations

import netCDF4
import numpy as np

from specbias.figure_data import drawn_from


def test_numbers_are_kept_where_the_site_asks_for_them(monkeypatch, tmp_path):
    monkeypatch.setenv("SPECBIAS_LIVE", str(tmp_path))
    line = drawn_from("a/b", "computed", {"square": ("root", [1.0, 4.0])}, {"root": [1, 2]})
    assert line == "computed"
    (file,) = line.files
    with netCDF4.Dataset(tmp_path / file) as kept:
        np.testing.assert_array_equal(kept["square"][:], [1, 4])
        np.testing.assert_array_equal(kept["root"][:], [1, 2])


def test_nothing_is_kept_where_nobody_asks(monkeypatch):
    monkeypatch.delenv("SPECBIAS_LIVE", raising=False)
    assert drawn_from("a/b", "computed", {"square": ("root", [1.0, 4.0])}).files == ()
