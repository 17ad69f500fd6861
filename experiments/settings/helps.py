"""`--help`: every setting of the options chosen, with its value and what its yaml says of it."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator
from pathlib import Path

import yaml
from hydra._internal.config_repository import CachingConfigRepository
from hydra._internal.defaults_list import create_defaults_list
from omegaconf import OmegaConf

from experiments.conf import HERE as CONF
from experiments.run.references import leaves
from experiments.settings.command import Command
from experiments.settings.composer import FOLDERS, Composer
from experiments.settings.wording import shown

WIDTH = 40  # columns of a setting and its value, before the comment
GROUPS = ("experiment", "system", "policy", "predictor", "trace", "cluster", "reward")


def text(command: Command) -> str:
    """What `command`, which asks for help, is answered: the groups, then the settings of what it chose."""
    with command.composer() as composer:
        texts = [values[0] for _, values in command.axes(composer)]
        job = composer.job(composer.parsed(texts))
        help_ = OmegaConf.load(CONF / "config.yaml").hydra.help
        chosen = " ".join(f"{key}={value}" for key, value in job.choices.items() if value and "/" not in key)
        sections = [help_.header, "", "Groups, and what they hold (choose with group=option):", ""]
        sections += list(_groups(composer))
        sections += ["", "Examples:", "", *textwrap.indent(help_.footer.rstrip(), "  ").splitlines()]
        sections += ["", f"Settings of {chosen}", "(change one with key=value; another option brings its own):"]
        values = leaves(job.cfg)
        for path, package in _files(composer, texts):
            sections += _section(path, package, values)
        if values:  # of a schema, or added on the command line
            sections += ["", "Given here", *(f"{key}={shown(value)}" for key, value in values.items())]
    return "\n".join(sections)


def _groups(composer: Composer) -> Iterator[str]:
    width = shutil.get_terminal_size((120, 24)).columns
    inner = [f"{group}/{part}" for group in GROUPS for part in composer.groups(group) if group not in FOLDERS]
    for group in [*GROUPS, *inner]:
        line = f"{group}: {', '.join(composer.options(group))}"
        yield from textwrap.wrap(line, width, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False)


def _files(composer: Composer, texts: list[str]) -> Iterator[tuple[str, str]]:
    """The yaml files of a configuration in the order in which they are composed, each with its package."""
    repository = CachingConfigRepository(composer.repository)
    parsed = [one for one in composer.parsed(texts) if composer.is_group(one) or one.is_hydra_override()]
    found = create_defaults_list(repository, composer.name, parsed, prepend_hydra=True, skip_missing=True).defaults
    own = {file.config_path: file.package or "" for file in found if file.config_path}
    first = [path for path in own if path == composer.name]
    for path in [*first, *(path for path in own if path not in first)]:
        if not path.startswith("hydra"):
            yield path, own[path]


def _section(path: str, package: str, values: dict[str, object]) -> list[str]:
    """The settings of one file that no earlier one had, which are taken out of `values`."""
    file = CONF / f"{path}.yaml"
    if not file.is_file():
        return []
    lines = file.read_text(encoding="utf-8").splitlines()
    rows = []
    for key, comment in commented(file):
        key = f"{package}.{key}" if package else key
        for name in [name for name in values if f"{name}.".startswith(f"{key}.")]:
            rows.append(_row(name, shown(values.pop(name)), comment))
            comment = ""
    head = [line.lstrip("# ").rstrip() for line in _heading(lines)]
    title = f"{package or 'the run'} ({path}.yaml)"
    return ["", title, *(f"  {line}" for line in head), *rows] if rows else []


def _row(key: str, value: str, comment: str) -> str:
    setting = f"  {key}={value}"
    return f"{setting:<{WIDTH}}  # {comment}" if comment else setting


def _heading(lines: list[str]) -> list[str]:
    """The comment at the top of a file."""
    head = []
    for line in lines:
        if not line.startswith("#"):
            break
        if not line.startswith("# @"):
            head.append(line)
    return head


def commented(file: Path) -> list[tuple[str, str]]:
    """The dotted name of each setting in a yaml file, the innermost that have a comment, with that comment.

    A comment stands behind its setting, and goes on in lines of its own that are indented further.
    """
    text = file.read_text(encoding="utf-8")
    root = yaml.compose(text, yaml.SafeLoader)
    lines = text.splitlines()
    return list(_commented(root, "", lines)) if isinstance(root, yaml.MappingNode) else []


def _commented(node: yaml.MappingNode, prefix: str, lines: list[str]) -> Iterator[tuple[str, str]]:
    for key, value in node.value:
        name = f"{prefix}{key.value}"
        if not prefix and key.value in ("defaults", "hydra"):
            continue
        nested = isinstance(value, yaml.MappingNode) and value.start_mark.line > key.start_mark.line
        comment = _comment(lines, key, key if nested else value)
        if nested and not comment:
            yield from _commented(value, f"{name}.", lines)
            continue
        if nested:
            inner = list(_commented(value, f"{name}.", lines))
            yield inner[0][0], "; ".join(part for part in (comment, inner[0][1]) if part)
            yield from inner[1:]
            continue
        yield name, comment


def _comment(lines: list[str], key: yaml.Node, last: yaml.Node) -> str:
    """The comment behind `key` or, on the line on which `last` ends, behind that."""
    at = key.start_mark.line
    found = []
    for number, start in ((at, key.end_mark.column), (last.end_mark.line, last.end_mark.column)):
        if number < len(lines) and (number == at or last.end_mark.column) and " #" in (rest := lines[number][start:]):
            found.append(rest.split(" #", 1)[1].strip())
            at = number
            break
    for line in lines[at + 1 :] if found else ():
        indent = len(line) - len(line.lstrip())
        if not (line.lstrip().startswith("#") and indent > key.start_mark.column):
            break
        found.append(line.lstrip("# ").rstrip())
    return " ".join(found)
