"""The one command, `tokenyard VERB ...`: a table of verbs, and the late import of the module behind each."""

from __future__ import annotations

import ast
import gc
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from experiments.papers import with_figures
from experiments.run import server


class Group(NamedTuple):
    """Verbs by name, each a module with a `main` or a group of its own, and a `sentence` about them.

    What begins with a flag or a setting, and not with a verb, is for the verb `default`, with a file for `of_file`.
    """

    sentence: str
    verbs: dict[str, str | Group]
    default: str | None = None
    of_file: str | None = None


VERBS = Group(
    "a testbed for language-model serving: traces, device profiles and scheduling policies, simulated and compared",
    {
        "run": "experiments.run.run",
        "collect": "experiments.tables.collect",
        "figure": "experiments.figures.figure",
        "report": "experiments.report.main",
        "explain": "experiments.spans.explain",
        "timeline": "experiments.spans.timeline",
        "figures": Group(
            "Draw results: PNG, PDF and tables.",
            {
                "response_time": "experiments.figures.response_time",
                "gain_by_tau": "experiments.figures.gain_by_tau",
                "predictors": "experiments.figures.predictors",
                **{name: f"experiments.papers.{name}.draw" for name in with_figures()},
            },
        ),
        "claims": "experiments.claims.main",
        "rate": "experiments.run.rate",
        "capacity": "experiments.capacity.main",
        "plan": "experiments.capacity.plan",
        "validate": Group(
            "The simulator beside real engines: on this machine, by kernel times of another, or a benchmark's FILE.",
            {
                "engine": "experiments.validation.main",
                "bench": "experiments.validation.bench",
                "kernels": "experiments.validation.kernels.main",
                "pair": "experiments.validate_pair",
            },
            default="engine",
            of_file="bench",
        ),
        "train": "experiments.prediction.train",
        "learn": "experiments.learning.main",
        "tune": "experiments.papers.best_effort.tuning",
        "evaluate": Group(
            "Judge predictors, what they read, and the printed intervals.",
            {
                "predictors": "experiments.prediction.evaluate",
                "run": "experiments.run.foretold",
                "rules": "experiments.prediction.rule_correlations",
                "pairing": "experiments.papers.rtlm.pairing_strength",
                "coverage": "experiments.tables.coverage",
            },
            default="predictors",
        ),
        "trace": Group(
            "Traces of requests: what there is, what is in them, and files of your own.",
            {
                "list": "traces.list",
                "fetch": "traces.fetch",
                "describe": "traces.describe",
                "convert": "traces.convert",
                "record": "experiments.record_trace",
                "pair": "experiments.record_pair",
                "score": "traces.text.score",
            },
        ),
        "profile": Group(
            "Device profiles: how long the passes of a model take.",
            {
                "list": "profiles.list",
                "measure": "profiles.measure",
                "campaign": "profiles.campaign",
                "analytic": "profiles.analytic",
                "analytic-error": "profiles.analytic_error",
                "import": Group(
                    "Make a profile from times that others measured.",
                    {
                        "vidur": "profiles.import_vidur",
                        "splitwise": "profiles.import_splitwise",
                        "aiconfigurator": "profiles.import_aiconfigurator",
                        "kernels": "profiles.import_kernel_tables",
                    },
                ),
            },
        ),
        "engine": Group(
            "The simulator itself: against vLLM's scheduler and queueing theory, and how fast it is.",
            {
                "golden": "experiments.engine.golden",
                "against-vllm": "experiments.engine.against_vllm",
                "bench": "experiments.engine.bench",
                "growth": "experiments.engine.growth",
                "peers": "experiments.engine.peers",
                "instructions": "experiments.engine.instructions",
                "plans": "experiments.engine.plans",
                "overhead": "experiments.engine.overhead",
                "decisions": "experiments.learning.decisions",
                "host-time": "experiments.engine.host_time",
                "theory": "experiments.engine.theory",
                "gittins": "experiments.engine.gittins",
                "boost": "experiments.engine.boost",
            },
        ),
    },
    default="run",
)
BEGIN = """
Begin with:
  tokenyard policy=rtlm trace.rate=8                                    one run: its metrics, kept in results/adhoc
  tokenyard -m policy=fifo,rtlm trace.rate=4,8 seed=0,1,2 name=mine     all combinations: a table with intervals
  tokenyard report results/mine                                         one page of them, results/mine/report.html
  tokenyard figure --x rate --y response_time_p99 --hue policy results/mine    a figure of any metric"""


def sentence(module: str) -> str:
    """The first line of the docstring of `module`, which is not imported for it."""
    spec = find_spec(module)
    source = spec.loader.get_source(module)  # type: ignore[union-attr]
    return (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]


def overview(group: Group, called: str) -> str:
    """What `group` is for, and each of its verbs with its sentence."""
    width = max(map(len, group.verbs)) + 2
    lines = [f"{called}: {group.sentence}", ""]
    for name, verb in group.verbs.items():
        if isinstance(verb, Group):
            lines += [f"  {name:<{width}}{verb.sentence}", f"  {'':<{width}}{name} {'|'.join(verb.verbs)}"]
        else:
            lines.append(f"  {name:<{width}}{sentence(verb)}")
    return "\n".join([*lines, *([BEGIN] if group is VERBS else []), "", f"{called} VERB --help teaches each."])


def call(group: Group, called: str, arguments: list[str]) -> Any:
    """Do what `arguments` say, the first of which names a verb of `group`; the exit status. `called` is the group."""
    if not arguments or arguments in (["--help"], ["-h"]):
        print(overview(group, called))
        return 0
    if arguments == ["--version"] and group is VERBS:
        from sim.build import described

        print(f"tokenyard {version('tokenyard')}; {described()}")
        return 0
    name, rest = arguments[0], arguments[1:]
    if name not in group.verbs and group.default and (name[:1] in tuple("-+~") or "=" in name):
        name, rest = group.default, arguments
    if name not in group.verbs and group.of_file and (Path(name).is_file() or name.endswith((".json", ".json.gz"))):
        name, rest = group.of_file, arguments
    if name not in group.verbs:
        from experiments.settings.wording import did_you_mean

        hint = did_you_mean(name, group.verbs) or f"; there are {', '.join(group.verbs)}"
        print(f"{called}: no verb {name!r}{hint}", file=sys.stderr)
        return 2
    verb = group.verbs[name]
    if isinstance(verb, Group):
        return call(verb, f"{called} {name}", rest)
    sys.argv[:] = [f"{called} {name}", *rest]
    if verb == VERBS.verbs["run"] and server.wanted(rest):
        server.start()
    return loaded(verb).main()


def loaded(module: str) -> Any:
    """The module of that name, imported; none of what it brings is ever garbage, so it is not looked for there."""
    gc.disable()
    try:
        return importlib.import_module(module)
    finally:
        gc.freeze()
        gc.enable()


def no_option(file: str, options: Sequence[str]) -> ValueError:
    """Hydra's refusal of the `file` GROUP/NAME of a choice, with what there is in place of where it was looked for."""
    from experiments.settings.wording import did_you_mean

    group, _, name = file.removesuffix(".yaml").rpartition("/")
    return ValueError(f"no {group}={name}; there are {', '.join(options)}{did_you_mean(name, options)}")


def main() -> None:
    """The command line; what Hydra refuses is said in one line, and a reader that has read enough is no error."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # what Hydra would print a traceback of is told here
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy's threads spin from its import on: .1 s of other cores
    try:
        try:
            status = call(VERBS, "tokenyard", sys.argv[1:])
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more at its end
        status = 128 + signal.SIGPIPE
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        status = 128 + signal.SIGINT
    except Exception as error:
        from hydra.errors import HydraException, MissingConfigException
        from omegaconf.errors import OmegaConfBaseException

        if not isinstance(error, HydraException | OmegaConfBaseException):
            raise
        if isinstance(error, MissingConfigException) and error.options:
            error = no_option(error.missing_cfg_file or "", error.options)
        lines = [line for line in str(error).splitlines() if not line.startswith("To append")]  # nothing would read it
        said = " ".join(" ".join(lines).split()).rstrip(".")
        status = f"{sys.argv[0]}: {said}; {sys.argv[0]} --help tells what can be given"
    sys.exit(status)


if __name__ == "__main__":
    main()
