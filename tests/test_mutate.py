"""The mutator makes the mutants that it should, tells which test kills each, and goes on where it stopped."""

import ast
import json
import subprocess

import pytest

from tests import mutate
from tests.mutants import mutants

TOY = '''"""A toy: é is two bytes."""
def clipped(value: int = 3, most: float | None = None) -> float:
    if most is None:
        raise ValueError(f"most must be given, got {most + 1}")
    while ready():
        note(value)
    return min(value, most) if value > 0 and not value % 2 else -1
'''
CHANGES = [
    "2: 3 -> 4", "3: most is None -> (most is not None)",
    '4: raise ValueError(f"most must be given, got {most + 1}") -> pass',
    "5: ready() -> (not ready())", "6: note(value) -> pass",
    "7: min -> max", "7: min(value, most) if value > 0 and not value % 2 else -1 -> "
    "(-1 if value > 0 and (not value % 2) else min(value, most))",
    "7: value > 0 -> (value >= 0)", "7: value > 0 and not value % 2 -> (value > 0 or not value % 2)", "7: 0 -> 1",
    "7: not value % 2 -> (value % 2)", "7: value % 2 -> (value * 2)", "7: 2 -> 3", "7: -1 -> (1)", "7: 1 -> 2",
]  # fmt: skip


def test_each_change_is_made_once_and_leaves_the_rest_as_it_is():
    found = mutants("toy.py", TOY)
    assert sorted(map(str, found)) == sorted(f"toy.py:{change}" for change in CHANGES)
    for one in found:
        mutated = one.of(TOY)
        assert len(mutated) - len(TOY) == len(one.new) - len(one.old)
        assert ast.dump(ast.parse(mutated)) != ast.dump(ast.parse(TOY))


def test_a_mutant_of_another_text_is_refused():
    with pytest.raises(ValueError, match="does not hold"):
        mutants("toy.py", TOY)[0].of(TOY.replace("3", "7"))


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A tree with a file, its tests, and what git is not to track."""
    root = tmp_path / "root"
    for name, text in {
        "sim/toy.py": "def grown(value):\n    while value < 2:\n        value += 1\n    return value + 0\n",
        "policies/none.py": "",
        "quick.py": "from sim.toy import grown\ndef test_of_one():\n    assert grown(1) == 2\n",
        "slow.py": "from sim.toy import grown\ndef test_of_three():\n    assert grown(3) == 3\n",
        ".gitignore": "kept.jsonl\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    monkeypatch.setattr(mutate, "ROOT", root)
    monkeypatch.setattr(mutate, "COVERED_BY", {"sim": [["quick.py"], ["slow.py"]]})
    monkeypatch.setattr(mutate, "sample", lambda count, seed: mutants("sim/toy.py", (root / "sim/toy.py").read_text()))
    return root


@pytest.mark.long
def test_what_kills_each_mutant_is_told_and_kept(tree, capsys, monkeypatch):
    kept, source = tree / "kept.jsonl", (tree / "sim/toy.py").read_text()
    chosen = {str(one).split(": ", 1)[1]: one for one in mutate.sample(0, 0)}
    never = next(one for text, one in chosen.items() if text == "value += 1 -> pass")
    kept.write_text(json.dumps([mutate.identity(never, tree), "time, more than 20 s"]) + "\n")  # as if tried before
    mutate.main(["--jobs", "2", "--kept", str(kept)])
    told = capsys.readouterr().out.splitlines()
    assert told == [
        "sim/toy.py:2: value < 2 -> (value <= 2): killed by quick.py::test_of_one",
        "sim/toy.py:2: 2 -> 3: killed by quick.py::test_of_one",
        "sim/toy.py:3: value += 1 -> pass: killed by time, more than 20 s",
        "sim/toy.py:3: 1 -> 2: killed by quick.py::test_of_one",
        "sim/toy.py:4: value + 0 -> (value - 0): SURVIVED",
        "sim/toy.py:4: 0 -> 1: killed by quick.py::test_of_one",
        "6 mutants: 5 killed, 1 survived",
        "  4 by quick.py",
        "  1 by time",
    ]
    assert (tree / "sim/toy.py").read_text() == source
    monkeypatch.setattr(mutate, "killer", lambda *_: pytest.fail("tried again"))
    mutate.main(["--jobs", "2", "--kept", str(kept)])
    assert capsys.readouterr().out.splitlines() == told


def test_a_test_that_hangs_is_stopped(tree):
    (tree / "hangs.py").write_text("import time\ndef test_of_sleep():\n    time.sleep(600)\n")
    assert mutate.run(["hangs.py"], tree, 3.0) == "time, more than 3 s"


@pytest.mark.long
def test_tests_that_fail_without_a_mutant_are_named(tree):
    (tree / "slow.py").write_text("def test_of_nothing():\n    assert False\n")
    with pytest.raises(SystemExit, match=r"slow\.py::test_of_nothing fails without any mutant"):
        mutate.main(["--jobs", "1", "--kept", str(tree / "kept.jsonl")])


def test_equal_seeds_make_equal_samples_of_all_that_is_covered():
    first, again, other = (mutate.sample(30, seed) for seed in (1, 1, 2))
    assert first == again != other
    assert {mutate.stages(one.path)[0][0].split("/")[0] for one in first} == {"tests"}
    assert {one.path.split("/")[0] for one in first} == {"sim", "policies"}
