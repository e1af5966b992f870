"""The table at the end of several runs with ``-m``."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from mtl_sharing.errors import UserError
from mtl_sharing.sweep.settings import sweeper_of

if TYPE_CHECKING:
    import pandas as pd


class RunsTable(Callback):
    """Prints the finished runs of a plain ``-m``, grouped as in a report.

    A sweep of this project's sweeper prints its own table.
    """

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Called once by Hydra, also where a run has failed."""
        if sweeper_of(config.hydra) is None:
            print_runs(Path(config.hydra.sweep.dir))


def print_runs(folder: Path) -> None:
    """Prints the groups of the finished runs in a folder; nothing where there are none."""
    # Here, not above: Hydra makes the callback for every command.
    from mtl_sharing.cli.groups_table import groups_contents
    from mtl_sharing.report.analysis.tables import comparison_table
    from mtl_sharing.report.inputs.groups import make_groups
    from mtl_sharing.report.inputs.runs import read_runs
    from mtl_sharing.utils.files import short_path
    from mtl_sharing.utils.summary import Summary, print_summary

    try:
        collection = read_runs([folder])
        groups = make_groups(collection.runs)
    except UserError:
        return  # no run began
    if not groups:
        return
    table, path = comparison_table(groups), str(short_path(folder))
    runs = [{**run.result, "folder": str(run.folder)} for run in collection.finished]
    print_summary(Summary(
        answer=_answer(table),
        contents=groups_contents(table),
        files=[("runs", path)],
        commands=[shlex.join(["mtl-report", path])],
        record={"runs": runs, "folder": str(folder)},
    ))  # fmt: skip


def _answer(table: "pd.DataFrame") -> str:
    """The group with the highest performance, what it keeps and what it costs, in a sentence."""
    import pandas as pd

    best = table.sort_values("performance", ascending=False, kind="stable").iloc[0]
    kept, share = best["kept %"], best["parameters %"]
    text = f"{best['group']} reaches {best['performance']:.4f}"
    if (others := len(table) - 1) > 0:
        text += f", the highest of {others + 1} groups"
    if pd.notna(kept) and pd.notna(share) and share != 100:
        text += f"; it keeps {kept:.1f}% of separate models at {share:.1f}% of their parameters"
    return text
