"""Text of others never controls the terminal."""

import io

from rich.table import Table

from mtl_sharing.utils.terminal import printable, show


def test_only_characters_that_control_are_escaped():
    assert printable("plain é 中\n\tnext") == "plain é 中\n\tnext"
    assert printable("\x1b[2J\x00\x7f\x85\u202e\ud800") == r"\x1b[2J\x00\x7f\x85\u202e\ud800"


def test_tables_show_text_as_it_is(capsys):
    table = Table("head\x1b[1m", "[b]x[/b]", title="\x1b]52;c;Zm9v\x07")
    table.add_row("\x1b[31mred", "[link=http://example.org]name[/link]")
    show(table)
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert r"head\x1b[1m" in out and r"\x1b[31mred" in out and r"\x1b]52;c;Zm9v" in out
    assert "[b]x[/b]" in out and "[link=http://example.org]name[/link]" in out


def test_a_long_text_stays_on_one_line(capsys):
    show("x" * 500)
    assert capsys.readouterr().out == "x" * 500 + "\n"


def test_what_the_terminal_cannot_show_is_escaped(monkeypatch):
    output = io.TextIOWrapper(io.BytesIO(), encoding="ascii", newline="\n")
    monkeypatch.setattr("sys.stdout", output)
    table = Table("head ü")
    table.add_row("中")
    show("a label ü")
    show(table)
    out = output.buffer.getvalue().decode("ascii")
    assert out.startswith("a label \\xfc\n") and "head \\xfc" in out and "\\u4e2d" in out
