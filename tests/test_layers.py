"""Imports go one way, heavy packages are imported late, and no file grows past a screenful of screens."""

import ast
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests import imports
from tests.conftest import ROOT
from tests.imports import PACKAGES

HEAVY = {"torch", "transformers"}
LONGEST_FILE = 300
FILES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
MODULES = imports.read()
ARROWS = imports.arrows(MODULES)
EAGER, LATE = ({module: imports.names(path)[late] for module, path in MODULES.items()} for late in (0, 1))


def tops(names: Iterable[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


USES = {
    package: set().union(*(tops(EAGER[name] | LATE[name]) for name in MODULES if name.split(".")[0] == package))
    for package in PACKAGES
}


def test_sim_imports_the_standard_library_numpy_and_simpy_alone():
    assert USES["sim"] - {"sim", "numpy", "simpy"} <= sys.stdlib_module_names


@pytest.mark.parametrize("package", ["policies", "profiles", "traces"])
def test_a_middle_package_imports_no_sibling_but_sim(package):
    assert USES[package] & {*PACKAGES, "notebooks", "tests"} <= {package, "sim"}


def test_what_simpy_hides_is_touched_in_one_file():
    hidden = ("._queue", "._eid", "_ok =")
    files = {name: path.read_text() for name, path in MODULES.items() if name.startswith("sim.")}
    users = {name for name, text in files.items() if any(one in text for one in hidden)}
    assert users == {"sim.engine.clock"}


def test_nothing_imports_upwards():
    assert not imports.upwards(ARROWS)


def test_nothing_imports_in_a_circle():
    assert not imports.circles(ARROWS)


def test_the_machinery_is_imported_by_sim_alone():
    machinery = {module for module in MODULES if module.startswith("sim.engine")}
    assert {one for one in MODULES if ARROWS[one] & machinery} - machinery == {"sim.__init__", "sim.simulation"}


def test_sim_imports_nothing_for_types_alone():
    trees = {module: ast.parse(path.read_text()) for module, path in MODULES.items() if module.startswith("sim.")}
    assert not {module for module, tree in trees.items() if any(map(imports.is_for_types, ast.walk(tree)))}


def test_rooms_name_what_is_there():
    there = {".".join(parts[:length]) for parts in (name.split(".") for name in MODULES) for length in (1, 2, 3, 4)}
    assert set(imports.STATED) <= there


@pytest.mark.parametrize(
    ("who", "found"),
    [
        ({"a": "b", "b": "c", "c": ""}, []),
        ({"a": "b", "b": "cd", "c": "a", "d": ""}, [["a", "b", "c"]]),
        ({"a": "b", "b": "a", "c": "ad", "d": "c"}, [["a", "b"], ["c", "d"]]),
        ({"a": "bc", "b": "d", "c": "d", "d": ""}, []),
    ],
)
def test_what_a_circle_is(who, found):
    assert imports.circles({one: frozenset(others) for one, others in who.items()}) == found


def test_what_upwards_is():
    found = imports.upwards(
        {
            "sim.job": frozenset({"sim.policy", "sim.engine.kv"}),
            "sim.engine.kv": frozenset({"sim.job"}),
            "policies.order.fifo": frozenset({"policies.order.sjf", "policies.routing.offload"}),
            "experiments.tables.stats": frozenset({"traces.schema"}),
        }
    )
    assert found == [("policies.order.fifo", "policies.routing.offload"), ("sim.job", "sim.engine.kv")]


def heavy_on_load() -> set[str]:
    """Modules that load torch or transformers as soon as they are imported themselves."""
    heavy = {name for name in MODULES if tops(EAGER[name]) & HEAVY}
    while more := {name for name in MODULES if imports.within(EAGER[name], MODULES) & heavy} - heavy:
        heavy |= more
    return heavy


def test_torch_is_imported_inside_functions_or_in_a_file_that_is():
    heavy = heavy_on_load()
    names = set().union(*LATE.values(), *(EAGER[name] for name in heavy))  # late, or through a file that is
    assert heavy - imports.within(names, MODULES) == set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_is_short(path: Path):
    assert len(path.read_text().splitlines()) <= LONGEST_FILE


@pytest.mark.parametrize(
    ("source", "eager", "late"),
    [
        ("import torch.nn", {"torch.nn"}, set()),
        ("try:\n    import torch\nexcept ImportError:\n    pass", {"torch"}, set()),
        ("class A:\n    from sim import job", {"sim.job"}, set()),
        ("def f():\n    if True:\n        def g():\n            import torch", set(), {"torch"}),
        ("if TYPE_CHECKING:\n    import torch", set(), {"torch"}),
    ],
)
def test_what_counts_as_late(source, eager, late):
    assert imports.imports(ast.parse(source), late=False) == eager
    assert imports.imports(ast.parse(source), late=True) == late


def test_a_reader_of_the_picture_may_leave_early():
    done = subprocess.run(
        f"set -o pipefail; '{sys.executable}' tests/imports.py | true; echo ${{PIPESTATUS[0]}}",
        shell=True, executable="/bin/bash", cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert (done.stderr, done.stdout) == ("", "141\n")
