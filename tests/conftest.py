"""One place for what every test shares."""

from __future__ import annotations

import hypothesis

# Property tests draw the same examples everywhere and are not timed: machines differ, results must not.
hypothesis.settings.register_profile("specbias", deadline=None, derandomize=True, max_examples=50)
hypothesis.settings.load_profile("specbias")
