"""Draws the curves of the documentation, from docs/pictures/NAME.csv to NAME.svg.

The first column is the time in minutes; the other columns that are drawn have MiB in their names.
"""

import csv
import io
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

_WIDTH, _HEIGHT = 640, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 150, 20, 40
_COLORS = ("#4477aa", "#ee6677", "#228833")  # Distinct for colour-blind readers, too.
_UNIT = " MiB"


def _step(largest: float) -> float:
    """Return a round distance between the lines of a scale that ends at ``largest``."""
    power = 10.0 ** math.floor(math.log10(largest / 4))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor * 5 >= largest)


def _text(x: float, y: float, text: str, anchor: str, color: str = "#333333") -> str:
    return (
        f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" fill="{color}" '
        f'font-family="sans-serif" font-size="12">{text}</text>'
    )


def _line(points: Sequence[tuple[float, float]], color: str, width: float) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="{width}"/>'


def curve(table: str) -> str:
    """Return a table in CSV as a picture in SVG."""
    header, *rows = list(csv.reader(io.StringIO(table)))
    values = [[float(cell) for cell in row] for row in rows]
    drawn = [column for column, name in enumerate(header) if name.endswith(_UNIT)]
    longest = max(row[0] for row in values)
    highest = max(row[column] for row in values for column in drawn)
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM

    def place(minutes: float, height: float) -> tuple[float, float]:
        x = _LEFT + minutes / longest * (right - _LEFT)
        return x, bottom - height / highest * (bottom - _TOP)

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}">']
    for number in range(int(highest / _step(highest)) + 1):
        height = number * _step(highest)
        parts.append(_line([place(0, height), place(longest, height)], "#dddddd", 1))
        parts.append(_text(_LEFT - 8, place(0, height)[1] + 4, f"{height:.0f}{_UNIT}", "end"))
    for number in range(int(longest / _step(longest)) + 1):
        minutes = number * _step(longest)
        parts.append(_text(place(minutes, 0)[0], bottom + 18, f"{minutes:g} min", "middle"))
    for color, column in zip(_COLORS, drawn, strict=False):
        points = [place(row[0], row[column]) for row in values]
        parts.append(_line(points, color, 2))
        name = header[column].removesuffix(_UNIT)
        parts.append(_text(right + 8, points[-1][1] + 4, name, "start", color))
    return "\n".join([*parts, "</svg>", ""])


def curves(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield (name of the SVG file, its text) for every table in ``folder``."""
    for path in sorted(folder.glob("*.csv")):
        yield path.with_suffix(".svg").name, curve(path.read_text())
