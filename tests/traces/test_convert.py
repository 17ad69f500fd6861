"""`tokenyard trace convert` writes any trace as parquet, and says what it read, dropped and doubts."""

from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.conftest import ROOT
from traces import describe
from traces.convert import command, main
from traces.doubt import doubts
from traces.formats import parquet
from traces.kinds import KINDS

BURST = """Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type
5,ChatGPT,472,18,490,Conversation log
45,ChatGPT,1087,230,1317,Conversation log
118,GPT-4,417,0,417,Conversation log
140,GPT-4,100,20,120,API log
"""
SECONDS = "".join(
    f'{{"timestamp": {at}.0, "input_length": 100, "output_length": 5, "hash_ids": [{min(at, 2)}]}}\n' for at in range(5)
)
MAPPED = ("--columns", "arrival=ts", "prompt_tokens=in", "output_tokens=out")


@pytest.fixture
def convert(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    def here(content: str, *arguments: str, name: str = "in.csv") -> tuple[int, str, str]:
        (tmp_path / name).write_text(content)
        code = main([str(tmp_path / name), "--to", str(tmp_path / "out.parquet"), *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return here


def test_a_known_format_is_written_without_its_failed_rows(convert, tmp_path: Path) -> None:
    code, _, errors = convert(BURST)
    assert code == 1
    assert "in.csv, line 4: Response tokens '0' is 0: a request that failed; --skip-bad drops and" in errors
    assert not (tmp_path / "out.parquet").exists()
    code, said, _ = convert(BURST, "--skip-bad")
    assert code == 0
    for line in (
        "read      4 rows of",
        "dropped   1: Response tokens is 0",
        "written   3 requests",
        "span      135.000 s",
    ):
        assert line in said
    table = parquet.read(tmp_path / "out.parquet")
    assert table["arrival"].tolist() == [0.0, 40.0, 135.0]
    made = table.attrs["provenance"]
    assert made["sha256"] == hashlib.sha256(BURST.encode()).hexdigest()
    assert made["source"] == "in.csv"
    assert made["read_as"] == {"format": "burstgpt", "skip_bad": True}


def test_a_mapped_table_is_written(convert, tmp_path: Path) -> None:
    columns = ("--columns", "arrival=ts", "prompt_tokens=in", "output_tokens=out")
    code, said, _ = convert("ts,in,out\n1787000002000,1,2\n1787000000000,3,4\n", *columns, "--unit", "ms", "--sort")
    assert code == 0
    assert "sorted    1 rows stood after a later one" in said
    assert "2.000 s, 0.500 requests/s" in said
    table = parquet.read(tmp_path / "out.parquet")
    assert table[["arrival", "prompt_tokens"]].to_numpy().tolist() == [[0.0, 3.0], [2.0, 1.0]]
    assert table.attrs["provenance"]["read_as"]["columns"]["arrival"] == "ts"


@pytest.mark.parametrize(
    ("columns", "name"),
    [
        pytest.param([], "out.parquet", marks=pytest.mark.long),
        pytest.param(["prompt_text"], "out.parquet", marks=pytest.mark.long),
        ([*KINDS], "out.parquet"),
        ([], "my own,1=2.parquet"),
    ],
)
def test_the_command_that_is_printed_runs(tmp_path: Path, capsys, monkeypatch, columns: list[str], name: str) -> None:
    given = [f"{at},{at % 7 + 5},{at % 5 + 2}{',1' * len(columns)}" for at in range(100)]
    (tmp_path / "in.csv").write_text("\n".join([",".join(["ts,in,out", *columns]), *given]))
    monkeypatch.chdir(tmp_path)
    assert main(["in.csv", "--to", name, *MAPPED, *(f"{one}={one}" for one in columns)]) == 0
    then = capsys.readouterr().out.splitlines()[-1].removeprefix("then").strip()
    assert ("predictor=prompt_length" in then) is not (set(KINDS) <= {*columns})
    assert shlex.split(then)[0] == "tokenyard"
    done = subprocess.run(
        [sys.executable, "-m", "experiments.cli", *shlex.split(then)[1:]],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "1 made now" in done.stdout + done.stderr


def test_what_cannot_be_run_is_described() -> None:
    assert command(Path("a b.parquet"), pd.DataFrame({"pauses": [[]]})) == "tokenyard trace describe 'a b.parquet'"
    few = pd.DataFrame(dict.fromkeys(KINDS, [1.0] * 99))
    assert command(Path("a"), few) == "tokenyard trace=parquet trace.path=a predictor=prompt_length"


def test_a_clock_is_doubted_and_set_right(convert, tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    _, said, _ = convert(SECONDS, name="in.jsonl")
    assert "doubtful  its 5 requests arrive within 0.004 s: are its stamps in another unit (--unit s, ms" in said
    _, said, _ = convert(SECONDS, "--unit", "s", name="in.jsonl")
    assert "doubtful" not in said
    assert "span      4.000 s, 1.000 requests/s" in said
    assert describe.main([str(tmp_path / "in.jsonl")]) == 0
    assert "arrive within 0.004 s" in capsys.readouterr().out
    assert describe.main([str(tmp_path / "in.jsonl"), "--unit", "s"]) == 0
    assert "doubtful" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "arguments", "said"),
    [
        ("a,b\n1,2\n", (), "no known format fits"),
        (BURST, ("--format", "azure"), "in.csv, line 1: the header is"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.68,374,44\n", ("--unit", "ms"), "have no unit"),
        ("ts,in,out\n1,2,3\n", ("--columns", "arrival=ts"), "--columns prompt_tokens=... is not given"),
        ("t,in,out\n1,2,3\n", MAPPED, "no column 'ts' for --columns arrival=..."),
        ("ts,in,out\n2,2,3\n1,2,3\n", MAPPED, "before it (--sort sorts the rows)"),
        ("ts,in,out\n1,0,3\n", MAPPED, "--skip-bad drops and counts such rows"),
        ("ts,in,out\n1787000000000,5,6\n", MAPPED, "--unit ms (or --unit s, if"),
        ("ts,in,out\n2023-11-16 18:15:46,5,6\n", (*MAPPED, "--unit", "ms"), "leave out --unit ms"),
        ("ts,in,out\n1,2,3\n", (*MAPPED, "--id-tokens", "4"), "prompt_ids=... and --id-tokens go together"),
        ("ts,in,out\n1,2,3\n", (*MAPPED, "prompt_tokenz=in"), "--columns prompt_tokenz=... is no column of a trace"),
    ],
)
def test_what_cannot_be_converted_is_said_in_a_line(
    convert, content: str, arguments: tuple[str, ...], said: str
) -> None:
    code, out, errors = convert(content, *arguments)
    assert (code, out, errors.count("\n")) == (1, "", 1)
    assert said in errors
    assert "trace." not in errors.replace("tokenyard trace", "")


def test_the_file_that_is_read_is_not_written_over(tmp_path: Path, capsys) -> None:
    (tmp_path / "in.csv").write_text(BURST)
    assert main([str(tmp_path / "in.csv"), "--to", str(tmp_path / "in.csv"), "--skip-bad"]) == 1
    assert "is the file that is read" in capsys.readouterr().err
    assert (tmp_path / "in.csv").read_text() == BURST


@pytest.mark.parametrize(
    ("arrivals", "said"),
    [
        ([0.0], []),
        (np.arange(5) * 0.75, []),
        ([0.0, 0.0, 0.0], ["all 3 requests arrive at one instant"]),
        (np.arange(5) / 1000, ["arrive within 0.004 s"]),
        (np.arange(5000) / 1001, ["it has 1,001 requests/s"]),
        (np.arange(5000) / 999, []),
        (np.arange(500) / 2000, ["arrive within 0.249 s", "it has 2,000 requests/s"]),
        (np.arange(5) * 1e8, ["over 4,630 days"]),
    ],
)
def test_spans_and_rates_that_are_hard_to_believe_are_doubted(arrivals, said: list[str]) -> None:
    table = pd.DataFrame({"arrival": arrivals})
    found = doubts(table)
    assert len(found) == len(said)
    assert all(part in doubt and "\n" not in doubt for part, doubt in zip(said, found, strict=True))
    assert doubts(table.assign(think=1.0)) == []


def test_answers_of_several_models_are_mapped_written_and_described(convert, tmp_path: Path, capsys) -> None:
    rows = "ts,in,out,tiny\n0,9,5,50\n1,9,7,70\n2,9,9,90\n"
    code, said, errors = convert(rows, *MAPPED, "output_tokens.opt-125m=tiny")
    assert (code, errors) == (0, "")
    assert "output_tokens.opt-125m" in said
    assert parquet.read(tmp_path / "out.parquet")["output_tokens.opt-125m"].tolist() == [50, 70, 90]
    describe.main([str(tmp_path / "out.parquet"), "--draw", str(tmp_path / "out.png")])
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("opt-125m: output, tokens"))
    assert line.split()[3:5] == ["70", "70"]
