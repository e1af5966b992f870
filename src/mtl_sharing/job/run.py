"""One run from its config to its result: prepare, train, assess, publish."""

import logging
import shutil
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import torch

from mtl_sharing.config import Config
from mtl_sharing.config.interpolations import hidden_texts, hide
from mtl_sharing.errors import (
    Pruned,
    Stopped,
    UserError,
    check_range,
    is_out_of_memory,
    storage_error,
)
from mtl_sharing.job import description
from mtl_sharing.job.description import describe_regime, describe_run, parts, plan_record
from mtl_sharing.job.hiding import hiding
from mtl_sharing.job.inputs import RunInputs
from mtl_sharing.job.pins import check_unchanged, has_begun
from mtl_sharing.job.saved_settings import RunStart, hold_run, pin_start
from mtl_sharing.job.spec import RunSpec, resolve_spec, start_on_machine
from mtl_sharing.job.stages import Hooks, assess, prepare, train
from mtl_sharing.run_folder.layout import (
    BASELINES,
    CHECKPOINT_BEFORE,
    CONFIG,
    METRICS,
    PLAN,
    PREDICTIONS,
    RESULT,
    WEIGHTS,
    Status,
    has_checkpoint,
)
from mtl_sharing.run_folder.manifest import (
    damaged_files,
    drop_previous_digests,
    read_listed_object,
    replace_listed_json,
)
from mtl_sharing.run_folder.results import SCHEMA, Result, finished_result
from mtl_sharing.score.reference import read_reference
from mtl_sharing.tracking.trackers import Trackers, tracking
from mtl_sharing.utils.device import default_threads, most_threads

log = logging.getLogger(__name__)

# What the stages after the training write, and the checkpoint holds.
_REPAIRED = (RESULT, METRICS, PREDICTIONS)


def run_job(config: Config, folder: Path, hooks: Hooks | None = None) -> Result:
    """Trains, evaluates, measures and scores; goes on where the folder holds a checkpoint.

    Returns:
        The content of the folder's result.json.

    Raises:
        UserError: a mistake in the config or the data, other data or settings than those that a run
            began with, or a loss that became NaN.
        Stopped: the run was asked to stop and has saved its state.
        Pruned: a hook ended it early.
        OSError: the folder takes no more.
    """
    hooks = hooks or Hooks()
    with hold_run(folder, hooks.start), hooks.held():
        if hooks.pinned:
            # A checkpoint alone is refused below, and its folder left as it is.
            began = has_begun(folder) or has_checkpoint(folder)
            hooks = replace(hooks, start=pin_start(config, hooks.start, folder, began))
        with hiding(hidden_texts(asdict(config), hooks.start.texts)):
            return _run_in(folder, config, hooks)


def _run_in(folder: Path, config: Config, hooks: Hooks) -> Result:
    check_range("seed", config.seed, 0, 2**32 - 1)
    torch.manual_seed(config.seed)
    config = _as_it_began(config, folder)
    run_spec = start_on_machine(resolve_spec(config, hooks.start.texts))
    if hooks.pinned:
        check_unchanged(run_spec, folder)
    return _run(run_spec, folder, hooks)


def _run(run_spec: RunSpec, folder: Path, hooks: Hooks) -> Result:
    """The four stages; whatever ends one of them early is recorded in result.json."""
    reference = read_reference(run_spec.config.score, run_spec.plan.tasks)
    head: Result = {
        "schema": SCHEMA, "status": Status.RUNNING, "plan": str(run_spec.plan),
        "regime": describe_regime(run_spec), "parts": parts(run_spec), "seed": run_spec.config.seed,
    }  # fmt: skip
    describe_it = partial(describe_run, run_spec, folder, hooks.start.sweep)
    try:
        replace_listed_json(folder, PLAN, plan_record(run_spec))
        replace_listed_json(folder, RESULT, head)
        with tracking(run_spec.config.tracker, describe_it) as trackers:
            train_baseline = partial(_train_baseline, hooks.start)
            prepared = prepare(run_spec, folder, hooks, reference, train_baseline)
            result = head | assess(prepared, train(prepared, trackers))
            publish(folder, result, trackers)
    except KeyboardInterrupt as stop:
        _record_end(folder, head | {"status": Status.STOPPED})
        if isinstance(stop, Stopped):  # perhaps of a baseline: this run is the one to go on with
            raise Stopped(str(folder)) from None
        raise
    except Pruned as end:
        _record_end(folder, head | {"status": Status.PRUNED, "pruned": vars(end)})
        raise
    except Exception as error:
        _record_end(folder, head | _failure(error, hide(str(error), run_spec.hidden)))
        raise
    return result


def _record_end(folder: Path, result: Result) -> None:
    """Writes how a run ended early. What ended it is told, whether or not this succeeds."""
    try:
        # An interrupt after the last result was written takes nothing back.
        if finished_result(folder) is None:
            replace_listed_json(folder, RESULT, result)
    except (OSError, UserError) as error:
        log.warning("the end of the run could not be written to %s: %s", folder / RESULT, error)


def _failure(error: Exception, reason: str) -> Result:
    """How result.json describes a failure; ``retryable`` where the machine caused it."""
    machine = storage_error(error) is not None or is_out_of_memory(error)
    retryable = {"retryable": True} if machine else {}
    return {"status": Status.FAILED, "reason": reason, **retryable}


def publish(folder: Path, result: Result, trackers: Trackers) -> None:
    """Writes result.json, records the final metrics, and removes what only the training needed."""
    replace_listed_json(folder, RESULT, result)
    trackers.conclude(description.final_metrics(result))
    # Baselines that were trained in the run's own folder.
    shutil.rmtree(folder / BASELINES, ignore_errors=True)
    (folder / CHECKPOINT_BEFORE).unlink(missing_ok=True)
    drop_previous_digests(folder)


def whole_result(folder: Path) -> Result | None:
    """The result of a finished run; None for one that goes on, or that writes its files again.

    A damaged result, table or prediction is written again from the checkpoint, with a warning.

    Raises:
        UserError: a damaged file, and no checkpoint to write it from.
    """
    if not (problems := damaged_files(folder, _REPAIRED)):
        return finished_result(folder)
    if (folder / WEIGHTS).exists() and not has_checkpoint(folder):
        raise problems[0]
    for problem in problems:
        log.warning("%s: %s; it is written again", problem.where, problem.found)
    return None


def _as_it_began(config: Config, folder: Path) -> Config:
    """The config with the precision and threads that a run in ``folder`` began with, if any.

    Threads that the config names stay, as far as the machine has cores.
    """
    if not (folder / CONFIG).is_file():
        return config
    record = read_listed_object(folder, CONFIG)
    # Earlier versions took the machine's default and recorded no threads.
    began = {"threads": default_threads()} | record
    for name, kind in (("precision", str), ("threads", int)):
        if type(value := began.get(name)) is not kind:
            allowed = f"the {name} that the run began with"
            raise UserError(str(folder / CONFIG), f"the {name} {value}", allowed)
    precision, threads = began["precision"], began["threads"]
    if config.trainer.threads is not None:
        threads = config.trainer.threads
    elif threads > (most := most_threads()):
        log.warning("the run began with %d threads and goes on with %d, which this machine has "
                    "cores for: results differ in rounding", threads, most)  # fmt: skip
        threads = most
    trainer = replace(config.trainer, precision=precision, threads=threads)
    return replace(config, trainer=trainer)


def _train_baseline(start: RunStart, inputs: RunInputs, config: Config, folder: Path) -> Result:
    hooks = Hooks(lambda *_: replace(inputs), curves=False, keep_baseline=False, pinned=False,
                  start=RunStart(start.texts, launched=start.launched))  # fmt: skip
    return finished_result(folder) or run_job(config, folder, hooks)
