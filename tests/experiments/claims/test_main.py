"""tokenyard claims: what was found is kept, what is stale is said, and what a hand changed is found."""

from __future__ import annotations

import itertools
import json
import math
import shutil
from pathlib import Path

import pytest
import yaml

from experiments.claims import kept as keeping
from experiments.claims import main as command
from experiments.claims import ours
from experiments.claims.kept import NOTHING
from experiments.claims.main import main
from tests.experiments.claims.test_record import GOOD
from tests.experiments.run.test_run import SMALL, tokenyard

NUMBER = itertools.count()
TABLES = """
from experiments.claims import Found
from experiments.figures.stored import of
from experiments.tables.stats import Interval, change

SETTINGS = ("trace.rate",)


def fixed(stored, mean, half_width=1.0):
    return [Found("", Interval(mean, half_width))]


def two(stored):
    return [Found("fast", Interval(-3.0, 1.0)), Found("slow", Interval(8.0, 1.0))]


def stored_change(stored):
    table = stored.table("demo")
    ours, theirs = (of(table, policy=name).sort_values("seed") for name in ("sjf", "fifo"))
    assert set(table["trace.rate"]) == {3000}
    return [Found("", change(ours["response_time_mean"], theirs["response_time_mean"]))]


def nothing(stored):
    return []


def cut_short(stored):
    raise ValueError("no run with system=rtlm")
"""


class Toy:
    """A paper of its own in a folder, its tables a module beside it, and what the command says of it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root, self.page, self.results = folder / "papers", folder / "docs" / "claims.md", folder / "results"
        self.paper = self.root / "toy"
        self.paper.mkdir(parents=True)
        self.page.parent.mkdir()
        self.module = f"toy_tables_{next(NUMBER)}"
        (folder / f"{self.module}.py").write_text(TABLES)
        self.capsys = capsys

    def claim(self, of: str, **more: object) -> dict[str, object]:
        """A record whose value is that of the function `of`."""
        own = {"name": of, "experiment": None, "ours": f"{self.module}.{of}", "with": {}}
        return {**GOOD, **own, **more}

    def write(self, *claims: dict[str, object]) -> None:
        (self.paper / "claims.yaml").write_text(yaml.safe_dump({"paper": "Toy", "claims": list(claims)}))

    def score(self, *arguments: str) -> tuple[int, str, str]:
        status = main([*arguments, "--results", str(self.results)], root=self.root, page=self.page)
        return status, *self.capsys.readouterr()

    def change_kept(self, old: str, new: str) -> None:
        path = self.paper / keeping.FILE
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))


@pytest.fixture
def toy(tmp_path, monkeypatch, capsys) -> Toy:
    monkeypatch.syspath_prepend(tmp_path)
    return Toy(tmp_path, capsys)


def row(page: Path, says: str) -> list[str]:
    """The cells of the row that begins so."""
    (line,) = (line for line in page.read_text().splitlines() if line.startswith(f"| {says}"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_each_verdict_with_its_reason_is_printed_and_written(toy):
    toy.write(
        toy.claim("fixed", name="a", says="alpha", **{"with": {"mean": -3.0}}),
        toy.claim("fixed", name="b", says="beta", **{"with": {"mean": 3.0}}, given="lambda"),
        toy.claim("two", name="c", says="gamma", assumes="the CPU of 2023"),
        toy.claim("two", name="d", says="delta", source="Fig. 3 | left"),
    )
    status, out, err = toy.score()
    assert (status, err) == (0, "")
    assert out.splitlines()[-1] == f"1 holds, 1 in part, 0 does not, 1 cannot be said, 1 given: {toy.page}"
    assert "  4 claims: 1 holds, 1 in part, 0 does not, 1 cannot be said, 1 given\n" in out
    assert row(toy.page, "alpha") == [
        "alpha: below 0 %", "abstract [R]", "-3.0 ± 1.0 %", "**holds**", "so it is",
    ]  # fmt: skip
    assert row(toy.page, "beta")[2:] == ["+3.0 ± 1.0 %", "**given**", "It set lambda. so it is"]
    assert row(toy.page, "gamma")[2:] == [
        "from -3 to 8 %<br>fast: -3.0 ± 1.0 %<br>slow: +8.0 ± 1.0 %", "**cannot be said**",
        "Assumed: the CPU of 2023. so it is",
    ]  # fmt: skip
    assert row(toy.page, "delta")[1:4] == [
        "Fig. 3 / left [R]", "fast: -3.0 ± 1.0 % (holds)<br>slow: +8.0 ± 1.0 % (does not)", "**in part**",
    ]  # fmt: skip
    assert "| [toy](#toy) | 1 | 1 | 0 | 1 | 1 |" in toy.page.read_text()


def test_a_value_without_an_interval_says_so_and_comes_back_from_what_is_kept(toy):
    toy.write(toy.claim("fixed", says="alpha", **{"with": {"mean": -3.0, "half_width": math.nan}}))
    assert toy.score()[0] == 0
    assert row(toy.page, "alpha")[2:4] == ["-3.000 %, no interval", "**cannot be said**"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"claimed": [None, 5], "none": None}, "at most 5 %"),
        ({"claimed": [1, None], "none": 1, "unit": ""}, "above 1"),
        ({"claimed": [2, None]}, "at least 2 %"),
        ({"claimed": [2, 3.5]}, "2 to 3.5 %"),
        ({"claimed": 2, "within": 0.15}, "2 %, within 15 %"),
        ({"claimed": 2, "within": 0, "none": None}, "2 % exactly"),
    ],
)
def test_how_what_is_claimed_is_said(toy, more, said):
    toy.write(toy.claim("two", says="alpha", **more))
    assert toy.score()[0] == 0
    assert row(toy.page, "alpha")[0] == f"alpha: {said}"


def test_it_is_written_once(toy):
    toy.write(toy.claim("fixed", **{"with": {"mean": -3.0}}))
    toy.score()
    first = {path: path.read_bytes() for path in (toy.page, toy.paper / keeping.FILE)}
    toy.score()
    assert {path: path.read_bytes() for path in first} == first


def test_without_results_it_cannot_be_said_and_says_how_to_make_them(toy):
    toy.write(toy.claim("stored_change", says="alpha", experiment="demo"))
    status, out, _ = toy.score()
    assert status == 0
    assert "runs are missing" in out
    assert "to make them: tokenyard claims toy --run" in out
    assert row(toy.page, "alpha")[2:] == ["-", "**cannot be said**", "No results: `tokenyard -m experiment=demo`"]


RUNS = [*(one for one in SMALL if not one.startswith("trace.rate")), "trace.rate=3000"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """The results of a sweep of four runs."""
    results = tmp_path_factory.mktemp("runs")
    tokenyard("-m", *RUNS, "policy=fifo,sjf", "seed=0,1", "name=demo", results=results)
    return results


@pytest.fixture
def with_runs(toy, runs, monkeypatch) -> Toy:
    """A copy of the sweep, which is all that the experiment is taken to ask for."""
    shutil.copytree(runs, toy.results)
    wanted = {frozenset([*RUNS, f"policy={policy}", f"seed={seed}"]) for policy in ("fifo", "sjf") for seed in (0, 1)}
    monkeypatch.setattr(ours, "_wanted", lambda experiment: wanted)
    toy.write(toy.claim("stored_change", says="alpha", experiment="demo"))
    return toy


def test_what_is_found_in_results_is_kept_for_who_has_none(with_runs, monkeypatch):
    toy = with_runs
    status, out, _ = toy.score()
    assert status == 0
    assert "kept" not in out
    found = row(toy.page, "alpha")
    assert "±" in found[2]
    kept = keeping.read(toy.paper)
    basis = kept.bases["demo"]
    assert (basis.runs, basis.seeds) == (4, 2)
    assert {"policies.order.sjf.SJF", "policy/order/sjf.yaml"} <= set(basis.parts)
    before = toy.page.read_text()
    toy.results.rename(toy.results.with_name("away"))
    status, out, _ = toy.score()
    assert status == 0
    assert f"  demo: kept from {basis.date} (4 runs, 2 seeds)\n" in out
    assert toy.page.read_text() == before
    assert keeping.read(toy.paper) == kept
    monkeypatch.setattr(ours, "code_by", lambda named: {"sim.job": "0" * 16})
    assert f"  demo: kept from {basis.date} (4 runs, 2 seeds), found by earlier code\n" in toy.score()[1]


def test_a_changed_yaml_or_function_makes_what_is_kept_stale(with_runs, tmp_path, monkeypatch):
    toy = with_runs
    toy.score()
    basis = keeping.read(toy.paper).bases["demo"]
    tables = [f"{toy.module}.stored_change"]
    assert basis.is_current(tables)
    assert not basis.is_current(["experiments.papers.rtlm.tables.changed"])
    conf = tmp_path / "conf"
    (conf / "policy" / "order").mkdir(parents=True)
    for part in (one for one in basis.parts if one.endswith(".yaml")):
        (conf / part).parent.mkdir(parents=True, exist_ok=True)
        (conf / part).write_bytes((ours.CONF / part).read_bytes())
    monkeypatch.setattr(ours, "CONF", conf)
    with (conf / "policy" / "order" / "sjf.yaml").open("a") as file:
        file.write("# a comment\n")
    assert basis.is_current(tables)
    with (conf / "policy" / "order" / "sjf.yaml").open("a") as file:
        file.write("more: 1\n")
    assert not basis.is_current(tables)


def test_part_of_a_sweep_is_no_result(with_runs, monkeypatch):
    toy = with_runs
    toy.score()
    kept = keeping.read(toy.paper)
    wanted = ours._wanted("demo")
    monkeypatch.setattr(ours, "_wanted", lambda experiment: wanted | {frozenset({"policy=up", "seed=0"})})
    assert "kept from" in toy.score()[1]
    assert keeping.read(toy.paper) == kept
    (toy.paper / keeping.FILE).unlink()
    assert "demo: 1 of 5 runs are missing in" in toy.score()[1]
    assert keeping.read(toy.paper).entries == {}


def test_a_record_that_was_changed_since_it_was_found(with_runs):
    toy = with_runs
    toy.score()
    toy.results.rename(toy.results.with_name("away"))
    toy.write(toy.claim("stored_change", says="alpha, in other words", experiment="demo", reason="who knows"))
    assert toy.score()[0] == 0
    toy.write(toy.claim("stored_change", says="alpha", experiment="demo", claimed=[None, -1]))
    status, _, err = toy.score()
    assert status == 1
    assert err == "toy: changed since they were found: stored_change\n"
    assert row(toy.page, "alpha")[2:4] == ["-", "**cannot be said**"]
    assert row(toy.page, "alpha")[4].startswith("The record was changed since it was found: `tokenyard -m")
    toy.results.with_name("away").rename(toy.results)
    assert toy.score()[0] == 0


@pytest.mark.parametrize(("old", "new"), [('"mean": -3.0', '"mean": -4.0'), ('"seal"', '"sale"'), ("}\n", "\n")])
def test_what_a_hand_changed_in_what_is_kept_is_found(toy, old, new):
    toy.write(toy.claim("fixed", **{"with": {"mean": -3.0}}))
    toy.score()
    toy.change_kept(old, new)
    status, _, err = toy.score()
    assert status == 1
    assert f"{toy.paper / keeping.FILE} is damaged, " in err


def test_a_claim_that_is_no_more_is_kept_no_more(toy):
    toy.write(toy.claim("fixed", name="a", **{"with": {"mean": -3.0}}), toy.claim("two", name="b"))
    toy.score()
    toy.write(toy.claim("two", name="b"))
    assert toy.score()[0] == 0
    assert list(keeping.read(toy.paper).entries) == ["b"]


@pytest.mark.parametrize(
    ("of", "said"), [("nothing", "is to return a list of Found, and gave []"), ("cut_short", "no run with system=rtlm")]
)
def test_a_function_that_finds_nothing(toy, of, said):
    toy.write(toy.claim(of))
    status, _, err = toy.score()
    assert status == 1
    assert err.startswith(f"tokenyard claims: claim {of}: {toy.module}.{of}")
    assert said in err
    assert not toy.page.exists()


def test_an_unknown_paper_and_a_wrong_record(toy):
    toy.write(toy.claim("two"))
    with pytest.raises(SystemExit):
        toy.score("tony")
    assert "no claims of tony: there are those of toy" in toy.capsys.readouterr().err
    toy.write({**toy.claim("two"), "sure": "Q"})
    status, _, err = toy.score()
    assert status == 1
    assert "claim two: sure is to be one of" in err


def test_only_the_asked_paper_is_found_anew_and_the_page_is_of_all(toy):
    toy.write(toy.claim("fixed", says="alpha", **{"with": {"mean": -3.0}}))
    toy.score()
    other = toy.root / "other"
    other.mkdir()
    (other / "claims.yaml").write_text(yaml.safe_dump({"paper": "Other", "claims": [toy.claim("two", says="beta")]}))
    status, out, _ = toy.score("toy")
    assert status == 0
    assert "other" not in out
    assert row(toy.page, "alpha")[3] == "**holds**"
    assert row(toy.page, "beta")[2] == "-"
    assert not (other / keeping.FILE).exists()


def test_run_runs_what_the_asked_papers_need_and_tells_of_a_failure(toy, monkeypatch):
    lines: list[list[str]] = []
    status = 0

    def pretend(line, **_):
        lines.append(line)
        return type("Done", (), {"returncode": status})

    monkeypatch.setattr(command.subprocess, "run", pretend)
    toy.write(
        toy.claim("stored_change", name="a", experiment="demo"),
        toy.claim("stored_change", name="b", experiment="demo"),
        toy.claim("two", name="c"),
    )
    assert toy.score("--run", "--jobs", "1")[0] == 0
    ran = ["-m", "experiments.cli", "-m", "experiment=demo", f"results={toy.results}", "hydra.launcher.n_jobs=1"]
    assert [line[1:] for line in lines] == [ran]
    status = 1
    assert toy.score("--run")[0] == 1


def test_the_runs_that_a_sweep_asks_for():
    wanted = ours._wanted("rtlm/claims_offload")
    assert len(wanted) == 40
    settings = {"trace.correlation=0.27", "calibration.malicious_quantile=0.9", "system=rtlm", "seed=9"}
    assert frozenset(settings) in wanted


def test_the_files_that_an_experiment_builds_upon():
    assert ours._bases(["experiment/rtlm/claims_offload.yaml"]) == {
        "experiment/rtlm/base.yaml", "calibration/batch_size.yaml", "calibration/tau.yaml",
    }  # fmt: skip


def test_what_is_kept_reads_back(toy):
    toy.write(toy.claim("fixed", **{"with": {"mean": -1 / 3}}))
    toy.score()
    kept = keeping.read(toy.paper)
    assert kept.entries["fixed"].found[0].value.mean == -0.333333
    assert kept.bases[NOTHING].runs == 0
    keeping.write(toy.paper, kept)
    assert keeping.read(toy.paper) == kept
    assert json.loads((toy.paper / keeping.FILE).read_text())["seal"]
