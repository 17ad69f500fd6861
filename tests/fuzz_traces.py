"""Spoil made trace files in named ways and see what the loaders make of them: `python tests/fuzz_traces.py`.

A file that is not what its format says must be refused by one line that names it; one that is must be loaded as an
independent reading of it says. All else is a defect: its file is kept, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random

from tqdm import tqdm

if __name__ == "__main__":  # run as a file: imports begin at the root, for the folders here bear the packages' names
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from tests.tracefuzz.case import Case, draw
from tests.tracefuzz.csv_formats import FORMATS as CSV
from tests.tracefuzz.json_formats import FORMATS as JSON
from tests.tracefuzz.judge import CRASHED, DEFECTS, HUNG, OUTCOMES, judge
from tests.tracefuzz.parquet_formats import FORMATS as PARQUET
from tests.tracefuzz.prompt_formats import FORMATS as PROMPTS
from tests.tracefuzz.session_formats import FORMATS as SESSIONS
from tests.tracefuzz.table_formats import FORMATS as TABLES

FORMATS = {form.name: form for form in (*CSV, *JSON, *PROMPTS, *PARQUET, *SESSIONS, *TABLES)}
PATIENCE = 10.0  # s, for all loads of one file
STARTING = 50.0  # s more, for a process that has to import all first
MEMORY = 16 << 30  # bytes of address space: a loader that asks for more fails


@dataclass(frozen=True)
class Result:
    """What became of file `number`, with its format and what was done to it."""

    number: int
    format: str
    mutations: tuple[str, ...]
    outcome: str
    detail: str


def case(seed: int, number: int, formats: list[str]) -> Case:
    """The file `number` of the run with `seed`: formats take turns."""
    return draw(FORMATS[formats[number % len(formats)]], Random(f"{seed} {number} {formats[number % len(formats)]}"))


def run(seed: int, number: int, formats: list[str]) -> Result:
    """Make the file, judge it and throw it away."""
    drawn = case(seed, number, formats)
    with tempfile.TemporaryDirectory() as folder:
        found = judge(drawn, Path(folder), described=number % 4 == 0)
    return Result(number, drawn.format.name, drawn.mutations, found.outcome, found.detail)


def _serve(seed: int, formats: list[str], pipe: Connection) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    while True:
        pipe.send(run(seed, pipe.recv(), formats))


def results(seed: int, files: int, formats: list[str]) -> Iterator[Result]:
    """The results in order, from a process that is replaced when it dies or hangs."""
    context = multiprocessing.get_context("spawn")
    worker = None
    for number in range(files):
        patience = PATIENCE if worker else PATIENCE + STARTING
        if worker is None:
            pipe, theirs = context.Pipe()
            worker = context.Process(target=_serve, args=(seed, formats, theirs), daemon=True)
            worker.start()
            theirs.close()
        pipe.send(number)
        try:
            answered = pipe.poll(patience)
            outcome, detail = HUNG, f"no answer within {patience} s"
            if answered:
                yield pipe.recv()
                continue
        except (EOFError, ConnectionResetError):
            worker.join()
            outcome, detail = CRASHED, f"the process died, exit code {worker.exitcode}"
        worker.kill()
        worker = None
        drawn = case(seed, number, formats)
        yield Result(number, drawn.format.name, drawn.mutations, outcome, detail)
    if worker is not None:
        worker.kill()


def keep(result: Result, seed: int, formats: list[str], folder: Path) -> None:
    """The offending file, with what was done to it and what came of it beside it."""
    place = folder / f"{seed}-{result.number}-{result.format}"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    drawn = case(seed, result.number, formats)
    (place / drawn.name).write_bytes(drawn.content)
    (place / "what.json").write_text(json.dumps({**asdict(result), "seed": seed}, indent=1) + "\n")


def table(counts: Counter[tuple[str, str]], title: str) -> str:
    """Rows of `title` against outcomes, with totals."""
    names = sorted({name for name, _ in counts})
    shown = [outcome for outcome in OUTCOMES if outcome in DEFECTS[:3] or any(counts[name, outcome] for name in names)]
    rows = [[name, *(counts[name, outcome] for outcome in shown)] for name in names]
    rows.append(["all", *(sum(counts[name, outcome] for name in names) for outcome in shown)])
    width = max(len(title), *(len(row[0]) for row in rows))
    lines = ["  ".join([title.ljust(width), *(shown), "files"])]
    for name, *cells in rows:
        figures = [f"{cell:>{len(head)}}" for cell, head in zip([*cells, sum(cells)], [*shown, "files"], strict=True)]
        lines.append("  ".join([name.ljust(width), *figures]))
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Run the fuzzer as the command line says; 1 where anything is a defect."""
    parser = argparse.ArgumentParser(prog="fuzz_traces", description=__doc__.split("\n\n")[1])
    parser.add_argument("--files", type=int, default=10_000, help="how many files to make (default 10000)")
    parser.add_argument("--seed", type=int, default=0, help="equal seeds make equal files (default 0)")
    parser.add_argument("--format", action="append", choices=sorted(FORMATS), help="only this format; may be repeated")
    parser.add_argument("--keep", type=Path, default=Path("results/fuzz"), help="where offending files go")
    parser.add_argument("--json", action="store_true", help="print one json object a file in place of the tables")
    options = parser.parse_args(arguments)
    formats = options.format or sorted(FORMATS)
    by_format: Counter[tuple[str, str]] = Counter()
    by_kind: Counter[tuple[str, str]] = Counter()
    defects = []
    for result in tqdm(results(options.seed, options.files, formats), total=options.files, unit="file"):
        by_format[result.format, result.outcome] += 1
        by_kind.update((kind, result.outcome) for kind in result.mutations)
        if options.json:
            print(json.dumps(asdict(result)))
        if result.outcome in DEFECTS:
            defects.append(result)
            keep(result, options.seed, formats, options.keep)
    if not options.json:
        print(table(by_format, "format"), table(by_kind, "mutation (a file may have three)"), sep="\n\n")
    for result in defects[:20]:
        what = f"{result.number} {result.format} {'+'.join(result.mutations)}"
        print(f"{what}: {result.outcome}: {result.detail}", file=sys.stderr)
    if defects:
        print(f"{len(defects)} defects; files in {options.keep}", file=sys.stderr)
    return 1 if defects else 0


if __name__ == "__main__":
    sys.exit(main())
