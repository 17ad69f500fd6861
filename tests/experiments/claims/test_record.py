"""Records are read strictly: whatever is wrong is told by file, line, claim and key."""

from __future__ import annotations

import pytest
import yaml

from experiments.claims.record import ClaimError, papers, read

GOOD = {
    "name": "one", "says": "it falls", "claimed": [None, 0], "none": 0, "unit": "%", "source": "abstract", "sure": "R",
    "experiment": "rtlm/claims", "ours": "experiments.papers.rtlm.tables.changed",
    "with": {"system": "up", "metric": "response_time_mean"}, "given": None, "assumes": None, "reason": "so it is",
}  # fmt: skip


@pytest.fixture
def written(tmp_path):
    def write(*claims: object, **more: object):
        path = tmp_path / "toy" / "claims.yaml"
        path.parent.mkdir(exist_ok=True)
        content = {"paper": "Toy", "claims": list(claims), **more}
        path.write_text("# a comment\n" + yaml.safe_dump(content, sort_keys=False))
        return path

    return write


def test_a_record_is_read(written):
    paper = read(written(GOOD, {**GOOD, "name": "two", "claimed": 5, "within": 0.1, "none": 1}))
    assert (paper.name, paper.title) == ("toy", "Toy")
    one, two = paper.claims
    assert (one.low, one.high, one.none, one.arguments) == (-float("inf"), 0, 0, GOOD["with"])
    assert (two.low, two.high) == (4.5, 5.5)


def test_what_may_be_left_out(written):
    short = {key: value for key, value in GOOD.items() if key not in ("none", "unit", "given", "assumes")}
    (claim,) = read(written(short)).claims
    assert (claim.none, claim.unit, claim.given, claim.assumes) == (None, "", None, None)


def test_a_negative_value_has_its_tolerance_on_both_sides(written):
    (claim,) = read(written({**GOOD, "claimed": -10, "within": 0.2})).claims
    assert (claim.low, claim.high) == (-12, -8)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"claimd": 3}, "claimd is no key; did you mean claimed"),
        ({"arguments": {}}, "arguments is no key"),
        ({"says": 3}, "says is to be a text, got 3"),
        ({"reason": " "}, "reason is to be a text"),
        ({"unit": None}, "unit is empty"),
        ({"sure": "X"}, "sure is to be one of R, S, D, M, A, got X"),
        ({"sure": ["R"]}, "sure is to be a text"),
        ({"claimed": "less"}, "claimed is to be a number or"),
        ({"claimed": [1, 2, 3]}, "claimed is to be a number or"),
        ({"claimed": [True, 2]}, "claimed is to be a number or"),
        ({"claimed": [None, None]}, "claimed is no range"),
        ({"claimed": [2, 1]}, "claimed is no range"),
        ({"claimed": [None, float("nan")]}, "claimed is to be a number or"),
        ({"claimed": 3}, "within is to be a relative tolerance of the one value 3, got null"),
        ({"claimed": 3, "within": -1}, "within is to be a relative tolerance"),
        ({"claimed": 0, "within": 0.1}, "within is to be a relative tolerance"),
        ({"within": 0.1}, "within goes with one value alone"),
        ({"none": "no"}, "none is to be a number, got"),
        ({"none": -1}, "none, -1, lies inside of what is claimed"),
        ({"claimed": 3, "within": 0, "none": 3}, "none, 3, lies inside of what is claimed"),
        ({"given": 3}, "given is to be a text or null, got 3"),
        ({"given": "k", "assumes": "k"}, "given and assumes exclude one another"),
        ({"experiment": "rtlm/nothing"}, "experiment: there is no"),
        ({"experiment": "rtlm/base"}, "the name in"),
        ({"ours": "experiments.papers.rtlm.tables.none"}, "ours: no function experiments.papers.rtlm.tables.none"),
        ({"ours": "experiments.papers.nobody.tables.of"}, "ours: no function"),
        ({"ours": "experiments.papers.rtlm.tables.DRAWS"}, "ours: no function"),
        ({"ours": "changed"}, "ours: no function changed"),
        ({"with": {"system": "up"}}, "needs metric"),
        ({"with": {**GOOD["with"], "sytem": 1}}, "takes no sytem; did you mean system"),
        ({"with": ["up"]}, "with is to be a mapping"),
    ],
)
def test_what_is_wrong_is_told(written, change, said):
    path = written({**GOOD, "name": "before"}, {**GOOD, **change})
    lines = path.read_text().splitlines()
    line = lines.index("- name: one") + 1
    with pytest.raises(ClaimError) as error:
        read(path)
    assert str(error.value).startswith(f"{path}, line {line}, claim one: ")
    assert said in str(error.value)


@pytest.mark.parametrize("key", ["name", "says", "claimed", "source", "sure", "experiment", "ours", "reason"])
def test_what_is_missing_is_told(written, key):
    with pytest.raises(ClaimError, match=f"{key} missing"):
        read(written({name: value for name, value in GOOD.items() if name != key}))


def test_two_claims_of_one_name_and_two_keys_of_one_record(written):
    with pytest.raises(ClaimError, match="claim one: name: another claim is called so"):
        read(written(GOOD, GOOD))
    path = written(GOOD)
    path.write_text(path.read_text() + "  claimed: [null, 5]\n")
    with pytest.raises(ClaimError, match="claim one: claimed stands twice"):
        read(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no paper and claims"),
        ("- 1", "holds no paper and claims"),
        ("paper: [", "claims.yaml: while parsing"),
        ("paper: a", "claims missing"),
        ("paper: a\nclaims: []", "a list of records"),
        ("paper: a\nclaims: [1]", "claim 1 is no record: 1"),
        ("paper: a\nclaim: []", "claim is no key; did you mean claims"),
    ],
)
def test_what_is_no_file_of_claims(written, text, said):
    path = written(GOOD)
    path.write_text(text)
    with pytest.raises(ClaimError, match=said):
        papers(path.parents[1])
