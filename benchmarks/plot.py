"""Small line plots as SVG, written by hand so that nothing has to be installed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

__all__ = ["Panel", "write_svg"]

_COLOURS = ("#777777", "#d95f02", "#1b6ca8", "#2a9d4e", "#8e4fa8", "#b8860b", "#c2185b", "#00838f")
_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT, _BOTTOM = 380, 250, 52, 28, 12, 40


@dataclass(frozen=True)
class Panel:
    """One diagram.

    Attributes:
        lines: points (x, y) by the name of their line; the names are the same in all panels.
        x_ticks, y_ticks: where to draw lines of the grid, within the range that they span.
    """

    title: str
    lines: Mapping[str, Sequence[tuple[float, float]]]
    x_ticks: Sequence[float]
    y_ticks: Sequence[float]
    x_log: bool = True
    y_log: bool = False


def write_svg(path: Path, panels: Sequence[Panel], x_label: str, y_label: str, columns: int = 2) -> None:
    """Write panels side by side, with one legend for all."""
    names = list(dict.fromkeys(name for panel in panels for name in panel.lines))
    rows = -(-len(panels) // columns)
    width, legend = columns * _WIDTH, 22 * (-(-len(names) // 3)) + 8
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {rows * _HEIGHT + legend}" '
        f'width="{width}" font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for k, name in enumerate(names):
        x, y = 20 + (k % 3) * (width // 3), 18 + 22 * (k // 3)
        parts.append(f'<path d="M{x} {y - 4}h24" stroke="{_colour(k)}" stroke-width="2.5"/>')
        parts.append(f'<text x="{x + 30}" y="{y}">{escape(name)}</text>')
    for k, panel in enumerate(panels):
        left, top = (k % columns) * _WIDTH, legend + (k // columns) * _HEIGHT
        parts.append(f'<g transform="translate({left} {top})">')
        parts.extend(_panel(panel, names, x_label, y_label))
        parts.append("</g>")
    path.write_text("\n".join([*parts, "</svg>"]) + "\n", encoding="utf-8")


def _colour(k: int) -> str:
    return _COLOURS[k % len(_COLOURS)]


def _panel(panel: Panel, names: Sequence[str], x_label: str, y_label: str) -> list[str]:
    def scale(value: float, ticks: Sequence[float], log: bool, begin: float, end: float) -> float:
        low, high = (math.log(t) if log else t for t in (min(ticks), max(ticks)))
        share = ((math.log(value) if log else value) - low) / (high - low)
        return begin + min(max(share, -0.02), 1.02) * (end - begin)

    def x_of(value: float) -> float:
        return scale(value, panel.x_ticks, panel.x_log, _LEFT, _WIDTH - _RIGHT)

    def y_of(value: float) -> float:
        return scale(value, panel.y_ticks, panel.y_log, _HEIGHT - _BOTTOM, _TOP)

    parts = [f'<text x="{_LEFT}" y="{_TOP - 10}" font-weight="bold">{escape(panel.title)}</text>']
    for tick in panel.x_ticks:
        x = x_of(tick)
        parts.append(f'<path d="M{x:.1f} {_TOP}V{_HEIGHT - _BOTTOM}" stroke="#ddd"/>')
        parts.append(f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 14}" text-anchor="middle">{tick:g}</text>')
    for tick in panel.y_ticks:
        y = y_of(tick)
        parts.append(f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{_HEIGHT - 8}" text-anchor="middle">{escape(x_label)}</text>')
    centre = (_TOP + _HEIGHT - _BOTTOM) / 2
    turned = f'transform="translate(13 {centre}) rotate(-90)"'
    parts.append(f'<text {turned} text-anchor="middle">{escape(y_label)}</text>')
    for name, points in panel.lines.items():
        if points:
            path = "L".join(f"{x_of(x):.1f} {y_of(y):.1f}" for x, y in points)
            colour = _colour(names.index(name))
            parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="1.8"/>')
    return parts
