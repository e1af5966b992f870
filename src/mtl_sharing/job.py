"""The main job: one run from its config to its result, in its own folder."""

import fcntl
import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from mtl_sharing.baselines import find_baselines, keep_own, own_key, remove_own
from mtl_sharing.blueprint import Blueprint, make_blueprint
from mtl_sharing.build import epoch_steps
from mtl_sharing.calibration import measured_pairs, score_calibration
from mtl_sharing.config import Config
from mtl_sharing.errors import FolderInUse, Pruned, check_range
from mtl_sharing.frozen_states import with_frozen_states
from mtl_sharing.material import Material, read_material
from mtl_sharing.operations import count_operations
from mtl_sharing.outcome import (
    SCHEMA,
    Result,
    describe_regime,
    machine,
    model_config,
    multipliers,
    parts,
    plan_record,
    scores,
    selection_record,
    times,
)
from mtl_sharing.run.evaluate import Evaluation, evaluate
from mtl_sharing.run.files import replace_json
from mtl_sharing.run.precision import peak_memory, reset_peak_memory, use_device
from mtl_sharing.run.predictions import write_predictions
from mtl_sharing.run.records import draw_curves, git_state, versions
from mtl_sharing.run.trackers import Trackers, tracking
from mtl_sharing.run.trainer import Trainer
from mtl_sharing.schedule import make_trainer
from mtl_sharing.score.calibrate import Calibration
from mtl_sharing.score.cost import plan_cost
from mtl_sharing.score.reference import SEPARATE, Reference, differing_data, read_reference
from mtl_sharing.score.score import Multipliers
from mtl_sharing.tracked import final_figures, tracked_run

log = logging.getLogger(__name__)

RESULT = "result.json"


@dataclass(frozen=True)
class Hooks:
    """Where a caller may step in.

    Attributes:
        read: gives the material of a blueprint's run in a folder.
        evaluated: called after each evaluation while training with the share of it that is done
            and the figures; ends the run early by raising Pruned.
        costed: called before the training with what the regime saves, where the score counts
            operations; may raise Pruned, too.
        curves: whether curves.png is drawn, which takes as long as some short trainings.
        keeps: whether a run of separate models is kept as the baseline of others.
        working: what is entered while this process works in the folder, and no other.
    """

    read: Callable[[Blueprint, Path], Material] = read_material
    evaluated: Callable[[float, Evaluation], None] | None = None
    costed: Callable[[Multipliers], None] | None = None
    curves: bool = True
    keeps: bool = True
    working: Callable[[], AbstractContextManager[object]] = nullcontext


def describe(config: Config, folder: Path) -> Result:
    """Writes plan.json into ``folder`` and returns its content; reads no weights and no data.

    Raises:
        UserError: a mistake in the config.
    """
    record = plan_record(make_blueprint(config))
    replace_json(folder / "plan.json", record)
    return record


def finished_result(folder: Path) -> Result | None:
    """The result in ``folder`` if a run has finished there."""
    path = folder / RESULT
    if not path.is_file():
        return None
    result: Result = json.loads(path.read_text(encoding="utf-8"))
    return result if result["status"] == "finished" else None


@contextmanager
def _sole_use(folder: Path) -> Iterator[None]:
    """Holds the folder against a second process that would go on with the same run.

    The lock ends with the process, however it ends.
    """
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            allowed = "a folder that no running process works in"
            raise FolderInUse("resume", f"{folder}, which is in use", allowed) from None
        except OSError:
            log.warning("this file system has no locks: let no second process work in %s", folder)
        yield


def run_job(config: Config, folder: Path, hooks: Hooks = Hooks()) -> Result:
    """Trains, evaluates, measures and scores; goes on where the folder holds a checkpoint.

    Returns:
        The content of the folder's result.json.

    Raises:
        UserError: a mistake in the config or the data, or a loss that became NaN.
        Stopped: the run was asked to stop and has saved its state.
        Pruned: a hook ended it early.
        OSError: the folder takes no more.
    """
    with _sole_use(folder), hooks.working():
        return _run(config, folder, hooks)


def _run(config: Config, folder: Path, hooks: Hooks) -> Result:
    check_range("seed", config.seed, 0, 2**32 - 1)
    torch.manual_seed(config.seed)
    blueprint = make_blueprint(_with_precision_of(config, folder))
    use_device(blueprint.runtime.device)
    given = read_reference(config.score, blueprint.plan.tasks)
    result: Result = {"schema": SCHEMA, "status": "running", "plan": str(blueprint.plan)}
    result |= {"regime": describe_regime(blueprint), "parts": parts(blueprint)}
    result["seed"] = config.seed
    try:
        replace_json(folder / "plan.json", plan_record(blueprint))
        replace_json(folder / RESULT, result)
        with tracking(config.tracker, lambda: tracked_run(blueprint, folder)) as trackers:
            figures = _train_and_score(blueprint, folder, given, hooks, trackers)
            finished = result | figures | {"status": "finished"}
            replace_json(folder / RESULT, finished)
            trackers.conclude(final_figures(finished))
        remove_own(folder)
    except KeyboardInterrupt:
        replace_json(folder / RESULT, result | {"status": "stopped"})
        raise
    except Pruned as end:
        replace_json(folder / RESULT, result | {"status": "pruned", "pruned": vars(end)})
        raise
    except Exception as error:
        _record_failure(folder, result, error)
        raise
    return finished


def _with_precision_of(config: Config, folder: Path) -> Config:
    """The config with the precision that a run in ``folder`` began with, if there is one."""
    path = folder / "config.json"
    if not path.is_file():
        return config
    precision = json.loads(path.read_text(encoding="utf-8"))["precision"]
    return replace(config, trainer=replace(config.trainer, precision=precision))


def _record_failure(folder: Path, result: Result, error: Exception) -> None:
    try:
        replace_json(folder / RESULT, result | {"status": "failed", "reason": str(error)})
    except OSError:
        log.warning("the failure could not be written to %s", folder / RESULT)


def _train_and_score(
    blueprint: Blueprint,
    folder: Path,
    given: Reference | None,
    hooks: Hooks,
    trackers: Trackers,
) -> Result:
    plain = hooks.read(blueprint, folder)
    # Before anything trains: a run that goes on must find the precision that it began with.
    replace_json(folder / "config.json", model_config(blueprint))
    operations = count_operations(blueprint, plain)
    known = multipliers(blueprint, None, operations)
    if hooks.costed is not None and known is not None:
        hooks.costed(known)
    references = _references(blueprint, plain, folder, given)
    key = own_key(blueprint, plain, folder) if hooks.keeps else None
    began = time.perf_counter()
    material = with_frozen_states(blueprint, plain)
    frozen_s = time.perf_counter() - began
    trainer = make_trainer(blueprint, material, folder)
    trainer.on_evaluation, trainer.on_row = hooks.evaluated, trackers.add
    # The network has copies of its own.
    plain, material = replace(plain, tower={}), replace(material, tower={})
    if trainer.restore():
        log.info("going on after step %d of %d", trainer.done, trainer.total)
    trackers.begin(trainer.history)
    _announce(blueprint, trainer)
    reset_peak_memory(blueprint.runtime.device)
    trainer.run()
    peak = peak_memory(trainer.runtime.device)
    log.info("evaluating on all of dev")
    found = evaluate(trainer.network, material.dev, trainer.measures, trainer.runtime)
    write_predictions(folder, found.answers, material.dev_examples)
    if given is not None:
        _warn_of_other_data(found, given)
    chosen = _selection(trainer, material)
    if hooks.curves:
        draw_curves(
            folder, trainer.history, f"{describe_regime(blueprint)} (seed {blueprint.config.seed})"
        )
    timing = trainer.timing
    del trainer
    measured = score_calibration(blueprint, plain)
    cost = plan_cost(blueprint.architecture)
    result = {
        **scores(blueprint, found, measured, operations, references),
        "performance": found.performance,
        "performance_raw_r": found.performance_raw_r,
        "selection": selection_record(chosen),
        "tasks": {name: task | dict(material.facts[name]) for name, task in found.tasks.items()},
        "params": cost.summary(),
        "memory": {"model_bytes": cost.model_bytes, "peak_train_bytes": peak},
        "time": times(timing, epoch_steps(blueprint, plain), frozen_s, measured),
        "machine": machine(blueprint),
        "versions": versions(),
        "git": git_state(Path.cwd()),
    }
    if key is not None:
        keep_own(blueprint, key, folder, {"plan": str(blueprint.plan), **result})
    return result


def _references(
    blueprint: Blueprint, material: Material, folder: Path, given: Reference | None
) -> dict[str, Reference]:
    """What the run is held against: separate models as the config gives them, or made here."""

    def train(config: Config, place: Path) -> Result:
        hooks = Hooks(lambda *_: replace(material), curves=False, keeps=False)
        return finished_result(place) or run_job(config, place, hooks)

    known = {} if given is None else {SEPARATE: given}
    return known | find_baselines(blueprint, material, folder, train)


def _warn_of_other_data(found: Evaluation, given: Reference) -> None:
    others = differing_data(found.tasks, given.tasks)
    if others:
        log.warning("score.reference: %s has other dev examples of %s: what is kept, and changes, "
                    "are of different texts", given.folder, ", ".join(others))  # fmt: skip


def _selection(trainer: Trainer, material: Material) -> Evaluation | None:
    """The best weights on all that was held out to choose by, where anything was."""
    if not material.select:
        return None
    log.info("evaluating on all of select")
    return evaluate(trainer.network, material.select, trainer.measures, trainer.runtime, "select")


def _announce(blueprint: Blueprint, trainer: Trainer) -> None:
    runtime, cost = blueprint.runtime, plan_cost(blueprint.architecture)
    log.info(
        "training %s: %.2f M parameters, %d steps, %s on %s",
        describe_regime(blueprint), cost.total / 1e6, trainer.total,
        runtime.precision, runtime.device,
    )  # fmt: skip


def measure(config: Config, folder: Path, hooks: Hooks = Hooks()) -> Calibration | None:
    """What the config's regime and separate models cost by the clock, side by side; trains none.

    Args:
        folder: takes the tokenizer.

    Raises:
        UserError: a mistake in the config or the data.
    """
    blueprint = make_blueprint(config)
    material = replace(hooks.read(blueprint, folder), tower={})
    return measured_pairs(blueprint, material, max(1, config.score.pairs))
