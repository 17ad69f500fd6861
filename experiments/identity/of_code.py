"""Which code makes a run: modules with all that they import, each by its content without comments and docstrings.

With a plug-in, all files of its folder or its package.
"""

from __future__ import annotations

import ast
import hashlib
import sys
import sysconfig
import time
from collections.abc import Iterable
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from pathlib import Path

from experiments.identity import beside, facts
from experiments.identity.digests import digest_of_file
from experiments.identity.syntax import DOTTED, parsed, plain, texts_in

PROJECT = ("sim", "traces", "policies", "profiles", "experiments")
BUILDERS = ("hydra", "omegaconf")  # they only call what a configuration names
SITES = ("site-packages", "dist-packages")  # a user's own, or the system's that an environment shares
LIBRARIES = (
    *(Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    *(Path(place) for place in sys.path if Path(place).name in SITES),
)
STARTED, LOADED = time.time(), frozenset(sys.modules)  # what this process had loaded by then is no younger


def code_of(always: Iterable[str], targets: Iterable[str]) -> dict[str, str]:
    """Module -> digest, for all that `always` (modules) and `targets` (dotted names of a configuration) import.

    Imports inside functions count, and those whose name is worked out: all that the name may be. A name that only data
    tells is looked for in the packages that its module speaks of, where a target leads there. Modules of libraries do
    not count, but for the package of a target itself.
    """
    found: set[str] = set()
    _follow(found, always, own=None, from_data=False)
    for target in targets:
        module = _module_of(target)
        if module and (top := module.split(".")[0]) not in BUILDERS:
            _follow(found, [module], own=top if is_of_library(top) else None, from_data=True)
    for name in sorted(found):
        _check_loaded(name)
    digests = {name: _digest(name) for name in sorted(found)}
    facts.keep()
    return digests


def files_beside(modules: Iterable[str], targets: Iterable[str]) -> dict[str, str]:
    """Name -> digest, of the files of the plug-ins among `modules` that are no modules themselves.

    What lies in one folder is named after the modules of `targets` there, or else after all of them.
    """
    modules, named = list(modules), {target.split(".")[0] for target in targets}
    taken = {source(module) for module in modules}
    tops = sorted({module.split(".")[0] for module in modules})
    places = {top: place for top in tops if (place := _plug_in(top))}
    found: dict[str, str] = {}
    for folder in sorted({beside.folder_of(place) for place in places.values()}):
        here = [top for top, place in places.items() if beside.folder_of(place) == folder]
        texts = {text for name in modules if name.split(".")[0] in here for text in _texts(name)}
        for top in [top for top in here if top in named] or here:
            own = [file for file in beside.files(places[top], texts) if file not in taken]
            beside.check_unchanged(own)
            found |= {beside.name_of(file, places[top]): _digest_of_file(file) for file in own}
    return found


def present(name: str) -> str | None:
    """The digest of a module, or of a plug-in's file, as it is now; None where it is no more."""
    if " " not in name:
        return _digest(name) if source(name) else None
    file = beside.found_again(name, _place)
    return _digest_of_file(file) if file else None


def is_code(name: str) -> bool:
    """Whether a text is the dotted name of something in a module that is of no library."""
    return "." in name and bool(DOTTED.fullmatch(name)) and not is_of_library(name.split(".")[0])


@cache
def is_of_library(top: str) -> bool:
    """Whether a top-level module is none of ours: of the standard library, installed, or not there."""
    if top in PROJECT:
        return False
    place = _place(top)
    return top in sys.stdlib_module_names or place is None or any(place.is_relative_to(path) for path in LIBRARIES)


@cache
def _plug_in(top: str) -> Path | None:
    """Where a top-level module lies that is neither the project's nor a library's; None for those."""
    return None if top in PROJECT or is_of_library(top) else _place(top)


def _of_plug_in(module: str) -> set[str]:
    """The modules in a plug-in's folder or package, and those in which the dotted names lie that `module` spells."""
    top = module.split(".")[0]
    if _plug_in(top) is None:
        return set()
    return {*_modules_of(top), *(name for text in _texts(module) if is_code(text) and (name := _module_of(text)))}


@cache
def _modules_of(top: str) -> set[str]:
    """The modules in the folder of a plug-in's module, or in its package; none that is no Python."""
    place = _plug_in(top)
    assert place is not None
    folder, above = beside.folder_of(place), [top] if place.is_dir() else []
    found = set()
    for file in beside.files(place, ()):
        name = ".".join([*above, *file.relative_to(folder).with_suffix("").parts]).removesuffix(".__init__")
        if file.suffix == ".py" and DOTTED.fullmatch(name) and source(name) == file and parsed(file):
            found.add(name)
    return found


@cache
def _texts(module: str) -> frozenset[str]:
    """The texts in a module."""
    return frozenset(texts_in(_tree(module)))


def _follow(found: set[str], modules: Iterable[str], own: str | None, from_data: bool) -> None:
    """Add `modules`, their packages, and what they import, to `found`; of libraries, only of the package `own`."""
    seen: set[str] = set()
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module in seen or (is_of_library(top := module.split(".")[0]) and top != own) or not source(module):
            continue
        seen.add(module)
        direct, data = _imports(module)
        waiting += [*direct, *(data if from_data else ()), *([parent] if (parent := module.rpartition(".")[0]) else [])]
        waiting += _of_plug_in(module)
    found |= seen


def _module_of(target: str) -> str | None:
    """The module in which the dotted name `target` stands: its longest part that is one."""
    parts = target.split(".")
    names = (".".join(parts[:end]) for end in range(len(parts), 0, -1))
    return next((name for name in names if source(name)), None)


@cache
def _place(top: str) -> Path | None:
    """The file or the folder of a top-level module, which is not imported for it."""
    if top == "__main__":
        file = getattr(sys.modules[top], "__file__", None)
        return Path(file) if file else None
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    return Path(spec.origin) if spec.has_location and spec.origin else None


@cache
def source(module: str) -> Path | None:
    """The file of a module (of a package, its __init__.py, or the folder if it has none); None where there is none."""
    top, *rest = module.split(".")
    path = _place(top)
    for part in rest:
        if path is None or not path.is_dir():
            return None
        names = (part, f"{part}.py", *(part + suffix for suffix in EXTENSION_SUFFIXES))
        path = next((path / name for name in names if (path / name).exists()), None)
    if path is not None and path.is_dir():
        return path / "__init__.py" if (path / "__init__.py").is_file() else path
    return path


@cache
def _tree(module: str) -> ast.Module:
    path = source(module)
    assert path is not None
    if path.suffix != ".py":  # a package without __init__.py, or compiled
        return ast.Module(body=[], type_ignores=[])
    try:
        return ast.parse(path.read_bytes())
    except SyntaxError as error:
        raise ValueError(f"{path}, line {error.lineno}: {error.msg}") from error


@cache
def _check_loaded(module: str) -> None:
    """ValueError where a module was edited after this process loaded it."""
    path = source(module)
    if module in LOADED and path is not None and path.is_file() and path.stat().st_mtime > STARTED:
        raise ValueError(f"{path} was edited after this process had loaded it: run the command again")


@cache
def _digest(module: str) -> str:
    """16 hexadecimal digits for what a module does; of the first look at it, as what is loaded stays loaded."""
    path = source(module)
    assert path is not None
    if path.suffix == ".py":
        return _facts(module).digest
    return hashlib.sha256(path.read_bytes() if path.is_file() else b"").hexdigest()[:16]


def _digest_of_file(path: Path) -> str:
    """16 hexadecimal digits for a file of a plug-in: of Python, for what it does."""
    tree = parsed(path) if path.suffix == ".py" else None
    return (hashlib.sha256(repr(plain(tree)).encode()).hexdigest() if tree else digest_of_file(path))[:16]


@cache
def _facts(module: str) -> facts.Facts:
    """What the source of a module says; nothing, of a package without one, and of a compiled module."""
    path = source(module)
    assert path is not None
    if path.suffix != ".py":
        return facts.NONE
    return facts.of(path, module if path.stem == "__init__" else module.rpartition(".")[0])


@cache
def _imports(module: str) -> tuple[frozenset[str], frozenset[str]]:
    """The names that a module may import, and those that it may import where data says which."""
    said = _facts(module)
    direct = set(said.names).union(*map(_within, said.stars))
    data: set[str] = set()
    for one, in_package in said.calls:
        named = _within(one) if in_package else {one}
        direct |= named
        if not named or not one:
            spoken = [name for name in said.spoken if not is_of_library(name.split(".")[0])]
            data = data.union(_within(said.package), *map(_within, spoken))
    return frozenset(direct), frozenset(data)


@cache
def _within(package: str) -> set[str]:
    """The module of this name, and all modules below it."""
    path = source(package) if package else None
    if path is None:
        return set()
    folder = path.parent if path.name == "__init__.py" else path
    if not folder.is_dir():
        return {package}
    below = (file.relative_to(folder).with_suffix("").parts for file in folder.rglob("*.py"))
    return {package, *(".".join([package, *parts]).removesuffix(".__init__") for parts in below)}
