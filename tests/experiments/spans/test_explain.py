"""Why one run is slower: parts that add up, of paired requests; what cannot be paired is refused by name."""

import shutil
import sys

import numpy as np
import pandas as pd
import pytest

from experiments.notebook import run
from experiments.run.results import Folder
from experiments.spans import explain as verb
from experiments.spans.chosen import Asked
from experiments.spans.explain import Explanation, explain, render
from experiments.spans.words import why
from experiments.tables.collect import collect, complete_folders
from experiments.tables.parts import PARTS, of_requests, of_spans
from tests.experiments.run.test_run import small

SHORT = ("predictor=noise_multiplicative", "predictor.seconds=0.001", "policy/batching=continuous", "trace.rate=60",
         "trace.requests=50", "cluster.devices.gpu.kv_tokens=800", "policy.batching.plans_ahead=0")  # fmt: skip

FASTER = [one.replace("rate=60", "rate=61") for one in SHORT]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Two policies, two seeds, with spans; and one of another rate, without."""
    folder = tmp_path_factory.mktemp("results")
    for policy in ("fifo", "sjf"):
        run(*small(*SHORT, f"policy={policy}", "seed=[0,1]", "record=jobs", f"results={folder}", "name=both"))
    run(*small(*FASTER, "policy=sjf", f"results={folder}", "name=faster"))
    return folder


@pytest.fixture(scope="module")
def found(results) -> Explanation:
    return explain([str(results / "both"), "policy=fifo", "policy=sjf"])


def difference(folder) -> float:
    """Of the mean response times over seeds, as the tables have it."""
    means = collect(complete_folders(folder)).groupby("policy")["response_time_mean"].mean()
    return means["sjf"] - means["fifo"]


def test_the_parts_add_up_to_the_difference_of_the_means_in_each_class_too(found, results):
    whole = found.difference()
    assert abs(whole.mean - difference(results / "both")) < 1e-9
    assert abs(sum(found.difference(part).mean for part in PARTS) - whole.mean) < 1e-9
    for size in found.classes:
        parts = sum(found.difference(part, size).mean for part in PARTS)
        assert abs(parts - found.difference(size=size).mean) < 1e-9
    changes = {part: found.difference(part).mean for part in found.parts}
    assert {"queueing", "prefill", "decode", "preemption and recompute", "predictor", "scheduler"} <= set(changes)
    assert abs(whole.mean) > 0.01
    assert changes["queueing"] == max(changes.values(), key=abs)


def test_without_spans_there_are_fewer_parts_and_it_is_said(found, results, tmp_path):
    first, second = Asked.of([str(results / "both"), "policy=fifo", "policy=sjf"]).sides()
    without = {}
    for seed, folder in second.runs.items():
        without[seed] = Folder(shutil.copytree(folder.path, tmp_path / folder.path.name))
        (without[seed].path / "spans.parquet").unlink()
    plain = verb.explained(first, second._replace(runs=without))
    assert abs(plain.difference().mean - found.difference().mean) < 1e-9
    assert abs(sum(plain.difference(part).mean for part in PARTS) - plain.difference().mean) < 1e-9
    assert plain.names == ("fifo", "sjf")
    assert not {"preemption and recompute", "swap"} & set(plain.parts)
    [note] = plain.notes
    assert note.startswith("sjf: no spans, so preemption, swap and the scheduler are in prefill and decode")
    assert "record=jobs" in note


def test_classes_are_thirds_by_length(found):
    assert found.classes == ("short", "middle", "long")
    lengths = [found.pairs.loc[found.pairs["size"] == size, "output_tokens"] for size in found.classes]
    assert lengths[0].max() < lengths[1].min() <= lengths[1].max() < lengths[2].min()
    assert all(abs(len(own) - len(found.pairs) / 3) <= 3 for own in lengths)


@pytest.mark.parametrize(
    ("lengths", "sizes"),
    [
        ([3, 1, 2], ["long", "short", "middle"]),
        ([1, 2, 3, *[9] * 6], ["short"] * 3 + ["long"] * 6),  # answers were cut
        ([1, 2, 3, 4, 9, 9], ["short", "short", "middle", "middle", "long", "long"]),
        ([5, 5, 5], ["all"] * 3),
    ],
)
def test_equal_lengths_are_in_one_class(lengths, sizes):
    assert verb._sizes(pd.Series(lengths), 3).tolist() == sizes


def test_what_is_printed(found):
    said = render(found)
    assert said.startswith(f"sjf against fifo: {len(found.pairs)} requests of 2 seeds, each served by both")
    most = found.most()
    assert len(most) == 10
    each = (found.second[found.parts] - found.first[found.parts]).sum(axis=1)
    assert most["difference"].abs().min() >= each.drop(most.index).abs().max()
    assert said.splitlines()[-1] == why(found)
    assert f"jobs in the steps in which a request decodes: {found.batch(found.first):.1f} under fifo" in said


def test_the_batch_is_that_of_the_steps_in_which_a_request_decodes():
    """A request in steps 0 to 2 of one replica: prefill, then two decode steps of 2 and 4 jobs, 1 s and 3 s."""
    config = {"cluster": {"devices": {"gpu": {"kind": "gpu", "count": 1}, "cpu": {"kind": "cpu", "count": 2}}}}
    requests = pd.DataFrame(
        {
            "id": [0, 1], "arrival": [0.0, 1.0], "finished": [7.5, 9.0], "status": "finished",
            "routing_seconds": [0.25, 0.0], "renewed_seconds": 0.0,
        }
    )  # fmt: skip
    rows = [
        (0, "", "asked", 0.0, 1.0, -1, -1),
        (0, "gpu", "queued", 1.0, 2.0, -1, -1),
        (0, "gpu", "prefill", 2.0, 3.5, 0, 0),
        (0, "gpu", "decode", 3.5, 7.5, 1, 2),
        (1, "cpu1", "queued", 1.0, 4.0, -1, -1),
        (1, "cpu1", "decode", 4.0, 9.0, 0, 0),
    ]
    spans = pd.DataFrame(rows, columns=["request", "replica", "span", "start", "end", "first_step", "last_step"])
    steps = pd.DataFrame(
        {
            "replica": ["gpu", "gpu", "gpu", "cpu1"], "seconds": [1.5, 1.0, 3.0, 5.0],
            "overhead_seconds": [0.5, 0.0, 0.125, 0.0], "running": [1, 2, 4, 9],
        }
    )  # fmt: skip
    parts = of_spans(requests, spans, steps, config)
    told = {name: value for name, value in parts.loc[0].items() if value}
    assert told == {
        "queueing": 1.0, "prefill": 1.0, "decode": 3.875, "predictor": 0.75, "scheduler": 0.875,
        "batch_weight": 4.0, "batch_jobs": 14.0,
    }  # fmt: skip
    assert {name: value for name, value in parts.loc[1].items() if value} == {"offload": 8.0}
    ahead = of_spans(requests, spans, steps, {**config, "policy": {"batching": {"plans_ahead": 1}}})
    assert ahead.loc[0, ["prefill", "decode", "scheduler"]].tolist() == [1.5, 4.0, 0.25]


def test_calls_and_predictions_made_anew_are_apart_without_spans_too():
    requests = pd.DataFrame(
        {
            "id": [0, 1], "status": "finished", "arrival": 0.0, "queued": 1.0, "routing_seconds": 0.5,
            "first_scheduled": 2.0, "first_token": [3.0, np.nan], "finished": 9.0, "call_seconds": 2.0,
            "renewed_seconds": 0.25, "replica_kind": ["gpu", "cpu"],
        }
    )  # fmt: skip
    parts = of_requests(requests)
    shared = {"pauses": 2.0, "predictor": 0.75, "scheduler": 0.5}
    told = [{name: value for name, value in row.items() if value and value == value} for _, row in parts.iterrows()]
    assert told == [
        {"queueing": 1.0, "prefill": 1.0, "decode": 3.75, **shared}, {"offload": 5.75, **shared}
    ]  # fmt: skip


def made(first: dict, second: dict, sizes=("short", "long"), seeds=2) -> Explanation:
    """An explanation of a request of each size and seed: (part -> seconds, in the short one and the long one)."""
    pairs = [
        {"seed": seed, "request": number, "prompt_tokens": 5, "output_tokens": 10 + 90 * number, "size": size}
        for seed in range(seeds)
        for number, size in enumerate(sizes)
    ]
    sides = []
    for parts in (first, second):
        rows = [
            {**dict.fromkeys(PARTS, 0.0), **{name: value[pair["request"]] * (1 + 0.01 * pair["seed"])
             for name, value in parts.items()}, "batch_weight": 1.0, "batch_jobs": parts["decode"][0]}
            for pair in pairs
        ]  # fmt: skip
        sides.append(pd.DataFrame(rows))
    return Explanation(("fifo", "rtlm"), pd.DataFrame(pairs), *sides, "output_tokens", ("short", "long"), ())


def test_a_sentence_says_who_loses_by_what_and_where():
    first = {"queueing": (1.0, 1.0), "decode": (2.0, 2.0), "predictor": (0.0, 0.0)}
    second = {"queueing": (1.5, 5.0), "decode": (1.5, 1.5), "predictor": (0.125, 0.125)}
    assert why(made(first, second, seeds=1)) == (
        "rtlm loses 1.88 s a request (3.00 to 4.88 s, no interval: one seed): 2.25 s more queueing, mostly of long "
        "answers (100 tokens: +4.00 s). Against that: 0.50 s less decode, in a smaller batch (1.5 jobs, 2.0 under "
        "fifo)."
    )
    gains = why(made(second, first))
    assert gains.startswith(
        "rtlm gains 1.88 s a request (4.90 to 3.02 s, ± 0.16): 2.26 s less queueing, mostly of long "
    )
    assert "Yet" not in gains
    apart = {"decode": (1.0, 1.0, 1.0), "queueing": (0.0, 0.0, 9.0)}
    paid = why(made(apart, {**apart, "queueing": (1.0, 1.0, 0.0)}, sizes=("long", "long", "short"), seeds=1))
    assert paid.startswith("rtlm gains 2.33 s a request")
    assert paid.endswith("Yet 2 of the 3 that differ most lose 1.00 to 1.00 s each.")
    assert why(made(first, first)) == "rtlm and fifo take as long, to the last bit."


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["{0}/both"], "two sides are compared: give two folders, or a setting twice, as policy=fifo policy=rtlm"),
        (["{0}", "policy=fifo", "policy=sjf"], "sjf: several runs of a seed, which differ in record="),
        (["{0}/both", "policy=fifo", "policy=srpt"], "policy=srpt: no run has it; there are fifo, sjf"),
        (["{0}/both", "{0}/faster", "policy=fifo", "policy=sjf"], "sjf replayed other requests than fifo (seed 0)"),
        (["{0}/both", "seed=0", "seed=1", "policy=fifo"], "not paired: seed=0 has the seeds 0, seed=1 1"),
        (["{0}/both", "policy=sjf", "policy=sjf"], "policy=sjf is given twice: both sides would be the same"),
        (["{0}/both", "a=1", "a=2", "a=3"], "a is given 3 times: two sides are compared"),
        (["{0}/both", "{0}/both", "{0}/both"], "3 folders are given: two sides are compared"),
    ],
)  # fmt: skip
def test_what_cannot_be_paired_is_refused_by_name(results, monkeypatch, words, said):
    monkeypatch.setattr(sys, "argv", ["explain", *(word.format(results) for word in words)])
    with pytest.raises(SystemExit) as ended:
        verb.main()
    assert said in str(ended.value)
    assert str(ended.value).startswith("tokenyard explain: ")


def test_seeds_without_a_partner_are_named(results):
    first, second = Asked.of([str(results / "both"), "policy=fifo", "policy=sjf"]).sides()
    alone = verb.explained(first, second._replace(runs={1: second.runs[1]}))
    assert alone.seeds == 1
    assert alone.notes == ("left out: seed 0 of fifo, of which sjf has no complete run",)
