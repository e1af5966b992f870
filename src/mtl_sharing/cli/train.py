"""``mtl-train``: one run, or several with ``-m``."""

import logging
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from mtl_sharing.cli.exit import AT_ONCE, exit_on_failure, run_command
from mtl_sharing.cli.keys import print_keys
from mtl_sharing.cli.options import train_options
from mtl_sharing.config import Config, register, to_config
from mtl_sharing.config.callables import CALLBACKS, LOGGING
from mtl_sharing.config.compose import COMPOSING
from mtl_sharing.config.credentials import hide_storage
from mtl_sharing.config.loading import checked_loading
from mtl_sharing.config.mistakes import config_error
from mtl_sharing.config.overrides import check_overrides, override_text, parse_override
from mtl_sharing.errors import UserError
from mtl_sharing.run_folder.discovery import refuse_used_folder
from mtl_sharing.run_folder.layout import AS_WRITTEN, RESULT, named_folder
from mtl_sharing.run_folder.lock import check_plain_folder
from mtl_sharing.sweep.plugin import register_sweeper
from mtl_sharing.sweep.settings import sweeper_of
from mtl_sharing.utils.terminal import output_options

if TYPE_CHECKING:
    from mtl_sharing.job.saved_settings import RunStart
    from mtl_sharing.run_folder.results import Result


@hydra.main(
    config_path="pkg://mtl_sharing.conf",
    config_name="train",
    execution_whitelist=(*CALLBACKS, *LOGGING),
)
def _run_composed(values: DictConfig) -> float | None:
    """Runs one composed job and returns its objective to the sweeper."""
    job = HydraConfig.get()
    folder = Path(job.runtime.output_dir)
    if job.mode != RunMode.MULTIRUN:
        exit_on_failure(lambda: _run_new(values, folder), _debug(), folder=folder)
        return None
    options = sweeper_of(job)
    if options is None:  # Hydra's own sweeper, which needs a failed job's exception
        return _run_new(values, folder)
    from mtl_sharing.sweep.jobs.trial_job import run_trial

    run_trial(values, folder, options)
    return None  # the sweep reads the trial's files


def _run_new(values: DictConfig, folder: Path) -> float | None:
    from mtl_sharing.job.hydra_files import start_of_job

    config = to_config(values)
    if config.resume is not None:  # in a config file
        raise UserError("resume", config.resume, "mtl-train resume=RUN_DIR on the command line")
    refuse_used_folder(folder)
    is_part = HydraConfig.get().mode == RunMode.MULTIRUN
    return run(config, folder, start_of_job(values, is_new=True), is_part)


def run(config: Config, folder: Path, start: "RunStart", is_part: bool = False) -> float | None:
    """Runs or describes one job in ``folder`` and prints its summary.

    Args:
        is_part: one of several jobs of the command.

    Returns:
        The objective of ``score.objective``; None where nothing is trained.
    """
    # Here, not above: torch takes longer to load than --help may.
    from mtl_sharing.job.run import run_job, whole_result
    from mtl_sharing.job.stages import Hooks
    from mtl_sharing.run_folder.results import result_problem

    if config.dry_run or config.check_data:
        _describe(config, folder, start, is_part)
        return None
    result = None if start.is_new else whole_result(folder)
    if result is None:
        return _print(run_job(config, folder, Hooks(start=start)), config, folder, is_part)
    if (problem := result_problem(result)) is not None:
        raise UserError(str(folder / RESULT), problem, AS_WRITTEN)
    try:
        return _print(result, config, folder, is_part)
    except (AttributeError, KeyError, TypeError, ValueError):
        found = "values of other kinds than a run writes"  # with a digest that is right
        raise UserError(str(folder / RESULT), found, AS_WRITTEN) from None


def _describe(config: Config, folder: Path, start: "RunStart", is_part: bool) -> None:
    """Prints the plan, the data or both of a job; raises UserError for mistakes in its data."""
    from mtl_sharing.cli.data_summary import data_summary, training_command
    from mtl_sharing.cli.summary import plan_summary
    from mtl_sharing.job.data_mistakes import as_one
    from mtl_sharing.job.preview import preview
    from mtl_sharing.utils.summary import print_summary

    described = preview(config, folder, start)
    plan, data = described.plan, described.data
    if plan is not None:
        print_summary(plan_summary(plan, folder, data is not None), is_part or data is not None)
    if data is None:
        return
    command = None if data.mistakes else training_command(sys.argv[1:])
    print_summary(data_summary(data.record, plan, folder, command), is_part)
    if data.mistakes:
        raise as_one(data.mistakes)


def _print(result: "Result", config: Config, folder: Path, is_part: bool) -> float | None:
    """Prints the summary of a result; returns its objective."""
    from mtl_sharing.cli.summary import result_summary
    from mtl_sharing.utils.summary import print_summary

    print_summary(result_summary(result, folder), is_part)
    objective: float | None = result["objectives"][config.score.objective]
    return objective


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
        if key in ("hydra.run.dir", "hydra.sweep.dir"):
            _check_folder(Path(value), key == "hydra.sweep.dir", continues)
        elif key == "name" and (name := _name(argument)):
            _check_folder(named_folder(name, bool(multirun)), bool(multirun), continues)
    try:
        _run_composed()
    except COMPOSING as error:
        raise config_error(error, arguments) from error


def _name(argument: str) -> str | None:
    """The name in an override of the key ``name``."""
    if parse_override(argument).is_sweep_override():
        raise UserError("name", argument.partition("=")[2], "one name, of the folder of all runs")
    return override_text(argument)


def _check_folder(folder: Path, is_sweep: bool, continues: bool) -> None:
    """Refuses the folder of a run that is there, unless a sweep goes on in it."""
    if not is_sweep:
        refuse_used_folder(folder)
        return
    check_plain_folder(folder)
    for path in folder.glob("*"):
        (check_plain_folder if continues else refuse_used_folder)(path)


def _debug() -> bool:
    return any(re.fullmatch(r"\+*trainer\.debug=(?i:true|1|yes|on)", word) for word in sys.argv)


def main() -> None:
    """The console script. Exits with 2 on a user's mistake, 130 when interrupted."""
    options, arguments = train_options(sys.argv[1:])
    if options.completion is not None:
        arguments = ["--shell-completion", f"install={options.completion}"]
    # Makes Hydra raise errors; by default it prints them itself and exits with 1.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    # On a full disk the run itself fails; no traceback for each lost log line.
    logging.raiseExceptions = False
    register()
    register_sweeper()
    words = [word.lstrip("+") for word in arguments]
    resume_from = [word.removeprefix("resume=") for word in words if word.startswith("resume=")]

    def work() -> None:
        if options.help_key is not None:
            print_keys(options.help_key)
            return
        # A database's URL may hold a password, and Hydra writes its command line to a file.
        sys.argv[1:] = hidden = hide_storage(arguments)
        if resume_from and resume_from[-1] not in ("", "null"):
            from mtl_sharing.cli.resume import resume

            run(*resume(resume_from[-1], hidden))
        else:
            _start(hidden)

    folder = Path(resume_from[-1]) if resume_from else None
    with checked_loading(), output_options(options.quiet, options.json):
        run_command(work, _debug(), "mtl-train", AT_ONCE, folder)


if __name__ == "__main__":
    main()
