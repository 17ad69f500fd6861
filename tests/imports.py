"""The import picture of the five packages: who imports whom, whether in circles, and whether anything imports upwards.

    python tests/imports.py                                 # a report
    python tests/imports.py --picture docs/imports.svg      # the same as a picture, by matplotlib

Every import counts: at the top of a module, inside a function, and for types alone (`TYPE_CHECKING`). Not counted is
what a text names (a `_target_`, the verbs of experiments/cli.py), and a package's own `__init__`, which Python loads
before any module of the package. Exit code 1 if something is amiss.
"""

from __future__ import annotations

import argparse
import ast
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("sim", "policies", "profiles", "traces", "experiments")

# Rooms from the ground up, several on a floor. A room may import rooms of lower floors alone. A module is in the room
# that states the longest name of it: its own, or that of a package it is in. Where a folder is of several rooms, what
# others build on lies below, and what puts it together above.
FLOORS: tuple[dict[str, str], ...] = (
    {"sim": "sim"},
    {"sim/engine": "sim.engine"},
    {"sim: simulation": "sim.simulation"},
    {"sim: replay": "sim.replay sim.__init__"},
    {"policies/order": "policies.order", "policies/reward": "policies.reward"},
    {
        "policies/batching": "policies.batching",
        "policies/decoding": "policies.decoding",
        "policies/eviction": "policies.eviction",
        "policies/routing": "policies.routing",
        "policies/predictor": "policies.predictor",
    },
    {"policies: contract": "policies.contract policies.guarded_truth", "policies: placement": "policies.placement"},
    {"profiles": "profiles"},
    {"profiles/operators": "profiles.operators", "profiles/measuring": "profiles.measuring"},
    {
        "profiles: programs": "profiles.measure profiles.campaign profiles.campaign_settings profiles.analytic "
        "profiles.analytic_error profiles.import_aiconfigurator profiles.import_kernel_tables "
        "profiles.import_splitwise profiles.import_vidur profiles.devices profiles.composed profiles.windowed "
        "profiles.one",
    },
    {"traces": "traces"},
    {"traces/formats": "traces.formats"},
    {"traces/text": "traces.text"},
    {"traces/synthetic": "traces.synthetic"},
    {
        "traces: programs": "traces.castillo traces.coding_sessions traces.convert traces.describe traces.ingredients "
        "traces.pair traces.plot traces.plot_ingredients traces.recorded traces.sampled",
    },
    {"experiments/conf": "experiments.conf", "experiments/settings: words": "experiments.settings.wording"},
    {"experiments/identity": "experiments.identity", "experiments/prediction": "experiments.prediction"},
    {"experiments/run: results": "experiments.run.results experiments.run.claim experiments.run.written"},
    {"experiments/tables": "experiments.tables"},
    {"experiments/figures": "experiments.figures"},
    {"experiments/report": "experiments.report"},
    {
        "experiments/validation: errors": "experiments.validation.errors experiments.validation.figure "
        "experiments.validation.gains experiments.validation.measured experiments.validation.shown",
    },
    {"experiments/run: parts": "experiments.run"},
    {"experiments/settings": "experiments.settings"},
    {
        "experiments/run: programs": "experiments.run.run experiments.run.rate experiments.run.sweep "
        "experiments.run.asked experiments.run.foretold experiments.run.launch experiments.run.made "
        "experiments.run.server experiments.run.warmed"
    },
    {
        "experiments/claims": "experiments.claims",
        "experiments/spans": "experiments.spans",
        "experiments/capacity": "experiments.capacity",
    },
    {
        "experiments/engine": "experiments.engine",
        "experiments/learning": "experiments.learning",
        "experiments/papers": "experiments.papers",
        "experiments/validation": "experiments.validation",
    },
    {
        "experiments: programs": "experiments.cli experiments.notebook experiments.record_pair "
        "experiments.record_trace experiments.validate_pair"
    },
)
FLOOR = {room: number for number, floor in enumerate(FLOORS) for room in floor}
STATED = {name: room for floor in FLOORS for room, stated in floor.items() for name in stated.split()}

Arrows = Mapping[str, frozenset[str]]  # who -> whom


def imports(tree: ast.AST, late: bool) -> set[str]:
    """The absolute names that `tree` imports when it is loaded, or, if `late`, inside its functions or for types."""
    found: set[str] = set()
    for node in ast.iter_child_nodes(tree):
        inner = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) or is_for_types(node)
        if inner and late:
            found |= imports(node, late=False) | imports(node, late=True)
        elif not inner:
            found |= imports(node, late)
        if late:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise ValueError(f"a relative import in line {node.lineno}")
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def is_for_types(node: ast.AST) -> bool:
    """Whether `node` is what only a type checker reads."""
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def read() -> dict[str, Path]:
    """Module -> file, of all that are not empty; a package is called `NAME.__init__`."""
    files = (path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py")) if path.stat().st_size)
    return {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in files}


def names(path: Path) -> tuple[set[str], set[str]]:
    """What a file imports when it is loaded, and what it imports late."""
    tree = ast.parse(path.read_text())
    return imports(tree, late=False), imports(tree, late=True)


def arrows(modules: Mapping[str, Path]) -> dict[str, frozenset[str]]:
    """Module -> those of `modules` that it imports."""
    return {module: within(set().union(*names(path)), modules) - {module} for module, path in modules.items()}


def within(imported: Iterable[str], modules: Iterable[str]) -> frozenset[str]:
    """Those of `modules` that the `imported` names are, or are of."""
    return frozenset(module for name in imported if (module := module_of(name, modules)))


def module_of(name: str, modules: Iterable[str]) -> str | None:
    """The one of `modules` that the imported `name` is, or is of; None where it is of no package here."""
    while name:
        for candidate in (name, f"{name}.__init__"):
            if candidate in modules:
                return candidate
        name = name.rpartition(".")[0]
    return None


def room_of(module: str) -> str:
    """The room of `module`; KeyError, which says where to name it, for one in no room."""
    name = module
    while name:
        if name in STATED:
            return STATED[name]
        name = name.rpartition(".")[0]
    raise KeyError(f"{module} is in no room: name it, or its package, in FLOORS of tests/imports.py")


def circles(among: Arrows) -> list[list[str]]:
    """The groups of those who import one another, over however many others (Tarjan)."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    open_: list[str] = []
    found = []

    def visit(one: str) -> None:
        order[one] = lowest[one] = len(order)
        open_.append(one)
        for other in among[one]:
            if other not in order:
                visit(other)
            if other in open_:
                lowest[one] = min(lowest[one], lowest[other])
        if lowest[one] == order[one]:
            group = open_[open_.index(one) :]
            del open_[-len(group) :]
            if len(group) > 1:
                found.append(sorted(group))

    for one in among:
        if one not in order:
            visit(one)
    return found


def between_rooms(among: Arrows) -> Counter[tuple[str, str]]:
    """(room, room) -> how many modules of the one import how many of the other, as pairs."""
    pairs = ((room_of(one), room_of(other)) for one in among for other in among[one])
    return Counter((one, other) for one, other in pairs if one != other)


def upwards(among: Arrows) -> list[tuple[str, str]]:
    """(module, module) where the one imports the other although its room is on no lower floor."""
    pairs = ((one, other) for one in among for other in among[one] if room_of(one) != room_of(other))
    return sorted((one, other) for one, other in pairs if FLOOR[room_of(other)] >= FLOOR[room_of(one)])


def lines(modules: Mapping[str, Path]) -> dict[str, int]:
    """Module -> its lines."""
    return {module: len(path.read_text().splitlines()) for module, path in modules.items()}


def report(modules: Mapping[str, Path], among: Arrows) -> Iterator[str]:
    """The lines of the report: folders, rooms with their arrows, and what is amiss."""
    counted = lines(modules)
    folders: Counter[str] = Counter()
    files: Counter[str] = Counter()
    for module, path in modules.items():
        folder = str(path.parent.relative_to(ROOT))
        folders[folder] += counted[module]
        files[folder] += 1
    yield "  lines  files  folder"
    yield from (f"{folders[name]:7,}  {files[name]:5}  {name}" for name in sorted(folders))
    yield f"{sum(folders.values()):7,}  {sum(files.values()):5}  all"
    between = between_rooms(among)
    yield "\nfloor  room, and the rooms that it imports (pairs of modules)"
    for room, floor in reversed(FLOOR.items()):
        imported = sorted((other for one, other in between if one == room), key=FLOOR.__getitem__, reverse=True)
        yield f"{floor:5}  {room} -> {', '.join(f'{other} {between[room, other]}' for other in imported) or 'none'}"
    yield f"\n{len(FLOOR)} rooms on {len(FLOORS)} floors, {len(between)} arrows between rooms"
    rising, rings = upwards(among), circles(among)
    yield f"arrows upwards, or between rooms of one floor: {len(rising) or 'none'}"
    yield from (f"  {one} -> {other}" for one, other in rising)
    yield f"import circles among {len(modules)} modules: {len(rings) or 'none'}"
    yield from (f"  {', '.join(ring)}" for ring in rings)


def draw(modules: Mapping[str, Path], among: Arrows, path: Path) -> None:
    """Rooms as rows and as columns in one order: a number is how often the row imports the column."""
    import matplotlib
    from matplotlib.figure import Figure

    rooms, between, counted = list(FLOOR), between_rooms(among), lines(modules)
    sizes = Counter({room: 0 for room in rooms})
    for module in modules:
        sizes[room_of(module)] += counted[module]
    colours = dict(zip(PACKAGES, ("#4c72b0", "#55a868", "#c48a3f", "#8172b3", "#b35d5d"), strict=True))
    matplotlib.rcParams |= {"svg.hashsalt": "imports", "svg.fonttype": "none"}  # the same picture is the same file
    figure = Figure(figsize=(9.7, 9.5), layout="constrained")
    axes = figure.add_subplot()
    count = len(rooms)
    for row, one in enumerate(rooms):
        axes.add_patch(matplotlib.patches.Rectangle((row, row), 1, 1, color=colours[package_of(one)], lw=0))
        for column, other in enumerate(rooms):
            if number := between[one, other]:
                fine = FLOOR[other] < FLOOR[one]
                shade = colours[package_of(other)] if fine else "red"
                axes.add_patch(
                    matplotlib.patches.Rectangle((column, row), 1, 1, color=shade, alpha=0.35 if fine else 1, lw=0)
                )
                axes.text(column + 0.5, row + 0.5, str(number), ha="center", va="center", fontsize=7)
    for at in range(count + 1):
        heavy = at in (0, count) or package_of(rooms[at - 1]) != package_of(rooms[at])
        axes.axhline(at, color="0.35" if heavy else "0.9", lw=0.8 if heavy else 0.4, zorder=0.5)
        axes.axvline(at, color="0.35" if heavy else "0.9", lw=0.8 if heavy else 0.4, zorder=0.5)
    axes.set(xlim=(0, count), ylim=(0, count), aspect="equal")
    middle = [at + 0.5 for at in range(count)]
    axes.set_yticks(middle, [f"{room}   {sizes[room]:,}" for room in rooms], fontsize=8)
    axes.set_xticks(middle, rooms, rotation=90, fontsize=8)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for labels in (axes.get_yticklabels(), axes.get_xticklabels()):
        for label, room in zip(labels, rooms, strict=True):
            label.set_color(colours[package_of(room)])
    wrong = len(upwards(among))
    axes.set_title(
        "A row imports a column as often as the number says (pairs of modules); beside its name, lines.\n"
        f"A row stands on those below it; an import upwards would be red. Upwards: {wrong or 'none'}.",
        fontsize=9,
        loc="left",
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130, metadata={"Date": None} if path.suffix == ".svg" else None)


def package_of(room: str) -> str:
    """The package that `room` is in."""
    return room.replace(":", "/").split("/")[0]


def main(argv: list[str] | None = None) -> int:
    """Print the report, and draw the picture if asked; 1 if there is a circle or an arrow upwards."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw it: an .svg, .png or .pdf")
    options = parser.parse_args(argv)
    modules = read()
    among = arrows(modules)
    try:
        print("\n".join(report(modules, among)))
    except LookupError as error:
        print(error.args[0], file=sys.stderr)
        return 1
    if options.picture:
        draw(modules, among, options.picture)
    return 1 if upwards(among) or circles(among) else 0


if __name__ == "__main__":
    try:
        status = main()
        sys.stdout.flush()
    except BrokenPipeError:  # `| head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more at its end
        status = 128 + signal.SIGPIPE
    sys.exit(status)
