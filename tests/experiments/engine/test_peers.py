"""The driver beside other simulators: stand-ins, which are no simulators, are called by the peers' command lines."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.engine import peers
from experiments.engine.peers import Used, described, ours, round_of, simdistserve, used, vidur

TABLE = pd.DataFrame({"arrival": np.arange(8) / 2, "prompt_tokens": range(10, 18), "output_tokens": 6})
# Each says which call it was, in the order of the calls, and leaves what the peer would.
STAND_IN = """
import json, pathlib, sys
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
with open("calls.txt", "a") as file:
    file.write(f"{__package__.split('.')[0]} {' '.join(sys.argv[1:])}" + chr(10))
"""
DISTSERVE = """
rows = json.loads(pathlib.Path(given["--workload"]).read_text())
assert len(rows) == int(given["--N"])
if "--output-worker" in given:
    events = ["do_prefill", "wait"] * 4 + ["do_decode", "wait"] * sum(row["output_len"] > 0 for row in rows)
    pathlib.Path(given["--output-worker"]).write_text(chr(10).join(["event_type", *events]))
"""


def checkout(folder: Path, module: str, code: str) -> Path:
    """A folder in which `module` is the stand-in."""
    path = folder.joinpath(*module.split(".")).with_suffix(".py")
    path.parent.mkdir(parents=True)
    for package in path.relative_to(folder).parents:
        (folder / package / "__init__.py").touch()
    path.write_text(STAND_IN + code)
    return folder


def first(name: str, size: int) -> pd.DataFrame:
    return TABLE.head(size)


def test_every_system_runs_once_a_size_in_turn(tmp_path: Path) -> None:
    place = checkout(tmp_path / "peers", "simdistserve.benchmarks.simulate_dist", DISTSERVE)
    checkout(place, "vidur.main", "")
    systems = {
        "simdistserve": simdistserve(place, sys.executable, False),
        "simdistserve_steps": simdistserve(place, sys.executable, True),
        "vidur": vidur(place, sys.executable, False),
    }
    found = round_of(systems, first, (4, 8), tmp_path / "round")
    calls = (place / "calls.txt").read_text().splitlines()
    assert [call.split()[0] for call in calls] == ["simdistserve"] * 4 + ["vidur"] * 2
    assert ["--output-worker" in call for call in calls] == [False, False, True, True, False, False]
    assert "--poisson_request_interval_generator_config_qps 2.0" in calls[-1]
    assert "--no-metrics_config_write_metrics" in calls[-1]
    assert np.isnan(found["simdistserve"]["batch"])
    assert found["simdistserve_steps"]["batch"] == 8 * 6 / (4 + 8)
    assert all(one["used"].memory > 1 and one["used"].wall > 0 for one in found.values())
    written = json.loads((tmp_path / "round" / "simdistserve-8" / "requests.json").read_text())
    assert written[3] == {"start_time": 1500.0, "prompt_len": 13, "output_len": 6}
    assert list(pd.read_csv(tmp_path / "round" / "vidur-4" / "lengths.csv")["num_total_tokens"]) == [16, 17, 18, 19]


def test_ratios_are_of_the_same_round() -> None:
    def one(further: float, wall: float) -> dict[str, object]:
        return {"further": further, "start": 1.0, "batch": 35.96, "used": Used(wall, wall, 100 * wall)}

    rounds = [
        {"tokenyard_steps": one(1e-5, 2.0), "vidur_steps": one(2e-4, 8.0)},
        {"tokenyard_steps": one(3e-5, 4.0), "vidur_steps": one(9e-4, 8.0)},
        {"tokenyard_steps": one(2e-5, 4.0), "vidur_steps": one(5e-4, 20.0)},
    ]
    line = described("vidur_steps", rounds, 8)
    assert (line["times"], line["times_spread"]) == (25.0, [20.0, 30.0])
    assert (line["times_whole_command"], line["times_memory"]) == (4.0, 4.0)
    assert (line["us_per_request"], line["wall_seconds"], line["mean_batch"]) == (500.0, 8.0, 36.0)
    assert "times" not in described("tokenyard_steps", rounds, 8)


def test_a_command_that_fails_says_what_it_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="exit code 3: no data"):
        used([sys.executable, "-c", "print('no data'); raise SystemExit(3)"], tmp_path, {}, tmp_path / "log.txt")


def test_our_mean_batch_is_tokens_by_steps(tmp_path: Path) -> None:
    system = ours("steps")
    system.write(TABLE, tmp_path)
    folder = tmp_path / "results" / "peers" / "one"
    folder.mkdir(parents=True)
    pd.DataFrame({"end": range(12)}).to_parquet(folder / "steps.parquet")
    assert system.batch(tmp_path) == 4.0
    assert "record=steps" in system.command(tmp_path)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--rate", "vidur=-1"], "--rate must be NAME=REQUESTS/S"),
        (["--vidur", "."], "--rate vidur=REQUESTS/S is needed"),
    ],
)
def test_a_rate_that_is_wrong_or_missing_is_refused(
    given: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert peers.main(given) == 2
    assert said in capsys.readouterr().err
