"""The table at the end of several runs with ``-m``."""

import shlex
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from mtl_sharing.errors import UserError
from mtl_sharing.sweep.settings import sweeper_of


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
    from mtl_sharing.cli.groups_table import show_groups
    from mtl_sharing.report.analysis.tables import comparison_table
    from mtl_sharing.report.inputs.groups import make_groups
    from mtl_sharing.report.inputs.runs import read_runs
    from mtl_sharing.utils.files import short_path
    from mtl_sharing.utils.terminal import show

    try:
        groups = make_groups(read_runs([folder]).runs)
    except UserError:
        return  # no run began
    if groups:
        show("")
        show_groups(comparison_table(groups))
        show("")
        command = shlex.join(["mtl-report", str(short_path(folder))])
        for label, text in (("runs", short_path(folder)), ("compare", command)):
            show(f"{label:<13}{text}")
