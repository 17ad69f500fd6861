"""A claim as its paper states it, read from experiments/papers/PAPER/claims.yaml; what is wrong there is refused."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from importlib import import_module
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

import yaml

from experiments.conf import HERE as CONF
from experiments.settings.wording import did_you_mean, shown

HERE = Path(__file__).parents[1] / "papers"
FILE = "claims.yaml"
SURE = {
    "R": "read in the paper or its code",
    "S": "from a secondary source",
    "D": "derived from such",
    "M": "remembered, not verified",
    "A": "assumed here",
}
OPTIONAL = ("within", "none", "unit", "with", "given", "assumes")
TEXTS = ("name", "says", "unit", "source", "sure", "ours", "reason")


class ClaimError(ValueError):
    """What is wrong with a record: its file, line, name and key."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A record: `claimed` is a range (None: no bound), `none` the value of no effect (None: there is none).

    `ours` names f(stored, **arguments) -> list[Found], which reads the results of `experiment` (None: it needs none;
    several: all of them).
    """

    name: str
    says: str
    claimed: tuple[float | None, float | None]
    source: str
    sure: str
    experiment: str | list[str] | None
    ours: str
    reason: str
    within: float | None = None
    none: float | None = None
    unit: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    given: str | None = None
    assumes: str | None = None

    @property
    def low(self) -> float:
        """The least value that is claimed."""
        low = -math.inf if self.claimed[0] is None else self.claimed[0]
        return low if self.within is None else low - abs(low) * self.within

    @property
    def high(self) -> float:
        """The largest value that is claimed."""
        high = math.inf if self.claimed[1] is None else self.claimed[1]
        return high if self.within is None else high + abs(high) * self.within

    @property
    def experiments(self) -> tuple[str, ...]:
        """What has to be run."""
        return (self.experiment,) if isinstance(self.experiment, str) else tuple(self.experiment or ())

    def judged(self) -> dict[str, Any]:
        """All that our value or the verdict depends on."""
        told = {one.name: getattr(self, one.name) for one in fields(self)}
        return {key: value for key, value in told.items() if key not in ("says", "source", "sure", "reason")}


@dataclass(frozen=True, slots=True)
class Paper:
    """The claims of one paper: `folder` holds its records, `title` is what it is cited as."""

    folder: Path
    title: str
    claims: tuple[Claim, ...]

    @property
    def name(self) -> str:
        """By which the command line calls it."""
        return self.folder.name


def papers(root: Path = HERE) -> list[Paper]:
    """All papers that have records, by name; ClaimError for what is wrong with one."""
    return [read(path) for path in sorted(root.glob(f"*/{FILE}"))]


def read(path: Path) -> Paper:
    """The records of one file; ClaimError for the first thing that is wrong."""
    text = path.read_text(encoding="utf-8")
    try:
        content, root = yaml.safe_load(text), yaml.compose(text, yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise ClaimError(f"{path}: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict) or not isinstance(root, yaml.MappingNode):
        raise ClaimError(f"{path} holds no paper and claims")
    _check_repeated(root, str(path))
    _check_keys(content, ("paper", "claims"), (), str(path))
    if not isinstance(content["paper"], str) or not isinstance(content["claims"], list) or not content["claims"]:
        raise ClaimError(f"{path}: paper is to be a text, and claims a list of records")
    nodes = next(value for key, value in root.value if key.value == "claims").value
    found: dict[str, Claim] = {}
    for number, (said, node) in enumerate(zip(content["claims"], nodes, strict=True), 1):
        name = said.get("name", number) if isinstance(said, dict) else number
        at = f"{path}, line {node.start_mark.line + 1}, claim {name}"
        _check_repeated(node, at)
        claim = _claim(said, at)
        if claim.name in found:
            raise ClaimError(f"{at}: name: another claim is called so")
        found[claim.name] = claim
    return Paper(path.parent, content["paper"], tuple(found.values()))


def _check_keys(said: Mapping[str, Any], known: tuple[str, ...], optional: tuple[str, ...], at: str) -> None:
    for key in said:
        if key not in known:
            raise ClaimError(f"{at}: {key} is no key{did_you_mean(str(key), known)}")
    if missing := [key for key in known if key not in said and key not in optional]:
        raise ClaimError(f"{at}: {', '.join(missing)} missing")


def _check_repeated(node: yaml.Node, at: str) -> None:
    """ClaimError for a key that stands twice: yaml takes the last in silence."""
    keys = [key.value for key, _ in node.value] if isinstance(node, yaml.MappingNode) else []
    if twice := [key for number, key in enumerate(keys) if key in keys[:number]]:
        raise ClaimError(f"{at}: {twice[0]} stands twice")


def _claim(said: Any, at: str) -> Claim:
    if not isinstance(said, dict):
        raise ClaimError(f"{at} is no record: {shown(said)}")
    known = tuple({"arguments": "with"}.get(one.name, one.name) for one in fields(Claim))
    _check_keys(said, known, OPTIONAL, at)
    for key in ("with", "unit"):
        if said.get(key, "") is None:
            raise ClaimError(f"{at}: {key} is empty: leave it out")
    told = {**said, "arguments": said.get("with", {}), "claimed": _range(said, at)}
    told.pop("with", None)
    for problem in _problems(Claim(**told)):
        raise ClaimError(f"{at}: {problem}")
    return Claim(**told)


def _range(said: Mapping[str, Any], at: str) -> tuple[float | None, float | None]:
    """What is claimed, one value as a range of no width."""
    claimed, within = said["claimed"], said.get("within")
    if _is_number(claimed):
        if within is None or not _is_number(within) or within < 0 or (within and not claimed):
            raise ClaimError(
                f"{at}: within is to be a relative tolerance of the one value {claimed}, got {shown(within)}; "
                "or give claimed: [LOW, HIGH]"
            )
        return float(claimed), float(claimed)
    if not isinstance(claimed, list) or len(claimed) != 2 or not all(one is None or _is_number(one) for one in claimed):
        raise ClaimError(f"{at}: claimed is to be a number or [LOW, HIGH], either null, got {shown(claimed)}")
    if within is not None:
        raise ClaimError(f"{at}: within goes with one value alone, and claimed is a range")
    low, high = (None if one is None else float(one) for one in claimed)
    if (low is None and high is None) or (low is not None and high is not None and low > high):
        raise ClaimError(f"{at}: claimed is no range: {shown(claimed)}")
    return low, high


def _problems(claim: Claim) -> Iterator[str]:
    for key in TEXTS:
        if not isinstance(getattr(claim, key), str) or (key != "unit" and not getattr(claim, key).strip()):
            yield f"{key} is to be a text, got {shown(getattr(claim, key))}"
    for key in ("given", "assumes", "experiment"):
        value = getattr(claim, key)
        several = value if key == "experiment" and isinstance(value, list) and value else [value]
        if value is not None and not all(isinstance(one, str) and one.strip() for one in several):
            yield f"{key} is to be a text or null, got {shown(value)}"
            return
    if claim.sure not in SURE:
        yield f"sure is to be one of {', '.join(SURE)}, got {shown(claim.sure)}"
    if not isinstance(claim.arguments, dict) or not all(isinstance(key, str) for key in claim.arguments):
        yield f"with is to be a mapping of arguments, got {shown(claim.arguments)}"
    if claim.none is not None and not _is_number(claim.none):
        yield f"none is to be a number, got {shown(claim.none)}"
    elif claim.none is not None and (claim.low < claim.none < claim.high or claim.low == claim.none == claim.high):
        yield f"none, {claim.none:g}, lies inside of what is claimed: leave it out"
    if claim.given and claim.assumes:
        yield "given and assumes exclude one another"
    yield from _missing(claim)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _missing(claim: Claim) -> Iterator[str]:
    """What a record names and is not there, or does not take what it is given."""
    for experiment in claim.experiments:
        file = CONF / "experiment" / f"{experiment}.yaml"
        if not file.is_file():
            yield f"experiment: there is no {file}"
        elif (name := yaml.safe_load(file.read_text(encoding="utf-8")).get("name")) != experiment:
            yield f"experiment: the name in {file} is {name}: results are looked for by the experiment's own"
    try:
        taken = signature(function(claim.ours)).parameters.values()
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        yield f"ours: no function {claim.ours}: {error}"
        return
    arguments = [one for one in list(taken)[1:] if one.kind is not Parameter.VAR_KEYWORD]
    named = {one.name for one in arguments}
    needed = {one.name for one in arguments if one.default is Parameter.empty}
    if unknown := sorted(claim.arguments.keys() - named):
        yield f"with: {claim.ours} takes no {', '.join(unknown)}{did_you_mean(unknown[0], named)}"
    if lacking := sorted(needed - claim.arguments.keys()):
        yield f"with: {claim.ours} needs {', '.join(lacking)}"


def function(name: str) -> Any:
    """The function of this dotted name; ImportError or AttributeError for none, TypeError for what is no function."""
    module, _, last = name.rpartition(".")
    found = getattr(import_module(module), last)
    if not callable(found):
        raise TypeError(f"{name} is no function")
    return found
