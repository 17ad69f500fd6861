"""Imports go one way, heavy packages are imported late, and no file grows past a screenful of screens."""

import ast
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGES = ("sim", "policies", "profiles", "traces", "experiments")
HEAVY = {"torch", "transformers"}
LONGEST_FILE = 300
FILES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
MODULES = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in FILES}


def imports(tree: ast.AST, late: bool) -> set[str]:
    """The absolute names that `tree` imports when it is loaded, or, if `late`, inside its functions or for types."""
    found = set()
    for node in ast.iter_child_nodes(tree):
        inner = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) or is_for_types(node)
        if inner and late:
            found |= imports(node, late=False) | imports(node, late=True)
        elif not inner:
            found |= imports(node, late)
        if late:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"a relative import in line {node.lineno}"
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def tops(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


EAGER = {name: imports(ast.parse(path.read_text()), late=False) for name, path in MODULES.items()}
LATE = {name: imports(ast.parse(path.read_text()), late=True) for name, path in MODULES.items()}
USES = {
    package: set().union(*(tops(EAGER[name] | LATE[name]) for name in MODULES if name.split(".")[0] == package))
    for package in PACKAGES
}


def test_sim_imports_the_standard_library_numpy_and_simpy_alone():
    assert USES["sim"] - {"sim", "numpy", "simpy"} <= sys.stdlib_module_names


@pytest.mark.parametrize("package", ["policies", "profiles", "traces"])
def test_a_middle_package_imports_no_sibling_but_sim(package):
    assert USES[package] & {*PACKAGES, "notebooks", "tests"} <= {package, "sim"}


def within_sim(name: str) -> set[str]:
    """The modules of sim that `name` imports, without the packages that they lie in."""
    assert not LATE[name], f"{name} imports late, or for types alone"
    return {one for one in EAGER[name] if one in MODULES and one.split(".")[0] == "sim" and one != "sim"}


SIM = {name for name in MODULES if name.startswith("sim.") and name != "sim.engine"}
ENGINE = {name for name in SIM if name.startswith("sim.engine.")}


def test_the_machinery_is_imported_by_sim_and_the_tests_alone():
    users = {name for name in MODULES if any(one.startswith("sim.engine") for one in EAGER[name] | LATE[name])}
    assert users - ENGINE == {"sim", "sim.simulation"}


def test_sim_imports_nothing_in_a_circle():
    left = {name: within_sim(name) for name in SIM}
    while layer := {name for name, imported in left.items() if not imported & left.keys()}:
        left = {name: imported for name, imported in left.items() if name not in layer}
    assert not left


def test_what_simpy_hides_is_touched_in_one_file():
    hidden = ("._queue", "._eid", "_ok =")
    users = {name for name in SIM if any(one in MODULES[name].read_text() for one in hidden)}
    assert users == {"sim.engine.clock"}


def test_no_two_packages_import_one_another():
    pairs = {(one, other) for one in PACKAGES for other in USES[one] & set(PACKAGES) if one != other}
    assert not {(one, other) for one, other in pairs if (other, one) in pairs}


def heavy_on_load() -> set[str]:
    """Modules that load torch or transformers as soon as they are imported themselves."""
    heavy = {name for name in MODULES if tops(EAGER[name]) & HEAVY}
    while more := {name for name in MODULES if EAGER[name] & heavy} - heavy:
        heavy |= more
    return heavy


def test_torch_is_imported_inside_functions_or_in_a_file_that_is():
    heavy = heavy_on_load()
    reached = set().union(*LATE.values(), *(EAGER[name] for name in heavy))  # late, or through a file that is
    assert heavy - reached == set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_is_short(path: Path):
    assert len(path.read_text().splitlines()) <= LONGEST_FILE


@pytest.mark.parametrize(
    ("source", "eager", "late"),
    [
        ("import torch.nn", {"torch.nn"}, set()),
        ("try:\n    import torch\nexcept ImportError:\n    pass", {"torch"}, set()),
        ("class A:\n    from sim import job", {"sim", "sim.job"}, set()),
        ("def f():\n    if True:\n        def g():\n            import torch", set(), {"torch"}),
        ("if TYPE_CHECKING:\n    import torch", set(), {"torch"}),
    ],
)
def test_what_counts_as_late(source, eager, late):
    assert imports(ast.parse(source), late=False) == eager
    assert imports(ast.parse(source), late=True) == late
