"""constraints.txt pins all that the tests' environment has, to versions that every Python 3.11 can install.

A pin that the Python at hand cannot have, or none, makes an old pip try version after version for many minutes.
"""

import re
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tests.conftest import ROOT

OLDEST = "3.11.0"
PINS = {
    canonicalize_name(name): version
    for name, version in re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
}


@cache
def find(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def needed_by(name: str, extra: str) -> set[str]:
    """All that a project needs with an extra, as far as it is installed in the pinned versions."""
    todo, seen = [(name, extra)], set()
    while todo:
        name, extra = todo.pop()
        found = find(name)
        if (name, extra) in seen or found is None or found.version.split("+")[0] != PINS.get(name, found.version):
            continue
        seen.add((name, extra))
        for need in map(Requirement, found.requires or []):
            if need.marker is None or need.marker.evaluate({"extra": extra}):
                todo += [(canonicalize_name(need.name), more) for more in ("", *need.extras)]
    return {name for name, _ in seen}


def test_each_line_is_a_pin_and_they_are_in_order():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert len(PINS) == len(lines)
    assert lines == sorted(lines, key=str.lower)


@pytest.mark.parametrize("extra", ["dev", "profile", "notebooks", "aiconfigurator", "learn"])
def test_all_that_an_extra_needs_is_pinned(extra):
    assert needed_by("tokenyard", extra) - {"tokenyard"} <= PINS.keys()


def test_every_pin_admits_every_python_3_11():
    refused = {}
    for name, version in PINS.items():
        found = find(name)
        wants = found and found.version.split("+")[0] == version and found.metadata["Requires-Python"]
        if wants and not SpecifierSet(wants).contains(OLDEST):
            refused[name] = wants
    assert refused == {}
