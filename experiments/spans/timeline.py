"""A run as a timeline: a file for Perfetto, and a figure of requests, queue, batch and KV memory.

    tokenyard policy=fifo trace=recorded trace.rate=60 record=jobs name=mine
    tokenyard timeline results/mine                        # of its one run: timeline.json, timeline.png, timeline.pdf
    tokenyard timeline results/mine policy=fifo seed=0     # of one run among several
    tokenyard timeline results/mine --since 3 --until 5    # what happened between 3 and 5 s
    tokenyard timeline results/mine --around 17            # while request 17 was there

The run must have kept its spans: record=jobs. The files lie in the folder of the run, or where --output says. Open the
JSON (gzipped where it is large, which is opened as well) at https://ui.perfetto.dev, or at chrome://tracing: a process
for each replica with a track of its steps and counters of its queue, batch and KV blocks, and a track for each request.

A figure shows the requests that were there in its window, a row each, in the order of arrival. Without a window it is
that of the whole run, or, where that has more than --most requests, that in which most of them waited.
"""

from __future__ import annotations

import argparse
import gzip
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.run.written import write_bytes
from experiments.spans.chosen import Asked
from experiments.spans.kept import Run, life, read, window
from experiments.spans.perfetto import dump, events

LARGE = 4 << 20  # bytes of JSON, from which on it is compressed
MOST = 120  # rows of a figure


def write(run: Run, stem: Path) -> Path:
    """Write the events of `run` to `stem`.json, or .json.gz where they are many; the file."""
    text = dump(events(run.requests, run.spans, run.steps)).encode()
    if len(text) < LARGE:
        path = stem.with_name(f"{stem.name}.json")
    else:
        path, text = stem.with_name(f"{stem.name}.json.gz"), gzip.compress(text, mtime=0)
    stem.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, text)
    return path


def timeline(words: Sequence[str]) -> Run:
    """The run that the words of a command mean."""
    return read(Asked.of(words).one())


def main() -> None:
    """Write the files, and name them; what is wrong is said in one line."""
    from experiments.figures.style import save
    from experiments.spans.picture import draw

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="+", metavar="FOLDER|KEY=VALUE", help="a folder of results, and settings")
    parser.add_argument("--since", type=float, help="begin at this instant (s)")
    parser.add_argument("--until", type=float, help="end at this instant (s)")
    parser.add_argument("--around", type=int, metavar="ID", help="the window in which this request was there")
    parser.add_argument("--most", type=int, default=MOST, help="rows of a figure (default: %(default)s)")
    parser.add_argument(
        "--output", type=Path, help="files without their ending (default: timeline, in the run's folder)"
    )
    given = parser.parse_args()
    try:
        run = timeline(given.words)
        limits = _limits(run, given)
        named = given.since is not None or given.until is not None or given.around is not None
        shown = run.within(*limits)
        if not len(shown.spans):
            raise ValueError(f"nothing was there between {limits[0]:g} and {limits[1]:g} s")
        stem = given.output or run.folder / "timeline"
        paths = [write(shown if named else run, stem), *save(draw(shown, limits, given.most), stem)]
    except (ValueError, OSError) as error:
        sys.exit(f"tokenyard timeline: {error}")
    states = shown.spans["span"].value_counts()
    said = ", ".join(f"{count:,} {name}" for name, count in states.items())
    print(f"{limits[0]:.3f} to {limits[1]:.3f} s: {len(shown.requests):,} of {len(run.requests):,} requests; {said}")
    print(*paths, sep="\n")


def _limits(run: Run, given: argparse.Namespace) -> tuple[float, float]:
    if given.most < 1:
        raise ValueError(f"--most must be at least 1, got {given.most}")
    since, until = life(run, given.around) if given.around is not None else (given.since, given.until)
    if since is None and until is None:
        return window(run, given.most)
    first = float(run.spans["start"].min()) if since is None else since
    last = float(run.spans["end"].max()) if until is None else until
    if not first < last:
        raise ValueError(f"the window must end after it begins, got {first:g} to {last:g} s")
    return first, last
