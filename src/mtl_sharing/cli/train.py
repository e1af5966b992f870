"""``mtl-train``: one run, or several with ``-m``."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from mtl_sharing.cli.failures import exit_on_failure
from mtl_sharing.config import Config, register, to_config

# Hydra may call nothing else by a name from a config file.
_CALLABLE = ["mtl_sharing.*", "logging.*", "hydra.*", "hydra_plugins.*"]


@hydra.main(
    config_path="pkg://mtl_sharing.conf", config_name="train", execution_whitelist=_CALLABLE
)
def _composed(values: DictConfig) -> float | None:
    """One composed job; its objective goes back to the sweeper."""
    job = HydraConfig.get()

    def work() -> float | None:
        return run(to_config(values), Path(job.runtime.output_dir))

    # A sweep hears of a failed job by its exception; a single run ends with the message alone.
    return work() if job.mode == RunMode.MULTIRUN else exit_on_failure(work, _debug())


def run(config: Config, folder: Path) -> float | None:
    """Runs or describes one job in ``folder`` and prints what a person wants to know of it."""
    # Here, not above: torch takes longer to load than --help may.
    from mtl_sharing.cli import summary
    from mtl_sharing.job import describe, objective_of, run_job

    if config.dry_run:
        summary.print_plan(describe(config, folder), folder)
        return None
    result = run_job(config, folder)
    summary.print_result(result, folder)
    return objective_of(config, result)


def _resumed(name: str, arguments: list[str]) -> float | None:
    from mtl_sharing.cli.resume import resume

    return run(*resume(name, arguments))


def _debug() -> bool:
    return "trainer.debug=true" in sys.argv[1:]


def main() -> None:
    """The console script. Exits with 2 on a mistake of the user's, 130 when interrupted."""
    # Hydra prints errors its own way and exits with 1, unless it is told to raise them.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    register()
    arguments = sys.argv[1:]
    resumed = [a.removeprefix("resume=") for a in arguments if a.startswith("resume=")]
    work: Callable[[], Any] = _composed
    if resumed and resumed[-1] not in ("", "null"):
        work = lambda: _resumed(resumed[-1], arguments)  # noqa: E731
    exit_on_failure(work, _debug())
