"""What a run is worth: by hand, and of a run, with the code of the reward in its identity."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from experiments.conf import HERE as CONF
from experiments.identity.of_run import made_by, resolved
from experiments.run.inputs import build_cluster, read_trace
from experiments.run.rewarded import of_rewards, with_rewards
from experiments.tables import schema
from experiments.tables.collect import complete_folders
from policies.predictor.oracle import OraclePredictor
from policies.reward.deadlines import Deadlines
from sim import Cluster, Request, Truth, simulate
from tests.experiments.run.test_run import typed  # noqa: F401 - a fixture

BEST_EFFORT = [
    "policy=fifo", "policy/batching=continuous", "policy/routing=round_robin", "predictor=oracle", "cluster=opt_family",
    "cluster.devices.small.count=0", "cluster.devices.medium.count=0", "trace=best_effort", "trace.requests=60",
]  # fmt: skip


def composed(*overrides: str):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides=list(overrides))


def table(**changed: list[object]) -> dict[str, np.ndarray]:
    """Five requests of two tasks over 12 s: in time, in time, too late, rejected, in time."""
    columns: dict[str, list[object]] = {
        "arrival": [2.0, 4.0, 6.0, 11.0, 12.0],
        "finished": [3.0, 5.0, 9.0, np.nan, 14.0],
        "task": ["a", "b", "a", "a", "b"],
        "model": ["large", "small", "large", "", "large"],
        **changed,
    }
    return {name: np.array(values) for name, values in columns.items()}


DEADLINES = Deadlines({"a": {"small": 0.2, "large": 0.8}, "b": {"small": 0.49, "large": 0.5}}, hard=2.0, window=5.0)


def test_the_metrics_are_those_of_five_requests_by_hand() -> None:
    rewarded = with_rewards(table(), DEADLINES)
    assert rewarded["reward"].tolist() == [0.8, 0.49, 0.0, 0.0, 0.5]
    found = of_rewards(rewarded, DEADLINES, warmup=0.0)
    assert found == pytest.approx(
        {
            "availability": 0.6,
            "reward_mean": 1.79 / 5,
            "performance": 1.79 / 3.4,
            "time_above_96": 1 / 3,  # 0 to 5 s: 1.29 of 1.3; 5 to 10 s: 0 of 0.8; from 10 s on: 0.5 of 1.3
            "time_above_98": 1 / 3,
        }
    )
    assert set(found) == set(schema.SUMMARY_OF_REWARDS)
    late = of_rewards(rewarded, DEADLINES, warmup=0.5)  # from 6 s on: 0 of 0.8, 0.5 of 1.3
    assert (late["availability"], late["time_above_96"]) == (pytest.approx(1 / 3), 0.0)
    early = of_rewards(
        rewarded, DEADLINES, warmup=1 / 3
    )  # from 4 s on: 0.49 of 1.3, 0.5 of 1.3; from 0 s on 0.49 of 0.5
    assert early["time_above_96"] == 0.0


def test_nobody_in_a_part_is_no_part_and_nobody_at_all_is_not_measured() -> None:
    times = {"arrival": [0.0, 1.0, 100.0, 101.0, 102.0], "finished": [1.0, 2.0, 101.0, np.nan, 103.0]}
    gap = with_rewards(table(**times), DEADLINES)
    assert of_rewards(gap, DEADLINES, 0.0)["time_above_96"] == 0.5
    assert np.isnan(list(of_rewards({name: column[:0] for name, column in gap.items()}, DEADLINES, 0.0).values())).all()


def test_a_trace_without_tasks_is_refused() -> None:
    rows = table()
    del rows["task"]
    with pytest.raises(ValueError, match="a reward needs a trace with tasks"):
        with_rewards(rows, DEADLINES)


def test_a_run_tells_what_it_is_worth_and_keeps_it_for_each_request(tmp_path, typed) -> None:  # noqa: F811
    assert typed(tmp_path, *BEST_EFFORT, "reward=best_effort_soft", "reward.hard=0.8")[0] == 0
    (folder,) = complete_folders(tmp_path)
    found, rows = folder.summary(), pd.read_parquet(folder.path / "requests.parquet")
    assert set(schema.SUMMARY_OF_REWARDS) <= set(found)
    assert set(rows) - set(schema.REQUESTS) <= set(schema.OPTIONAL_REQUESTS)
    assert set(rows["model"]) == {"opt-6.7b"}
    assert 0.5 < found["performance"] < 1
    measured = rows[rows["arrival"] >= 0.1 * rows["arrival"].max()]
    assert found["reward_mean"] == pytest.approx(measured["reward"].mean())


def test_a_reward_needs_tasks_and_is_checked_before_anything_runs(tmp_path, typed) -> None:  # noqa: F811
    settings = [*BEST_EFFORT[:-2], "reward=best_effort"]
    assert "needs a trace with tasks; trace=poisson has none" in typed(tmp_path, *settings, "trace=poisson")[1]
    said = typed(tmp_path, *BEST_EFFORT, "reward=best_effort", "reward.hard=-1")[1]
    assert "reward.hard=-1: hard must be positive and finite seconds, got -1" in said


def test_the_code_of_a_reward_is_among_that_of_its_runs_alone() -> None:
    with_one, without = (made_by(resolved(composed(*BEST_EFFORT, *more))) for more in (["reward=best_effort"], []))
    assert set(with_one) - set(without) == {"policies.reward", "policies.reward.deadlines"}


def test_the_hard_deadline_is_twice_what_a_mean_request_takes_the_largest_model_alone() -> None:
    cfg = composed(*BEST_EFFORT[:-1], "trace.requests=20000", "reward=best_effort_soft")
    rows, _, _ = read_trace(cfg.trace, 0, trains=False)
    prompt, output = (round(rows[name].mean()) for name in ("prompt_tokens", "output_tokens"))
    (large, *_) = (one for one in build_cluster(cfg.cluster).devices if one.name.startswith("large"))
    alone = simulate(
        [Request(0, 0.0, prompt, Truth(output))],
        instantiate(cfg.policy, _convert_="all"),
        Cluster((large,)),
        OraclePredictor(),
    ).requests
    assert cfg.reward.hard == pytest.approx(2 * alone["finished"][0], rel=0.01)
    assert cfg.reward.soft == pytest.approx(2 * cfg.reward.hard)
