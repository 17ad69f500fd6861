"""docs/results.md says of every column of results what it is."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.run.measure import of_gaps, of_slo
from experiments.tables import columns, schema
from experiments.tables.collect import complete_folders
from sim import Cluster, Record, Span, simulate
from sim.gaps import gaps
from sim.metrics import summary
from sim.slo import Slo
from tests.conftest import make_device, make_policy, make_requests
from tests.experiments.run.test_run import SMALL, typed  # noqa: F401 - a fixture


def test_the_document_is_what_the_schema_says() -> None:
    assert schema.DOCUMENT.read_text() == schema.document(), "run python -m experiments.tables.schema"


def test_every_column_that_a_run_leaves_is_told_and_no_other(oracle) -> None:
    requests = make_requests([0.0, 0.1], [10, 20], [3, 4])
    tables = simulate(requests, make_policy(), Cluster((make_device(),)), oracle, record=Record.STEPS)
    assert list(tables.requests) == list(schema.REQUESTS)
    assert list(tables.steps) == list(schema.STEPS)
    assert set(summary(tables.requests, 0.1)) == set(schema.SUMMARY)
    calling = {**tables.requests, "calls": np.ones(2), "call_seconds": np.ones(2)}
    assert set(summary(calling, 0.1)) == {*schema.SUMMARY, *schema.SUMMARY_OF_CALLS}
    between = gaps(tables.requests, tables.steps)
    assert set(of_gaps(tables.requests, between, 0.1)) == set(schema.SUMMARY_OF_GAPS)
    assert set(of_slo(Slo.of({"ttft": 1}), tables.requests, None, 0.1)) == set(schema.SUMMARY_OF_SLO)
    classes = of_slo(Slo.of({"ttft": 1, "by": "task"}), {**tables.requests, "task": np.array(["a", "b"])}, None, 0.1)
    assert set(classes) - set(schema.SUMMARY_OF_SLO) == {"attainment", "goodput"}
    proposed = {**tables.requests, "passes": np.ones(2)}
    assert set(summary(proposed, 0.1)) == {*schema.SUMMARY, *schema.SUMMARY_OF_PASSES}


def test_the_words_and_groups_of_a_summary_are_told_and_no_other(tmp_path, typed) -> None:  # noqa: F811
    setting = [one for one in SMALL if not one.startswith("trace.rate")]
    assert typed(tmp_path, *setting, "policy=rtlm", "load=0.5")[0] == 0
    (folder,) = complete_folders(tmp_path)
    found = folder.summary()
    groups = {name.split(".")[0] for name in schema.NESTED} - {
        "errors",
        "costs",
        "attainment",
        "goodput",
    }  # which not all runs have
    assert set(found) == {*schema.SUMMARY, *schema.SAID, *groups}
    for group in ("counts", "load"):
        assert {f"{group}.{name}" for name in found[group]} == {
            name for name in schema.NESTED if name.startswith(f"{group}.")
        }


def test_the_definitions_are_those_of_the_numbers(oracle) -> None:
    requests = make_requests([0.0, 0.1], [10, 20], [3, 4])
    table = simulate(requests, make_policy(), Cluster((make_device(),)), oracle).requests
    found = summary(table, 0.0)
    gaps = (table["finished"] - table["first_token"]) / (table["output_tokens"] - 1)
    assert found["tpot_mean"] == pytest.approx(gaps.mean())
    assert found["response_time_p99"] == pytest.approx(np.percentile(table["finished"] - table["arrival"], 99))
    span = table["finished"].max() - table["arrival"].min()
    assert found["throughput_tokens_overall"] == pytest.approx(7 / span)


def test_every_column_and_state_of_spans_is_told_and_no_other(oracle) -> None:
    requests = make_requests([0.0], [10], [3])
    tables = simulate(requests, make_policy(), Cluster((make_device(),)), oracle, record=Record.JOBS)
    assert list(tables.spans) == list(columns.SPANS)
    assert [span.name.lower() for span in Span] == list(columns.STATES)


def test_every_column_and_use_of_an_audit_is_told_and_no_other(oracle) -> None:
    tables = simulate(make_requests([0.0], [10], [3]), make_policy(), Cluster((make_device(),)), oracle, audit=True)
    assert list(tables.audit) == list(schema.AUDIT)
    assert set(tables.audit["use"].tolist()) == set(schema.USES)
