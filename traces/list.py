"""List the public traces: name, size, licence, and which are here already."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable

from traces.catalogue import CATALOGUE, PublicTrace
from traces.locate import public_file


def listing(entries: Iterable[PublicTrace]) -> str:
    """A table of the traces: name, size, licence, whether it is there, and what it is."""
    lines = [f"{'name':<27}{'size':>10}  {'licence':<12}{'there':<7}what"]
    for entry in entries:
        size = "not known" if entry.size is None else f"{entry.size / 1e6:,.1f} MB"
        lines.append(f"{entry.name:<27}{size:>10}  {entry.licence:<12}{_there(entry):<7}{entry.what}")
    return "\n".join(lines)


def _there(entry: PublicTrace) -> str:
    try:
        public_file(entry.file)
    except FileNotFoundError:
        return "no"
    return "yes"


def main(arguments: list[str] | None = None) -> None:
    """Print the list."""
    parser = argparse.ArgumentParser(
        description=f"{__doc__} Looked for in $TOKENYARD_DATA, then in ../shared/data.",
        epilog="to have one: tokenyard trace fetch NAME --to FOLDER",
    )
    parser.parse_args(arguments)
    print(listing(CATALOGUE))


if __name__ == "__main__":
    sys.exit("this is now: tokenyard trace list")
