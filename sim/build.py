"""Which engine is imported: its Python sources, or what mypyc compiled of them. Both give the same tables, to the bit.

An installed package may hold both. The sources are taken where `TOKENYARD_PURE` is set (and is not 0), and where one of
them is not what was compiled: an edited file never runs as old machine code. `setup.py` says what is compiled and when.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Sequence
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

PACKAGE = Path(__file__).parent
STAMP = "compiled.json"  # beside this file: the digest of each source that was compiled, or why none was
VARIABLE = "TOKENYARD_PURE"
GROUP = "tokenyard__mypyc"  # where mypyc puts the machine code of all modules, beside the package


def digests(package: Path) -> dict[str, str]:
    """The sha256 of each source of the engine in the folder `package`, by its path there."""
    files = sorted([*package.glob("*.py"), *package.glob("engine/*.py")])
    return {file.relative_to(package).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def why_pure(package: Path = PACKAGE) -> str:
    """Why the engine in the folder `package` is not to run as it was compiled; nothing if it is."""
    if os.environ.get(VARIABLE, "0") not in ("", "0"):
        return f"{VARIABLE}={os.environ[VARIABLE]}"
    try:
        stamp = json.loads((package / STAMP).read_text(encoding="utf-8"))
        kept: dict[str, str] = dict(stamp["sources"])
        why = stamp.get("why") if not kept else ""
        if not kept and not why:
            raise ValueError("it says nothing")
    except FileNotFoundError:
        return "a checkout, where an edited file runs as it is (TOKENYARD_PURE=0 pip install -e . compiles it)"
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"{package / STAMP} is damaged: install again"
    if why:
        return str(why)
    now = digests(package)
    if changed := sorted(name for name in {*kept, *now} if kept.get(name) != now.get(name)):
        return f"{package / changed[0]} was changed since it was compiled"
    parts = (package / "job", package.parent / GROUP)
    if not all(any(Path(f"{part}{suffix}").is_file() for suffix in EXTENSION_SUFFIXES) for part in parts):
        return f"it was compiled for another Python than {sys.version.split()[0]}, or in part"
    return ""


class _Sources:
    """Finds the modules of the engine as Python, whatever lies beside them."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """As `importlib` asks it; None for what is not of the engine, ModuleNotFoundError where there is no source."""
        if not name.startswith(f"{__package__}."):
            return None
        for place in path or ():
            file = Path(place) / f"{name.rpartition('.')[2]}.py"
            if file.is_file():
                return spec_from_file_location(name, file, loader=SourceFileLoader(name, str(file)))
            if file.with_suffix("").is_dir():
                return PathFinder.find_spec(name, path, target)
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)


WHY_PURE = why_pure()
BUILD = "pure" if WHY_PURE else "compiled"
if WHY_PURE and any((PACKAGE / f"job{suffix}").is_file() for suffix in EXTENSION_SUFFIXES):
    sys.meta_path.insert(0, _Sources)


def described() -> str:
    """Which engine this is, in one line."""
    return f"the engine is pure Python: {WHY_PURE}" if WHY_PURE else "the engine is compiled"
