"""Memory does not grow with the file: one process predicts short files, then long ones."""

import csv
import json
import subprocess
import sys

import pyarrow as pa
import pytest
from pyarrow import parquet

# The short file has many chunks, too: buffers are then as large as they ever get.
SHORT, TIMES, CHUNK = 1500, 8, 128
# The second column is wide, so that holding it would show.
ROW = {"text": "a good film", "ballast": "x" * 10_000}
WORK = """
import sys
import torch
import mtl_sharing.predict.table_files as table_files
from mtl_sharing.cli.predict import main
from mtl_sharing.utils.device import peak_memory, reset_peak_memory
table_files.InputTable.chunks.__defaults__ = (128,)
run, out, *files = sys.argv[1:]
cpu = torch.device("cpu")
for path in files:
    reset_peak_memory(cpu)
    folder = f"{out}/{path.rpartition('/')[2]}"
    main([run, "--input", path, "--out", folder, "--device", "cpu", "--batch-size", "128"])
    print("peak", path, peak_memory(cpu))
"""


def write(path, rows):
    """A table of that many rows, Parquet in row groups."""
    if path.suffix == ".jsonl":
        path.write_text((json.dumps(ROW) + "\n") * rows)
    elif path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, ROW)
            writer.writeheader()
            writer.writerows([ROW] * rows)
    else:
        table = pa.Table.from_pylist([ROW] * rows)
        parquet.write_table(table, path, row_group_size=CHUNK, use_dictionary=False)
    return path


@pytest.mark.slow
def test_memory_is_flat_in_the_files_length(quick_run, tmp_path):
    run = quick_run("encoder.layers=2", "sharing.plan=S1-I1")
    kinds = ("csv", "jsonl", "parquet")
    files = [write(tmp_path / f"short.{kind}", SHORT) for kind in kinds]
    files += files  # at first packages are loaded
    files += [write(tmp_path / f"long.{kind}", SHORT * TIMES) for kind in kinds]
    words = [sys.executable, "-c", WORK, str(run), str(tmp_path / "out"), *map(str, files)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    peaks = [int(line.split()[2]) for line in done.stdout.splitlines() if line.startswith("peak")]
    assert len(peaks) == 9
    most = SHORT * TIMES * len(ROW["ballast"]) / 3
    for short, long in zip(peaks[3:6], peaks[6:], strict=True):
        assert long - short < most, peaks
    assert max(peaks) > most, "the peaks are none"
