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
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from experiments.run.results import Folder
from experiments.run.written import write_bytes
from experiments.spans.chosen import SPANS, Asked
from experiments.spans.parts import devices
from experiments.spans.perfetto import WAITS, counts, dump, events

LARGE = 4 << 20  # bytes of JSON, from which on it is compressed
MOST = 120  # rows of a figure


class Run(NamedTuple):
    """What a run left: `steps` are numbered for each replica, as `first_step` and `last_step` of spans are.

    `blocks` are those of KV that each replica has, `name` is of its policy and seed.
    """

    folder: Path
    requests: pd.DataFrame
    spans: pd.DataFrame
    steps: pd.DataFrame
    blocks: Mapping[str, int]
    name: str

    def within(self, since: float, until: float) -> Run:
        """What was there between two instants, s; what reaches beyond them is there whole."""
        spans = self.spans[(self.spans["end"] > since) & (self.spans["start"] < until)]
        steps = self.steps
        steps = steps[(steps["end"] > since) & (steps["end"] - steps["seconds"] < until)]
        there = self.requests["id"].isin(spans["request"])
        return self._replace(requests=self.requests[there], spans=spans, steps=steps)


def read(folder: Folder) -> Run:
    """Of one run; ValueError if it has no spans."""
    path = folder.path
    if not (path / SPANS).exists():
        given = " ".join(folder.status().get("overrides", []))
        raise ValueError(f"{path} has no spans: make the run again with record=jobs (tokenyard {given} record=jobs)")
    requests, spans, steps = (pd.read_parquet(path / name) for name in ("requests.parquet", SPANS, "steps.parquet"))
    steps.index = pd.Index(steps.groupby("replica").cumcount(), name="step")
    tokens = {name: int(said.split()[0].replace(",", "")) for name, said in folder.summary()["kv"].items()}
    made_of = folder.made_of()
    sizes = {name: entry["block_size"] for name, entry in devices(made_of["config"]).items()}
    blocks = {name: count // sizes[name] for name, count in tokens.items()}
    choices, seed = made_of["choices"], made_of["config"]["seed"]
    system = choices.get("system")
    policy = system if system and system != "None" else choices["policy"]
    return Run(path, requests, spans, steps, blocks, f"{policy}, seed {seed}")


def window(run: Run, most: int = MOST) -> tuple[float, float]:
    """That of the whole run, or of about `most` requests around the instant at which most of them wait, s."""
    spans = run.spans
    if not len(spans):
        raise ValueError(f"{run.folder}: no request was served")
    if spans["request"].nunique() <= most:
        return float(spans["start"].min()), float(spans["end"].max())
    waiting = counts(spans, WAITS)
    at = float(waiting.loc[waiting["count"].idxmax(), "at"]) if len(waiting) else float(spans["start"].median())
    lives = spans.groupby("request").agg(start=("start", "min"), end=("end", "max"))
    apart = pd.concat([lives["start"] - at, at - lives["end"]], axis=1).max(axis=1).clip(lower=0)
    reach = float(apart.sort_values().iloc[most - 1])
    if reach == 0:  # more than so many are there at that instant
        reach = float((lives["end"] - lives["start"]).median()) / 2
    return max(float(spans["start"].min()), at - reach), min(float(spans["end"].max()), at + reach)


def life(run: Run, request: int) -> tuple[float, float]:
    """The window of one request and a tenth of it on either side, s; ValueError if it was not served."""
    own = run.spans[run.spans["request"] == request]
    if not len(own):
        raise ValueError(f"{run.folder}: request {request} was not served; there are 0 to {run.requests['id'].max()}")
    first, last = float(own["start"].min()), float(own["end"].max())
    return max(0.0, first - (last - first) / 10), last + (last - first) / 10


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
