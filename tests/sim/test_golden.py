"""The engine takes the decisions that vLLM 0.32.0's own scheduler took, and one that differs is found and named."""

import copy
import gzip
import json
from pathlib import Path

import pytest

from experiments.engine.golden import TOLERANCE, compare, difference_of, iterations_of, main, read, replay
from tests.conftest import ROOT

WORKLOADS = sorted((ROOT / "tests" / "golden").glob("*.json.gz"))
KINDS = ("longprefill", "memory", "plain", "prefix", "priority", "unchunked")
ASYNCHRONOUS = sorted((ROOT / "tests" / "golden-async").glob("*.json.gz"))
golden = pytest.mark.parametrize("path", WORKLOADS + ASYNCHRONOUS, ids=lambda path: path.name[:-8])


def test_there_are_four_workloads_of_each_kind():
    assert [path.name for path in WORKLOADS] == [f"{kind}-{number}.json.gz" for kind in KINDS for number in range(4)]
    assert len(ASYNCHRONOUS) == 4 * len(KINDS) + 8


@golden
def test_every_decision_is_vllms(path):
    workload = read(path)
    comparison = compare(workload, path.name)
    assert comparison.difference is None
    assert comparison.matched == comparison.iterations == len(workload["iterations"]) > 0


@golden
def test_every_decision_is_the_same_without_leaping(path):
    workload = read(path)
    assert replay(workload, leap=False) == replay(workload)


# A workload of our own, and what is altered in it


def tiny():
    """Four requests on seven blocks, as our own engine serves them: chunks, a preemption, a shared prefix."""
    rows = [("a", 0.0, 20, 9, 1), ("b", 0.01, 12, 14, 0), ("c", 0.02, 9, 12, 2), ("d", 0.9, 20, 3, 0)]
    workload = {
        "config": {
            "max_num_seqs": 3,
            "max_num_batched_tokens": 16,
            "num_blocks": 13,
            "block_size": 4,
            "policy": "fcfs",
            "enable_prefix_caching": True,
            "enable_chunked_prefill": True,
            "max_model_len": 64,
            "long_prefill_token_threshold": 0,
        },
        "iteration_seconds": {"fixed": 0.01, "per_scheduled_token": 0.001},
        "requests": [
            {
                "id": name,
                "arrival": arrival,
                "prompt_tokens": prompt,
                "output_tokens": output,
                "priority": priority,
                "prompt_token_ids": list(range(prompt)),
            }
            for name, arrival, prompt, output, priority in rows
        ],
    }
    iterations, instants = replay(workload)
    workload["iterations"] = [[start, granted, preempted] for _, start, granted, preempted in iterations]
    workload["first_token"] = {name: first for name, (first, _) in instants.items()}
    workload["finish"] = {name: finish for name, (_, finish) in instants.items()}
    return workload


TINY = tiny()


def with_several(workload):
    """The number of an iteration in which several requests are scheduled."""
    return next(number for number, (_, tokens, _) in enumerate(workload["iterations"]) if len(tokens) > 1)


def with_a_victim(workload):
    """The number of an iteration in which a request is preempted."""
    return next(number for number, (_, _, preempted) in enumerate(workload["iterations"]) if preempted)


def write(path: Path, workload) -> Path:
    path.write_bytes(gzip.compress(json.dumps(workload).encode()))
    return path


def test_the_tiny_workload_has_chunks_a_victim_and_a_shared_prefix():
    assert [len(tokens) for _, tokens, _ in TINY["iterations"]].count(3) > 0
    assert with_a_victim(TINY) > with_several(TINY)
    prompts = {row["id"]: row["prompt_tokens"] for row in TINY["requests"]}
    first = {}
    for _, tokens, _ in TINY["iterations"]:
        for name, new in tokens.items():
            first.setdefault(name, new)
    assert first["a"] == 16 < prompts["a"]
    assert first["d"] < 16 < prompts["d"]


def test_what_the_engine_did_itself_matches(tmp_path, capsys):
    folder = tmp_path / "deep"
    folder.mkdir()
    write(folder / "one.json.gz", TINY)
    write(folder / "two.json.gz", TINY)
    assert main([str(tmp_path)]) == 0
    assert main([str(folder / "one.json.gz"), str(folder / "two.json.gz")]) == 0
    count = len(TINY["iterations"])
    assert f"matched 2 of 2 workloads, {2 * count} of {2 * count} iterations\n" in capsys.readouterr().out


def other_tokens(workload):
    number = with_several(workload)
    name = next(iter(workload["iterations"][number][1]))
    workload["iterations"][number][1][name] += 1
    return number, "scheduled tokens"


def other_order(workload):
    number = with_several(workload)
    workload["iterations"][number][1] = dict(reversed(workload["iterations"][number][1].items()))
    return number, "scheduled tokens"


def other_victim(workload):
    number = with_a_victim(workload)
    workload["iterations"][number][2] = ["a"]
    return number, "preempted"


def no_victim(workload):
    number = with_a_victim(workload)
    workload["iterations"][number][2] = []
    return number, "preempted"


def other_start(workload):
    workload["iterations"][3][0] += 2 * TOLERANCE
    return 3, "decided at"


def one_too_many(workload):
    workload["iterations"].append(workload["iterations"][-1])
    return len(workload["iterations"]) - 1, "vLLM alone has it"


def one_too_few(workload):
    workload["iterations"].pop()
    return len(workload["iterations"]), "tokenyard alone has it"


@pytest.mark.parametrize(
    "alter", [other_tokens, other_order, other_victim, no_victim, other_start, one_too_many, one_too_few]
)
def test_an_iteration_that_differs_is_found_and_the_first_is_named(alter, tmp_path, capsys):
    altered = copy.deepcopy(TINY)
    number, what = alter(altered)
    write(tmp_path / "altered.json.gz", altered)
    write(tmp_path / "same.json.gz", TINY)
    assert main([str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert f"first difference: altered.json.gz, iteration {number}: {what}" in out
    assert "matched 1 of 2 workloads" in out
    assert "DIFFERS  altered.json.gz" in out
    assert "matched  same.json.gz" in out


@pytest.mark.parametrize("what", ["first_token", "finish"])
def test_a_request_that_ends_at_another_instant_is_named(what, tmp_path, capsys):
    altered = copy.deepcopy(TINY)
    altered[what]["c"] += 2 * TOLERANCE
    assert main([str(write(tmp_path / "altered.json.gz", altered))]) == 1
    assert f"first difference: altered.json.gz, request c: {what} at " in capsys.readouterr().out


def ahead():
    """The tiny workload as one of the format in which a decision has an instant of its own."""
    iterations = [[row[0], *row] for row in TINY["iterations"]]
    return copy.deepcopy({**TINY, "iterations": iterations})


def decided_early(row):
    row[0] -= 2 * TOLERANCE
    return "decided at"


def begun_late(row):
    row[1] += 2 * TOLERANCE
    return "starts at"


def never_begun(row):
    row[1] = None
    return "starts at"


@pytest.mark.parametrize("alter", [decided_early, begun_late, never_begun])
def test_an_instant_of_a_decision_taken_ahead_that_differs_is_named(alter):
    workload = ahead()
    assert compare(workload, "ahead").difference is None
    what = alter(workload["iterations"][3])
    comparison = compare(workload, "ahead")
    assert comparison.difference.startswith(f"iteration 3: {what}")
    assert comparison.matched == comparison.iterations - 1


def test_a_decision_that_schedules_nobody_has_no_start():
    told = {"iterations": [[1.0, None, {}, [3, 2]], [1.0, {"a": 1}, []]]}
    nobody, somebody = iterations_of(told)
    assert nobody == (1.0, None, {}, ["2", "3"])
    assert somebody == (1.0, 1.0, {"a": 1}, [])
    assert difference_of(nobody, nobody._replace(start=2.0)) is None
    assert difference_of(nobody, nobody._replace(decided=2.0)) == "decided at 1.0 s, vLLM's at 2.0 s"


def test_a_difference_within_the_tolerance_is_none():
    altered = copy.deepcopy(TINY)
    for iteration in altered["iterations"]:
        iteration[0] += TOLERANCE / 2
    for instants in (altered["first_token"], altered["finish"]):
        for name in instants:
            instants[name] -= TOLERANCE / 2
    assert compare(altered, "altered").difference is None


def test_a_difference_costs_one_iteration_of_those_that_match():
    altered = copy.deepcopy(TINY)
    other_start(altered)
    comparison = compare(altered, "altered")
    assert comparison.matched == comparison.iterations - 1


# What is no workload


def without(*keys):
    workload = copy.deepcopy(TINY)
    parent = workload
    for key in keys[:-1]:
        parent = parent[key]
    del parent[keys[-1]]
    return gzip.compress(json.dumps(workload).encode())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(json.dumps(TINY).encode())[:-40], "not a gzipped json"),
        (json.dumps(TINY).encode(), "not a gzipped json"),
        (b"", "not a gzipped json"),
        (gzip.compress(b'{"config": '), "not a gzipped json"),
        (gzip.compress(b"\xff\xfe"), "not a gzipped json"),
        (gzip.compress(b"[]"), "not a workload"),
        (without("iterations"), "not a workload: it needs config, finish, first_token"),
    ],
    ids=["truncated", "plain", "empty", "cut json", "no text", "no keys", "no iterations"],
)
def test_a_file_that_is_no_workload_is_named_with_its_fault(content, message, tmp_path, capsys):
    path = tmp_path / "broken.json.gz"
    path.write_bytes(content)
    assert main([str(path)]) == 2
    error = capsys.readouterr().err
    assert str(path) in error
    assert message in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(
    ("keys", "missing"),
    [(("config", "num_blocks"), "num_blocks"), (("requests", 0, "arrival"), "arrival"), (("finish", "c"), "c")],
)
def test_a_workload_that_lacks_an_inner_key_is_named_with_it(keys, missing, tmp_path, capsys):
    path = tmp_path / "broken.json.gz"
    path.write_bytes(without(*keys))
    assert main([str(path)]) == 2
    error = capsys.readouterr().err
    assert str(path) in error
    assert missing in error


def test_a_folder_or_a_path_without_workloads_is_named(tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("none")
    for path in (tmp_path, tmp_path / "absent", tmp_path / "absent.json.gz"):
        assert main([str(path)]) == 2
        assert capsys.readouterr().err == f"error: {path}: no workload here (*.json.gz)\n"
