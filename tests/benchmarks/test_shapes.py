"""First meetings of shapes, read from oneDNN's log."""

import json

import pytest

from benchmarks import command
from benchmarks.runner import WorkerError
from benchmarks.shapes import count_meetings, count_phases, format_meetings, read_creations


def line(kind, sizes, state="cache_miss"):
    return (
        f"onednn_verbose,v1,primitive,create:{state},cpu,{kind},brg:avx512,undef,"
        f"src:bf16::blocked:ab::f0,attr-scratchpad:user,,{sizes},0.37\n"
    )


LOG = (
    "onednn_verbose,v1,info,cpu,isa:AVX-512\n", line("matmul", "100x384:384x1536"),
    "benchmark step 1\n", line("matmul", "100x384:384x1536", "cache_hit"), line("reorder", "3x4"),
    "benchmark step 50\n", line("matmul", "96x384:384x1536"),
    "benchmark step 51\n", line("matmul", "97x4:4x4"), line("matmul", "98x4:4x4"),
    line("matmul", "97x4:4x4"),
)  # fmt: skip


def test_first_meetings_are_counted_by_phase():
    counts = count_phases(read_creations(LOG), 60)
    assert counts == {
        "steps": 60, "created": 7, "before": 1, "first": 2, "later": 3, "dropped": 1,
        "latest": ["matmul 98x4:4x4", "matmul 97x4:4x4"],
    }  # fmt: skip
    assert format_meetings(counts) == (
        "First meetings of shapes: 1 before the first step, 2 in steps 1 to 50, 3 in later ones up "
        "to step 60, of 7 uses; oneDNN's cache had dropped 1 of these shapes; the latest: "
        "matmul 98x4:4x4, matmul 97x4:4x4"
    )


def test_a_training_without_such_products_says_so():
    assert "no product" in format_meetings(count_phases(iter(()), 60))


def test_the_bench_stores_the_counts_and_goes_on_without(monkeypatch, tmp_path, capsys):
    def count(overrides, steps):
        assert steps == 200 and overrides[-1] == "suite.max_train_rows=800"
        if outcomes.pop():
            raise WorkerError("the training ended with 1")
        return count_phases(read_creations(LOG), steps)

    outcomes = [True, False]
    monkeypatch.setattr(command, "count_meetings", count)
    assert command.main(["--only", "shapes", "--out", str(tmp_path / "one")]) == 0
    (file,) = tmp_path.glob("one/*/results.json")
    assert json.loads(file.read_text())["shapes"]["later"] == 3
    assert "3 in later ones up to step 200" in capsys.readouterr().out.replace("\n", " ")
    assert command.main(["--only", "shapes", "--out", str(tmp_path / "two")]) == 1
    assert "the training ended with 1" in capsys.readouterr().out.replace("\n", " ")


@pytest.mark.slow
def test_a_training_in_bf16_meets_shapes(small_words, tmp_path):
    words = [word for word in small_words if not word.startswith("trainer.precision")]
    counts = count_meetings([*words, f"cache.folder={tmp_path}", "trainer.precision=bf16"], 3)
    assert counts["created"] > counts["before"] > 0
    assert counts["first"] == counts["later"] == 0
