"""A plug-in's own files: what lies beside its module, or anywhere in its package, and what its texts name."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from experiments.identity.digests import digest_of_file

MOST_FILES, MOST_BYTES = 2000, 256 * 2**20
NAME = re.compile(r"(.+) (?:beside|in) ([\w.]+)", re.DOTALL)
LOG = re.compile(r"tokenyard-.*\.jsonl")  # of a sweep, where TMPDIR is the plug-in's folder
_first: dict[Path, str] = {}  # the digests at this process's first look


def files(place: Path, texts: Iterable[str]) -> Iterator[Path]:
    """All files of the plug-in at `place`, a package's folder or a module's file, of which `texts` are constants.

    In a package all below it count; beside a module its folder, without folders below it but those that a text names.
    Hidden files, caches and folders of results do not. ValueError for too many files, or one that is too large.
    """
    folder = folder_of(place)
    named = {folder, *_named(folder, texts)}
    found: set[Path] = set()
    for path in sorted(named):
        for file in (path,) if path.is_file() else _within(path, deep=path != folder or place.is_dir()):
            if file.stat().st_size > MOST_BYTES:
                raise ValueError(f"{file} has over {MOST_BYTES >> 20} MB, and {_aside(place)}")
            found.add(file)
            if len(found) > MOST_FILES:
                raise ValueError(f"{folder} holds over {MOST_FILES} files, and {_aside(place)}")
    yield from sorted(found)


def name_of(file: Path, place: Path) -> str:
    """What a file of a plug-in is called among the code of a run, and in messages: see `found_again`."""
    folder = folder_of(place)
    shown = file.relative_to(folder) if file.is_relative_to(folder) else file
    return f"{shown} in {place.name}" if place.is_dir() else f"{shown} beside {place.name.split('.')[0]}"


def found_again(name: str, place_of: Callable[[str], Path | None]) -> Path | None:
    """The file that `name_of` calls so, where the module that it names lies now; None where there is none."""
    told = NAME.fullmatch(name)
    place = place_of(told[2]) if told else None
    path = folder_of(place) / told[1] if told and place else None
    return path if path and path.is_file() else None


def check_unchanged(paths: Iterable[Path]) -> None:
    """ValueError where one of `paths` was changed since this process looked first: a plug-in may keep what it read."""
    for path in paths:
        now = digest_of_file(path)
        if _first.setdefault(path, now) != now:
            raise ValueError(
                f"{path} was changed after this process may have read it: run the command again; "
                "if it is none of the plug-in's, put the plug-in in a folder of its own"
            )


def _aside(place: Path) -> str:
    return f"all there counts as the plug-in {place.name}'s: put the plug-in in a folder of its own"


def folder_of(place: Path) -> Path:
    """The folder of a package, or that in which a module lies."""
    return place if place.is_dir() else place.parent


def _named(folder: Path, texts: Iterable[str]) -> Iterator[Path]:
    """The files, and the folders beside a module, that texts name; of an absolute path, a file alone."""
    for text in texts:
        if not text or len(text) > 255 or not text.isprintable():
            continue
        for base in (folder, Path.cwd()):
            path = base / text
            if path.is_file():
                yield path
        inside = bool(parts := Path(text).parts) and not os.path.isabs(text) and ".." not in parts
        if inside and (folder / text).is_dir() and not _holds_runs(folder / text):
            yield folder / text


def _within(folder: Path, deep: bool) -> Iterator[Path]:
    seen: set[str] = set()
    for above, below, names in os.walk(folder, followlinks=True):
        here = Path(above)
        seen.add(os.path.realpath(here))
        kept = [name for name in below if deep and name[0] != "." and name != "__pycache__"]
        below[:] = sorted(
            name for name in kept if os.path.realpath(here / name) not in seen and not _holds_runs(here / name)
        )
        for path in (here / name for name in sorted(names) if name[0] != "." and not LOG.fullmatch(name)):
            if path.is_file() and os.access(path, os.R_OK):
                yield path


def _holds_runs(folder: Path) -> bool:
    """Whether it is a run's folder, or one of such."""
    return any(any(folder.glob(f"{depth}status.json")) for depth in ("", "*/", "*/*/"))
