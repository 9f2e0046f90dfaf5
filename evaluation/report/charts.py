"""Draws scores and curves as SVG text: no script, no font, no network, and colours that a page's style may change.

Classes for the style: `mark` (the data), `faint` (the data before smoothing), `grid`, `tick` (numbers at the axes),
`name` (what a row or a chart is), `trivial` and `shuffled` (the two marks to compare with).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

ROW, LEFT, PLOT, RIGHT, TOP = 34, 190, 440, 70, 22  # of the score chart: pixels
WIDE, HIGH = 300, 150  # of one curve's chart
MARGIN = (46, 12, 26, 26)  # around its plot: left, right, top, bottom


@dataclass(frozen=True, slots=True)
class Bar:
    """One row of the score chart; every number a share of the scale's end.

    Attributes:
        name: what was scored.
        value, label: how well, and the number as it is written beside the bar.
        interval: (low, high) of a bootstrap.
        trivial, shuffled: the same score of a guess, and of answers to another picture.
    """

    name: str
    value: float
    label: str
    interval: tuple[float, float] | None = None
    trivial: float | None = None
    shuffled: float | None = None


def bars(rows: Sequence[Bar]) -> str:
    """One chart of all scores, a row each."""
    high = TOP + ROW * len(rows) + 22
    bottom = TOP + ROW * len(rows)
    parts = [start(LEFT + PLOT + RIGHT, high, "Scores: " + "; ".join(f"{row.name} {row.label}" for row in rows))]
    for share in (0, 0.25, 0.5, 0.75, 1):
        x = LEFT + share * PLOT
        parts.append(f'<line class="grid" x1="{x:.1f}" y1="{TOP - 6}" x2="{x:.1f}" y2="{bottom}"/>')
        parts.append(f'<text class="tick" x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{share:g}</text>')
    for i, row in enumerate(rows):
        parts += bar(row, TOP + ROW * i + ROW / 2)
    return "\n".join([*parts, "</svg>"])


def bar(row: Bar, y: float) -> list[str]:
    """The marks of one row whose middle is at `y`."""

    def x(value: float) -> float:
        return LEFT + PLOT * min(max(value, 0.0), 1.0)

    parts = [
        f'<text class="name" x="{LEFT - 10}" y="{y + 4:.1f}" text-anchor="end">{escape(row.name)}</text>',
        f'<rect class="mark" x="{LEFT}" y="{y - 8:.1f}" width="{x(row.value) - LEFT:.1f}" height="16" rx="3"/>',
    ]
    end = x(row.value)
    if row.interval:
        low, end = x(row.interval[0]), max(end, x(row.interval[1]))
        parts.append(f'<path class="whisker" d="M{low:.1f} {y:.1f}H{x(row.interval[1]):.1f}"/>')
    if row.trivial is not None:
        parts.append(f'<path class="trivial" d="M{x(row.trivial):.1f} {y - 12:.1f}v24"><title>trivial</title></path>')
    if row.shuffled is not None:
        at = x(row.shuffled)
        parts.append(f'<circle class="shuffled" cx="{at:.1f}" cy="{y:.1f}" r="5"><title>shuffled</title></circle>')
    parts.append(f'<text class="value" x="{end + 8:.1f}" y="{y + 4:.1f}">{escape(row.label)}</text>')
    return parts


def curve(name: str, points: Mapping[str, Sequence[tuple[float, float]]], *, smooth: bool = True) -> str:
    """One chart of one quantity over optimizer steps.

    Args:
        name: of the quantity, over the chart.
        points: line name -> (step, value) pairs in order; values that are not finite are left out.
        smooth: draws the running mean strongly, and the values themselves faintly behind it.
    """
    lines = {key: [(x, y) for x, y in line if math.isfinite(y)] for key, line in points.items()}
    lines = {key: line for key, line in lines.items() if line}
    if not lines:
        return ""
    first = min(line[0][0] for line in lines.values())
    last = max(line[-1][0] for line in lines.values())
    top = ceiling(max(y for line in lines.values() for _, y in line))
    left, right, above, below = MARGIN

    def place(line: Sequence[tuple[float, float]]) -> str:
        across, down = (WIDE - left - right) / max(last - first, 1), (HIGH - above - below) / top
        return " ".join(f"{left + (x - first) * across:.1f},{HIGH - below - max(y, 0) * down:.1f}" for x, y in line)

    ends = ", ".join(number(line[-1][1]) for line in list(lines.values())[:1])
    parts = [start(WIDE, HIGH, f"{name} from step {first:g} to {last:g}, at the end {ends}")]
    parts.append(f'<text class="name" x="{left}" y="15">{escape(name)}</text>')
    parts.append(f'<text class="value" x="{WIDE - right}" y="15" text-anchor="end">{ends}</text>')
    for share in (0, 0.5, 1):
        y = HIGH - below - share * (HIGH - above - below)
        parts.append(f'<line class="grid" x1="{left}" y1="{y:.1f}" x2="{WIDE - right}" y2="{y:.1f}"/>')
        parts.append(
            f'<text class="tick" x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{number(share * top)}</text>'
        )
    for x, anchor, step in ((left, "start", first), (WIDE - right, "end", last)):
        parts.append(f'<text class="tick" x="{x}" y="{HIGH - 8}" text-anchor="{anchor}">{step:g}</text>')
    for line in lines.values():
        if smooth and len(line) > 2:
            parts.append(f'<polyline class="faint" points="{place(line)}"/>')
            line = running_mean(line)
        parts.append(f'<polyline class="line" points="{place(line)}"/>')
    return "\n".join([*parts, "</svg>"])


def running_mean(line: Sequence[tuple[float, float]], share: float = 0.04) -> list[tuple[float, float]]:
    """Exponential running mean over about `share` of the line, corrected for its start."""
    keep = 1 - 1 / max(1.0, share * len(line))
    mean, weight, smooth = 0.0, 0.0, []
    for x, y in line:
        mean, weight = keep * mean + (1 - keep) * y, keep * weight + (1 - keep)
        smooth.append((x, mean / weight))
    return smooth


def ceiling(value: float) -> float:
    """The least of 1, 2, 5 times a power of ten that is not below `value`; 1 for nothing."""
    if value <= 0:
        return 1.0
    unit = 10.0 ** math.floor(math.log10(value))
    return next(step * unit for step in (1, 2, 5, 10) if step * unit >= value * (1 - 1e-9))


def number(value: float) -> str:
    """Three significant digits, as short as they go."""
    return f"{value:.3g}".replace("e-0", "e-")


def start(wide: float, high: float, label: str) -> str:
    """Opens an SVG of `wide` x `high` pixels that a screen reader announces as `label`."""
    return f'<svg viewBox="0 0 {wide:g} {high:g}" role="img" aria-label="{escape(label, quote=True)}">'
