"""Random workloads have the feature of their kind; the installed vLLM, if there is one, decides as the engine does."""

import builtins
import gzip
import json
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from experiments.engine import against_vllm as oracle
from experiments.engine import golden, vllm_driver
from experiments.engine.workloads import KINDS, generate
from tests.conftest import ROOT

GOLDEN = [path for folder in ("golden", "golden-async") for path in sorted((ROOT / "tests" / folder).glob("*.json.gz"))]
SEEDS = range(12)
SYNC = ["--scheduler", "sync"]


def make(kind: str, seed: int) -> dict:
    return generate(kind, np.random.default_rng(seed))


def prompts(workload: dict) -> list[int]:
    return [row["prompt_tokens"] for row in workload["requests"]]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_workload_can_be_served(kind, seed):
    workload = make(kind, seed)
    config, rows = workload["config"], workload["requests"]
    longest = max(row["prompt_tokens"] + row["output_tokens"] for row in rows)
    assert 20 <= len(rows) <= 60
    assert all(one["arrival"] < other["arrival"] for one, other in pairwise(rows))
    assert min(min(row["prompt_tokens"], row["output_tokens"]) for row in rows) >= 1
    assert longest <= config["max_model_len"]
    assert longest <= (config["num_blocks"] - 1) * config["block_size"]
    assert config["max_num_seqs"] <= config["max_num_batched_tokens"]
    assert config["enable_chunked_prefill"] or config["max_model_len"] <= config["max_num_batched_tokens"]
    assert config["long_prefill_token_threshold"] <= config["max_model_len"]


@pytest.mark.parametrize("kind", KINDS)
def test_equal_seeds_give_equal_workloads(kind):
    assert make(kind, 3) == make(kind, 3)
    assert make(kind, 3) != make(kind, 4)


def preempting(kind: str) -> int:
    """Of the workloads of `kind`, those in which the engine preempts."""
    replays = (golden.replay({**make(kind, seed), "iterations": []})[0] for seed in SEEDS)
    return sum(any(iteration.preempted for iteration in iterations) for iterations in replays)


@pytest.mark.parametrize("kind", ["memory", "priority"])
def test_memory_is_short(kind):
    assert preempting(kind) > 0.8 * len(SEEDS)


@pytest.mark.parametrize("kind", ["prefix", "longprefill", "unchunked"])
def test_memory_is_short_now_and_then(kind):
    assert 0 < preempting(kind) < len(SEEDS)


def test_memory_is_never_short_in_plain():
    assert preempting("plain") == 0


def test_priorities_differ():
    for seed in SEEDS:
        workload = make("priority", seed)
        assert workload["config"]["policy"] == "priority"
        assert len({row["priority"] for row in workload["requests"]}) > 1


def test_prefixes_are_shared_some_prompts_are_equal_and_some_continue_an_answer():
    equal = continued = 0
    for seed in SEEDS:
        workload = make("prefix", seed)
        assert workload["config"]["enable_prefix_caching"]
        ids = [tuple(row["prompt_token_ids"]) for row in workload["requests"]]
        assert [len(prompt) for prompt in ids] == prompts(workload)
        groups = Counter(prompt[:8] for prompt in ids)
        assert max(groups.values()) >= 3
        equal += len(ids) - len(set(ids))
        answers = {prompt + (7,) * row["output_tokens"] for prompt, row in zip(ids, workload["requests"], strict=True)}
        continued += sum(prompt[:end] in answers for prompt in set(ids) for end in range(len(prompt)))
    assert equal > 0
    assert continued > 0


def test_several_prompts_are_long():
    for seed in SEEDS:
        workload = make("longprefill", seed)
        threshold = workload["config"]["long_prefill_token_threshold"]
        assert threshold >= 8
        assert sum(tokens > threshold for tokens in prompts(workload)) >= 3


def test_unchunked_is_not_chunked():
    assert not any(make("unchunked", seed)["config"]["enable_chunked_prefill"] for seed in SEEDS)


def drawn(*arguments):
    """The workloads of a run with `arguments`, by whether they are for the scheduler that plans ahead."""
    found = {False: [], True: []}
    for ahead, name, _, workload in oracle.draw(oracle.arguments_of(list(arguments)), 5):
        found[ahead].append((name, workload))
    return found


@pytest.mark.parametrize("chosen", [["plain"], ["plain", "memory"], ["plain", "memory", "priority"], list(KINDS)])
def test_half_of_the_asynchronous_workloads_of_each_kind_end_by_a_stop_token(chosen):
    count = 2 * len(chosen)
    found = drawn("--workloads", str(count), "--kinds", ",".join(chosen))
    assert [len(found[ahead]) for ahead in (False, True)] == [count, count]
    assert not any("async_scheduling" in workload["config"] for _, workload in found[False])
    assert all(workload["config"]["async_scheduling"] for _, workload in found[True])
    stopping = Counter()
    for name, workload in found[False] + found[True]:
        stops = [vllm_driver.ends_by_stop(row) for row in workload["requests"]]
        assert ("eos" in name) == any(stops)
        assert not stops.count(True) or sum(stops) > len(stops) / 3
        stopping[workload["kind"]] += any(stops)
    assert stopping == dict.fromkeys(chosen, 1)


def test_the_schedulers_are_asked_as_many_workloads_each():
    for scheduler, count in (("sync", [3, 0]), ("async", [0, 3]), ("both", [3, 3])):
        found = drawn("--workloads", "3", "--scheduler", scheduler)
        assert [len(found[ahead]) for ahead in (False, True)] == count


def test_the_report_counts_stop_tokens_and_preemptions():
    tally = oracle.Tally()
    rows = [{"output_tokens": 3, "max_tokens": 4}, {"output_tokens": 3, "max_tokens": 3}, {"output_tokens": 3}]
    for out, requests in ([], rows), (["a"], rows[1:]), (["b"], rows + rows):
        iteration = golden.Iteration(0.0, 0.0, {"a": 1}, out)
        difference = "finish" if out == ["b"] else None
        tally.add({"iterations": [iteration], "requests": requests}, golden.Comparison("one", 1, 1, difference))
    told = "matched 2 of 3 workloads; vLLM preempted in 2"
    assert tally.told(ahead=True) == f"asynchronous scheduler: {told}, 3 answers in 2 ended by a stop token"
    assert tally.told(ahead=False) == f"synchronous scheduler: {told}"


@pytest.mark.parametrize(
    "error", [ModuleNotFoundError("No module named 'vllm'"), RuntimeError("operator torchvision::nms does not exist")]
)
def test_without_vllm_it_says_how_to_get_it(error, monkeypatch, capsys):
    real = builtins.__import__

    def refuse(name, *more, **named):
        if name.split(".")[0] == "vllm":
            raise error
        return real(name, *more, **named)

    monkeypatch.setattr(builtins, "__import__", refuse)
    assert oracle.main(["--workloads", "1"]) == 2
    printed = capsys.readouterr()
    assert not printed.out
    assert f"{type(error).__name__}: {error}" in printed.err
    assert "docs/engine.md" in printed.err
    assert "make vllm" in printed.err


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--kinds", "plain,fast"], "no kind 'fast': there are plain, memory"),
        (["--workloads", "0"], "'0' is not a whole number, 1 or more"),
        (["--workloads", "many"], "'many'"),
        (["--seed", "-1"], "'-1'"),
        (["--save-all"], "--save-all needs --save"),
    ],
)
def test_bad_usage_is_named(arguments, named, capsys):
    with pytest.raises(SystemExit) as stopped:
        oracle.main(arguments)
    assert stopped.value.code == 2
    assert named in capsys.readouterr().err


def test_help_teaches_and_needs_no_vllm():
    code = (
        "import sys; from experiments.engine import against_vllm; assert 'vllm' not in sys.modules; "
        "against_vllm.main(['--help'])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True).stdout
    assert all(word in shown for word in (*KINDS, "--seed", "virtual time", "Exits 1"))


def reference(monkeypatch, decide) -> None:
    """Let `decide` stand in for vLLM."""
    monkeypatch.setattr(oracle, "installed", lambda: "0.32.0+test")
    monkeypatch.setattr(oracle, "drive", decide)


def agreeing(workload: dict) -> dict:
    iterations, instants = golden.replay(workload)
    first_token, finish = ({name: both[which] for name, both in instants.items()} for which in (0, 1))
    return {**workload, "iterations": iterations, "first_token": first_token, "finish": finish}


def late(workload: dict) -> dict:
    """A reference that starts its last iteration late."""
    told = agreeing(workload)
    last = told["iterations"][-1]
    return {**told, "iterations": [*told["iterations"][:-1], last._replace(start=last.start + 1)]}


def test_a_run_can_be_repeated_by_the_seed_it_printed(monkeypatch, capsys):
    reference(monkeypatch, agreeing)
    run = ["--workloads", "2", "--kinds", "plain,memory"]
    assert oracle.main(run) == 0
    first = capsys.readouterr().out
    assert "vLLM 0.32.0+test, 2 workloads" in first
    assert all(f"{name} scheduler: matched 2 of 2 workloads" in first for name in ("\nsynchronous", "\nasynchronous"))
    seed = first.split("--seed ")[1].split()[0]
    assert oracle.main([*run, "--seed", seed]) == 0
    assert capsys.readouterr().out == first


def test_another_version_is_warned_of(monkeypatch, capsys):
    reference(monkeypatch, agreeing)
    monkeypatch.setattr(oracle, "installed", lambda: "0.33.0")
    assert oracle.main([*SYNC, "--workloads", "1", "--kinds", "plain"]) == 0
    assert "follows vLLM 0.32.0" in capsys.readouterr().err


def test_a_workload_that_differs_is_named_and_saved(monkeypatch, capsys, tmp_path: Path):
    reference(monkeypatch, late)
    run = [*SYNC, "--workloads", "1", "--kinds", "prefix", "--seed", "5", "--save", str(tmp_path / "new")]
    assert oracle.main(run) == 1
    assert "first difference: prefix-0, iteration" in capsys.readouterr().out
    (saved,) = golden.files([str(tmp_path)])
    assert golden.read(saved)["seed"] == [5, 0]
    assert golden.main([str(saved)]) == 1


def test_workloads_that_match_are_saved_on_demand(monkeypatch, tmp_path: Path):
    reference(monkeypatch, agreeing)
    run = [*SYNC, "--workloads", "1", "--seed", "5", "--save", str(tmp_path)]
    assert oracle.main(run) == 0
    assert not list(tmp_path.iterdir())
    assert oracle.main([*run, "--save-all"]) == 0
    assert golden.main([str(tmp_path)]) == 0


def test_an_engine_that_fails_differs(monkeypatch, capsys):
    def fail(*_):
        raise RuntimeError("out of blocks")

    reference(monkeypatch, agreeing)
    monkeypatch.setattr(oracle, "compare", fail)
    assert oracle.main([*SYNC, "--workloads", "1"]) == 1
    assert "tokenyard fails: RuntimeError: out of blocks" in capsys.readouterr().out


@pytest.fixture(scope="module")
def vllm():
    pytest.importorskip("vllm")
    return oracle.installed()


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.name)
def test_driven_here_vllm_does_what_is_stored(vllm, path):
    stored = json.loads(gzip.decompress(path.read_bytes()))
    assert vllm_driver.verify(stored)
    *before, last = golden.iterations_of(stored)
    assert not vllm_driver.verify({**stored, "iterations": [*before, last._replace(decided=last.decided + 1)]})


@pytest.fixture
def scheduled(vllm):
    """What vLLM's asynchronous scheduler decides on requests: prompt, output and max tokens, arrival."""

    def drive(*rows):
        names = ("id", "prompt_tokens", "output_tokens", "max_tokens", "arrival", "priority")
        changes = {"max_num_batched_tokens": 16, "max_num_seqs": 4, "async_scheduling": True}
        config = make("plain", 0)["config"] | changes
        requests = [dict(zip(names, (number, *row, 0), strict=True)) for number, row in enumerate(rows)]
        seconds = {"fixed": 1.0, "per_scheduled_token": 0.0}
        return vllm_driver.drive({"config": config, "iteration_seconds": seconds, "requests": requests})

    return drive


def test_vllm_plans_one_batch_ahead(scheduled):
    told = scheduled((20, 2, 2, 0.0), (4, 1, 1, 0.5))
    assert told["iterations"] == [
        (0.0, 0.0, {"0": 16}, []),
        (0.0, 1.0, {"0": 4}, []),
        (1.0, 2.0, {"0": 1, "1": 4}, []),
    ]
    assert told["first_token"] == {"0": 2.0, "1": 3.0}
    assert told["finish"] == {"0": 3.0, "1": 3.0}


def test_an_end_that_cannot_be_foreseen_costs_a_row_more(scheduled):
    told = scheduled((4, 2, 9, 0.0))
    assert [tuple(iteration.granted.values()) for iteration in told["iterations"]] == [(4,), (1,), (1,)]
    assert told["finish"] == {"0": 2.0}


def test_who_comes_in_the_midst_of_a_batch_waits_for_its_end_though_nothing_is_planned_behind_it(scheduled):
    told = scheduled((4, 1, 1, 0.0), (4, 1, 1, 0.5))
    assert [iteration[:2] for iteration in told["iterations"]] == [(0.0, 0.0), (1.0, 1.0)]
    told = scheduled((4, 1, 9, 0.0), (4, 1, 1, 1.5))  # the row of request 0 that its end came too late for
    assert [iteration[:2] for iteration in told["iterations"]] == [(0.0, 0.0), (0.0, 1.0), (2.0, 2.0)]


def test_the_engine_decides_as_vllm_does(vllm, capsys):
    assert oracle.main(["--workloads", str(len(KINDS))]) == 0, capsys.readouterr().out
    assert f"matched {2 * len(KINDS)} of {2 * len(KINDS)} workloads" in capsys.readouterr().out
