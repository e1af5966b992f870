"""The classes that a config may name to be called: those that the shipped configs name alone.

A config file may come from a stranger. Hydra imports and calls what it names: launchers, sweepers,
callbacks, and the handlers of its logging.
"""

import re
from collections.abc import Collection, Iterator
from itertools import count
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mtl_sharing.errors import UserError, one_of

SWEEPERS = (
    "hydra._internal.core_plugins.basic_sweeper.BasicSweeper",
    "mtl_sharing.sweep.plugin.RegimeSweeper",
)
LAUNCHERS = (
    "hydra._internal.core_plugins.basic_launcher.BasicLauncher",
    "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher",
    "hydra_plugins.hydra_submitit_launcher.submitit_launcher.LocalLauncher",
    "hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher",
)
SAMPLERS = (
    "hydra_plugins.hydra_optuna_sweeper._impl.create_nsgaii_sampler",
    "hydra_plugins.hydra_optuna_sweeper._impl.create_nsgaiii_sampler",
    "hydra_plugins.hydra_optuna_sweeper.config.raise_motpe_removed",
    "mtl_sharing.sweep.loop.search.RegimeSearch",
    "optuna.samplers.CmaEsSampler",
    "optuna.samplers.GPSampler",
    "optuna.samplers.GridSampler",
    "optuna.samplers.QMCSampler",
    "optuna.samplers.RandomSampler",
    "optuna.samplers.TPESampler",
)
PRUNERS = (
    "mtl_sharing.sweep.study.pruning.KeepPruner",
    "optuna.pruners.HyperbandPruner",
    "optuna.pruners.MedianPruner",
    "optuna.pruners.NopPruner",
    "optuna.pruners.PercentilePruner",
    "optuna.pruners.SuccessiveHalvingPruner",
    "optuna.pruners.ThresholdPruner",
    "optuna.pruners.WilcoxonPruner",
)
CALLBACKS = ("mtl_sharing.cli.runs_table.RunsTable",)
LOGGING = (
    "logging.FileHandler",
    "logging.StreamHandler",
    "mtl_sharing.utils.logging.ConsoleHandler",
    "mtl_sharing.utils.logging.RegularFileHandler",
)
STREAMS = ("ext://sys.stdout",)
# Numbers of threads, devices and the like: none of them chooses a program, a module or a server.
ENVIRONMENT = (
    "CUBLAS_WORKSPACE_CONFIG", "CUDA_DEVICE_ORDER", "CUDA_LAUNCH_BLOCKING", "CUDA_VISIBLE_DEVICES",
    "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "OMP_NUM_THREADS", "OMP_WAIT_POLICY",
    "OPENBLAS_NUM_THREADS", "PYTORCH_CUDA_ALLOC_CONF", "TOKENIZERS_PARALLELISM",
)  # fmt: skip

# Where a config may name what is called.
_PLACES = (
    (re.compile(r"hydra\.sweeper"), SWEEPERS),
    (re.compile(r"hydra\.launcher"), LAUNCHERS),
    (re.compile(r"hydra\.callbacks\.runs_table"), CALLBACKS),
    (re.compile(r"hydra\.sweeper\.sampler(\..*)?"), SAMPLERS),
    (re.compile(r"hydra\.sweeper\.pruner(\..*)?"), PRUNERS),
)
_LOGGING = re.compile(r"hydra\.(job|hydra)_logging(\..*)?")
# A log elsewhere could be one of the files that a shell or an editor runs.
_LOG_FILE = re.compile(
    r"\$\{hydra\.runtime\.output_dir\}/([\w-]+|\$\{hydra\.job\.name\})\.log"
    r"|hydra-\$\{hydra\.job\.name\}\.log"
)
# What is called, and which variables are set, is known once the config is composed.
_WHOLE = re.compile(r"\$\{.*\}", re.DOTALL)
_KNOWN = re.compile(
    r"hydra\.(callbacks|(job|hydra)_logging|job\.env_copy)(\..*)?|hydra\.job\.env_set"
)
_COPY = "hydra.job.env_copy"
_MAX_DEPTH, _MAX_VALUES = 30, 20_000
Setting = tuple[str, str, Any]


def check_callables(config: DictConfig, command_line_keys: Collection[str]) -> None:
    """Checks Hydra's own settings in a composed config, before Hydra follows them.

    Args:
        command_line_keys: what the user's own command line sets. These keys may choose environment
            variables and log files that a config file may not.

    Raises:
        UserError: a callable, a variable or a log file that a config file may not name.
    """
    copied = config.hydra.job.env_copy if _COPY in command_line_keys else ()
    for path, key, value in _settings(config):
        where = f"{path}.{key}"
        if key == "_target_":
            _check(where, value, next((n for p, n in _PLACES if p.fullmatch(path)), ()))
        elif path == "hydra.job.env_set" and where not in command_line_keys and key not in copied:
            _check_variable(where, key)
        elif path == _COPY and path not in command_line_keys:
            _check_variable(path, str(value))
        elif _LOGGING.fullmatch(path):
            _check_logging(where, key, value, command_line_keys)


def _check(where: str, value: Any, names: Collection[str]) -> None:
    if value not in names:
        raise UserError(where, value, one_of(names) or "nothing that is called here")


def _check_variable(where: str, name: str) -> None:
    if name not in ENVIRONMENT:
        allowed = f"{one_of(ENVIRONMENT)}; on the command line any variable"
        raise UserError(where, f"{name} in a config file", allowed)


def _check_logging(where: str, key: str, value: Any, command_line_keys: Collection[str]) -> None:
    if key in ("()", "class"):
        _check(where, value, LOGGING)
    elif key == ".":
        raise UserError(where, "attributes of a handler", "its arguments")
    elif isinstance(value, str) and value.startswith(("ext:", "cfg:")):
        _check(where, value, STREAMS)
    elif (
        key == "filename" and where not in command_line_keys and not _LOG_FILE.fullmatch(str(value))
    ):
        allowed = "${hydra.runtime.output_dir}/NAME.log; on the command line any file"
        raise UserError(where, f"{value} in a config file", allowed)


def _settings(config: DictConfig) -> Iterator[Setting]:
    """Path, key and value of all that Hydra's node holds; an item of a list has a key [NUMBER].

    An interpolation of a container is followed. One of text is given twice, as it is written and as
    what it stands for.
    """
    visited = count()

    def walk(path: str, key: str, raw: Any, node: Any, depth: int) -> Iterator[Setting]:
        where = f"{path}.{key}".lstrip(".")
        if depth > _MAX_DEPTH or next(visited) > _MAX_VALUES:
            raise UserError(
                path, "endless settings", f"{_MAX_DEPTH} levels, {_MAX_VALUES:,} values"
            )
        if isinstance(raw, str) and "${" in raw:
            if OmegaConf.is_config(node):
                raw = OmegaConf.to_container(node, resolve=False)
            elif isinstance(node, str) and key != "filename":
                yield path, key, node
            elif node is None and _WHOLE.fullmatch(raw) and _KNOWN.fullmatch(where):
                raise UserError(where, f"{raw}, which has no value yet", "a value")
        yield path, key, raw
        if isinstance(raw, dict):
            for name, value in raw.items():
                yield from walk(where, str(name), value, _item(node, name, value), depth + 1)
        elif isinstance(raw, list):
            for name, value in enumerate(raw):
                yield from walk(where, f"[{name}]", value, _item(node, name, value), depth + 1)

    raw = OmegaConf.to_container(config.hydra, resolve=False)
    return walk("", "hydra", raw, config.hydra, 0)


def _item(node: Any, name: Any, raw: Any) -> Any:
    """A container, or what an interpolation stands for; None where that is not known yet."""
    if not OmegaConf.is_config(node) or not (isinstance(raw, dict | list) or "${" in str(raw)):
        return None
    try:
        return node[name]
    except (OmegaConfBaseException, ValueError, TypeError, KeyError):
        return None
