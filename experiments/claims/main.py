"""Every claim of a paper beside what comes out here, with a verdict that is computed; written to docs/claims.md.

    tokenyard claims                        # all papers: tables, counts, docs/claims.md
    tokenyard claims rtlm                   # one paper's table; the page is written for all
    tokenyard claims rtlm --run             # first run the experiments that its claims need; goes on where it stopped
    tokenyard claims --results other        # from results that are elsewhere

Where all runs of an experiment are there, our values are computed anew and kept in experiments/papers/PAPER/found.json.
Where they are not, those kept are used, and it is said from when they are and whether code was changed since. Exit
status 1 if a record was changed since its value was found (but for says, source, sure, reason), or if a run fails.

A claim is a record in experiments/papers/PAPER/claims.yaml, written before it is looked at what comes out:

    paper: "Title, authors, venue, arXiv number"
    claims:
      - name: jct_no_batching       # unique in the paper
        says: the mean JCT falls by 30.5 to 39.6 %, without batching
        claimed: [-39.6, -30.5]     # a range (null: no bound on that side), or one value
        within: 0.1                 # with one value alone: the relative tolerance; 0 is exactly
        none: 0                     # the value of no effect: 0 of changes, 1 of ratios; left out where there is none
        unit: "%"                   # may be left out
        source: abstract
        sure: R                     # R read in it or its code, S secondary, D derived, M remembered, A assumed
        experiment: ssjf/simulator  # whose results it needs, or [a list]; null: none, it reads what ships
        ours: experiments.papers.ssjf.tables.change_of_jct   # f(stored: Stored, **with) -> list[Found]
        with: {batching: none}      # arguments; may be left out
        given: null                 # the parameter that was set by this value, if one was
        assumes: null               # what it rests on, if on assumptions alone; the Founds are the range over them
        reason: one sentence on why it came out so

`Found(where, Interval(mean, half_width))` is experiments.claims'; `where` names the setting, "" for the only one. A
module of such functions may name its SETTINGS: the keys beside choices that tell the runs of its sweeps apart (`load`).
The verdict on one value:

    given           the record says that it was
    cannot be said  the record names an assumption; no results; no interval
    holds           the value is in the range that is claimed, and the interval excludes `none`;
                    where there is no `none`, the interval lies in the range, or is not wider
    cannot be said  interval and range meet, and the interval holds `none`, or there is none and the value is outside
    in part         the interval excludes `none`, and the value is on the claimed side of it, of another size
    does not        anything else

Of several values: what all of them are; in part, if some hold, or hold in part; else, does not.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from experiments.claims import kept as keeping
from experiments.claims.kept import NOTHING, Entry, Kept, digest
from experiments.claims.ours import NoResultsError, basis, make, values
from experiments.claims.page import counts, document, printed, rows
from experiments.claims.record import HERE, Claim, Paper, papers
from experiments.claims.verdict import Verdict
from experiments.run.server import same_code
from experiments.run.written import write_whole

PAGE = Path(__file__).parents[2] / "docs" / "claims.md"


def main(arguments: list[str] | None = None, root: Path = HERE, page: Path = PAGE) -> int:
    """Score what `arguments` name; 1 where a record was changed since it was found, or something failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("papers", nargs="*", metavar="PAPER", help="a folder in experiments/papers (default: all)")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of all sweeps (default: results)")
    parser.add_argument("--run", action="store_true", help="first run the experiments that the claims need")
    parser.add_argument("--jobs", type=int, metavar="N", help="processes of a sweep of --run (default: one a core)")
    options = parser.parse_args(arguments)
    try:
        known = papers(root)
        names = [paper.name for paper in known]
        if unknown := [name for name in options.papers if name not in names]:
            parser.error(f"no claims of {', '.join(unknown)}: there are those of {', '.join(names)}")
        asked = [paper for paper in known if not options.papers or paper.name in options.papers]
        failed = options.run and not run(asked, options.results, options.jobs)
        wrong = [paper.name for paper in asked if not _score(paper, options.results)]
        scored = [(paper, keeping.read(paper.folder)) for paper in known]
        total = counts([row for paper, found in scored if paper in asked for row in rows(paper, found)])
        if at_hand := page.parent.is_dir():
            write_whole(page, document(scored))
    except (ValueError, OSError) as error:
        print(f"tokenyard claims: {error}", file=sys.stderr)
        return 1
    print(f"\n{', '.join(f'{total[one]} {one}' for one in Verdict)}{f': {page}' if at_hand else ''}")
    return 1 if failed or wrong else 0


def run(asked: Iterable[Paper], results: Path, jobs: int | None) -> bool:
    """Run what the claims need, each with its progress; whether all came out."""
    wanted = dict.fromkeys(one for paper in asked for claim in paper.claims for one in claim.experiments)
    well = True
    for experiment in wanted:
        print(experiment, file=sys.stderr)
        same = os.environ | same_code()
        done = subprocess.run(make(experiment, results, jobs), stdout=subprocess.DEVNULL, env=same, check=False)
        well = well and done.returncode == 0
    return well


def _score(paper: Paper, results: Path) -> bool:
    """Find what can be found, keep it, and print the table; whether every record is the one its value was found for."""
    before = keeping.read(paper.folder)
    after, said = find(paper, results, before)
    if after != before:
        keeping.write(paper.folder, after)
    print(*printed(paper, rows(paper, after)), *said, sep="\n")
    changed = [claim.name for claim in paper.claims if after.changed(claim)]
    if changed:
        print(f"{paper.name}: changed since they were found: {', '.join(changed)}", file=sys.stderr)
    return not changed


def find(paper: Paper, results: Path, before: Kept) -> tuple[Kept, list[str]]:
    """What is to be kept of `paper`, found anew where there are results, else as before; and what to say of it."""
    today = datetime.now(UTC).date().isoformat()
    using: dict[str, list[Claim]] = {}
    for claim in paper.claims:
        for name in claim.experiments or (NOTHING,):
            using.setdefault(name, []).append(claim)
    bases, lacking, said = {}, set(), []
    for name, claims in using.items():
        tables = sorted({claim.ours for claim in claims})
        try:
            bases[name] = basis(None if name == NOTHING else name, results, tables, today)
            if not bases[name].is_current(tables):
                said.append(f"  {name}: found by earlier code; --run finds it anew")
        except NoResultsError as error:
            lacking.add(name)
            if old := before.bases.get(name):
                bases[name] = old
                stale = "" if old.is_current(tables) else ", found by earlier code"
                lacks = f"{error}: " if (results / name).exists() else ""
                said.append(f"  {name}: {lacks}kept from {old.date} ({old.runs} runs, {old.seeds} seeds){stale}")
            else:
                said.append(f"  {name}: {error}; to make them: tokenyard claims {paper.name} --run")
    there = [claim for claim in paper.claims if lacking.isdisjoint(claim.experiments)]
    ours = values(there, results)
    entries = {claim.name: Entry(digest(claim), ours[claim.name]) for claim in there}
    kept = {name: entry for name, entry in before.entries.items() if name not in ours}
    same = {name for name, entry in entries.items() if repr(before.entries.get(name)) == repr(entry)}
    for name, new in bases.items():
        old = before.bases.get(name)
        if old and replace(new, date=old.date) == old and {one.name for one in using[name]} <= same | kept.keys():
            bases[name] = old  # the day on which it was found
    entries |= kept
    return Kept({claim.name: entries[claim.name] for claim in paper.claims if claim.name in entries}, bases), said
