"""What runs used memory for, from the setting to the printed table."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest

from experiments.notebook import frames, run
from experiments.tables.collect import main
from experiments.tables.memory import render
from experiments.tables.reference import Reference
from tests.experiments.run.test_run import small

SETTINGS = small("predictor=oracle", "trace.requests=30")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of two policies and seeds, with an audit, and one of a third without."""
    root = tmp_path_factory.mktemp("results")
    for policy in ("fifo", "sjf"):
        run(*SETTINGS, f"policy={policy}", "seed=[0,1]", "audit=true", f"results={root}")
    run(*SETTINGS, "policy=luf", f"results={root}")
    return root


def collected(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    monkeypatch.setattr(sys, "argv", ["tokenyard collect", *map(str, arguments)])
    main()
    return capsys.readouterr().out


def test_frames_have_a_row_for_each_use_of_each_replica_and_run(results: Path) -> None:
    found = frames(results)
    audit = found.audit
    assert audit.groupby(["policy", "seed", "replica"]).size().tolist() == [8] * 2 * 2 * audit["replica"].nunique()
    whole = audit.groupby(["run", "replica"]).agg({"token_seconds": "sum", "kv_tokens": "first", "seconds": "first"})
    assert whole["token_seconds"].to_numpy() == pytest.approx(whole["kv_tokens"] * whole["seconds"], rel=1e-9)
    last = found.requests.groupby("run")["finished"].max()
    assert audit.groupby("run")["seconds"].first().to_dict() == last[audit["run"].unique()].to_dict()


def test_it_is_stored_and_printed_when_asked(results: Path, monkeypatch, capsys) -> None:
    assert "KV memory by use" not in collected(monkeypatch, capsys, results)
    assert not (results / "audit.parquet").exists()
    said = collected(monkeypatch, capsys, results, "--audit")
    audit = frames(results).audit
    pd.testing.assert_frame_equal(pd.read_parquet(results / "audit.parquet"), audit)
    assert len(pd.read_csv(results / "audit.csv")) == len(audit)
    about, heading, *rows = said[said.index("KV memory by use") :].splitlines()[1:]
    assert about.startswith("held up: of all these")
    columns = heading.split()
    assert columns == ["policy", "replica", *audit["use"].unique(), "held", "up"]
    rows = [row.split() for row in rows if row.split()[0] in ("fifo", "sjf", "luf")]
    assert {row[0] for row in rows} == {"fifo", "sjf"}
    for row in rows:
        mine = audit[(audit["policy"] == row[0]) & (audit["replica"] == row[1])]
        shares = 100 * mine.groupby("use")["share"].mean()
        held = mine.groupby("run").agg({"held_up": "sum", "kv_tokens": "first", "seconds": "first"})
        share = (held["held_up"] / (held["kv_tokens"] * held["seconds"])).mean()
        assert [float(cell) for cell in row[2:]] == pytest.approx([*shares[columns[2:-2]], 100 * share], abs=0.0051)


def test_runs_of_other_settings_have_rows_of_their_own_and_seeds_their_mean() -> None:
    runs = [("fifo", 1.0, 0, 0.25), ("fifo", 1.0, 1, 0.75), ("sjf", None, 0, 0.125)]
    rows = [
        {"policy": policy, "trace.rate": rate, "seed": seed, "run": "", "replica": "gpu", "use": use, "share": share}
        for policy, rate, seed, decode in runs
        for use, share in (("decode", decode), ("free", 1 - decode))
    ]
    _, heading, *said = render(pd.DataFrame(rows), Reference.of(None)).splitlines()
    assert heading.split() == ["trace.rate", "policy", "replica", "decode", "free"]
    assert [row.split() for row in said] == [
        ["1", "fifo", "gpu", "50.00", "50.00"],
        ["null", "sjf", "gpu", "12.50", "87.50"],
    ]


def test_results_without_an_audit_say_how_to_have_one(tmp_path: Path, monkeypatch, capsys) -> None:
    run(*SETTINGS, "policy=fifo", f"results={tmp_path}")
    with pytest.raises(SystemExit, match=r"no run below .* has an audit of memory: make some with audit=true"):
        collected(monkeypatch, capsys, tmp_path, "--audit")
