"""``mtl-train``: one run, or several with ``-m``."""

import logging
import os
import sys
import traceback
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from mtl_sharing.cli.failures import explain
from mtl_sharing.config import Config, register, to_config

log = logging.getLogger(__name__)

INTERRUPTED = 130


@hydra.main(config_path="pkg://mtl_sharing.conf", config_name="train")
def _composed(values: DictConfig) -> float | None:
    """One composed job; its objective goes back to the sweeper."""
    return run(to_config(values), Path(HydraConfig.get().runtime.output_dir))


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


def main() -> None:
    """The console script. Exits with 2 on a mistake of the user's, 130 when interrupted."""
    # Hydra prints errors its own way and exits with 1, unless it is told to raise them.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    arguments = sys.argv[1:]
    register()
    try:
        resumed = [a.removeprefix("resume=") for a in arguments if a.startswith("resume=")]
        if resumed and resumed[-1] not in ("", "null"):
            from mtl_sharing.cli.resume import resume

            run(*resume(resumed[-1], arguments))
        else:
            _composed()
    except BaseException as error:
        code, message = explain(error)
        if message is None:
            raise
        if "trainer.debug=true" in arguments:
            traceback.print_exc()
        print(f"mtl-train: {message}", file=sys.stderr)
        sys.exit(code)
