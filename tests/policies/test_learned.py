"""What a learned routing sees, how its network values it, where it sends a request, and files that hold none."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from policies.routing import learned, network
from policies.routing.features import Features
from policies.routing.learned import Learned
from policies.routing.network import SHIPPED, Network, NetworkError
from sim import Leg, Prediction, Request, Truth
from sim.job import Job

FEATURES = Features(("ask", "tell"), ("small", "large"), most_jobs=10, highest_rate=20.0, window=0.5)


@dataclass(frozen=True)
class View:
    """A replica as a routing sees it."""

    model: str
    jobs: int = 0
    lately: int = 0
    name: str = "gpu"
    kind: str = "gpu"
    submitted: int = 0
    free_blocks: int = 1

    def submitted_within(self, seconds: float) -> int:
        assert seconds == FEATURES.window
        return self.lately

    def cached_tokens(self, job: Job) -> int:
        return 0


def job(task: str | None = "tell") -> Job:
    return Job(Request(7, 0.0, 4, Truth(2), task=task), Prediction(2.0, 0.0))


CLUSTER = (View("small", 1, 2), View("large", 3, 1), View("large", 2, 0), View("other", 50, 1))


def linear(weight: list[list[float]], bias: list[float]) -> Network:
    return Network(FEATURES, (np.array(weight, np.float32),), (np.array(bias, np.float32),))


# Large while it has at most 0.55 of most_jobs.
UNTIL_BUSY = linear([[0, 0], [0, 0], [0, 0], [0, -1], [0, 0]], [-0.55, 0])


def test_the_task_the_jobs_at_each_model_and_the_rate_are_seen():
    found = FEATURES.of(job(), CLUSTER)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [0, 1, 0.1, 0.5, 4 / 0.5 / 20], rtol=1e-6)


def test_what_is_beyond_the_scales_counts_as_1():
    full = (View("small", 11, 6), View("large", 9, 6))
    np.testing.assert_allclose(FEATURES.of(job("ask"), full), [1, 0, 1, 0.9, 1], rtol=1e-6)


@pytest.mark.parametrize("task", ["sing", None])
def test_a_task_that_was_not_trained_is_refused(task):
    with pytest.raises(LookupError, match=f"request 7 has the task {task!r}, and those known here are ask, tell"):
        FEATURES.of(job(task), CLUSTER)


def test_a_model_that_the_cluster_lacks_is_refused():
    with pytest.raises(ValueError, match=r"no device serves 'large' in the cluster, which has \['small'\]"):
        Learned(UNTIL_BUSY).route(job(), (View("small"),))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"tasks": ()}, "tasks must be names that differ"),
        ({"models": ("small", "small")}, "models must be names that differ"),
        ({"most_jobs": 0}, "most_jobs must be positive and finite, got 0"),
        ({"window": float("inf")}, "window must be positive and finite, got inf"),
    ],
)
def test_features_that_cannot_be_are_refused(change, says):
    with pytest.raises(ValueError, match=says):
        replace(FEATURES, **change)


def test_the_least_loaded_replica_of_the_model_of_the_highest_value_serves_it():
    assert Learned(UNTIL_BUSY).route(job(), CLUSTER) == (Leg(2),)
    busy = (View("small", 1), View("large", 3), View("large", 3))
    assert Learned(UNTIL_BUSY).route(job(), busy) == (Leg(0),)


def test_layers_are_joined_by_the_positive_part():
    first, second = np.float32([[1, -1]] * 5), np.float32([[1, 2], [3, 4]])
    made = Network(FEATURES, (first, second), (np.float32([0, 1]), np.float32([0.5, 0])))
    seen = np.float32([[1, 0, 0, 0, 0], [0, 1, 0.5, 0.5, 1]])
    np.testing.assert_allclose(made.values(seen), [[1.5, 2], [3.5, 6]])  # hidden: (1, 0) and (3, 0)
    np.testing.assert_allclose(made.values(-seen[0]), [6.5, 8])  # (0, 2)


@pytest.mark.parametrize(
    ("weight", "bias", "says"),
    [
        ([[0.0, 0.0]] * 4, [0.0, 0.0], "do not lead from 5 numbers"),
        ([[0.0]] * 5, [0.0], "do not lead from 5 numbers"),
        ([[0.0, 0.0]] * 5, [np.nan, 0.0], "a weight is not finite"),
    ],
)
def test_layers_that_do_not_fit_are_refused(weight, bias, says):
    with pytest.raises(ValueError, match=says):
        linear(weight, bias)


def test_a_network_comes_back_from_its_file_in_half_precision(tmp_path):
    made = replace(linear([[0.1, 0.2]] * 5, [1.0, -1 / 3]), provenance={"seed": 3})
    path = tmp_path / "made" / "one.npz"
    network.save(made, path)
    again = learned.load(path).network
    assert (again.features, again.provenance) == (FEATURES, {"seed": 3})
    assert again.biases[0].dtype == np.float32
    np.testing.assert_array_equal(again.weights[0], np.float16(made.weights[0]))
    np.testing.assert_array_equal(again.biases[0], np.float16(made.biases[0]))
    assert list(path.parent.iterdir()) == [path]


def spoiled(path: Path, arrays_too: dict[str, np.ndarray] | None = None, **changes: object) -> Path:
    """A copy of a good file with other content, and arrays."""
    network.save(UNTIL_BUSY, path)
    with np.load(path) as held:
        arrays = dict(held)
    content = json.loads(arrays.pop("content").tobytes()) | changes
    np.savez(path, content=np.frombuffer(json.dumps(content).encode(), np.uint8), **(arrays | (arrays_too or {})))
    return path


def test_a_file_that_holds_none_is_told_by_its_name(tmp_path):
    text, pickled = tmp_path / "text.npz", tmp_path / "pickled.npz"
    text.write_text("no network")
    np.savez(pickled, content=np.array([{}], dtype=object))
    other = spoiled(tmp_path / "other.npz", version=2)
    lacking = spoiled(tmp_path / "lacking.npz", features={"tasks": ["ask"]})
    for path in (text, pickled, other, lacking):
        with pytest.raises(NetworkError, match=f"{path.name}: holds no network: "):
            network.load(path)
    with pytest.raises(NetworkError, match="version is 2, this reads 1"):
        network.load(other)


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"bias0": np.zeros((2, 1))}, r"biases must have one axis, got \[\(2, 1\)\]"),
        ({"bias0": np.zeros(())}, r"biases must have one axis"),
        ({"weight0": np.ones((5, 2), np.complex64)}, r"weights must be floats, got \['complex64'"),
        ({"weight0": np.full((5, 2), "1.0")}, r"weights must be floats, got \['<U3'"),
        ({"weight0": np.full((5, 2), 1e300)}, "a weight is not finite"),
        ({"more": np.zeros(2)}, "has arrays that no layer has: more"),
        ({"more": np.zeros(2), "most": np.zeros(2)}, "weight1"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_arrays_that_are_no_layers_are_refused(tmp_path, arrays, says):
    with pytest.raises(NetworkError, match=says):
        network.load(spoiled(tmp_path / "odd.npz", arrays))


@pytest.mark.parametrize("changes", [{"tasks": "at"}, {"models": "sl"}, {"models": [1, 2]}, {"tasks": ["a", None]}])
def test_names_are_lists_of_texts(tmp_path, changes):
    features = {"tasks": ["ask", "tell"], "models": ["small", "large"], "most_jobs": 1, "highest_rate": 1, "window": 1}
    with pytest.raises(NetworkError, match=f"{next(iter(changes))} must be"):
        network.load(spoiled(tmp_path / "odd.npz", features=features | changes))


def test_a_bare_name_is_that_of_one_that_ships_and_a_file_here_has_a_folder(tmp_path, monkeypatch):
    shipped = sorted(SHIPPED.glob("*.npz"))[0]
    monkeypatch.chdir(tmp_path)
    for name in (shipped.name, "own.npz"):
        network.save(UNTIL_BUSY, tmp_path / name)
    assert network.find(shipped.name) == shipped
    assert network.find("own.npz").samefile(tmp_path / "own.npz")
    assert network.find(f"./{shipped.name}").samefile(tmp_path / shipped.name)
    assert network.load(f"./{shipped.name}").features == FEATURES
    with pytest.raises(FileNotFoundError):
        network.find(f"sub/{shipped.name}")


def test_a_file_that_is_not_there_is_told_with_those_that_ship():
    with pytest.raises(FileNotFoundError, match=r"no network 'nowhere.npz'; those that ship: best_effort"):
        network.find("nowhere.npz")


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.npz")), ids=lambda path: path.name)
def test_a_network_that_ships_is_small_and_says_where_it_is_from(path):
    found = network.load(path.name)
    assert path.stat().st_size < 20_000
    assert found.provenance["seed"] == int(path.stem.rsplit("_", 1)[1])
    assert {"configuration", "code", "decisions", "minutes", "command", "settings"} <= found.provenance.keys()
