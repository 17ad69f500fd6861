"""A run as a timeline: every span is in the file, counters are those of the steps, what cannot be drawn is named."""

import gzip
import json
import sys

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PolyCollection

from experiments.notebook import run
from experiments.spans import timeline
from experiments.spans.kept import life, window
from experiments.spans.perfetto import REQUESTS, spans_in
from experiments.spans.picture import draw
from tests.experiments.run.test_run import small

SHORT = ("policy=fifo", "predictor=oracle", "policy/batching=continuous", "policy/eviction=swap", "trace.rate=90",
         "trace.requests=50", "cluster.devices.gpu.kv_tokens=800", "cluster.devices.gpu.host.tokens=160",
         "policy.batching.plans_ahead=0")  # fmt: skip


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A run in which jobs are stopped, some swapped and some dropped, beside one that kept no spans."""
    folder = tmp_path_factory.mktemp("results")
    run(*small(*SHORT, "record=jobs", f"results={folder}", "name=mine"))
    run(*small(*SHORT, "seed=1", f"results={folder}", "name=other"))
    return folder


@pytest.fixture(scope="module")
def made(results):
    return timeline.timeline([str(results / "mine")])


def rebuilt(path) -> pd.DataFrame:
    text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
    return spans_in(text)


@pytest.mark.parametrize("large", [4 << 20, 0], ids=["plain", "gzipped"])
def test_every_span_is_in_the_file(made, tmp_path, monkeypatch, large):
    monkeypatch.setattr(timeline, "LARGE", large)
    path = timeline.write(made, tmp_path / "here" / "timeline")
    assert path.name == ("timeline.json" if large else "timeline.json.gz")
    found, kept = rebuilt(path), pd.read_parquet(made.folder / "spans.parquet")
    assert {"queued", "prefill", "decode", "recompute", "preempted", "swapped"} <= set(kept["span"])
    exact = ["request", "replica", "span", "first_step", "last_step"]
    pd.testing.assert_frame_equal(found[exact], kept[exact], check_dtype=False)
    for name in ("start", "end"):
        assert np.abs(found[name] - kept[name]).max() <= 0.5e-9 + 1e-12  # whole nanoseconds


def test_spans_of_a_track_touch_and_counters_are_those_of_the_steps(made, tmp_path):
    events = json.loads(timeline.write(made, tmp_path / "timeline").read_text())["traceEvents"]
    spells = [one for one in events if one["ph"] == "X"]
    ends = {}
    for one in (one for one in spells if one["pid"] == REQUESTS):
        since = round(1000 * one["ts"])
        assert since == ends.get(one["tid"], since)
        ends[one["tid"]] = since + round(1000 * one["dur"])
    steps = [one for one in spells if one["pid"] != REQUESTS]
    assert [one["args"]["step"] for one in steps] == list(range(len(made.steps)))
    counted = [(one["ts"], one["args"]["batch"]) for one in events if one["ph"] == "C" and one["name"] == "batch"]
    instants, counts = map(np.array, zip(*counted, strict=True))
    middles = np.array([one["ts"] + one["dur"] / 2 for one in steps])
    assert counts[np.searchsorted(instants, middles) - 1].tolist() == made.steps["running"].tolist()
    names = {one["args"]["name"] for one in events if one["name"] == "thread_name"}
    row = made.requests.iloc[3]
    assert f"request 3: {row.prompt_tokens} + {row.output_tokens} tokens, finished" in names


def test_a_figure_has_a_box_for_each_span_of_its_requests(made):
    limits = window(made, 50)
    figure = draw(made, limits, most=50)
    rows = figure.axes[0]
    boxes = sum(len(one.get_paths()) for one in rows.collections if isinstance(one, PolyCollection))
    assert boxes == len(made.spans)
    assert [one.get_ylabel() for one in figure.axes] == ["request, by arrival", "waiting", "running", "KV (%)"]
    preemptions = made.requests["preemptions"].sum()
    assert [len(line.get_xdata()) for line in rows.lines] == [preemptions]
    shares = figure.axes[3].lines[0].get_ydata()
    assert shares.tolist() == (100 * made.steps["blocks_used"] / 50).tolist()
    few = draw(made, limits, most=4)
    assert "the first 4 of the 50 there" in few.axes[0].get_title(loc="left")


def test_windows(made):
    spans = made.spans
    assert window(made, 50) == (spans["start"].min(), spans["end"].max())
    first, last = window(made, 10)
    there = made.within(first, last)
    assert 10 <= len(there.requests) < 50
    assert {"queued", "swapped"} & set(there.spans["span"])
    since, until = life(made, 7)
    own = spans[spans["request"] == 7]
    assert since < own["start"].min() < own["end"].max() < until
    assert own.index.isin(made.within(since, until).spans.index).all()


def test_the_command_says_what_it_wrote(results, capsys, monkeypatch, tmp_path):
    stem = tmp_path / "here"
    monkeypatch.setattr(sys, "argv", ["timeline", str(results / "mine"), "--around", "7", "--output", str(stem)])
    timeline.main()
    said = capsys.readouterr().out
    assert "of 50 requests" in said
    assert said.splitlines()[-3:] == [f"{stem}.{kind}" for kind in ("json", "png", "pdf")]
    assert all(stem.with_suffix(f".{kind}").stat().st_size > 1000 for kind in ("json", "png", "pdf"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["{0}/other"], "has no spans: make the run again with record=jobs (tokenyard "),
        (
            ["{0}"],
            "2 runs are meant, which differ in record=jobs,requests; seed=0,1: name one of each, as record=jobs seed",
        ),
        (["{0}/none"], "is no folder of results, and no setting as KEY=VALUE"),
        (["{0}/mine", "policy=sjf"], "policy=sjf: no run has it; there are fifo"),
        (["{0}/mine", "polcy=fifo"], "polcy=fifo: no run says its polcy; did you mean policy"),
        (["policy=fifo"], "name a folder of results"),
        (["{0}/mine", "--around", "99"], "request 99 was not served; there are 0 to 49"),
        (["{0}/mine", "--since", "5", "--until", "4"], "the window must end after it begins, got 5 to 4 s"),
        (["{0}/mine", "--since", "500"], "the window must end after it begins, got 500 to"),
        (["{0}/mine", "--most", "0"], "--most must be at least 1, got 0"),
    ],
)
def test_what_cannot_be_drawn_is_named(results, monkeypatch, words, said):
    monkeypatch.setattr(sys, "argv", ["timeline", *(word.format(results) for word in words)])
    with pytest.raises(SystemExit) as ended:
        timeline.main()
    assert said in str(ended.value)
    assert str(ended.value).startswith("tokenyard timeline: ")
