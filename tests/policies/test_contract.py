"""Every policy and every part of one that has a yaml keeps the contract, and a policy that breaks it is found out."""

import copy
import dataclasses
import functools
import itertools
import sys
import types
from dataclasses import dataclass, field
from pathlib import Path

import hydra
import numpy as np
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

import policies.order
import sim
from policies.batching.continuous import Continuous
from policies.batching.preemptive import Preemptive
from policies.batching.static import Static
from policies.contract import ContractError, GuardedTruth, check_policy
from policies.eviction.recompute import Recompute
from policies.eviction.swap import Swap
from policies.order.fifo import FIFO
from policies.predictor.oracle import OraclePredictor
from policies.predictor.regression import fit_length_regression
from policies.routing.least_loaded import LeastLoaded
from sim import (
    Cluster,
    Eviction,
    FixedOrder,
    Hold,
    IterationLevel,
    Keep,
    Link,
    NotingOrder,
    Order,
    Pause,
    Policy,
    PredictedPause,
    Prediction,
    Predictor,
    Request,
    Review,
    Stands,
    Truth,
)
from tests.conftest import ROOT, LinearProfile, make_device, make_policy, make_requests

CONF = ROOT / "experiments" / "conf"
READS = f"{__name__} reads the true output length"
LONGEST_ANSWER = 40
SHORT = {"kv_tokens": 128, "max_model_len": 128, "kv_bytes_per_token": 100}  # eight blocks; one job may need seven
KINDS = ("gpu", "cpu", "prefill", "decode")
MODELS = ("opt-6.7b", "opt-1.3b", "opt-125m", "opt-125m")
CLUSTER = Cluster(
    tuple(make_device(kind, kind, model=model, **SHORT) for kind, model in zip(KINDS, MODELS, strict=True)),
    Link(0.001, 1e6),
)
STEPS = {"opt-6.7b": [0.02, 0.001], "opt-1.3b": [0.01, 0.001], "opt-125m": [0.005, 0.0]}
TASKS = ("hellaswag", "piqa", "openbookqa", "copa")


def calling(number: int, output: int) -> Truth:
    """The truth of a request that calls out once, or not."""
    pauses = (Pause(output // 2, 0.05 * number, 3 * (number % 4)),) if number % 3 == 1 and output > 2 else ()
    return Truth(output, pauses=pauses)


@functools.cache
def workload(count=24, seed=0) -> list[Request]:
    """Requests that come faster than they are served, with six text features each, some with a deadline or a call."""
    rng = np.random.default_rng(seed)
    arrivals = np.cumsum(rng.exponential(0.03, count))
    return [
        Request(
            number,
            float(arrivals[number]),
            prompt_tokens=int(rng.integers(1, 60)),
            truth=calling(number, int(rng.integers(1, LONGEST_ANSWER + 1))),
            max_tokens=LONGEST_ANSWER,
            prompt_text="Tell me about it.",
            features=tuple(rng.integers(0, 4, 6).astype(float)),
            task=TASKS[number % 4],
            deadline=float(arrivals[number]) + 1.0 if number % 3 == 0 else None,
        )
        for number in range(count)
    ]


@dataclass(frozen=True)
class Guessing(Predictor):
    """Lengths by `lengths`, and one call of each request, always the same."""

    lengths: Predictor

    def predict(self, request):
        return self.lengths.predict(request)._replace(pauses=(PredictedPause(9.0, 0.3, 4.0),))


@functools.cache
def predictor():
    """A regression fitted to other requests of the same kind."""
    training = workload(count=60, seed=1)
    answers = [[request.truth.output_tokens] for request in training]
    return Guessing(fit_length_regression(training, answers, prompt_length=True, rules=range(6), seconds=1e-4))


def compose(*overrides: str) -> Policy:
    """The policy of the whole configuration with these overrides."""
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = hydra.compose("config", overrides=["reward=best_effort", *overrides])
    median = float(np.median([predictor().predict(request).uncertainty for request in workload()]))
    given = {"phi": 1e-4, "eta": 1e-2, "tau": median, "t0": 1e-4, "alpha": 1e-5, "beta": 1e-2}
    for name, value in {**given, "steps": STEPS, "answer": 20.0}.items():
        OmegaConf.update(cfg, f"calibration.{name}", value, force_add=True)
    return instantiate(cfg.policy)


def options(folder: Path) -> list[str]:
    group = folder.relative_to(CONF)
    return [f"{group}={path.stem}" for path in sorted(folder.glob("*.yaml"))]


POLICIES = options(CONF / "policy")
PARTS = [option for folder in sorted((CONF / "policy").iterdir()) if folder.is_dir() for option in options(folder)]


def checked(policy: Policy):
    return check_policy(policy, CLUSTER, predictor(), workload()).requests


@pytest.mark.parametrize("override", POLICIES + PARTS)
def test_what_has_a_yaml_keeps_the_contract(override):
    assert set(checked(compose(override))["status"].tolist()) == {"finished"}


@pytest.mark.parametrize("override", [one for one in POLICIES + PARTS if "batching" not in one])
def test_what_has_a_yaml_keeps_the_contract_under_continuous_batching_that_preempts(override):
    table = checked(compose(override, "policy/batching=continuous"))
    assert set(table["status"].tolist()) == {"finished"}
    assert table["preemptions"].sum() > 0


def test_the_policies_and_the_parts_are_found():
    assert {"policy=rtlm", "policy=fifo"} <= set(POLICIES)
    assert {"policy/order=up", "policy/batching=static", "policy/routing=offload", "policy/eviction=swap"} <= set(PARTS)


def test_a_new_order_is_one_file_and_one_yaml(tmp_path, monkeypatch):
    """The example of the design page, in a folder of its own."""
    (tmp_path / "patience.py").write_text(PATIENCE)
    yaml = tmp_path / "conf" / "policy" / "order" / "patience.yaml"
    yaml.parent.mkdir(parents=True)
    yaml.write_text("_target_: policies.order.patience.Patience\nweight: 10.0\n")
    monkeypatch.setattr(policies.order, "__path__", [*policies.order.__path__, str(tmp_path)])
    searchpath = f"hydra.searchpath=[file://{tmp_path / 'conf'}]"
    try:
        for batching in ("policy/batching=static", "policy/batching=continuous"):
            policy = compose(searchpath, "policy/order=patience", "policy.order.weight=3", batching)
            assert repr(policy.order) == "Patience(weight=3)"
            assert set(checked(policy)["status"].tolist()) == {"finished"}
        with pytest.raises(Exception, match="weight must not be negative, got -1"):
            compose(searchpath, "policy/order=patience", "policy.order.weight=-1")
    finally:
        sys.modules.pop("policies.order.patience", None)
        vars(policies.order).pop("patience", None)


PATIENCE = '''
"""Shortest predicted job first, with linear aging so that nobody waits for ever."""
from dataclasses import dataclass

from sim import Order


@dataclass(frozen=True, slots=True)
class Patience(Order):
    """Rank by predicted length, less `weight` tokens for each second waited."""
    weight: float = 10.0
    def __post_init__(self):
        if self.weight < 0: raise ValueError(f"weight must not be negative, got {self.weight}")
    def rank(self, job, now):
        return job.prediction.length - self.weight * (now - job.request.arrival)
'''


# Policies that break a rule


def refused(message, predictor=None, **parts):
    with pytest.raises(ContractError, match=message):
        check_policy(make_policy(**parts), CLUSTER, predictor or OraclePredictor(), workload())


def order(rank, kind=Order, **methods):
    return type("Bad", (kind,), {name: staticmethod(one) for name, one in {"rank": rank, **methods}.items()})()


def fixed(rank, said=True):
    return type("Bad", (Order,), {"rank": rank, "fixed": said})()


@dataclass
class Counting(Order):
    calls: int = 0

    def rank(self, job, now):
        self.calls += 1
        return self.calls


def meddling(job, now):
    job.preemptions += 1
    return 0.0


ENDLESS = itertools.count(1)
SEEN: dict[object, int] = {}


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (Counting(), "Counting.rank is not pure: it answers otherwise when asked twice of Job\\(id=0"),
        (order(meddling), "Bad.rank changes Job\\(id=0"),
        (order(lambda job, now: float("nan")), "Bad.rank gives nan for Job\\(id=0"),
        (order(lambda job, now: (0.0, float("nan"))), "Bad.rank gives \\(0.0, nan\\)"),
        (order(lambda job, now: None), "Bad.rank gives None for Job\\(id=0"),
        (order(lambda job, now: "a"), "Bad.rank gives 'a' for Job\\(id=0"),
        (FIFO, "ABCMeta is no order: it must derive from sim.Order"),
        (
            order(lambda job, now: now, FixedOrder),
            r"Bad.fixed says at (\S+) s that Job\(id=0, .*\) keeps the rank \1 until inf s or inf tokens: at ",
        ),
        (
            order(lambda job, now: now // 0.25, stands=lambda job, now: Stands(instant=now + 0.5)),
            r"Bad.stands says at \S+ s that Job\(id=\d+, .*\) keeps the rank \S+ until \S+ s or inf tokens: at ",
        ),
        (
            order(lambda job, now: SEEN.setdefault((job, now), len(SEEN)), stands=lambda job, now: Stands()),
            r"Bad.stands says at \S+ s that Job",
        ),
        (
            order(lambda job, now: job.emitted, FixedOrder),
            r"Bad.stands says at 3.0 s that Job\(id=0, .*\) keeps the rank 0 until inf s or inf tokens: at 4.0 s it",
        ),
        (
            fixed(lambda self, job, now: now),
            r"Bad.fixed says at (\S+) s that Job\(id=0, .*\) keeps the rank \1 until inf s or inf tokens: at ",
        ),
        (
            fixed(lambda self, job, now: now - job.request.arrival < 30),
            "Bad.fixed says at .* keeps the rank True until",
        ),
        (fixed(lambda self, job, now: 0.0, 1), "Bad.fixed must be True or False, got 1"),
        (order(lambda job, now: 0.0, stands=lambda job, now: 5), r"Bad.stands gives 5 for Job\(id=0, .* no sim.Stands"),
        (order(lambda job, now: 0.0, stands=lambda job, now: Stands(tokens=next(ENDLESS))), "Bad.stands is not pure"),
        (order(lambda job, now: 0.0, NotingOrder, note=lambda job, now, steps: next(ENDLESS)), "Bad.note is not pure"),
        (order(lambda job, now: job.request.truth.output_tokens), READS),
        (order(lambda job, now: hash(job.request)), READS),
        (order(lambda job, now: len(repr(job.request))), READS),
        (order(lambda job, now: job.request.truth == Truth(1)), READS),
        (order(lambda job, now: Truth(1) == job.request.truth), READS),
        (order(lambda job, now: dataclasses.asdict(job.request)["truth"]["output_tokens"]), READS),
        (order(lambda job, now: copy.deepcopy(job.request.truth) is None), READS),
    ],
)
def test_an_order_that_breaks_a_rule_is_found_out(bad, message):
    refused(message, order=bad)


def test_what_is_no_batching_is_named():
    refused("Hold is no batching: it must derive from sim.Batching", batching=Hold(1.0))


def test_the_engine_calls_an_order_that_is_checked_by_its_own_name(monkeypatch):
    monkeypatch.setattr("sim.engine.parked.FRUITLESS", 20)
    turns = order(lambda job, now: (now + job.request.id) // 1.0 % 2)
    policy = make_policy(batching=Preemptive(max_num_seqs=1, max_num_batched_tokens=1), order=turns)
    cluster = Cluster((make_device(profile=LinearProfile(1.0, 0.0)),))
    with pytest.raises(RuntimeError, match="no prefill ended, by Bad and Recompute: "):
        check_policy(policy, cluster, OraclePredictor(), make_requests([0, 0], [9, 9], [1, 1]))


class Restless(Recompute):
    def on_stop(self, job, cause, load, now):
        return (Keep.DROP, Keep.SWAP)[next(ENDLESS) % 2]


class Meddling(Recompute):
    def on_stop(self, job, cause, load, now):
        job.preemptions = 0
        return Keep.DROP


class MeddlingReview(Swap):
    def review(self, idle, jobs, load, now):
        idle[0].note = now
        return Review(steps=1)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (Restless(), r"Restless.on_stop is not pure: it answers otherwise when asked twice of Job\(id="),
        (Meddling(), r"Meddling.on_stop changes Job\(id="),
        (MeddlingReview(), r"MeddlingReview.review changes Job\(id="),
    ],
)
def test_an_eviction_that_breaks_a_rule_is_found_out(bad, message):
    refused(message, eviction=bad)


class Peeking(Predictor):
    def predict(self, request):
        return Prediction(length=float(request.truth.output_tokens), uncertainty=0.0)


def test_a_predictor_that_reads_the_truth_is_found_out():
    refused(READS, predictor=Peeking())


class PeekingRouting(LeastLoaded):
    def route(self, job, cluster):
        return super().route(job, cluster) if job.request.truth.output_tokens < 10 else ()


class PeekingEviction(Eviction):
    def on_stop(self, job, cause, load, now):
        return job.request.truth.output_tokens


@pytest.mark.parametrize(("slot", "part"), [("routing", PeekingRouting), ("eviction", PeekingEviction)])
def test_a_routing_or_an_eviction_that_reads_the_truth_is_found_out(slot, part):
    refused(READS, **{slot: part()})


@dataclass
class Batching(sim.Batching):
    """Continuous batching, but for what a subclass does otherwise."""

    kept: list = field(default_factory=list)
    execution: IterationLevel = field(default_factory=lambda: Continuous(max_num_seqs=4).execution)

    def select(self, waiting, running, now):
        return waiting


class KeepsWaiting(Batching):
    def select(self, waiting, running, now):
        self.kept.append(waiting)
        return waiting


class SelectsAStranger(Batching):
    def select(self, waiting, running, now):
        self.kept.extend(waiting)
        return [*waiting, *(job for job in self.kept if job.complete)]


class SelectsWhoRuns(Batching):
    def select(self, waiting, running, now):
        return [*running, *waiting]


class SelectsTwice(Batching):
    def select(self, waiting, running, now):
        return waiting + waiting


class HoldsInThePast(Batching):
    def select(self, waiting, running, now):
        return waiting if running else Hold(now)


class Boosts(Batching):
    def select(self, waiting, running, now):
        for job in waiting:
            job.host_tokens += 1
        return waiting


class BoostsWhoRuns(Batching):
    def select(self, waiting, running, now):
        for job in running:
            job.preemptions += 1
        return waiting


class Peeks(Batching):
    def select(self, waiting, running, now):
        return tuple(sorted(waiting, key=lambda job: job.request.truth.output_tokens))


class StopsAStranger(Batching):
    def victim(self, incoming, running, lacks, now):
        return incoming


class Demotes(Batching):
    def victim(self, incoming, running, lacks, now):
        for job in running:
            job.preemptions += 1


class Wavers(Batching):
    """Its answer does not stand until ranks worsen: in each second the last stops in the second half."""

    def victim(self, incoming, running, lacks, now):
        return None if now % 1 < 0.5 else max(running, key=lambda job: job.request.id, default=None)


class Dithers(Batching):
    """Its answer does not stand until a job comes or leaves: in each second nobody joins in the first half."""

    def select(self, waiting, running, now):
        return () if running and now % 1 < 0.5 else waiting


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (KeepsWaiting(), "KeepsWaiting.select keeps a tuple that it was handed"),
        (SelectsAStranger(), "SelectsAStranger.select gives a job twice, or one that it was not shown"),
        (SelectsWhoRuns(), "SelectsWhoRuns.select gives a job twice, or one that it was not shown"),
        (SelectsTwice(), "SelectsTwice.select gives a job twice, or one that it was not shown"),
        (HoldsInThePast(), "HoldsInThePast.select holds at .* s until .* s"),
        (Boosts(), "Boosts.select changes a job"),
        (BoostsWhoRuns(), "BoostsWhoRuns.select changes a job"),
        (Dithers(), "leaping and stepping differ in step"),
        (Peeks(), READS),
        (StopsAStranger(), r"StopsAStranger.victim names Job\(id=\d+, .*\) at \S+ s, which was not shown as running"),
        (Demotes(), "Demotes.victim changes a job"),
        (Wavers(), "leaping and stepping differ in step"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Batching) else "",
)
def test_a_batching_that_breaks_a_rule_is_found_out(bad, message):
    refused(message, batching=bad)


@pytest.mark.parametrize("batching", [Batching(), Static(4), Static(4, max_wait=0.5)], ids=repr)
def test_the_same_policies_without_the_fault_pass(batching):
    by_progress = order(lambda job, now: -job.emitted, FixedOrder)  # it stands still while the job waits
    for good in (FIFO(), by_progress, order(lambda job, now: (job.request.arrival - now, 1.0))):
        policy = make_policy(order=good, batching=batching)
        table = check_policy(policy, CLUSTER, OraclePredictor(), workload()).requests
        assert table["output_tokens"].tolist() == [request.truth.output_tokens for request in workload()]


def test_a_guarded_truth_is_read_by_the_oracle_alone():
    request = dataclasses.replace(workload()[0], truth=GuardedTruth(7), max_tokens=7)
    assert OraclePredictor().predict(request).length == 7
    with pytest.raises(ContractError, match=READS):
        str(request.truth)
    for name in ("pauses", "returned_tokens"):
        with pytest.raises(ContractError, match=f"{__name__} reads the true pauses"):
            getattr(request.truth, name)


PEEKS = {
    "a name": lambda self, job, now: 0.0 if job.ends_at else 1.0,
    "in a comprehension": lambda self, job, now: float(len([job.true_pauses for _ in (0,)])),
    "a text": lambda self, job, now: float(getattr(job, "true_tokens", 0)),
    "longest": lambda self, job, now: float(job.request.truth.longest),
    "another's answer": lambda self, job, now: float(job.request.answered_by("").truth.output_tokens),
}


@pytest.mark.parametrize("way", PEEKS)
def test_there_is_no_way_round_to_the_truth(way):
    """Compiled, the engine has no frames by which a reader would be told from it: so the reader's code is looked at."""
    Peeking = type("Peeking", (FixedOrder,), {"rank": PEEKS[way], "__module__": "elsewhere"})  # noqa: N806
    refused("reads the true output length", order=Peeking())


def test_a_function_beside_a_policy_is_its_code_too(monkeypatch):
    module = types.ModuleType("elsewhere")
    exec("def peeking(job): return job.true_tokens", vars(module))
    monkeypatch.setitem(sys.modules, "elsewhere", module)
    Peeking = type("Peeking", (FixedOrder,), {"rank": lambda self, job, now: 0.0, "__module__": "elsewhere"})  # noqa: N806
    refused("elsewhere, line .*: Peeking reads the true output length, job.true_tokens", order=Peeking())
