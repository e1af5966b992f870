"""The stages of a run: prepare, train, assess."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from mtl_sharing.config import Config
from mtl_sharing.evaluation.evaluate import Evaluation, evaluate, write_predictions
from mtl_sharing.job.autotune import autotune
from mtl_sharing.job.baseline_key import RESULTS_VERSION
from mtl_sharing.job.baselines import (
    Baselines,
    keep_own_baseline,
    load_or_train_baselines,
    own_baseline_key,
)
from mtl_sharing.job.description import describe_regime, model_config
from mtl_sharing.job.encoder_advice import warn_of_unknown_text
from mtl_sharing.job.frozen_states import with_frozen_states
from mtl_sharing.job.hiding import with_hidden_ids
from mtl_sharing.job.inputs import RunInputs, load_inputs
from mtl_sharing.job.measurement import count_operations, time_pairs
from mtl_sharing.job.phase_settings import PhaseSettings, make_phase_settings
from mtl_sharing.job.phases import make_trainer
from mtl_sharing.job.pins import CheckFiles, load_pinned
from mtl_sharing.job.result import (
    machine,
    multipliers,
    scores,
    selection_record,
    times,
    untrained_tasks,
)
from mtl_sharing.job.saved_settings import RunStart
from mtl_sharing.job.spec import RunSpec
from mtl_sharing.job.teacher import with_teacher, write_train_outputs
from mtl_sharing.model.network import Network
from mtl_sharing.plotting.run_curves import CurveFacts, draw_curves
from mtl_sharing.run_folder.layout import CONFIG, Status
from mtl_sharing.run_folder.manifest import replace_listed_json
from mtl_sharing.run_folder.results import MAIN, Result, Row
from mtl_sharing.score.flops import OperationComparison
from mtl_sharing.score.objectives import Multipliers
from mtl_sharing.score.parameters import plan_cost
from mtl_sharing.score.reference import SEPARATE, Reference, differing_data
from mtl_sharing.tracking.trackers import Trackers
from mtl_sharing.training.phases import Timing
from mtl_sharing.training.selection import Selection
from mtl_sharing.utils.device import peak_memory, reset_peak_memory
from mtl_sharing.utils.environment import versions
from mtl_sharing.utils.git import git_state

log = logging.getLogger(__name__)

TrainBaseline = Callable[[RunInputs, Config, Path], Result]


@dataclass(frozen=True)
class Hooks:
    """Callbacks and options of a caller.

    Attributes:
        load: loads the inputs of a run in a folder.
        on_evaluation: called after each evaluation while training with the share of it that is done
            and the metrics; ends the run early by raising Pruned.
        on_cost: called before the training with what the regime saves, where the score counts
            operations; may raise Pruned, too.
        curves: whether curves.png is drawn, which takes as long as some short trainings.
        keep_baseline: whether a run of separate models is kept as the baseline of others.
        pinned: whether a run that goes on must read what it began with; the folder of a baseline is
            named by all that it reads.
        check_files: compares the files of a run that begins, before they are loaded.
        held: a context that is entered while this process holds the folder.
        start: how the run was started.
    """

    load: Callable[[RunSpec, Path], RunInputs] = load_inputs
    on_evaluation: Callable[[float, Evaluation], None] | None = None
    on_cost: Callable[[Multipliers], None] | None = None
    curves: bool = True
    keep_baseline: bool = True
    pinned: bool = True
    check_files: CheckFiles | None = None
    held: Callable[[], AbstractContextManager[object]] = nullcontext
    start: RunStart = field(default_factory=RunStart)


@dataclass
class Prepared:
    """Inputs, settings and references of a run before its training.

    Attributes:
        reference: separate models that the user names, if any.
        references: all that the run is compared with, by kind; the user's among them.
        inputs: as loaded, without states from the cache: what is cached must not decide a score.
        settings: of all phases, the main training among them.
        baseline_key: under which the run may serve others as a baseline; None where it may not.
    """

    run_spec: RunSpec
    folder: Path
    hooks: Hooks
    reference: Reference | None
    references: Mapping[str, Reference]
    inputs: RunInputs
    settings: list[PhaseSettings]
    operations: OperationComparison
    baseline_key: str | None

    @property
    def main(self) -> PhaseSettings:
        """The settings of the main training."""
        return next(phase for phase in self.settings if phase.name == MAIN)


@dataclass
class Trained:
    """Results of a training.

    Attributes:
        network: with the best weights; None once it was released.
        frozen_s: seconds for the states of frozen layers.
        peak_bytes: memory at the peak of the training.
        selections: the best evaluation of each component.
    """

    network: Network | None
    timing: Timing
    history: list[Row]
    frozen_s: float
    peak_bytes: int
    selections: Sequence[Selection]


def prepare(
    run_spec: RunSpec,
    folder: Path,
    hooks: Hooks,
    reference: Reference | None = None,
    train_baseline: TrainBaseline | None = None,
) -> Prepared:
    """Loads the inputs, counts what the regime costs, and finds what the run is compared with.

    Args:
        reference: separate models that the user names, if any.
        train_baseline: trains a config on these inputs in a folder; None trains no baseline.

    Raises:
        UserError: bad data, or a checkpoint that does not fit.
        Pruned: the regime's cost alone ends the trial.
    """
    if hooks.pinned:
        inputs = load_pinned(run_spec, folder, hooks.load, hooks.check_files)
        # Not again for a baseline, which has the same encoder.
        warn_of_unknown_text(run_spec.config, run_spec.specs)
    else:
        inputs = hooks.load(run_spec, folder)
    run_spec = autotune(run_spec, inputs)
    # Before anything trains: a run that goes on must find the precision that it began with.
    replace_listed_json(folder, CONFIG, model_config(run_spec))
    settings = make_phase_settings(run_spec, inputs)
    schedule = next(phase.schedule for phase in settings if phase.name == MAIN)
    operations = count_operations(run_spec, inputs, schedule)
    savings = multipliers(run_spec, None, operations)
    if hooks.on_cost is not None and savings is not None:
        hooks.on_cost(savings)
    baselines = Baselines({} if reference is None else {SEPARATE: reference})
    if train_baseline is not None:
        train_on_inputs = partial(train_baseline, inputs)
        made = load_or_train_baselines(run_spec, inputs, folder, train_on_inputs)
        baselines = Baselines({**baselines.references, **made.references}, made.outputs)
    inputs = with_teacher(run_spec, inputs, folder, baselines.outputs)
    key = own_baseline_key(run_spec, inputs, folder) if hooks.keep_baseline else None
    return Prepared(
        run_spec, folder, hooks, reference, baselines.references, inputs, settings, operations, key
    )


def train(prepared: Prepared, trackers: Trackers) -> Trained:
    """Trains, or goes on with what the folder holds, and leaves the best weights in the network.

    Raises:
        Stopped: the run was asked to stop and has saved its state.
        UserError: a loss that became NaN, or a checkpoint of another run.
    """
    run_spec, folder, hooks = prepared.run_spec, prepared.folder, prepared.hooks
    began = time.perf_counter()
    inputs = with_frozen_states(run_spec, prepared.inputs, prepared.settings)
    frozen_s = time.perf_counter() - began
    trainer = make_trainer(
        run_spec, inputs, folder, prepared.settings, hooks.on_evaluation, trackers.add
    )
    # The network has copies of its own; the starting weights make room for training.
    del inputs
    prepared.inputs = replace(prepared.inputs, tower={})
    if trainer.restore():
        log.info("going on after step %d of %d", trainer.done, trainer.total)
    trackers.begin(trainer.history)
    runtime, parameters = run_spec.runtime, plan_cost(run_spec.architecture).total
    log.info(
        "training %s: %.2f M parameters, %d steps, %s on %s", describe_regime(run_spec),
        parameters / 1e6, trainer.total, runtime.precision, runtime.device,
    )  # fmt: skip
    reset_peak_memory(runtime.device)
    trainer.run()
    peak_bytes = peak_memory(runtime.device)
    return Trained(
        trainer.network, trainer.timing, trainer.history, frozen_s, peak_bytes, trainer.selections
    )


def assess(prepared: Prepared, trained: Trained) -> Result:
    """Evaluates the best weights, measures the regime beside its baseline, and scores it.

    Returns:
        What result.json holds of a finished run, but for its head.
    """
    run_spec, main = prepared.run_spec, prepared.main
    evaluation, selection = _evaluate(prepared, trained)
    if prepared.hooks.curves:
        title = f"{describe_regime(run_spec)} (seed {run_spec.config.seed})"
        shown = _curve_facts(run_spec, selection or evaluation)
        draw_curves(prepared.folder, trained.history, title, shown)
    trained.network = None  # makes room for the two networks that are timed
    score, timings = run_spec.config.score, None
    if score.pairs and score.clock != "flops":
        timings = time_pairs(run_spec, prepared.inputs, main, score.pairs)
    cost, facts = plan_cost(run_spec.architecture), prepared.inputs.facts
    result = {
        **scores(run_spec, evaluation, timings, prepared.operations, prepared.references),
        "performance": evaluation.performance,
        "performance_raw_r": evaluation.performance_raw_r,
        "selection": selection_record(selection),
        "components": [{"tasks": list(s.tasks), "best_step": s.step} for s in trained.selections],
        "tasks": {name: task | dict(facts[name]) for name, task in evaluation.tasks.items()},
        "untrained": untrained_tasks(facts, prepared.settings),
        "params": cost.summary(),
        "memory": {"model_bytes": cost.model_bytes, "peak_train_bytes": trained.peak_bytes},
        "time": times(trained.timing, main.schedule.epoch_steps, trained.frozen_s, timings),
        "machine": machine(run_spec),
        "results_version": RESULTS_VERSION,
        "versions": versions(),
        "git": git_state(prepared.hooks.start.launched),
        "status": Status.FINISHED,
    }
    if prepared.baseline_key is not None:
        record = {"plan": str(run_spec.plan), **result}
        keep_own_baseline(run_spec, prepared.baseline_key, prepared.folder, record)
    return result


def _curve_facts(run_spec: RunSpec, evaluation: Evaluation) -> CurveFacts:
    """The facts in curves.png beside metrics.csv; the evaluation is of the split that selects."""
    config = run_spec.config
    floors = {name: float(task["floor"]) for name, task in evaluation.tasks.items()}
    own = {name: phase.kind for name, phase in config.phases.items() if phase.kind != "tasks"}
    return CurveFacts(config.score.pearson, floors, own)


def _evaluate(prepared: Prepared, trained: Trained) -> tuple[Evaluation, Evaluation | None]:
    """Evaluates on dev, writes its predictions, and on what was held out to choose by, if any."""
    run_spec, inputs, network = prepared.run_spec, prepared.inputs, trained.network
    assert network is not None  # it is released later
    log.info("evaluating on all of dev")
    evaluation = evaluate(network, inputs.dev, run_spec.measures, run_spec.runtime)
    evaluation.log_undefined()
    if run_spec.is_separate:
        write_train_outputs(prepared.folder, run_spec, inputs, network)
    examples = with_hidden_ids(inputs.dev_examples, run_spec.hidden)
    write_predictions(prepared.folder, evaluation.answers, examples)
    reference = prepared.reference
    if reference is not None and (tasks := differing_data(evaluation.tasks, reference.tasks)):
        log.warning("score.reference: %s has other dev examples of %s, or another metric: kept and "
                    "changes compare what differs", reference.folder, ", ".join(tasks))  # fmt: skip
    if not inputs.select:
        return evaluation, None
    log.info("evaluating on all of select")
    measures, runtime = run_spec.measures, run_spec.runtime
    selection = evaluate(network, inputs.select, measures, runtime, "select")
    selection.log_undefined()
    return evaluation, selection
