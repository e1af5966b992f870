"""Metrics, ratios and tables from measured rounds."""

import json
from dataclasses import replace

import pytest
from rich.console import Console

from benchmarks import command, document
from benchmarks.document import BEGIN, END, rewritten
from benchmarks.machine import processor_kind
from benchmarks.records import Round, StepWork
from benchmarks.runner import WorkerError
from benchmarks.summary import summarise
from benchmarks.tables import format_share, metric_rows, ratio_rows
from benchmarks.workloads import PRODUCTS, Target

OWN = "### AVX-512 without bf16: Some Processor, 2 cores"


@pytest.fixture
def folder(tmp_path, results):
    (tmp_path / "results.json").write_text(json.dumps(results))
    return tmp_path


def ratio(summary, metric, over):
    (row,) = [r for r in summary["ratios"] if (r["metric"], r["over"]) == (metric, over)]
    return {name: row[name] for name in ("median", "low", "high", "target", "met")}


def test_speeds_are_compared_round_by_round_in_tokens(small_workload, measured):
    summary = summarise(small_workload, measured, "avx512")
    assert ratio(summary, "speed", "recipe") == {
        "median": 5.0, "low": 2.5, "high": 5.0, "target": 4.0, "met": True
    }  # fmt: skip
    assert ratio(summary, "speed", "best plain") == {
        "median": 2.0, "low": 1.0, "high": 2.0, "target": 2.5, "met": False
    }  # fmt: skip


def test_memory_is_to_be_small(small_workload, measured):
    summary = summarise(small_workload, measured, "avx512")
    assert ratio(summary, "memory", "best plain")["median"] == 0.6
    assert ratio(summary, "memory", "best plain")["met"] is True
    assert ratio(summary, "memory", "recipe")["met"] is None
    measured["variants"]["project"]["peak_bytes"] = 900
    assert (
        ratio(summarise(small_workload, measured, "avx512"), "memory", "best plain")["met"] is False
    )


def test_a_target_may_depend_on_the_kind_of_machine(small_workload, measured):
    on_amx = ratio(summarise(small_workload, measured, "amx"), "speed", "recipe")
    assert (on_amx["target"], on_amx["met"]) == (6.0, False)
    same = ratio(summarise(small_workload, measured, "amx"), "memory", "best plain")
    assert (same["target"], same["met"]) == (0.8, True)


def test_a_share_of_the_product_rate_may_be_a_target(small_workload, measured):
    workload = replace(small_workload, targets=(Target("share", "project", PRODUCTS, 0.3),))
    assert ratio(summarise(workload, measured, "avx512"), "share", PRODUCTS) == {
        "median": 0.25, "low": 0.125, "high": 0.25, "target": 0.3, "met": False
    }  # fmt: skip
    assert all(
        r["metric"] != "share" for r in summarise(small_workload, measured, "avx512")["ratios"]
    )


def test_metrics_of_a_contender(small_workload, measured):
    metrics = summarise(small_workload, measured, "avx512")["metrics"]["project"]
    assert metrics["examples_per_s"] == 10 and metrics["tokens_per_s"] == 100
    assert (metrics["first_steps"], metrics["first_s"]) == (5, 20)
    assert metrics["first_tokens_per_s"] == 25
    assert metrics["step_s"] == 1 and metrics["peak_bytes"] == 600
    # 100,000 operations a second of the faster precision's 400,000.
    assert metrics["share_of_product_rate"] == 0.25


def test_rows(results):
    assert ratio_rows(results)[0] == (
        "a small workload", "speed, project to recipe", "5.00 (2.50 to 5.00)", "at least 4", "yes"
    )  # fmt: skip
    assert ratio_rows(results)[1][1:] == (
        "speed in the first steps, project to recipe",
        "1.00",
        "",
        "",
    )
    assert ratio_rows(results)[5][1:] == (
        "peak memory, project to best plain", "0.60", "at most 0.8", "yes"
    )  # fmt: skip
    rows = metric_rows(results)
    assert rows[0] == ("a small workload", "project", "fp32", "10.0", "100", "25 (5)", "25%",
                       "0.00 GB")  # fmt: skip
    assert format_share(0.31) == "31%" and format_share(2.5) == "over 100%"
    assert rows[-1][:2] == ("another workload", "failed: recipe: died")
    assert {len(row) for row in rows} == {8}


def test_the_page_is_rewritten_between_its_markers(folder, tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    monkeypatch.setattr(document, "PAGE", page)
    page.write_text(f"# Title\n\n{BEGIN}\nold\n{END}\n\nafter\n")
    document.main([str(folder)])
    text = page.read_text()
    assert text.startswith("# Title\n\n") and text.endswith(f"{END}\n\nafter\n")
    assert "old" not in text
    assert (
        "| a small workload | speed, project to recipe | 5.00 (2.50 to 5.00) | at least 4 | yes |"
        in text
    )
    for fact in ("2026-01-31 12:00", "Some Processor", "2 cores", "torch 2.13.0",
                 "commit 012345678 with changes", "bundled suite"):  # fmt: skip
        assert fact in text
    document.main([str(folder)])
    assert page.read_text() == text
    document.main([str(folder), str(folder)])
    assert page.read_text().count("Measured 2026-01-31") == 2
    assert page.read_text().count("### ") == 1


def test_kinds_of_machines_stand_side_by_side(folder, results):
    machine = results["machine"] | {"kind": "NVIDIA H200"}
    page = rewritten(f"{BEGIN}\n### AMX: One, 2 cores\n\nfigures\n{END}", [folder])
    assert (
        "### AMX: One, 2 cores\n\nfigures\n\n### AVX-512 without bf16: Some Processor, 2 cores"
        in page
    )
    (folder / "results.json").write_text(json.dumps(results | {"machine": machine}))
    page = rewritten(page, [folder])
    (folder / "results.json").write_text(json.dumps(results | {"date": "later"}))
    page = rewritten(page, [folder])
    headings = [line for line in page.splitlines() if line.startswith("### ")]
    assert headings == ["### AMX: One, 2 cores", OWN,
                        "### NVIDIA H200: Some Processor, 2 cores"]  # fmt: skip
    assert page.count("Measured later") == page.count("Measured 2026-01-31") == 1


@pytest.mark.parametrize(
    ("flags", "kind"),
    [
        ("fpu avx512f avx512_bf16 amx_bf16 amx_tile", "amx"),
        ("avx512f avx512_bf16", "avx512_bf16"),
        ("avx2 avx512f", "avx512"),
        ("avx2 avx512_bf16x", "other"),
    ],
)
def test_the_kind_of_a_processor(flags, kind):
    assert processor_kind(flags) == kind


def test_scaling_is_measured_where_it_was_measured(folder):
    (folder / "scaling.json").write_text(json.dumps({"found": ["it grows"]}))
    assert "- it grows\n" in rewritten(f"{BEGIN}{END}", [folder])


@pytest.mark.parametrize("text", ["", BEGIN, f"{END}{BEGIN}", f"{BEGIN}{BEGIN}{END}"])
def test_a_page_without_its_markers_is_refused(folder, text):
    with pytest.raises(ValueError, match="measured: begin"):
        rewritten(text, [folder])


def test_the_projects_own_page_has_its_markers(folder):
    assert rewritten(document.PAGE.read_text(encoding="utf-8"), [folder])


def test_a_workload_that_fails_stops_no_other(monkeypatch, tmp_path, capsys):
    one = Round((0.5,), (StepWork(48, 100, 10**9),), 10**9)

    def run(workload, data, rounds, hidden, log):
        if workload.name == "hybrid_16":
            raise WorkerError("recipe: [Errno 12] no memory")
        facts = {"how": "fp32", "setup_s": 1.0, "resting_bytes": 1, "peak_bytes": 10**9,
                 "first": one}  # fmt: skip
        variants = {c.name: facts | {"rounds": [one] * rounds} for c in workload.variants}
        return {"variants": variants, "product_rate": [{"fp32": 1e10}] * rounds}

    monkeypatch.setattr(command, "run_workload", run)
    assert command.main(["--quick", "--out", str(tmp_path), "--rounds", "2"]) == 1
    (folder,) = tmp_path.iterdir()
    results = json.loads((folder / "results.json").read_text())
    assert [w["failed"] for w in results["workloads"]] == ["recipe: [Errno 12] no memory", None]
    assert results["workloads"][1]["ratios"][0]["median"] == 1
    assert len(results["workloads"][1]["variants"]["hybrid"]["rounds"]) == 2
    printed = capsys.readouterr().out
    assert "hybrid_16 failed: recipe: [Errno 12] no memory" in printed
    assert "at least 1.4" in printed and "bundled suite" in printed
    assert command.main(["--only", "shared", "--out", str(tmp_path / "more")]) == 0


def test_results_are_measured_in_lines_that_are_not_cut(results, capsys):
    command.show(Console(width=160), results)
    assert "speed, project to best plain" in capsys.readouterr().out


def test_results_of_another_schema_are_refused(folder, results):
    (folder / "results.json").write_text(json.dumps(results | {"schema": 1}))
    with pytest.raises(ValueError, match="found schema 1; allowed: 3"):
        rewritten(f"{BEGIN}{END}", [folder])
