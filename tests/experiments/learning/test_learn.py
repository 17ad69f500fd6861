"""Training a router: what it remembers, what an update is, and that one goes on as if it had never stopped."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf

torch = pytest.importorskip("torch", reason="training needs the learn extra")
pytest.importorskip("gymnasium", reason="training needs the learn extra")

from experiments.learning import main, training  # noqa: E402
from experiments.learning.dqn import DoubleDQN  # noqa: E402
from experiments.learning.env import composed  # noqa: E402
from experiments.learning.play import Played  # noqa: E402
from experiments.learning.replay import Batch, Replay  # noqa: E402
from experiments.learning.settings import Settings  # noqa: E402
from policies.routing import network  # noqa: E402
from policies.routing.features import Features  # noqa: E402

FEATURES = Features(("ask",), ("small", "large"), 10, 10.0, 1.0)
VALUES = {
    "decisions": 100, "hidden": [8], "gamma": 0.5, "steps": 1, "credit": "decision", "huber": 1.0,
    "learning_rate": 0.01, "last_learning_rate": 0.001, "batch": 4, "replay": 8, "remembered": 8,
    "decisions_per_update": 1, "first_update": 4, "target_updates": 10, "epsilon": 1.0,
    "last_epsilon": 0.1, "exploring_share": 0.5, "round_episodes": 1,
}  # fmt: skip
SETTINGS = Settings(**VALUES)
TINY = [
    "seconds=1", "rates=[30,90]", "learner.decisions=600", "learner.first_update=100", "learner.batch=16",
    "learner.decisions_per_update=4", "evaluation.rates=2", "evaluation.every=200", "learner.target_updates=20",
]  # fmt: skip


def played(count: int, first: int = 0) -> Played:
    """An episode whose n-th decision saw n, chose n % 2, and was worth n (by itself) or 10 n (what left)."""
    numbers = np.arange(first, first + count, dtype=np.float32)
    seen = np.tile(numbers[:, None], (1, FEATURES.size))
    return Played({}, seen, (numbers % 2).astype(np.int64), numbers, 10 * numbers, np.ones(count, np.float32))


def rewards_of(replay: Replay) -> list[float]:
    return sorted(replay.held.reward[: len(replay)].tolist())


def test_a_decision_is_remembered_with_what_was_seen_at_the_next_and_the_last_of_an_episode_is_not():
    replay = Replay(8, FEATURES.size)
    replay.add(played(4), SETTINGS, np.random.default_rng(1))
    assert rewards_of(replay) == [0, 1, 2]
    drawn = replay.draw(50, np.random.default_rng(0))
    assert set(drawn.reward.tolist()) == {0, 1, 2}
    np.testing.assert_array_equal(drawn.then, drawn.seen + 1)
    np.testing.assert_array_equal(drawn.chosen, drawn.reward % 2)


@pytest.mark.parametrize(("credit", "rewards"), [("step", [0, 10]), ("regret", [-1, 0])])
def test_rewards_may_be_those_of_the_step_or_less_the_best(credit, rewards):
    replay = Replay(8, FEATURES.size)
    replay.add(played(3), replace(SETTINGS, credit=credit), np.random.default_rng(0))
    assert rewards_of(replay) == rewards


def test_rewards_of_several_decisions_are_summed_and_what_is_seen_is_seen_behind_them():
    replay = Replay(8, FEATURES.size)
    replay.add(played(5), replace(SETTINGS, steps=3), np.random.default_rng(0))
    assert rewards_of(replay) == [0 + 0.5 + 2 / 4, 1 + 2 / 2 + 3 / 4]
    np.testing.assert_array_equal(replay.held.then[:2], replay.held.seen[:2] + 3)
    replay.add(played(3), replace(SETTINGS, steps=3), np.random.default_rng(0))  # too short
    assert len(replay) == 2


def test_of_a_long_episode_so_many_decisions_are_remembered_from_all_over_it():
    replay = Replay(100, FEATURES.size)
    replay.add(played(400), replace(SETTINGS, remembered=50), np.random.default_rng(0))
    found = rewards_of(replay)
    assert len(set(found)) == 50
    assert found[0] < 50 < 350 < found[-1]


def test_the_oldest_are_forgotten_and_a_restored_one_goes_on_alike():
    replay, again = Replay(8, FEATURES.size), Replay(8, FEATURES.size)
    replay.add(played(7), SETTINGS, np.random.default_rng(0))
    again.restore(replay.state())
    before = replay.held.reward.copy()
    for one in (replay, again):
        one.add(played(6, first=20), SETTINGS, np.random.default_rng(0))
        assert len(one) == 8
        assert rewards_of(one)[-5:] == [20, 21, 22, 23, 24]
    np.testing.assert_array_equal(replay.held.reward, again.held.reward)
    assert again.added == 11
    np.testing.assert_array_equal(
        replay.held.reward[3:6], before[3:6]
    )  # the ring went on to its end, then to its start
    assert sorted(replay.held.reward[[6, 7, 0, 1, 2]].tolist()) == [20, 21, 22, 23, 24]


def test_an_update_goes_to_the_reward_and_the_targets_value_of_what_the_network_itself_would_choose():
    learner = DoubleDQN(FEATURES, replace(SETTINGS, steps=2), seed=0)
    with torch.no_grad():
        for part in learner.target.parameters():
            part.mul_(3.0)
    seen, then = np.float32([[1, 0, 0, 0], [0, 1, 0, 1]]), np.float32([[0.2, 0.5, 1, 0], [1, 1, 0, 0.3]])
    batch = Batch(seen, np.array([0, 1]), np.float32([5.0, 0.1]), then)
    own = learner.values(torch.from_numpy(then)).argmax(1).tolist()
    behind = learner.target(torch.from_numpy(then)).detach().numpy()
    before = learner.values(torch.from_numpy(seen)).detach().numpy()
    wanted = batch.reward + 0.25 * behind[[0, 1], own]
    apart = np.abs(before[[0, 1], [0, 1]] - wanted)
    huber = np.where(apart <= 1, apart**2 / 2, apart - 0.5).mean()
    loss, value = learner.update(batch, 0.01)
    assert loss == pytest.approx(huber, rel=1e-5)
    assert value == pytest.approx(before[[0, 1], [0, 1]].mean(), rel=1e-5)
    assert learner.update(batch, 0.01)[0] < loss


def test_the_target_is_copied_after_so_many_updates():
    learner = DoubleDQN(FEATURES, SETTINGS, seed=0)
    ones = np.ones((4, 4), np.float32)
    batch = Batch(ones, np.zeros(4, np.int64), ones[0], ones)
    for number in range(1, 11):
        learner.update(batch, 0.01)
        alike = all(map(torch.equal, learner.values.state_dict().values(), learner.target.state_dict().values()))
        assert alike == (number == 10)


def test_chance_and_the_step_go_down_on_lines():
    assert [SETTINGS.epsilon_at(at) for at in (0, 25, 50, 99)] == pytest.approx([1.0, 0.55, 0.1, 0.1])
    assert [SETTINGS.learning_rate_at(at) for at in (0, 50, 200)] == pytest.approx([0.01, 0.0055, 0.001])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"gamma": 1.0}, r"learner.gamma must be from 0 to below 1, got 1.0"),
        ({"credit": "both"}, "learner.credit must be decision, regret or step, got 'both'"),
        ({"batch": 0}, "learner.batch must be a whole number from 1, got 0"),
        ({"batch": 5}, "learner.first_update must lie between batch and replay, got 5, 4, 8"),
        ({"hidden": []}, "learner.hidden must be sizes of layers from 1"),
        ({"epsilon": 1.5}, "learner.epsilon must be from 0 to 1, got 1.5"),
        ({"huber": 0.0}, "learner.huber must be positive and finite, got 0.0"),
        ({"huber": "x"}, "learner.huber must be positive and finite, got x"),
        ({"gamma": float("nan")}, "learner.gamma must be from 0 to below 1, got nan"),
        ({"gamma": ".nan"}, "learner.gamma must be from 0 to below 1, got .nan"),
        ({"hidden": [64.5]}, r"learner.hidden must be sizes of layers from 1, got \[64.5\]"),
        ({"hidden": ["x"]}, r"learner.hidden must be sizes of layers from 1, got \['x'\]"),
        ({"hidden": 64}, "learner.hidden must be sizes of layers from 1, got 64"),
        ({"first_update": "x"}, "learner.first_update must be a whole number from 1, got 'x'"),
        ({"decisions": 3}, "learner.first_update must be at most learner.decisions, got 4 and 3"),
    ],
)
def test_settings_that_cannot_be_are_refused(change, says):
    with pytest.raises(ValueError, match=says):
        Settings(**VALUES | change)


def worth(performance: float) -> Played:
    """An episode of two decisions that reached so much of what there was."""
    ones = np.ones(2, np.float32)
    return replace(played(2), credited=performance * ones, peak=ones)


def test_the_network_that_served_best_is_kept_and_not_one_that_learned_nothing():
    made = training.Training(FEATURES, SETTINGS, 0)
    made._judge([worth(0.9)], [], {})
    assert made.best is None
    kept = []
    for made.learner.updates, performance in enumerate((0.4, 0.6, 0.5), 1):
        with torch.no_grad():
            next(made.learner.values.parameters()).add_(1.0)
        kept.append(made.learner.network())
        made._judge([worth(performance)], [], {})
    assert made.best_performance == pytest.approx(0.6)
    assert made.best is not None
    np.testing.assert_array_equal(made.best.weights[0], kept[1].weights[0])


def test_a_broken_checkpoint_is_named(tmp_path):
    path = tmp_path / "checkpoint.pt"
    made = training.Training(FEATURES, SETTINGS, 0)
    made.save(path)
    whole = path.read_bytes()
    made.restore(path)
    for broken in (b"", b"no checkpoint", whole[:100], whole[: len(whole) // 2]):
        path.write_bytes(broken)
        with pytest.raises(ValueError, match=r"checkpoint.pt holds no checkpoint \(.*\): remove it to begin anew"):
            made.restore(path)


def learn(folder: Path, *more: str) -> Path:
    """Where the network is that is trained with results in `folder`."""
    return main.learn(composed(*TINY, f"results={folder}", *more), "as typed").parent


class Stopped(BaseException):
    """A training is stopped, as by a kill."""


@pytest.mark.long
def test_a_training_that_was_stopped_goes_on_to_the_same_network_and_curve(tmp_path, monkeypatch, capsys):
    whole = learn(tmp_path / "whole")
    save = training.Training.save

    def stop(self: training.Training, path: Path) -> None:
        save(self, path)
        raise Stopped

    with monkeypatch.context() as stopping:
        stopping.setattr(training.Training, "save", stop)
        with pytest.raises(Stopped):
            learn(tmp_path / "parts")
    parts = learn(tmp_path / "parts")
    assert "goes on after" in capsys.readouterr().err
    curves = [pd.read_csv(one / "curve.csv").drop(columns="minutes") for one in (whole, parts)]
    pd.testing.assert_frame_equal(*curves)
    assert len(curves[0]) == 3
    assert curves[0]["performance"].between(0, 1).all()
    one, other = (network.load(place / "network.npz") for place in (whole, parts))
    for layer, again in zip((*one.weights, *one.biases), (*other.weights, *other.biases), strict=True):
        np.testing.assert_array_equal(layer, again)
    assert one.provenance["decisions"] >= 600
    assert one.provenance["configuration"] == other.provenance["configuration"]
    assert one.provenance["performance"] == pytest.approx(curves[0]["performance"].max(), abs=1e-4)
    assert (whole / "curve.png").stat().st_size > 10_000
    with pytest.raises(ValueError, match="holds a training of another configuration: choose another name"):
        learn(tmp_path / "parts", "learner.gamma=0.35")


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("reward=none", "reward=none: there is nothing"),
        ("name=../../esc", "name=../../esc must name a folder within results=.*learn, without '..'"),
        ("learner.steps=90", r"learner.steps must be below .* the longest has 90 \(rates, seconds\), got 90"),
    ],
)
def test_what_cannot_be_trained_is_refused(override, says, tmp_path):
    with pytest.raises(ValueError, match=says):
        learn(tmp_path / "results", override)
    assert not [*tmp_path.rglob("*.npz")]


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        *((name, value, f"{name} must be a whole number from 1, got {value!r}")
          for name in ("processes", "evaluation.every", "evaluation.rates") for value in (0, -1, "x", 1.5)),
        *((name, -1, f"{name}=-1 must be at least 0 and at most 4,294") for name in ("seed", "evaluation.seed")),
        *(("seed", value, f"seed={value} must be a whole number") for value in (1.5, "x")),
    ],
)  # fmt: skip
def test_settings_beside_the_learners_are_named(name, value, says):
    cfg = OmegaConf.create({"processes": 1, "seed": 0, "evaluation": {"every": 1, "rates": 1, "seed": 0}})
    main.check(cfg)
    OmegaConf.update(cfg, name, value)
    with pytest.raises(ValueError, match=says):
        main.check(cfg)


def test_a_training_without_an_update_writes_no_network(tmp_path):
    more = "learner.remembered=20", "learner.first_update=600", "evaluation.rates=1", "workloads.mmpp=null"
    with pytest.raises(ValueError, match=r"learner.first_update=600 decisions were never remembered, but \d+ of 6\d\d"):
        learn(tmp_path, *more)
    assert not [*tmp_path.rglob("*.npz")]


def test_no_seed_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["learn", "seed=[]", f"results={tmp_path}"])
    with pytest.raises(SystemExit, match=r"^tokenyard learn: seed=\[\] has no seed: give one"):
        main.main()


def test_the_command_says_so_in_a_line(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["learn", "learner.gamma=2", f"results={tmp_path}"])
    with pytest.raises(SystemExit, match=r"^tokenyard learn: learner.gamma must be from 0 to below 1, got 2$"):
        main.main()
