"""Spoilt trace files are refused, or loaded as they say; the whole run is `python tests/fuzz_traces.py`."""

from __future__ import annotations

import contextlib
import gzip
from pathlib import Path
from random import Random

import pandas as pd
import pytest

from tests import fuzz_traces
from tests.tracefuzz.case import PREY_IS_GONE, Case, phases, spoilt
from tests.tracefuzz.csv_formats import make_azure, read_azure
from tests.tracefuzz.formats import Format
from tests.tracefuzz.judge import CRASHED, DEFECTS, OTHER, REFUSED, RIGHT, STRICT, UNTIDY, WARNED, WRONG, judge
from traces.schema import TraceError

FILES = 24  # of each format


@pytest.mark.parametrize("name", sorted(fuzz_traces.FORMATS))
def test_a_spoilt_file_is_refused_or_loaded_as_it_says(name: str) -> None:
    results = [fuzz_traces.run(20, number, [name]) for number in range(FILES)]
    defects = [result for result in results if result.outcome in DEFECTS]
    assert not defects, f"python tests/fuzz_traces.py --seed 20 --format {name}: {defects[0]}"
    assert REFUSED in {result.outcome for result in results}


@pytest.mark.parametrize("name", sorted(fuzz_traces.FORMATS))
def test_a_good_file_is_loaded_as_it_says(name: str, tmp_path: Path) -> None:
    form = fuzz_traces.FORMATS[name]
    for number, suffix in enumerate(form.suffixes * 3):
        made = form.make(Random(number))
        content = gzip.compress(made.content()) if suffix.endswith(".gz") else made.content()
        case = Case(form, f"{number}{suffix}", content, content, ())
        assert judge(case, tmp_path, described=True).outcome == RIGHT


def test_every_mutation_spoils_files_of_some_format() -> None:
    named, applied = set(), set()
    for form in fuzz_traces.FORMATS.values():
        for suffix in form.suffixes:
            for kind in (kind for phase in phases(form.make(Random(0)), suffix) for kind in phase):
                named.add(kind)
                with contextlib.suppress(*PREY_IS_GONE):
                    spoilt(form.make(Random(0)), suffix, [kind], Random(0))
                    applied.add(kind)
    assert applied == named


def test_equal_seeds_make_equal_files() -> None:
    formats = sorted(fuzz_traces.FORMATS)
    one, again = ([fuzz_traces.case(1, number, formats) for number in range(50)] for _ in range(2))
    assert one == again
    assert one != [fuzz_traces.case(2, number, formats) for number in range(50)]


def verdict(folder: Path, content: str, load) -> str:
    """What is said of a loader of Azure's format, which is given this text."""
    form = Format("azure", (".csv",), make_azure, read_azure, load, skips=False)
    good = make_azure(Random(0)).content()
    return judge(Case(form, "made.csv", good, content.encode(), ()), folder, described=False).outcome


GOOD = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.68,374,44\n2023-11-16 18:15:47.68,10,11\n"
TABLE = pd.DataFrame({"arrival": [0.0, 1.0], "prompt_tokens": [374, 10], "output_tokens": [44, 11]})


def test_the_judge_sees_every_kind_of_defect(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def raises(error: Exception):
        def load(path: Path) -> pd.DataFrame:
            raise error

        return load

    def warns(path: Path) -> pd.DataFrame:
        pd.to_datetime(pd.Series(["16/11/2023", "2023-11-16"]), errors="coerce")
        return TABLE

    bad = GOOD.replace(",10,", ",-10,")
    legal = {
        OTHER: lambda path: TABLE,
        WRONG: lambda path: TABLE.assign(prompt_tokens=[374, 11]),
        STRICT: raises(TraceError("made.csv, line 2: no")),
        CRASHED: raises(KeyError("TIMESTAMP")),
        WARNED: warns,
    }
    illegal = {
        REFUSED: raises(TraceError("made.csv, line 3: -10")),
        WRONG: lambda path: TABLE,
        UNTIDY: raises(TraceError("line 3: -10")),
        CRASHED: raises(ValueError("made.csv, line 3: -10")),
    }
    assert {outcome: verdict(tmp_path, GOOD, load) for outcome, load in legal.items()} == {one: one for one in legal}
    assert {outcome: verdict(tmp_path, bad, load) for outcome, load in illegal.items()} == {one: one for one in illegal}
    assert capsys.readouterr().err == ""


def test_the_command_counts_and_keeps_what_offends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = fuzz_traces.main(["--files", "8", "--seed", "4", "--format", "vtc", "--keep", str(tmp_path / "kept")])
    said = capsys.readouterr().out
    assert code == 0
    assert said.startswith("format  refused")
    assert said.split("\n\n")[0].splitlines()[-1].split()[-1] == "8"
    assert not (tmp_path / "kept").exists()
    result = fuzz_traces.Result(3, "vtc", ("nan",), WRONG, "made up")
    fuzz_traces.keep(result, 4, ["vtc"], tmp_path)
    assert '"seed": 4' in (tmp_path / "4-3-vtc" / "what.json").read_text()
