"""The files of ``.hydra``, which the run writes itself, once and under its lock."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from mtl_sharing.config.interpolations import interpolation_texts
from mtl_sharing.job.saved_settings import RunStart
from mtl_sharing.run_folder.layout import HYDRA_CONFIG, HYDRA_JOB, HYDRA_OVERRIDES
from mtl_sharing.utils.files import replace_text


def start_of_job(values: DictConfig, is_new: bool) -> RunStart:
    """The start of Hydra's current job.

    Args:
        values: the job's composed config.
        is_new: as in :class:`RunStart`.
    """
    job = HydraConfig.get()
    sweep = Path(job.sweep.dir).name if job.mode == RunMode.MULTIRUN else None
    writer, launched = _hydra_writer(values), Path(job.runtime.cwd)
    return RunStart(interpolation_texts(values), sweep, is_new, writer, launched)


def _hydra_writer(values: DictConfig) -> Callable[[Path], None]:
    """Writers of the files of Hydra's own ``hydra.output_subdir``, nothing of them resolved."""
    job: Any = deepcopy(HydraConfig.instance().cfg)
    with read_write(job), read_write(job.hydra), open_dict(job):
        # Hydra has resolved these, which may be secrets.
        names = list(job.hydra.job.env_set)
        job.hydra.job.env_set = {name: f"${{oc.env:{name}}}" for name in names}
    contents = {HYDRA_CONFIG: values, HYDRA_JOB: job, HYDRA_OVERRIDES: job.hydra.overrides.task}

    def write(folder: Path) -> None:
        for name, content in contents.items():
            replace_text(folder / name, OmegaConf.to_yaml(content))

    return write
