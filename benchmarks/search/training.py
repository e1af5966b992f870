"""Trains one run in a process of its own: ``python -m benchmarks.search.training FOLDER WORDS``."""

import csv
import io
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.search.tables import Trained
from mtl_sharing.errors import FolderInUse, UserError
from mtl_sharing.run_folder.layout import METRICS
from mtl_sharing.run_folder.manifest import read_listed
from mtl_sharing.run_folder.results import finished_result

_NICE = 10
_WAIT_S = 5.0


def main(arguments: Sequence[str]) -> int:
    """Trains, or goes on, in a folder; returns 2 on a user's mistake."""
    from mtl_sharing import train

    os.nice(_NICE)
    folder, *overrides = arguments
    while True:
        try:
            train(overrides, folder)
            return 0
        except FolderInUse:  # a killed build's training goes on to its end
            time.sleep(_WAIT_S)
        except UserError as error:
            print(error, file=sys.stderr)
            return 2


def read_trained(folder: Path) -> Trained:
    """The finished training in a folder."""
    result = finished_result(folder)
    if result is None:
        raise UserError(str(folder), "a run that has not finished", "a finished run")
    selection, saved = result["selection"], result["multipliers"]
    flops, separate = result["flops"], result["baseline"]["flops"]
    return Trained(
        performance=selection["performance"],
        dev=result["performance"],
        floor=selection["floor_performance"],
        dev_floor=result["floor_performance"],
        seconds=result["time"]["train_s"],
        parameters=_share(result["params"], result["baseline"]["params"], "total"),
        time=1 / saved["time"],
        training=_share(flops, separate, "train_per_example"),
        evaluations=_evaluations(read_listed(folder, METRICS).decode("utf-8")),
    )


def _share(regime: Mapping[str, Any], separate: Mapping[str, Any], name: str) -> float:
    return float(regime[name] / separate[name])


def _evaluations(metrics: str) -> dict[int, float]:
    """The performance at each percent of the training, from a run's metrics."""
    rows = [row for row in csv.DictReader(io.StringIO(metrics)) if row["performance"]]
    last = int(rows[-1]["step"])
    return {round(100 * int(r["step"]) / last): float(r["performance"]) for r in rows}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
