"""Print the lowest versions that pyproject.toml allows, as constraints for pip: see `make bounds`."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path


def lowest(project: dict) -> list[str]:
    """``name==version`` for every requirement ``name>=version`` of the library, the book and the tests."""
    extras = project["optional-dependencies"]
    requirements = [*project["dependencies"], *extras["book"], *extras["test"]]
    found = [re.match(r"([\w.-]+)>=([\w.]+)", requirement) for requirement in requirements]
    return [f"{match[1]}=={match[2]}" for match in found if match]


if __name__ == "__main__":
    pyproject = Path(__file__).resolve().parents[1] / "pyproject.toml"
    print("\n".join(lowest(tomllib.loads(pyproject.read_text())["project"])))
