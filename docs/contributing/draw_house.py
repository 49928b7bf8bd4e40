"""Prints docs/contributing/house.svg: the modules in their layers, and how many imports lead between layers.

`make docs` writes it, a test keeps it true. Layers and imports come from house.py; what is here is only where
things are put. Text is measured as monospaced, so that the picture is the same wherever it is drawn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

import house
from rust_imports import ROOT, Crate, Import

WIDTH = 1020
MARGIN = 14
BOXES = (30, 640)  # left and right edge
COUNTS = 664
CELL = 20
CHARACTER = 6.05
PART = 17  # height of a part, and of its text
GAP = 5

HEAD = """<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"
 viewBox="0 0 {width} {height}">
<style>
text {{ font: 10px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; fill: #24292f }}
.title {{ font-size: 12px; font-weight: bold }}
.what {{ font-family: system-ui, 'DejaVu Sans', Helvetica, sans-serif; fill: #57606a }}
.middle {{ text-anchor: middle }}
.label {{ fill: #fff; font-weight: bold }}
rect {{ rx: 3px }}
.n {{ width: 18px; height: 14px }}
path {{ stroke: #d0d7de }}
g path {{ fill: #fff; stroke: none }}
</style>
<rect width="{width}" height="{height}" fill="#fdfcf9"/>
"""
LEGEND = (
    "A box is a module, the white ones in it are its parts. Rust modules stand in reading order, bottom to",
    "top and left to right; those of the engine import only what stands before them. Python layers import",
    "what is below. On the right: how many imports lead from a layer (line) to a lower one (column, down to",
    "its label). Imports for type checking only are not counted.",
)


@dataclass(frozen=True)
class Box:
    """A module and the names of its parts."""

    name: str
    parts: Sequence[str] = ()


@dataclass(frozen=True)
class Row:
    """A layer: its label, what it is for, its boxes, and the modules whose imports are counted for it."""

    label: str
    what: str
    boxes: Sequence[Box]
    modules: frozenset[str]


@dataclass(frozen=True)
class Panel:
    """A crate or package, from its highest layer to its lowest."""

    title: str
    what: str
    fill: str
    stroke: str
    rows: Sequence[Row]


def panels() -> list[Panel]:
    """Everything there is to draw, from top to bottom."""
    crates = house.read_crates()
    wire, crew, engine, bridge = crates.values()
    return [
        Panel("python/portico", "decides", "#dbe7f5", "#2f5f98", list(python_rows())),
        Panel(
            "src", "the bridge: the only crate that knows pyo3", "#eadff2", "#6d4391", [whole(bridge, "b")]
        ),
        Panel("crates/engine", "moves bytes, without an interpreter", "#dcefe0", "#2f7041", told(engine)),
        Panel("crates/crew", "threads, without sockets", "#f7ead0", "#8a6414", [whole(crew, "c")]),
        Panel("crates/wire", "protocols, without sockets or clock", "#f6ddd6", "#96472f", [whole(wire, "w")]),
    ]


def python_rows() -> Iterator[Row]:
    """The layers of the Python package above the bridge."""
    package = ROOT / "python/portico"
    layers = house.PYTHON_LAYERS[:-1]
    names = {house.python_module(package, path) for path in package.rglob("*.py")}
    for index, layer in enumerate(layers):
        boxes = [
            Box(name, sorted(path.stem for path in package.glob(f"{name}/*.py") if path.stem != "__init__"))
            for name in layer.modules
        ]
        modules = frozenset(name for name in names if house.layer_name(name) in layer.modules)
        yield Row(f"p{len(layers) - index}", layer.what, boxes, modules)


def told(crate: Crate) -> list[Row]:
    """A row for each number of the crate's reading order, the last one on top."""
    rows = [
        Row(str(index), row.what, [box(crate, name) for name in row.modules], below(crate, row.modules))
        for index, row in enumerate(crate.rows(), 1)
    ]
    return rows[::-1]


def whole(crate: Crate, label: str) -> Row:
    """All of a crate in one row."""
    top = [name.partition("::")[0] for name in crate.order()]
    names = list(dict.fromkeys(top))
    boxes = [box(crate, name) for name in names if name not in ("lib", "model")]
    modules = below(crate, names) | ({crate.name, "portico._core"} if crate.name == "_core" else {crate.name})
    return Row(label, "", boxes, modules)


def box(crate: Crate, name: str) -> Box:
    """A module of a crate with all that stands below it."""
    inside = [module for module in crate.order() if module.startswith(f"{name}::")]
    return Box(name, [module.removeprefix(f"{name}::").replace("::", "/") for module in inside])


def below(crate: Crate, names: Sequence[str]) -> frozenset[str]:
    """The full names of modules and all their parts."""
    modules = [module for module in crate.order() if module.partition("::")[0] in names]
    return frozenset(f"{crate.name}::{module}" for module in modules)


def counts(rows: Sequence[Row], imports: Sequence[Import]) -> Counter[tuple[str, str]]:
    """How many imports lead from row to row; those for type checking only are left out."""
    label = {module: row.label for row in rows for module in row.modules}
    return Counter(
        (label[found.importer], label[found.imported])
        for found in imports
        if not found.for_types_only and found.importer in label and found.imported in label
    )


# --- Shapes


def text(x: float, y: float, content: str, kind: str = "") -> str:
    """A line of text; `kind` names its styles."""
    style = f' class="{kind}"' if kind else ""
    return f'<text x="{x:g}" y="{y:g}"{style}>{escape(content)}</text>'


def rectangle(x: float, y: float, width: float, height: float, more: str) -> str:
    """A rectangle with round corners."""
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" {more}/>'


def flow(widths: Sequence[float], room: float) -> Iterator[tuple[float, int]]:
    """Where things of these widths stand, set like words: distance from the left, and line."""
    x, line = 0.0, 0
    for width in widths:
        if x and x + width > room:
            x, line = 0.0, line + 1
        yield x, line
        x += width + GAP


def width_of(name: str) -> float:
    """What a name takes with its margins."""
    return round(len(name) * CHARACTER + 10)


def draw_box(x: float, y: float, drawn: Box, room: float, panel: Panel) -> tuple[str, float, float]:
    """A module with its parts; also how wide and high it is."""
    widths = [width_of(part) for part in drawn.parts]
    # The name stands before the parts.
    indent = width_of(drawn.name) + GAP if drawn.parts else 0
    places = list(flow(widths, room - indent - GAP))
    lines = max((line for _, line in places), default=0) + 1
    right = max((left + width for (left, _), width in zip(places, widths, strict=True)), default=0)
    width = indent + right + GAP if drawn.parts else width_of(drawn.name)
    height = lines * (PART + 3) + 3
    shapes = [
        rectangle(x, y, width, height, f'fill="{panel.fill}" stroke="{panel.stroke}"'),
        text(x + 5, y + 15, drawn.name),
    ]
    names, outlines = [], []
    for part, (left, line), part_width in zip(drawn.parts, places, widths, strict=True):
        part_x, part_y = x + indent + left, y + 3 + line * (PART + 3)
        outlines.append(f"M{part_x:g} {part_y:g}h{part_width:g}v{PART}h-{part_width:g}z")
        names.append(text(part_x + 5, part_y + 12, part))
    # All of them are one shape, which is said in half as many words.
    shapes += ['<g><path d="', *outlines, '"/>', *names, "</g>"] if names else []
    return "".join(shapes), width, height


def draw_row(y: float, row: Row, panel: Panel) -> tuple[str, float]:
    """A layer; also how high it is."""
    shapes = []
    left, right = BOXES
    if row.what:
        shapes.append(text(left, y + 10, f"{row.label}. {row.what}", "what"))
        y_box = y + 15
    else:
        y_box = y
    x, line_height = float(left), 0.0
    for drawn in row.boxes:
        shape, width, height = draw_box(x, y_box, drawn, right - x, panel)
        if x > left and (x + width > right or height > 30):
            x, y_box = float(left), y_box + line_height + GAP
            line_height = 0
            shape, width, height = draw_box(x, y_box, drawn, right - x, panel)
        shapes.append(shape)
        x, line_height = x + width + GAP, max(line_height, height)
    return "".join(shapes), y_box + line_height - y


def draw_counts(middles: dict[str, tuple[float, Panel]], numbers: Counter[tuple[str, str]]) -> Iterator[str]:
    """The stairs on the right: a label for each layer, and left of it and above how often it is imported."""
    labels = list(middles)
    for index, label in enumerate(labels):
        y, panel = middles[label]
        x = COUNTS + index * CELL
        top = min((middles[other][0] for other in labels if numbers[other, label]), default=y)
        yield f'<path d="M{BOXES[1] + 12} {y:g}H{x}M{x + CELL / 2:g} {top:g}V{y:g}"/>'
        yield rectangle(x + 1, y - 8, CELL - 2, 16, f'fill="{panel.stroke}"')
        yield text(x + CELL / 2, y + 3.5, label, "middle label")
    for (importer, imported), number in sorted(numbers.items()):
        if importer == imported:
            continue
        x, (y, _) = COUNTS + labels.index(imported) * CELL, middles[importer]
        panel = middles[imported][1]
        yield f'<rect class="n" x="{x + 1:g}" y="{y - 7:g}" fill="{panel.fill}"/>'
        yield text(x + CELL / 2, y + 3.5, str(number), "middle")


def picture() -> str:
    """Return the picture as SVG."""
    all_panels = panels()
    rows = [row for panel in all_panels for row in panel.rows]
    imports = [found for crate in house.read_crates().values() for found in crate.imports]
    numbers = counts(rows, imports + house.read_python(ROOT / "python/portico"))
    shapes, middles = [], {}
    y = float(MARGIN)
    for line in LEGEND:
        shapes.append(text(MARGIN, y + 10, line, "what"))
        y += 15
    y += 8
    for panel in all_panels:
        inside = [text(BOXES[0] - 8, y + 16, panel.title, "title")]
        inside.append(text(BOXES[0] + len(panel.title) * 7.4, y + 16, panel.what, "what"))
        top, y = y, y + 24
        for row in panel.rows:
            shape, height = draw_row(y, row, panel)
            inside.append(shape)
            middles[row.label] = (y + height / 2 + (7 if row.what else 0), panel)
            y += height + 9
        frame = f'fill="none" stroke="{panel.stroke}" stroke-opacity=".6"'
        shapes += [rectangle(MARGIN, top, BOXES[1] - MARGIN + 12, y - top, frame), *inside]
        y += 8
    shapes += draw_counts(middles, numbers)
    head = HEAD.format(width=WIDTH, height=round(y + MARGIN - 8))
    return head + "\n".join(shapes) + "\n</svg>\n"


if __name__ == "__main__":
    print(picture(), end="")
