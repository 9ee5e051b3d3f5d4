"""Lines and tables in columns of a terminal, whatever script the names are in."""

from __future__ import annotations

import pytest

from nnr.cli.text import Screen, cells, clipped, folded, folded_table, shortened, table

WIDE = "層.重み.一二三"
E_ACUTE = "e\u0301"  # one column, two characters


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("", 0),
        ("abc", 3),
        ("名", 2),
        ("ｱ", 1),
        ("Ａ", 2),
        (E_ACUTE, 1),
        ("a\u200db", 2),
        ("é", 1),
        ("名a名", 5),
    ],
)
def test_columns_of_a_text(text: str, columns: int) -> None:
    assert cells(text) == columns


def test_columns_stand_under_each_other() -> None:
    lines = table(("tensor", "bytes"), [("w", "10"), (WIDE, "2,000"), (E_ACUTE, "7")], {"bytes"})
    assert len({cells(line) for line in lines}) == 1, "the last column is aligned to the right"
    assert [cells(line[: line.index(last)]) for line, last in zip(lines[1:], ("10", "2,", "7"))] == [
        cells(WIDE) + 2 + indent for indent in (3, 0, 4)
    ]


@pytest.mark.parametrize("room", range(5, 30))
def test_what_is_shortened_fits(room: int) -> None:
    for text in (WIDE * 3, "abcdef" * 5, E_ACUTE * 40, "a名" * 9):
        short = shortened(text, room)
        assert cells(short) <= room
        assert cells(short) >= min(room, cells(text)) - 2, "a wide character may not fit into the last column"
        assert "..." in short or short == text
        assert cells(clipped(text, room)) <= room
        assert text.startswith(clipped(text, room))


@pytest.mark.parametrize("columns", [12, 40, 80])
def test_no_line_is_wider_than_the_screen(columns: int) -> None:
    screen = Screen(columns, 24)
    text = f"result      /some/{'名' * 60}/x: 12 tensors, {WIDE} different"
    lines = folded(text, screen, 4)
    assert all(cells(line) <= columns for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(line.startswith("    ") for line in lines[1:])
    rows = [("層" * 50, "1"), ("w" * 100, "22")]
    assert all(cells(line) <= max(columns, 37) for line in folded_table(("tensor", "n"), rows, {"n"}, screen))


def test_a_line_that_fits_stays() -> None:
    assert folded("A           x.npz", Screen(80, 24), 12) == ["A           x.npz"]
    assert folded("A           x.npz", None, 12) == ["A           x.npz"]
