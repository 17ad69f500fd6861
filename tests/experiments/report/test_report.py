"""The page of a sweep: whole, escaped, without a network, with the warnings and the slowest requests that are there."""

from __future__ import annotations

import base64
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pandas as pd
import pytest
from PIL import Image

from experiments.figures import figure
from experiments.notebook import run
from experiments.report import doubts, main, slowest
from experiments.report.page import document, table, tag
from experiments.report.sweep import read
from experiments.run.results import Folder
from experiments.tables import parts
from tests.experiments.run.test_run import small

SETTINGS = small("predictor=oracle", "trace.requests=40", "trace.rate=6", "policy/batching=continuous", "seed=[0,1]")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two policies and two seeds; `sjf` was given a name that a browser must not take for markup."""
    folder = tmp_path_factory.mktemp("results")
    for policy in ("fifo", "sjf"):
        run(*SETTINGS, f"policy={policy}", f"results={folder}", "name='<b>&mine'")
    return folder / "<b>&mine"


@pytest.fixture(scope="module")
def page(results: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the command writes."""
    output = tmp_path_factory.mktemp("page") / "made" / "page.html"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["tokenyard report", str(results), "--output", str(output)])
        main.main()
    return output.read_text(encoding="utf-8")


class Reader(HTMLParser):
    """Which elements a page has, how they nest, what they load, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [value or "" for name, value in attrs if name in ("src", "href", "action", "srcset", "data")]
        if tag not in ("img", "meta", "br", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_is_whole_and_loads_nothing(page: str) -> None:
    assert page.startswith("<!DOCTYPE html>")
    found = Reader(page)
    assert found.open == []
    assert not {"script", "link", "iframe", "b"} & set(found.tags)
    assert all(one.startswith(("data:image/svg+xml;base64,", "#")) for one in found.loads)
    assert "url(" not in page
    assert "<b>&mine" in found.text
    for section in main.SECTIONS:
        assert section in found.text
    pictures = [one for one in found.loads if one.startswith("data:")]
    assert len(pictures) >= 5
    for one in pictures:
        assert ET.fromstring(base64.b64decode(one.partition(",")[2])).tag.endswith("svg")


@pytest.mark.long
def test_equal_results_give_equal_pages(results: Path, page: str) -> None:
    assert main.page(read([results], None)) == page


def test_the_table_is_the_one_that_is_printed_with_its_change(results: Path, page: str) -> None:
    sweep, text = read([results], None), Reader(page).text
    means = sweep.table.groupby("policy")["response_time_mean"].mean()
    assert all(f"{mean:.3f}" in text for mean in means)
    assert "mean - fifo" in text
    assert "Few seeds (2)" in text
    assert "max_num_seqs" not in text.partition("All ")[0]
    assert "requests in a batch: 128" in text


def test_the_slowest_requests_are_the_slowest_and_their_parts_add_up(results: Path) -> None:
    sweep = read([results], None)
    longest = sweep.table.groupby("policy")["response_time_max"].max()
    text = "".join("".join(one.itertext()) for one in slowest.slowest(sweep))
    assert all(f"{policy}: {seconds:.3g} s at most" in text for policy, seconds in longest.items())
    assert "record=jobs tells them apart" in text
    found = parts.of_folder(sweep.folders[sweep.table["run"].iloc[0]])
    assert found[parts.seconds_in(found)].sum(axis=1).to_numpy() == pytest.approx(found["response_time"].to_numpy())


def test_spans_are_read_where_a_run_kept_them(results: Path) -> None:
    sweep = read([results], None)
    folder = sweep.folders[sweep.table["run"].iloc[0]]
    requests = pd.read_parquet(folder.path / "requests.parquet").set_index("id")
    middle = (requests["queued"] + requests["finished"]) / 2
    spans = pd.concat(
        [
            pd.DataFrame(
                {"request": requests.index, "replica": replica, "span": name, "start": start, "end": end,
                 "first_step": -1, "last_step": -1}
            )
            for name, replica, start, end in (
                ("asked", "", requests["arrival"], requests["queued"]),
                ("preempted", "gpu", requests["queued"], middle),
                ("decode", "cpu", middle, requests["finished"]),
            )
        ]
    )  # fmt: skip
    spans.to_parquet(folder.path / parts.SPANS)
    pd.DataFrame(columns=["replica", "seconds", "overhead_seconds", "running"]).to_parquet(
        folder.path / "steps.parquet"
    )
    try:
        found = parts.of_folder(folder)
        assert found["preemption and recompute"].to_numpy() == pytest.approx(found["decode"].to_numpy())
        assert "offload" not in found
        spans.assign(span="napping").to_parquet(folder.path / parts.SPANS)
        with pytest.raises(ValueError, match="spans that nobody knows: napping"):
            parts.of_folder(folder)
    finally:
        (folder.path / parts.SPANS).unlink()
        (folder.path / "steps.parquet").unlink()


def test_warnings_tell_who_is_not_in_the_numbers_and_where_the_queue_grows(results: Path) -> None:
    sweep = read([results], None)
    table = sweep.table.assign(rejected=2, rejection="too long for it", censored=1)
    table["throughput_requests"] = 0.5 * table["requests"] / table["window_seconds"]
    changed = type(sweep)(**{**vars(sweep), "table": table, "others": {"failed": 3}, "said": ["left out: x"]})
    text = "\n".join(doubts.doubts(changed))
    for said in ("3 runs are failed", "8 measured requests", "unfinished at the horizon", "too long for it",
                 "Saturated", "fifo 50%", "left out: x"):  # fmt: skip
        assert said in text
    assert "Saturated" not in "\n".join(doubts.doubts(sweep))


def test_what_is_damaged_is_counted(results: Path, tmp_path: Path) -> None:
    for path in results.iterdir():
        (tmp_path / path.name).mkdir()
        for file in path.iterdir():
            (tmp_path / path.name / file.name).write_bytes(file.read_bytes())
    broken = next(tmp_path.iterdir())
    (broken / "summary.json").write_text("{}")
    assert Folder(broken).state == "damaged"
    assert "1 runs are damaged" in "\n".join(doubts.doubts(read([tmp_path], None)))


def test_text_is_text_in_a_page_whatever_it_holds() -> None:
    evil = "</td><script>alert(1)</script>\"' \x00\x1b"
    page = document(evil, {"one": [table((evil,), [(evil,), ((evil, "text"),)])]}, [tag("p", evil, title=evil)])
    found = Reader(page)
    assert "script" not in found.tags
    assert found.text.count("alert(1)") == 5
    assert "\x00" not in page


@pytest.mark.parametrize(
    ("given", "said"),
    [(["absent"], "absent is no folder: give the results/NAME"), (["."], "no complete run below .")],
)
def test_what_cannot_be_reported_is_said_in_a_line(
    given, said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["tokenyard report", *given])
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert str(ended.value.code).startswith(f"tokenyard report: {said}")
    assert list(tmp_path.iterdir()) == []


def test_the_command_draws_a_figure_of_requests(results: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    line = ["tokenyard figure", str(results), "--cdf", "ttft", "--output", str(tmp_path / "drawn")]
    monkeypatch.setattr(sys, "argv", line)
    figure.main()
    assert capsys.readouterr().out.split() == [str(tmp_path / "drawn.png"), str(tmp_path / "drawn.pdf")]
    with Image.open(tmp_path / "drawn.png") as image:
        assert image.width == 1500
    monkeypatch.setattr(sys, "argv", ["tokenyard figure", str(results), "--cdf", "ttfft"])
    with pytest.raises(SystemExit) as ended:
        figure.main()
    assert re.match(r"tokenyard figure: no column of requests.parquet ttfft; did you mean ttft", str(ended.value.code))
