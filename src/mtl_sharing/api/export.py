"""An export from Python."""

from pathlib import Path

from mtl_sharing.api.errors import options_as_arguments
from mtl_sharing.export import write
from mtl_sharing.export.write import Exported
from mtl_sharing.utils.files import expand_user


def export_run(run: str | Path, out: str | Path, task: str | None = None) -> Exported:
    """Writes a task of a run as a plain model into a new folder, as ``mtl-export`` does.

    Args:
        run: the run's folder.
        out: a new folder, or an empty one.
        task: whose tower and head; a run of one task needs none.

    Returns:
        The folder, the task, a description and the number of parameters.

    Raises:
        UserError: no trained run, an unknown task, an encoder without a plain model, or a folder
            that is not empty.
        OSError: the folder cannot be written.
    """
    with options_as_arguments():
        return write.export_run(expand_user("run", run), task, expand_user("out", out))
