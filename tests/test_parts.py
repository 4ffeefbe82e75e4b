"""Parts of a run that is being recorded: found again after a kill, and never mistaken for others."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from specbias.experiments import si_msnn_flow
from specbias.parts import part


@pytest.fixture
def recording(monkeypatch, tmp_path):
    monkeypatch.setenv("SPECBIAS_RECORD", "yes")
    monkeypatch.setenv("SPECBIAS_RESULTS", str(tmp_path))
    return tmp_path / ".chunks"


def values(number):
    return xr.Dataset({"value": ("x", np.array([number, np.nan, 1e-300]))})


def test_a_part_is_computed_once_for_each_of_its_parameters(recording):
    asked = []
    for root in (2, 3, 2):
        found = part("roots", lambda root=root: asked.append(root) or values(root), root=root)
        np.testing.assert_array_equal(found.value.values, [root, np.nan, 1e-300])
    assert asked == [2, 3]
    part("other roots", lambda: asked.append(4) or values(2), root=2)
    assert asked == [2, 3, 4]


def test_nothing_is_kept_unless_a_run_is_recorded(monkeypatch, tmp_path):
    monkeypatch.delenv("SPECBIAS_RECORD", raising=False)
    monkeypatch.setenv("SPECBIAS_RESULTS", str(tmp_path))
    part("roots", lambda: values(2), root=2)
    assert list(tmp_path.iterdir()) == []


def test_a_broken_file_is_computed_anew(recording, capsys):
    part("roots", lambda: values(2), root=2)
    (path,) = recording.iterdir()
    path.write_bytes(path.read_bytes()[:100])
    assert part("roots", lambda: values(5), root=2).value[0] == 5
    assert "computed anew" in capsys.readouterr().err


FLOW = {"resolution": 16, "reynolds": 2000.0, "moment": 0.05, "spectrum": "mcwilliams", "peak": 3.0}
FITS = {"flow_seed": 0, "seeds": 2, "seed": 1, "progress": False}
VARIANTS = {"two": {"stages": 2, "max_iter": 5}, "one": {"stages": 1, "max_iter": 5}}


def test_a_recording_of_fits_that_was_killed_loses_one_fit(recording, monkeypatch):
    original, done = si_msnn_flow._fit_flow, []

    def fits():
        return si_msnn_flow.flow_fits(**FLOW, **FITS, variants=VARIANTS)

    def counted(*arguments, until=np.inf):
        if len(done) == until:
            raise KeyboardInterrupt
        done.append(arguments)
        return original(*arguments)

    monkeypatch.setattr(si_msnn_flow, "_fit_flow", lambda *arguments: counted(*arguments, until=2))
    with pytest.raises(KeyboardInterrupt):
        fits()
    monkeypatch.setattr(si_msnn_flow, "_fit_flow", counted)
    resumed = fits()
    assert len(done) == 4
    monkeypatch.setenv("SPECBIAS_RECORD", "no")
    xr.testing.assert_equal(resumed.drop_vars("seconds"), fits().drop_vars("seconds"))
