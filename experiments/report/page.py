"""A page of HTML: elements that escape what they hold, tables, pictures inside, and the style sheet."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from xml.etree import ElementTree as ET
from xml.etree.ElementTree import Element

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

Cell = str | tuple[str, str]  # a text, or a text and its class
PIXELS = 96  # of an inch on a page
SMALLEST = 0.72  # of a picture's own width: below it the reader scrolls
INVALID = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")  # what no document may hold
STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1f; --dim: #5d5d66; --line: #dcdce2; --paper: #fff; --card: #f6f6f8;
  --good: #0b6b3a; --bad: #b3261e; --note: #fff4d6; --edge: #d9a400; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8ec; --dim: #a5a5ae; --line: #3a3a42; --paper: #17171a;
  --card: #222227; --good: #6fd39b; --bad: #ff8a80; --note: #3a3110; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 80rem; padding: 1.5rem clamp(0.8rem, 3vw, 2rem) 4rem; background: var(--paper);
  color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", Roboto, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; margin: 0 0 0.2rem; } h2 { font-size: 1.2rem; margin: 2.4rem 0 0.6rem;
  border-bottom: 1px solid var(--line); padding-bottom: 0.25rem; } h3 { font-size: 1rem; margin: 1.4rem 0 0.4rem; }
p, ul { margin: 0.4rem 0; max-width: 60rem; } .dim, figcaption { color: var(--dim); font-size: 0.9em; }
.scroll { overflow-x: auto; margin: 0.5rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.84em; }
th, td { padding: 0.28rem 0.4rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap;
  vertical-align: top; }
th { color: var(--dim); font-weight: 600; } th:first-child, td:first-child, td.text, th.text { text-align: left; }
td.text { white-space: normal; min-width: 14rem; overflow-wrap: anywhere; }
td.good { color: var(--good); font-weight: 600; } td.bad { color: var(--bad); font-weight: 600; }
.compared td:first-child, .compared th:first-child { position: sticky; left: 0; background: var(--paper); }
.warn, .why { border-left: 4px solid var(--edge); background: var(--note); padding: 0.4rem 0.8rem; margin: 0.4rem 0;
  max-width: 60rem; } .why { border-color: var(--bad); background: none; }
details { margin: 0.5rem 0; } summary { cursor: pointer; font-weight: 600; }
figure { margin: 0.8rem 0; } figure img { display: block; width: 100%; height: auto; background: #fff;
  border-radius: 6px; }
nav a { margin-right: 1rem; color: inherit; }
@media print { details > *:not(summary) { display: block; } body { max-width: none; } }
"""


def tag(kind: str, *inside: str | Element | None, **attributes: str) -> Element:
    """An element of a kind with text and elements inside; a name that Python keeps has `_` behind it, as class_."""
    found = Element(kind, {key.rstrip("_"): INVALID.sub("�", value) for key, value in attributes.items()})
    for one in inside:
        if isinstance(one, Element):
            found.append(one)
        elif one:
            text = INVALID.sub("�", one)
            if len(found):
                found[-1].tail = (found[-1].tail or "") + text
            else:
                found.text = (found.text or "") + text
    return found


def table(headings: Sequence[str], rows: Iterable[Sequence[Cell]], of: str = "") -> Element:
    """A table that scrolls sideways where the screen is narrow; a cell is a text, or a text and its class."""
    body = tag("tbody")
    for row in rows:
        cells = [(cell, "") if isinstance(cell, str) else cell for cell in row]
        body.append(tag("tr", *(tag("td", text, **({"class_": kind} if kind else {})) for text, kind in cells)))
    kinds = [body[0][at].get("class", "") if len(body) else "" for at in range(len(headings))]
    head = tag("tr", *(tag("th", text, **({"class_": kind} if kind == "text" else {}))
                       for text, kind in zip(headings, kinds, strict=True)))  # fmt: skip
    return tag("div", tag("table", tag("thead", head), body, **({"class_": of} if of else {})), class_="scroll")


def folded(summary: str, *inside: Element, is_open: bool = False) -> Element:
    """What shows when it is clicked."""
    return tag("details", tag("summary", summary), *inside, **({"open": "open"} if is_open else {}))


def picture(figure: Figure, told: str) -> Element:
    """A figure inside the page, as SVG whose letters are shapes; `told` is what it shows, in words."""
    buffer = io.BytesIO()
    FigureCanvasSVG(figure)
    with mpl.rc_context({"svg.hashsalt": told, "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    least = f"min-width: {SMALLEST * PIXELS * figure.get_figwidth():.0f}px"
    image = tag("img", src=f"data:image/svg+xml;base64,{data}", alt=told, style=least)
    return tag("figure", tag("div", image, class_="scroll"), tag("figcaption", told))


def document(title: str, sections: Mapping[str, Sequence[Element]], head: Sequence[Element]) -> str:
    """The page: `head` above, then a heading for each section that holds something."""
    there = {name: inside for name, inside in sections.items() if inside}
    anchors = {name: re.sub(r"\W+", "-", name.lower()) for name in there}
    links = [tag("a", name, href=f"#{anchor}") for name, anchor in anchors.items()]
    body = tag("body", *head, tag("nav", *links))
    for name, inside in there.items():
        body.append(tag("section", tag("h2", name, id=anchors[name]), *inside))
    root = tag(
        "html",
        tag("head", tag("meta", charset="utf-8"),
            tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
            tag("title", title), tag("style", STYLE)),
        body, lang="en",
    )  # fmt: skip
    return "<!DOCTYPE html>\n" + ET.tostring(root, encoding="unicode", method="html") + "\n"
