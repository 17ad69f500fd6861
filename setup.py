"""How tokenyard is built: with the engine compiled by mypyc where a C compiler is, as pure Python where none is.

    pip install .                           compiled where that can be; `tokenyard --version` says which, and why
    TOKENYARD_PURE=1 pip install .          pure
    pip install -e .                        pure, so that an edited file of the engine runs as it is
    TOKENYARD_PURE=0 pip install -e .       compiled; what is edited then runs pure, all of it (sim/build.py)

This file is the build backend too (PEP 517): only a build that compiles asks pip for what compiling needs.
"""

from __future__ import annotations

import compileall
import json
import os
import runpy
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from setuptools import build_meta, setup
from setuptools.build_meta import (
    build_editable,
    build_sdist,
    build_wheel,
    get_requires_for_build_sdist,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

sim_build = runpy.run_path(str(HERE / "sim" / "build.py"))  # the file alone: the package imports what is not here
STAMP, digests = sim_build["STAMP"], sim_build["digests"]
SOURCES = digests(HERE / "sim")  # as they are now, before mypyc reads them
COMPILER = ["mypy ==2.4.1", "simpy >=4.1", "numpy >=1.26"]  # mypyc, and whose types it reads
# Left as they are: what others derive from, make or read by the fields of a dataclass; what stands between a policy and
# the engine, by whose frames a policy that reads the truth is told from the engine; what is said of tables, whose whole
# numbers are numpy's; and what is SimPy's.
PURE = {
    "__init__", "build", "cluster", "decoding", "device", "execution", "foregone", "gaps", "link", "metrics",
    "checks", "overhead", "policy", "prediction", "record", "replay", "replicas", "request", "slo", "step",
    "engine/__init__", "engine/clock", "engine/hosted", "engine/present", "engine/sessions",
    "engine/view",
}  # fmt: skip


def wants(editable: bool) -> bool:
    """Whether a build is to compile."""
    said = os.environ.get("TOKENYARD_PURE", "")
    return said == "0" or (said == "" and not editable)


def get_requires_for_build_wheel(config_settings: Any = None) -> list[str]:
    """As PEP 517 has it."""
    return build_meta.get_requires_for_build_wheel(config_settings) + (COMPILER if wants(editable=False) else [])


def get_requires_for_build_editable(config_settings: Any = None) -> list[str]:
    """As PEP 660 has it."""
    return build_meta.get_requires_for_build_editable(config_settings) + (COMPILER if wants(editable=True) else [])


why = ""  # nothing is compiled


class Sources(build_py):
    """Takes the sources, which are all there is until they are compiled, and leaves word of that beside the engine."""

    def run(self) -> None:
        """As setuptools asks it; what an earlier build left would be packed too."""
        if not self.editable_mode:
            shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()
        if self.editable_mode:
            (HERE / "sim" / STAMP).unlink(missing_ok=True)
            for name in {package.partition(".")[0] for package in self.packages}:
                # as pip does elsewhere: where Python is told to write no bytecode, as in many containers, each process
                # would compile all that it imports
                compileall.compile_dir(HERE / name, quiet=2, workers=0)
        else:
            leave_word(Path(self.build_lib), {"sources": {}, "why": why})


class Compiled(build_ext):
    """Compiles what there is to be compiled, all of it or nothing, and leaves word of it beside the engine."""

    def run(self) -> None:
        """As setuptools asks it; whatever fails, the sources are there."""
        place = HERE if self.inplace or self.editable_mode else Path(self.build_lib)
        try:
            super().run()
        except Exception as error:
            for built in map(Path, self.get_outputs()):
                built.unlink(missing_ok=True)
            leave_word(place, {"sources": {}, "why": f"compiling failed: {' '.join(str(error).split())}"})
        else:  # a source that is edited meanwhile differs from what was compiled, and is found out at import
            leave_word(place, {"sources": SOURCES})


def leave_word(place: Path, stamp: dict[str, Any]) -> None:
    """Say beside the engine in the folder `place` what was compiled, or why nothing was; and in one line here."""
    (place / "sim" / STAMP).write_text(json.dumps(stamp, indent=1), encoding="utf-8")
    said = f"pure Python: {stamp['why']}" if "why" in stamp else "compiled"
    print(f"tokenyard: the engine is {said}", file=sys.stderr)


def obstacle() -> str:
    """Why nothing can be compiled here, if so."""
    from setuptools._distutils.ccompiler import new_compiler
    from setuptools._distutils.sysconfig import customize_compiler

    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "empty.c")
        source.write_text("#include <Python.h>\n")
        try:
            compiler = new_compiler()
            customize_compiler(compiler)
            compiler.compile([str(source)], output_dir=folder, include_dirs=[sysconfig.get_path("include")])
        except Exception as error:
            return f"no C compiler was found, or no Python.h: {' '.join(str(error).split())}"
    try:
        import mypyc.build  # noqa: F401
    except ImportError:
        return "mypy is not installed"
    return ""


def extensions() -> list[Any]:
    """What mypyc makes of the engine, as C to be compiled; none if that cannot be, or is not wanted."""
    global why
    editable = "editable_wheel" in sys.argv
    if not {"bdist_wheel", "build", "build_ext", "install", "editable_wheel"} & {*sys.argv}:
        return []  # metadata are asked for
    why = obstacle() if wants(editable) else f"it was built with TOKENYARD_PURE={os.environ.get('TOKENYARD_PURE')}"
    if why:
        return []
    from mypyc.build import mypycify

    names = [*HERE.glob("sim/*.py"), *HERE.glob("sim/engine/*.py")]
    modules = sorted(str(file.relative_to(HERE)) for file in names)
    chosen = [name for name in modules if name.removeprefix("sim/").removesuffix(".py") not in PURE]
    try:
        compiled: list[Any] = mypycify(
            [f"--config-file={HERE / 'pyproject.toml'}", *chosen], group_name="tokenyard", debug_level="0"
        )
    except SystemExit:
        why = "mypyc refused it, as is said above"
        return []
    return compiled


if __name__ == "__main__":
    setup(ext_modules=extensions(), cmdclass={"build_py": Sources, "build_ext": Compiled})
