"""The pages tell what is there: each command on them is taken, each target of make, linked file and extra exists."""

from __future__ import annotations

import argparse
import ast
import configparser
import importlib
import re
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.utils import instantiate
from omegaconf import OmegaConf

from experiments import cli
from experiments.run.inputs import build_cluster
from experiments.run.sweep import SweepLog
from experiments.settings import check
from sim import Request, Truth, simulate
from tests.conftest import ROOT

OWN = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
PAGES = [*(ROOT / name for name in OWN), *sorted((ROOT / "docs").rglob("*.md"))]
CONF = ROOT / "experiments" / "conf"
LONGEST_README, LONGEST_DECISION = 90, 40  # lines
TOKENYARD = ("tokenyard", ".venv-vllm/bin/tokenyard", ".venv/bin/tokenyard")
NOT_HERE = re.compile(  # said of what does not ship: a public trace, and what a command above would have made
    r": no (?:trace file '|config of a model at |weights '|network '|kernel table |"
    r"profile of [\w.-]+ on \w+ in (?:results|profile-output))"
)
FILE = re.compile(
    r"(?<![\w/])(?:sim|policies|traces|profiles|experiments|tests|notebooks|docs)/[\w./-]*\.(?:py|yaml|ipynb|md|json|csv)\b"
)
PLACEHOLDER = re.compile(r"(?<![a-z])(?:NAME|PAPER|MODEL|DEVICE)(?![a-z])")  # for what a reader would call it


def blocks(text: str) -> Iterator[list[str]]:
    """The lines of each block of code: fenced as text or shell, or indented by four behind an empty line."""
    block: list[str] = []
    fence: str | None = None
    before = ""
    for line in [*text.splitlines(), "end"]:
        if line.strip().startswith("```"):
            if fence in ("", "bash", "sh"):
                yield block
            fence, block = (line.strip()[3:] if fence is None else None), []
        elif fence is not None or (line.startswith("    ") and (block or not before.strip())):
            block.append(line)
        elif block and line.strip():
            yield block
            block = []
        before = line


def commands(text: str) -> Iterator[list[str]]:
    """The words of each command of a page, in blocks and in the middle of a sentence."""
    for block in blocks(text):
        for line in re.sub(r"\\\n\s*", " ", "\n".join(block)).splitlines():
            for part in line.split(" && "):
                try:
                    words = shlex.split(part, comments=True)
                except ValueError:  # what a program printed
                    continue
                if words:
                    yield words
    for said in re.findall(r"`((?:tokenyard|make) [^`]+)`", text):
        yield mentioned(shlex.split(said))


def mentioned(words: list[str]) -> list[str]:
    """What a sentence says of a command, made whole: its verb, asked for help, where it is no command with settings."""
    if words[0] == "make" or ("..." not in words[-1] and any("=" in word for word in words)):
        return words
    return [*(word for word in words if word.islower() and "..." not in word), "--help"]


def of_page(page: Path, *programs: str) -> list[list[str]]:
    return [words for words in commands(page.read_text(encoding="utf-8")) if words[0] in programs]


TYPED = {shlex.join(words[1:]): words[1:] for page in PAGES for words in of_page(page, *TOKENYARD)}
READ_FIRST = {  # what a user tries; the papers' pages are of commands that seldom change
    shlex.join(words[1:])
    for page in PAGES
    if page.parent.name not in ("papers", "decisions")
    for words in of_page(page, *TOKENYARD)
}


class TakenError(BaseException):
    """The command line was understood, and what it asks for would begin now."""


def one_at_a_time(axes: Sequence[tuple[str, Sequence[str]]], _most: int) -> list[tuple[str, ...]]:
    """So few jobs of a sweep that each option that was typed is in one; what a yaml sweeps has tests of its own."""
    typed = {word.split("=")[0] for word in sys.argv if "." not in word.split("=")[0]} - {"seed"}
    most = max((len(values) for key, values in axes if key in typed), default=1)
    return [
        tuple(values[number % len(values) if key in typed else 0] for key, values in axes) for number in range(most)
    ]


def write_routing(folder: Path) -> None:
    """What docs/policies.md says of a routing of one's own: a module, and its yaml."""
    page = (ROOT / "docs" / "policies.md").read_text(encoding="utf-8")
    [(module, yaml)] = re.findall(r"```python\n((?:(?!```).)*ByPrompt.*?)```\n\n```yaml\n(.*?)```", page, re.DOTALL)
    (folder / "by_prompt.py").write_text(module, encoding="utf-8")
    place = folder / "FOLDER" / "policy" / "routing" / "by_prompt.yaml"
    place.parent.mkdir(parents=True)
    place.write_text(yaml, encoding="utf-8")


@pytest.fixture(autouse=True)
def nothing_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Commands end where they were understood; they are given where a user of a plug-in would type them."""
    parse = argparse.ArgumentParser.parse_args

    def parsed(self: argparse.ArgumentParser, *given: Any, **named: Any) -> argparse.Namespace:
        result = parse(self, *given, **named)
        if self.description == "Hydra":
            return result
        raise TakenError

    def composed(args: Any, args_parser: Any, task_function: Any, config_path: str, config_name: str) -> NoReturn:
        folder = (Path(task_function.__code__.co_filename).parent / config_path).resolve()
        if (folder, config_name) != (CONF, "config"):  # those of tokenyard run were checked before
            if folder != CONF:  # what this process stores of ours is not there when another program is started
                monkeypatch.delitem(ConfigStore.instance().repo, "system", raising=False)
            with initialize_config_dir(str(folder), version_base="1.3"):
                compose(config_name, overrides=args.overrides)
        raise TakenError

    def begun(self: SweepLog) -> NoReturn:  # of a search
        raise TakenError

    monkeypatch.setattr(SweepLog, "__init__", begun)
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parsed)
    monkeypatch.setattr(sys.modules["hydra.main"], "_run_hydra", composed)
    monkeypatch.setattr(check, "jobs", one_at_a_time)
    order = tmp_path / "FOLDER" / "policy" / "order"
    order.mkdir(parents=True)
    shutil.copy(CONF / "policy" / "order" / "aging.yaml", order / "mine.yaml")
    write_routing(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)


def taken(words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> tuple[bool, str]:
    """Whether tokenyard understands this command line, and what it said."""
    monkeypatch.setattr(sys, "argv", ["tokenyard", *words])
    try:
        cli.main()
    except TakenError:
        return True, capsys.readouterr().err
    except SystemExit as ended:
        said = capsys.readouterr()
        return ended.code in (0, None), f"{said.err}{ended.code}"
    raise AssertionError(f"tokenyard {shlex.join(words)} ran")


def costly(line):
    """Whether it is for make check: a paper's, or a sweep as it stands in a yaml, which a test of its own runs."""
    return line not in READ_FIRST or re.fullmatch(r"-m experiment=\S+", line) is not None


@pytest.mark.parametrize("line", [pytest.param(one, marks=pytest.mark.long if costly(one) else ()) for one in TYPED])
def test_a_command_on_a_page_is_taken(line, capsys, monkeypatch):
    understood, said = taken(TYPED[line], capsys, monkeypatch)
    assert understood or all(NOT_HERE.search(line) or line == "1" for line in said.splitlines()), said


@pytest.mark.parametrize(
    "line", ["policy=sfj", "collect", "engine speed", "profile measure modle=gpt2", "-m policy=fifo,sfj seed=0,1"]
)
def test_a_command_with_a_slip_is_not_taken(line, capsys, monkeypatch):
    understood, said = taken(line.split(), capsys, monkeypatch)
    assert not understood, said


def test_the_pages_routing_sends_short_prompts_to_the_small_model(tmp_path):
    parts = ["cluster=opt_family", "policy=fifo", "policy/batching=continuous", "predictor=oracle"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", parts)
    cfg.policy.routing = OmegaConf.load(tmp_path / "FOLDER" / "policy" / "routing" / "by_prompt.yaml")
    policy, predictor = (instantiate(one, _convert_="all") for one in (cfg.policy, cfg.predictor))
    requests = [Request(number, float(number), tokens, Truth(3)) for number, tokens in enumerate((99, 100))]
    served = simulate(requests, policy, build_cluster(cfg.cluster), predictor).requests
    assert served["model"].tolist() == ["opt-1.3b", "opt-6.7b"]


def test_the_pages_show_commands_of_all_kinds():
    verbs = {words[0] for words in TYPED.values()}
    assert {"collect", "figures", "rate", "validate", "train", "evaluate", "trace", "profile", "engine"} <= verbs
    assert sum("=" in words[0] or words[0] == "-m" for words in TYPED.values()) > 20


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_exists(page):
    text = page.read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    asked = {word for words in of_page(page, "make") for word in words[1:] if "=" not in word}
    assert asked <= set(targets)
    links = re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)", text)
    for name, heading in links:
        if name.startswith("http"):
            continue
        linked = (page.parent / name).resolve() if name else page
        assert linked.exists(), f"{name} is linked"
        if heading:
            assert heading in anchors(linked), f"{name}#{heading} is linked"
    for name in FILE.findall(text):
        assert PLACEHOLDER.search(name) or (ROOT / name).exists(), f"{name} is named"
    for block in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(node.module)
                assert all(hasattr(module, alias.name) for alias in node.names), f"{node.module} is imported from"
    for words in of_page(page, "python"):
        assert words[1] == "-m" or (ROOT / words[1]).exists(), f"{words[1]} is run"
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    extras = {one for group in re.findall(r"\.\[([\w,]+)\]", text) for one in group.split(",")}
    assert extras <= set(setup["options.extras_require"])


def anchors(page: Path) -> set[str]:
    """The headings of a page as links name them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_short_pages_stay_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= LONGEST_README
    for page in (ROOT / "docs" / "decisions").glob("*.md"):
        assert len(page.read_text(encoding="utf-8").splitlines()) <= LONGEST_DECISION, page.name


def test_the_index_names_every_page():
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    missing = [str(page.relative_to(ROOT / "docs")) for page in PAGES if (ROOT / "docs") in page.parents]
    assert [name for name in missing if f"({name})" not in index and name != "index.md"] == []
