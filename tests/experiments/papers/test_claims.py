"""The claims of all papers: docs/claims.md is what records and kept values give; and what is run anew is what is kept.

Of those marked `claim` the results go to the folder that TOKENYARD_CLAIMS_RESULTS names, and stay there; without it,
to a temporary one.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from experiments.claims import kept as keeping
from experiments.claims import verdict
from experiments.claims.main import PAGE, run
from experiments.claims.ours import basis, values
from experiments.claims.page import document
from experiments.claims.record import Paper, papers

RESULTS = "TOKENYARD_CLAIMS_RESULTS"
PAPERS = papers()
AT_LEAST = {"rtlm"}  # whose claims are records


def test_the_page_is_what_the_records_and_what_is_kept_give():
    scored = [(paper, keeping.read(paper.folder)) for paper in PAPERS]
    assert PAGE.read_text(encoding="utf-8") == document(scored), "run tokenyard claims"
    assert {paper.name for paper in PAPERS} >= AT_LEAST


@pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: paper.name)
def test_every_claim_has_a_value_that_was_found_for_it_as_it_stands(paper: Paper):
    kept = keeping.read(paper.folder)
    assert [claim.name for claim in paper.claims if kept.of(claim) is None] == []
    assert set(kept.entries) == {claim.name for claim in paper.claims}


@pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: paper.name)
def test_every_reason_is_a_sentence(paper: Paper):
    assert [claim.name for claim in paper.claims if not re.fullmatch(r"[A-Z].*\s.*\.", claim.reason.strip())] == []


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    given = os.environ.get(RESULTS)
    return Path(given).resolve() if given else tmp_path_factory.mktemp("claims")


@pytest.mark.claim
@pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: paper.name)
def test_what_is_run_anew_is_what_is_kept(paper: Paper, results: Path):
    assert run([paper], results, jobs=None)
    kept = keeping.read(paper.folder)
    wrong = []
    for experiment in dict.fromkeys(one for claim in paper.claims for one in claim.experiments):
        new, old = basis(experiment, results, ["experiments.claims"], ""), kept.bases[experiment]
        assert (new.runs, new.seeds) == (old.runs, old.seeds), experiment
    ours = values(paper.claims, results)
    for claim in paper.claims:
        entry = kept.of(claim)
        assert entry is not None, claim.name
        assert [where for where, _ in ours[claim.name]] == [where for where, _ in entry.found], claim.name
        assert verdict.of(claim, ours[claim.name]) is verdict.of(claim, entry.found), claim.name
        for (where, value), (_, before) in zip(ours[claim.name], entry.found, strict=True):
            same = verdict.of_one(claim, value) is verdict.of_one(claim, before)
            near = repr(value) == repr(before) or abs(value.mean - before.mean) <= before.half_width
            if not (same and near):
                wrong.append(f"{claim.name}, {where}: {value} now, {before} kept")
    assert wrong == []
