"""A sweep that was killed, met a full disk, or lost files gives the tables of one that nothing happened to.

The long form: python tests/test_kills.py --kills 10 --seed N
"""

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pandas as pd

if __name__ == "__main__":  # run as a file: imports begin at the root, for the folders here bear the packages' names
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from experiments.run.results import Folder
from experiments.tables.collect import collect, complete_folders
from tests.apart import begun
from tests.experiments.run.test_run import small

SWEEP = ["-m", *small("trace.requests=120"), "system=sjf_oracle,rtlm", "seed=[0,1]"]
RUNS = 4
DAMAGES = {"requests.parquet": b"PAR1", "summary.json": b'{"requests": 1', "status.json": b""}


def started(folder: Path, jobs: int, **more):
    """The sweep with its results in `folder`."""
    line = [*SWEEP, f"results={folder}", f"hydra.launcher.n_jobs={jobs}"]
    line.sort(key=lambda argument: not argument.startswith("-"))
    return begun(folder.parent / "said", folder, line, TMPDIR=str(folder), PYTHONDONTWRITEBYTECODE="1", **more)


def ended(sweep, folder: Path) -> str:
    """What a sweep wrote, once it is through."""
    sweep.join(timeout=100)
    said = (folder.parent / "said").read_text()
    assert "Traceback" not in said, said
    return said


def killed(folder: Path, jobs: int, seconds: float, group: bool) -> int:
    """Start the sweep, and kill it after so many seconds, with its workers or without; its group of processes."""
    while True:
        sweep = started(folder, jobs)
        sweep.join(timeout=seconds)
        if sweep.exitcode is None:
            (os.killpg if group else os.kill)(sweep.pid, signal.SIGKILL)
            sweep.join()
            return sweep.pid
        seconds *= 0.7  # it was through: sooner, and with something left to do
        for path in sorted(folder.glob("adhoc/*/summary.json"))[:2]:
            path.unlink()


def buried(group: int) -> None:
    """End the workers that outlived a sweep."""
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def table_of(folder: Path) -> pd.DataFrame:
    return collect(complete_folders(folder))


def temporaries(folder: Path) -> list[str]:
    hidden = [str(path) for path in folder.rglob(".*") if path.is_file()]
    return hidden + [str(path) for path in folder.glob("tokenyard-*")]


def disturbed(root: Path, kills: int, jobs: int, rng: random.Random) -> None:
    """Do all that to a sweep, and compare it with one left alone; AssertionError where they differ."""
    whole, folder = root / "whole", root / "disturbed"
    whole.mkdir()
    folder.mkdir()
    start = time.monotonic()
    assert f"{RUNS} made now" in ended(started(whole, jobs), whole)
    expected, seconds = table_of(whole), time.monotonic() - start
    groups = [killed(folder, jobs, rng.uniform(0.2, 1.0) * seconds, group=rng.random() < 0.5) for _ in range(kills)]
    for group in groups:
        buried(group)
    for path in sorted(folder.glob("adhoc/*/summary.json"))[-2:]:
        path.unlink()  # so that the full disk meets something to do
    said = ended(full := started(folder, jobs, bytes_a_file=rng.randrange(3000, 9000)), folder)
    assert full.exitcode == 1, said
    assert said.count("failed: ") >= 1 or "the sweep" in said, said
    for run, (name, content) in zip(complete_folders(whole), DAMAGES.items(), strict=False):
        spoilt = folder / "adhoc" / run.path.name
        shutil.copytree(run.path, spoilt, dirs_exist_ok=True)
        (spoilt / name).write_bytes(content)
        assert Folder(spoilt).state == "damaged"
    assert "0 failed" in ended(started(folder, jobs), folder)
    pd.testing.assert_frame_equal(table_of(folder), expected)
    assert not temporaries(folder)


def test_a_sweep_that_was_killed_met_a_full_disk_and_lost_files_gives_the_same_table(tmp_path):
    disturbed(tmp_path, kills=1, jobs=1, rng=random.Random(3))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        disturbed(Path(root), options.kills, 2, random.Random(options.seed))
    print(f"{options.kills} kills, a full disk, {len(DAMAGES)} damaged files: the tables are equal")


if __name__ == "__main__":
    main()
