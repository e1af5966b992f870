"""Which of a run's tasks are predicted."""

from collections.abc import Sequence

from mtl_sharing.errors import check_known
from mtl_sharing.loaded import LoadedRun


def named_tasks(run: LoadedRun, wanted: Sequence[str] | None) -> tuple[str, ...]:
    """The tasks that are asked for, in the run's order; None takes all.

    Raises:
        UserError: a task that the run has not.
    """
    for name in wanted or ():
        check_known("--tasks", name, run.tasks)
    return tuple(name for name in run.tasks if wanted is None or name in wanted)
