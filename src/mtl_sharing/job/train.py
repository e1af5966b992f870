"""One run from Python: overrides or a config, trained in a folder of the caller's choice."""

from collections.abc import Sequence
from pathlib import Path

from mtl_sharing.config import Config
from mtl_sharing.config.compose import compose_with_texts
from mtl_sharing.config.identity import Decides
from mtl_sharing.errors import UserError, one_of
from mtl_sharing.job.changed_settings import FREE, changed_settings
from mtl_sharing.job.run import run_job, whole_result
from mtl_sharing.job.saved_settings import RunStart
from mtl_sharing.job.stages import Hooks
from mtl_sharing.run_folder.layout import CONFIG, RESULT
from mtl_sharing.run_folder.manifest import read_listed_object
from mtl_sharing.run_folder.results import Result
from mtl_sharing.utils.files import expand_user


def train(overrides: Sequence[str] | Config, folder: str | Path) -> Result:
    """Trains, evaluates and scores one run in ``folder``, as the command ``mtl-train`` does.

    A stopped run of the same settings goes on, and a finished one is read, not trained again.
    The working directory, the logging and a running Hydra app stay as they are.

    Args:
        overrides: what would follow ``mtl-train``, as in ``["sharing=hybrid", "split=6"]``, or a
            whole config.
        folder: made where it is missing.

    Returns:
        The content of the folder's result.json.

    Raises:
        UserError: a mistake in the settings or the data, or a folder with a run of other settings.
        KeyboardInterrupt: the run was interrupted; the same call goes on with it.
        OSError: the folder cannot be written.
    """
    config, texts = _checked(overrides)
    folder = expand_user("folder", folder).absolute()
    finished = whole_result(folder)
    _refuse_other_run(config, folder, finished is not None)
    if finished is not None:
        return finished
    return run_job(config, folder, Hooks(start=RunStart(texts)))


def _checked(overrides: Sequence[str] | Config) -> tuple[Config, dict[str, str]]:
    if isinstance(overrides, str):
        raise UserError("overrides", overrides, f"a list, as in [{overrides!r}]")
    config, texts = compose_with_texts(overrides)
    if config.resume is not None:
        raise UserError("resume", config.resume, "null, and that folder as the second argument")
    if config.dry_run:
        raise UserError("dry_run", "true", "false; mtl-train dry_run=true prints the plan")
    if config.check_data:
        raise UserError("check_data", "true", "false; mtl-train check_data=true reads the data")
    return config, texts


def _refuse_other_run(config: Config, folder: Path, is_finished: bool) -> None:
    """Raises UserError where the folder holds a run of other settings, or parts of a run."""
    allowed = "a new folder, or that of a run with the same settings"
    if not (folder / CONFIG).is_file():
        if is_finished:
            raise UserError("folder", f"{folder}, which has {RESULT} but no {CONFIG}", allowed)
        return
    if not (folder / RESULT).is_file():
        raise UserError("folder", f"{folder}, which has {CONFIG} but no {RESULT}", allowed)
    # Nothing compares the data of a finished run, which is read.
    free = FREE - {Decides.DATA_FOLDER} if is_finished else FREE
    keys = list(changed_settings(config, folder, free))
    began_with = read_listed_object(folder, CONFIG).get("precision")
    if config.trainer.precision not in ("auto", began_with):
        keys.append("trainer.precision")
    if keys:
        raise UserError("folder", f"{folder}, a run with another {one_of(keys)}", allowed)
