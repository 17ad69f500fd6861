"""Find a public trace file, which this project reads but does not ship."""

from __future__ import annotations

import os
from pathlib import Path

from traces.catalogue import CATALOGUE

VARIABLE = "TOKENYARD_DATA"
PUBLIC = "traces"  # the folder of the public traces in it


def public_file(path: str) -> Path:
    """The file at `path`, or else under the folder $TOKENYARD_DATA, or else under ../shared/data beside the project.

    A public trace is `traces/FILE` there; in $TOKENYARD_DATA its FILE may also lie without that folder. The project is
    the nearest folder upwards from the working directory that holds a pyproject.toml. Raises FileNotFoundError that
    names every place.
    """
    here = Path.cwd()
    root = next((folder for folder in (here, *here.parents) if (folder / "pyproject.toml").is_file()), here)
    folder = os.environ.get(VARIABLE)
    places = [Path(path).expanduser()]
    if folder:
        data = Path(folder).expanduser()
        places.append(data / path)
        if Path(path).parts[:1] == (PUBLIC,):
            places.append(data / Path(path).relative_to(PUBLIC))
    places.append(root.parent / "shared" / "data" / path)
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        name = next((entry.name for entry in CATALOGUE if entry.file == path and entry.url), None)
        hint = f", or download it: tokenyard trace fetch {name}" if name else ""
        raise FileNotFoundError(
            f"no trace file {path!r}; looked at {', '.join(map(str, places))}. Set {VARIABLE} to the folder that holds "
            f"the public data, with its folder {PUBLIC} ({VARIABLE} is now {folder!r}){hint}"
        )
    return found
