"""``mtl-train``: one run, or several with ``-m``."""

import logging
import os
import re
import sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from mtl_sharing.cli.exit import exit_on_failure
from mtl_sharing.config import Config, register, to_config
from mtl_sharing.errors import UserError
from mtl_sharing.run_folder.layout import CHECKPOINT, CONFIG, RESULT, TOKENIZER
from mtl_sharing.sweep.jobs.credentials import hide_storage
from mtl_sharing.sweep.plugin import register_sweeper
from mtl_sharing.sweep.settings import sweeper_of

# Hydra may call nothing else by a name from a config file.
_CALLABLE = ["mtl_sharing.*", "logging.*", "hydra.*", "hydra_plugins.*"]


@hydra.main(
    config_path="pkg://mtl_sharing.conf", config_name="train", execution_whitelist=_CALLABLE
)
def _composed(values: DictConfig) -> float | None:
    """One composed job; its objective goes back to the sweeper."""
    job = HydraConfig.get()
    folder = Path(job.runtime.output_dir)
    options = sweeper_of(job) if job.mode == RunMode.MULTIRUN else None
    if options is not None:
        from mtl_sharing.sweep.jobs.trial_job import run_trial

        run_trial(to_config(values), folder, options)
        return None  # the sweep reads what the trial left

    def work() -> float | None:
        return run(to_config(values), folder)

    # A sweep hears of a failed job by its exception; a single run ends with the message alone.
    return work() if job.mode == RunMode.MULTIRUN else exit_on_failure(work, _debug())


def run(config: Config, folder: Path, resumed: bool = False) -> float | None:
    """Runs or describes one job in ``folder`` and prints what a person wants to know of it."""
    # Here, not above: torch takes longer to load than --help may.
    from mtl_sharing.cli import summary
    from mtl_sharing.job.run import describe, run_job
    from mtl_sharing.run_folder.results import finished_result

    if not resumed:
        refuse_used_folder(folder)
    if config.dry_run:
        summary.print_plan(describe(config, folder), folder)
        return None
    result = finished_result(folder) or run_job(config, folder)
    summary.print_result(result, folder)
    objective: float | None = result["objectives"][config.score.objective]
    return objective


_LEFT_BY_A_RUN = (RESULT, CHECKPOINT, CONFIG, TOKENIZER)


def refuse_used_folder(folder: Path) -> None:
    """Raises UserError where a run already lies in ``folder``: nothing is overwritten."""
    if any((folder / name).exists() for name in _LEFT_BY_A_RUN):
        allowed = f"a new folder; to go on with that run: mtl-train resume={folder}"
        raise UserError("the run's folder", f"{folder}, which holds a run", allowed)


def _new(arguments: list[str]) -> None:
    """A run or sweep from the command line's words."""
    several = {"-m", "--multirun", "hydra.mode=MULTIRUN"} & set(arguments)
    for word in arguments:
        key, _, value = word.partition("=")
        if key in ("+sweep", "+cluster") and not several:
            raise UserError(word, "no -m before it", f"mtl-train -m {word}")
        # Before Hydra writes its own files there.
        if key == "hydra.run.dir":
            refuse_used_folder(Path(value))
        elif key == "hydra.sweep.dir" and not _goes_on(arguments):
            for folder in Path(value).glob("*"):
                refuse_used_folder(folder)
    _composed()


def _goes_on(arguments: list[str]) -> bool:
    """Whether the words choose the sweeper that goes on in the folder of an earlier start."""
    return any(word.startswith(("+sweep=", "hydra/sweeper=optuna")) for word in arguments)


def _resumed(name: str, arguments: list[str]) -> None:
    from mtl_sharing.cli.resume import resume

    run(*resume(name, arguments), resumed=True)


def _debug() -> bool:
    return any(re.fullmatch(r"\+*trainer\.debug=(?i:true|1|yes|on)", word) for word in sys.argv)


def main() -> None:
    """The console script. Exits with 2 on a mistake of the user's, 130 when interrupted."""
    # Hydra prints errors its own way and exits with 1, unless it is told to raise them.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    # A full disk fails the run where it matters; each log line lost to it need not say so too.
    logging.raiseExceptions = False
    register()
    register_sweeper()
    # A database's URL may hold a password, and Hydra writes down what it was called with.
    arguments = sys.argv[1:] = hide_storage(sys.argv[1:])
    folders = [a.removeprefix("resume=") for a in arguments if a.startswith("resume=")]
    resuming = bool(folders) and folders[-1] not in ("", "null")

    def work() -> None:
        if resuming:
            _resumed(folders[-1], arguments)
        else:
            _new(arguments)

    exit_on_failure(work, _debug())


if __name__ == "__main__":
    main()
