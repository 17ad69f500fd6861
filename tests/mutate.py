"""Change one thing in sim/ or policies/, run the tests that cover it, and see whether one fails.

Each of a random sample of mutants (tests/mutants.py) is tried in a copy of the tree: the golden decisions first, then
the tests of its folder, up to the first that fails. One that none kills is a missing test, a line to delete, or a
change that changes no result. What was tried is kept, and the same command goes on from there.

Our own, for mutmut rewrites every function, and cosmic-ray the tree that it stands in; neither samples, has tests by
folder, or says which test killed a mutant, and each brings some twenty packages.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from hashlib import sha256
from pathlib import Path

if __name__ == "__main__":  # run as a file: imports begin at the root, for the folders here bear the packages' names
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from tqdm import tqdm

from tests.conftest import ROOT
from tests.mutants import Mutant, mutants

GOLDEN = ["tests/test_decisions.py", "tests/sim/test_golden.py"]
POLICIES = ["tests/policies", "--ignore=tests/policies/predictor"]
COVERED_BY = {  # what a path begins with (the first that fits): stages of tests, the quick ones first
    "policies/predictor": [["tests/policies/predictor"], GOLDEN[:1]],
    "policies": [GOLDEN[:1], POLICIES, ["tests/sim"]],
    "sim": [GOLDEN, ["tests/sim"], POLICIES],
}
SLOWEST = 3.0  # times what a stage takes unchanged: a mutant that is slower has hung


def stages(path: str) -> list[list[str]]:
    """The tests that cover the file `path`."""
    return next(found for start, found in COVERED_BY.items() if path.startswith(f"{start}/"))


def sample(count: int, seed: int, root: Path = ROOT) -> list[Mutant]:
    """So many mutants of the files in `root` that tests cover, in the order of their places."""
    files = sorted(path for folder in ("sim", "policies") for path in (root / folder).rglob("*.py"))
    found = [one for path in files for one in mutants(path.relative_to(root).as_posix(), path.read_text())]
    chosen = random.Random(seed).sample(range(len(found)), min(count, len(found)))
    return [found[number] for number in sorted(chosen)]


def copy(root: Path, to: Path) -> Path:
    """A copy in `to` of what git tracks of the tree `root`, and of what it would."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, cwd=root, capture_output=True, check=True).stdout.decode().split("\0"):
        if name and (root / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / name, to / name)
    return to


def run(tests: list[str], tree: Path, seconds: float) -> str:
    """The first of `tests` that fails in `tree`, or empty: none does."""
    line = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--hypothesis-seed=0", *tests]
    # no .pyc files: one may be as old and as long as what it was made from, and yet of another mutant
    of_tree = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        line, cwd=tree, env=of_tree, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as process:
        try:
            said, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            return f"time, more than {seconds:.0f} s"
    if process.returncode == 0:
        return ""
    named = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", said, re.MULTILINE)
    return named[1] if named else f"pytest, which ends with {process.returncode}"


class Limits:
    """How long each stage of tests may take, found when the first mutant comes to it."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._lock = threading.Lock()

    def of(self, tests: list[str], tree: Path) -> float:
        """Seconds for `tests`; SystemExit if one fails in `tree`, in which nothing is changed at the moment."""
        with self._lock:
            if str(tests) not in self._seconds:
                start = time.perf_counter()
                if failed := run(tests, tree, 3600):
                    raise SystemExit(f"{failed} fails without any mutant")
                self._seconds[str(tests)] = 30 + SLOWEST * (time.perf_counter() - start)
            return self._seconds[str(tests)]


def killer(mutant: Mutant, tree: Path, limits: Limits) -> str:
    """What kills `mutant` in the copy `tree`, or empty: it survives."""
    path = tree / mutant.path
    source = path.read_text()
    for tests in stages(mutant.path):
        seconds = limits.of(tests, tree)
        path.write_text(mutant.of(source))
        try:
            if found := run(tests, tree, seconds):
                return found
        finally:
            path.write_text(source)
    return ""


def identity(mutant: Mutant, root: Path) -> str:
    """A name for `mutant` of the file as it is now."""
    return sha256(f"{mutant}@{mutant.start}{(root / mutant.path).read_text()}".encode()).hexdigest()[:16]


def told(mutant: Mutant, found: str) -> str:
    """One line of what became of `mutant`."""
    return f"{mutant}: killed by {found}" if found else f"{mutant}: SURVIVED"


def main(arguments: list[str] | None = None) -> None:
    """Try the sample that the command line asks for, and print a line for each mutant and the sum."""
    parser = argparse.ArgumentParser(prog="mutate", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--mutants", type=int, default=100, help="how many (default 100)")
    parser.add_argument("--seed", type=int, default=1, help="equal seeds make equal samples (default 1)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="at a time (default: one a core)")
    parser.add_argument("--kept", type=Path, default=Path("results/mutants.jsonl"), help="what was tried before")
    options = parser.parse_args(arguments)
    chosen = {identity(one, ROOT): one for one in sample(options.mutants, options.seed)}
    options.kept.parent.mkdir(parents=True, exist_ok=True)
    lines = options.kept.read_text().splitlines() if options.kept.exists() else []
    known = {name: found for name, found in map(json.loads, lines) if name in chosen}
    left = [name for name in chosen if name not in known]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(options.jobs) as pool:
        trees: queue.Queue[Path] = queue.Queue()
        for number in range(min(options.jobs, len(left))):
            trees.put(copy(ROOT, Path(folder, f"tree{number}")))
        limits = Limits()

        def tried(name: str) -> tuple[str, str]:
            tree = trees.get()
            try:
                return name, killer(chosen[name], tree, limits)
            finally:
                trees.put(tree)

        done = as_completed([pool.submit(tried, name) for name in left])
        try:
            with options.kept.open("a") as kept:
                for future in tqdm(done, total=len(left), unit="mutant", disable=None):
                    name, found = future.result()
                    known[name] = found
                    print(json.dumps([name, found]), file=kept, flush=True)
                    tqdm.write(told(chosen[name], found), file=sys.stderr)
        finally:
            pool.shutdown(cancel_futures=True)  # of an interruption: those under way are waited for
    print(*(told(chosen[name], known[name]) for name in chosen), sep="\n")
    by = Counter(found.split("::")[0] if "::" in found else found.split(",")[0] for found in known.values() if found)
    survivors = sum(not found for found in known.values())
    print(f"{len(chosen)} mutants: {sum(by.values())} killed, {survivors} survived")
    print(*(f"  {count} by {name}" for name, count in by.most_common()), sep="\n")


if __name__ == "__main__":
    main()
