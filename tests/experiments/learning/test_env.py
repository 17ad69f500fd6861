"""The learning environment: gymnasium's interface, the same traces for a seed, and rewards that are those of a run."""

from __future__ import annotations

import re
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

gymnasium = pytest.importorskip("gymnasium", reason="the environment needs the learn extra")

from gymnasium.utils.env_checker import check_env  # noqa: E402

from experiments.learning.env import ID, BestEffort, composed, range_of  # noqa: E402
from experiments.learning.play import Task, greedy, play, players  # noqa: E402
from policies.routing.learned import Learned  # noqa: E402
from policies.routing.network import Network  # noqa: E402
from sim import simulate  # noqa: E402
from tests.conftest import ROOT  # noqa: E402

SMALL = ("seconds=2", "rates=[20,60]")


@pytest.fixture(scope="module")
def env() -> BestEffort:
    return BestEffort(composed(*SMALL))


def network_of(env: BestEffort, seed: int = 0) -> Network:
    """A network of chance, which sends requests to every model."""
    shape = env.features.size, len(env.features.models)
    return Network(env.features, (np.random.default_rng(seed).normal(size=shape).astype(np.float32),), (np.zeros(3),))


def test_it_keeps_gymnasiums_interface():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gymnasium.make(ID, cfg=composed(*SMALL)).unwrapped)


def test_a_seed_draws_the_same_traces_and_the_same_rewards(env):
    made = [play(env, greedy(network_of(env), 0.3, 1), seed) for seed in (5, 5, 6)]
    np.testing.assert_array_equal(made[0].seen, made[1].seen)
    np.testing.assert_array_equal(made[0].stepped, made[1].stepped)
    assert made[0].drawn == made[1].drawn != made[2].drawn
    first, later = env.reset(seed=5)[1], env.reset()[1]  # without a seed it goes on
    assert first == made[0].drawn != later


def test_what_is_drawn_can_be_fixed(env):
    _, drawn = env.reset(seed=1, options={"workload": "gamma", "rate": 30.0})
    assert drawn == {"workload": "gamma", "rate": 30.0, "requests": 60}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"speed": 2}, "options may have workload and rate, got 'speed'"),
        ({"workload": "poisson"}, "the option workload must be of gamma, mmpp, got 'poisson'"),
        *(
            ({"rate": rate}, f"the option rate must be positive and finite, requests/s, got {re.escape(repr(rate))}")
            for rate in (0, -1.0, float("nan"), float("inf"), "fast", True)
        ),
    ],
)
def test_options_that_cannot_be_are_refused_and_the_episode_goes_on(env, options, says):
    env.reset(seed=1)
    with pytest.raises(ValueError, match=says):
        env.reset(options=options)
    env.step(0)


@pytest.mark.parametrize("action", [-1, -3, 3, 1.7, 1.0, True, "1", None])
def test_an_action_that_is_no_model_is_refused_and_the_request_waits(env, action):
    first, _ = env.reset(seed=1)
    says = r"an action must be a model: 0 \(opt-125m\), 1 \(opt-1.3b\), 2 \(opt-6.7b\), got "
    with pytest.raises(ValueError, match=says + re.escape(repr(action))):
        env.step(action)
    assert first[: len(env.features.tasks)].any()
    env.step(np.int64(2))
    assert len(env._routed) == 1


def test_every_decision_is_credited_once_with_what_a_run_says_it_was_worth(env):
    network, options = network_of(env), {"rate": 300.0}
    game = play(env, greedy(network), 3, options)
    assert game.credited.sum() == pytest.approx(game.stepped.sum(), rel=1e-5)
    assert len(set(game.chosen.tolist())) > 1
    assert (game.credited == 0).any()
    gymnasium.Env.reset(env, seed=3)
    requests = env._drawn(options)[1]
    policy = replace(env.policy, routing=Learned(network))
    table = simulate(requests, policy, env.cluster, env.predictor).requests
    order = np.argsort(table["id"])
    seconds = (table["finished"] - table["arrival"])[order]
    worth = env.reward.rewards([request.task for request in requests], table["model"][order].tolist(), seconds)
    np.testing.assert_allclose(game.credited, worth, rtol=1e-6)


def test_an_episode_ends_when_all_have_left_and_asks_no_more(env):
    env.reset(seed=2, options={"rate": 20.0})
    told: list[int] = []
    over = False
    while not over:
        seen, reward, over, cut, info = env.step(2)
        told += [number for number, _ in info["left"]]
        assert reward == pytest.approx(sum(worth for _, worth in info["left"]))
        assert not cut
    assert sorted(told) == list(range(40))
    assert not seen.any()
    with pytest.raises(RuntimeError, match=r"no request asks where to go: .*; call reset\(\)"):
        env.step(0)


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("reward=none", "reward=none: there is nothing to learn from"),
        ("rates=[20,10]", r"rates must be two, positive and in ascending order, got \[20, 10\]"),
        ("+workloads.odd={_target_:sim.Overhead}", "workloads.odd: Overhead is not drawn at a `rate`"),
        ("seconds=x", "seconds of an episode must be positive and finite, got x"),
        ("features.window=0", "window must be positive and finite, got 0"),
    ],
)
def test_what_cannot_be_drawn_is_refused(override, says):
    with pytest.raises(ValueError, match=says):
        BestEffort(composed(override))


@pytest.mark.parametrize("rates", [[1, 2, 3], [1, "x"], [0, 1], [True, 2], [1, float("nan")], 7, "12"])
def test_rates_are_a_range(rates):
    says = f"rates must be two, positive and in ascending order, got {re.escape(str(rates))}"
    with pytest.raises(ValueError, match=says):
        range_of(rates)


@pytest.mark.long
def test_gymnasium_runs_it_in_processes_with_the_same_outcome(env):
    cfg = composed(*SMALL)
    envs = gymnasium.make_vec(ID, num_envs=2, vectorization_mode="async", cfg=cfg)
    try:
        seen, _ = envs.reset(seed=[5, 6])
        np.testing.assert_array_equal(seen[0], env.reset(seed=5)[0])
        seen, rewards, _, _, info = envs.step(np.array([2, 0]))
        after = env.step(2)
        np.testing.assert_array_equal(seen[0], after[0])
        assert rewards[0] == after[1]
        assert info["left"][0] == after[4]["left"]
    finally:
        envs.close()


@pytest.mark.long
def test_processes_play_what_one_plays():
    cfg = composed(*SMALL)
    network = network_of(BestEffort(cfg))
    tasks = [Task(seed, 0.2) for seed in range(3)]
    games = []
    for processes in (1, 2):
        with players(cfg, processes) as submit:
            games.append(submit(network, tasks)())
    for one, other in zip(*games, strict=True):
        np.testing.assert_array_equal(one.seen, other.seen)
        np.testing.assert_array_equal(one.credited, other.credited)


def test_a_person_answers_as_the_page_says(monkeypatch, capsys):
    page = (ROOT / "docs" / "learning.md").read_text()
    [snippet] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    answers = iter(["1", "3", "2"])
    monkeypatch.setattr("builtins.input", lambda asked: next(answers))
    scope: dict[str, Any] = {}
    exec(snippet, scope)
    requests = scope["tables"].requests
    models = dict(zip(requests["id"].tolist(), requests["model"].tolist(), strict=True))
    assert models == {0: "opt-1.3b", 1: "opt-6.7b", 2: "opt-6.7b"}
    assert (requests["finished"] < 3).all()
    assert capsys.readouterr().out.count("Job(id=2") == 2  # as it asks, and as it leaves
