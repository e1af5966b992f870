"""``mtl-train``: one run, or several with ``-m``."""

import logging.config
import os
import re
import sys
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from mtl_sharing.cli.exit import AT_ONCE, exit_on_failure, resume_command, run_command
from mtl_sharing.config import Config, register, to_config
from mtl_sharing.config.callables import LOGGING
from mtl_sharing.config.compose import COMPOSING
from mtl_sharing.config.credentials import hide_storage
from mtl_sharing.config.mistakes import config_error
from mtl_sharing.config.overrides import check_overrides, override_text
from mtl_sharing.errors import UserError
from mtl_sharing.run_folder.discovery import start_folder
from mtl_sharing.run_folder.layout import CHECKPOINT, CONFIG, HYDRA_CONFIG, RESULT, TOKENIZER
from mtl_sharing.run_folder.lock import check_plain_folder
from mtl_sharing.run_folder.results import read_yaml
from mtl_sharing.sweep.plugin import register_sweeper
from mtl_sharing.sweep.settings import sweeper_of
from mtl_sharing.utils.files import expand_user
from mtl_sharing.utils.git import launched_here

_RUN_FILES = (RESULT, CHECKPOINT, CONFIG, TOKENIZER)
_BESIDE_RESUME = ("resume=", "data_dir=", "trainer.debug=")


@hydra.main(config_path="pkg://mtl_sharing.conf", config_name="train", execution_whitelist=LOGGING)
def _run_composed(values: DictConfig) -> float | None:
    """Runs one composed job and returns its objective to the sweeper."""
    job = HydraConfig.get()
    folder = Path(job.runtime.output_dir)
    if job.mode != RunMode.MULTIRUN:
        exit_on_failure(lambda: run(to_config(values), folder), _debug(), folder=folder)
        return None
    options = sweeper_of(job)
    if options is None:  # Hydra's own sweeper, which needs a failed job's exception
        return run(to_config(values), folder)
    from mtl_sharing.sweep.jobs.trial_job import run_trial

    run_trial(to_config(values), folder, options)
    return None  # the sweep reads the trial's files


def run(config: Config, folder: Path, resumed: bool = False) -> float | None:
    """Runs or describes one job in ``folder`` and prints its summary.

    Returns:
        The objective of ``score.objective``; None for a dry run.
    """
    # Here, not above: torch takes longer to load than --help may.
    from mtl_sharing.cli import summary
    from mtl_sharing.job.run import describe, run_job, whole_result
    from mtl_sharing.run_folder.results import result_problem

    if not resumed:
        refuse_used_folder(folder)
    if config.dry_run:
        summary.print_plan(describe(config, folder), folder)
        return None
    result = whole_result(folder) if resumed else None
    if result is not None and (problem := result_problem(result)) is not None:
        raise UserError(str(folder / RESULT), problem, "the file as the run wrote it")
    result = result or run_job(config, folder)
    summary.print_result(result, folder)
    objective: float | None = result["objectives"][config.score.objective]
    return objective


def refuse_used_folder(folder: Path) -> None:
    """Raises UserError for a folder that holds a run: nothing is overwritten."""
    if any((folder / name).exists() for name in _RUN_FILES):
        allowed = f"a new folder; to go on with that run: {resume_command(folder)}"
        raise UserError("the run's folder", f"{folder}, which holds a run", allowed)
    check_plain_folder(folder)


def _start(arguments: list[str]) -> None:
    """Starts a new run or sweep from command line arguments."""
    multirun = {"-m", "--multirun", "hydra.mode=MULTIRUN"} & set(arguments)
    overrides = [a for a in arguments if a[:1] != "-" and ("=" in a or a[:1] == "~")]
    check_overrides(overrides, sweeps=bool(multirun))
    # A sweep of this sweeper goes on in the folder of an earlier start.
    continues = any(a.startswith(("+sweep=", "hydra/sweeper=optuna")) for a in arguments)
    for argument in arguments:
        key, _, value = argument.partition("=")
        if key.startswith("--e") and "--experimental-rerun".startswith(key):
            # It would take another run's overrides for the user's own.
            raise UserError(argument, "an option of Hydra's", "resume=RUN_DIR")
        if key in ("+sweep", "+cluster") and not multirun:
            raise UserError(argument, "no -m before it", f"mtl-train -m {argument}")
        # Before Hydra writes its own files there.
        if key == "hydra.run.dir":
            refuse_used_folder(Path(value))
        elif key == "hydra.sweep.dir":
            check_plain_folder(Path(value))
            for folder in Path(value).glob("*"):
                (check_plain_folder if continues else refuse_used_folder)(folder)
    try:
        _run_composed()
    except COMPOSING as error:
        raise config_error(error, arguments) from error


def resume(name: str, arguments: list[str]) -> tuple[Config, Path]:
    """The config and the folder of the run ``name``, with logging set up.

    Changes to the folder that the run was started from, where that still exists, because relative
    paths in the config start there.

    Raises:
        UserError: no run there, or other overrides, which would make it another run.
    """
    others = [argument for argument in arguments if not argument.startswith(_BESIDE_RESUME)]
    if others:
        allowed = "nothing beside resume=RUN_DIR but data_dir=FOLDER, where the data were moved; "
        allowed += "the run keeps its own settings"
        raise UserError("resume", others[0], allowed)
    folder = expand_user("resume", name).resolve()
    saved = folder / HYDRA_CONFIG
    if not saved.is_file():
        raise UserError("resume", name, "the folder of a run (it holds .hydra/config.yaml)")
    config = to_config(read_yaml(saved))
    if config.dry_run:
        raise UserError("resume", f"{name}, a dry run", "the folder of a run that trained")
    moved = [argument for argument in arguments if argument.startswith("data_dir=")]
    if moved:  # what it holds is compared with what the run began with
        config = replace(config, data_dir=_data_folder(moved[-1]))
    started = start_folder(folder)
    if started is not None:
        os.chdir(started)
    _log_to(folder)
    return config, folder


def _data_folder(argument: str) -> str | None:
    """The folder that ``data_dir=`` names: a folder of this very name, or as Hydra reads it."""
    name: str | None = argument.removeprefix("data_dir=")
    if not name or not expand_user("data_dir", name).is_dir():
        name = override_text(argument)
    return None if name is None else str(expand_user("data_dir", name).absolute())


def _log_to(folder: Path) -> None:
    """Configures logging like Hydra does; log lines are appended to the run's train.log."""
    text = files("mtl_sharing.conf").joinpath("hydra/job_logging/plain.yaml").read_text("utf-8")
    values = OmegaConf.create(text)
    OmegaConf.update(values, "hydra.runtime.output_dir", str(folder))
    settings: Any = OmegaConf.to_container(values, resolve=True)
    logging.config.dictConfig(settings)


def _debug() -> bool:
    return any(re.fullmatch(r"\+*trainer\.debug=(?i:true|1|yes|on)", word) for word in sys.argv)


def main() -> None:
    """The console script. Exits with 2 on a user's mistake, 130 when interrupted."""
    # Makes Hydra raise errors; by default it prints them itself and exits with 1.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    # On a full disk the run itself fails; no traceback for each lost log line.
    logging.raiseExceptions = False
    register()
    register_sweeper()
    # A database's URL may hold a password, and Hydra writes its command line to a file.
    arguments = sys.argv[1:] = hide_storage(sys.argv[1:])
    resume_from = [a.removeprefix("resume=") for a in arguments if a.startswith("resume=")]

    def work() -> None:
        with launched_here():
            if resume_from and resume_from[-1] not in ("", "null"):
                run(*resume(resume_from[-1], arguments), resumed=True)
            else:
                _start(arguments)

    folder = Path(resume_from[-1]) if resume_from else None
    run_command(work, _debug(), "mtl-train", AT_ONCE, folder)


if __name__ == "__main__":
    main()
