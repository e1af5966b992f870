"""A trained run as an object again, from three files: weights, config.json and tokenizer.json."""

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from tokenizers import Tokenizer

from mtl_sharing.config import Config, to_config
from mtl_sharing.data.tokens.tokenizing import check_vocabulary, load_tokenizer
from mtl_sharing.errors import UserError, check_known, check_range, one_of
from mtl_sharing.job.spec import RunSpec, resolve_spec, start_on_machine
from mtl_sharing.model.encoder.checkpoint import check_weights, read_weights
from mtl_sharing.model.encoder.shape import SHAPE_FIELDS
from mtl_sharing.model.network import Network
from mtl_sharing.objectives.settings import LossConfig
from mtl_sharing.predict.predictor import Predictor, readable
from mtl_sharing.run_folder.layout import CONFIG, PLAN, TOKENIZER, WEIGHTS
from mtl_sharing.run_folder.results import read_object, read_result
from mtl_sharing.tracking.settings import TrackerConfig
from mtl_sharing.utils.device import choose_device
from mtl_sharing.utils.logging import log_level

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)


_RUN = "the folder of a run that has trained"
# What result.json says of a run that has left no weights yet, and what to do about it.
_STATES = {
    "running": ("that has not evaluated yet", "a run after its first evaluation"),
    "stopped": (
        "that was stopped before its first evaluation",
        "a run after its first evaluation (mtl-train resume={folder} goes on with this one)",
    ),
    "failed": ("that failed before its first evaluation", f"{_RUN} (train.log says why)"),
    "pruned": ("that was pruned before its first evaluation", _RUN),
}


@dataclass(frozen=True, eq=False)
class LoadedRun:
    """A run's network with what it takes to use it.

    Attributes:
        folder: where it was loaded from.
        run_spec: what its config describes; the encoder has no checkpoint, only its shape.
        network: with the run's best weights, in evaluation mode, on the run_spec's device.
        tokenizer: the run's own.
    """

    folder: Path
    run_spec: RunSpec
    network: Network
    tokenizer: Tokenizer

    @property
    def tasks(self) -> tuple[str, ...]:
        """The names of its tasks, in the plan's order."""
        return self.run_spec.plan.tasks

    @cached_property
    def predictor(self) -> Predictor:
        """Predicts rows of texts as arrays."""
        return Predictor(self.run_spec, self.network, self.tokenizer)

    def predict(
        self,
        texts: Iterable[str | None],
        text_pairs: Iterable[str | None] | None = None,
        tasks: Sequence[str] | None = None,
        batch_size: int | None = None,
    ) -> "pd.DataFrame":
        """What the run's tasks say of texts, all in one pass of the layers that they share.

        Args:
            texts: the texts, or the first ones of pairs: a list, a column of a table and so on,
                read in its order. None, NaN and NA stand for no text.
            text_pairs: the second ones, as many.
            tasks: some of the run's; None takes all that the texts are enough for, which are
                those of single texts where there are no pairs.
            batch_size: rows of a batch; None takes the run's ``trainer.eval_batch_size``.

        Returns:
            A row for each text. For each task a column of its name: the label's name where the
            task has names, else the class number (Int64), or a value in label units (float64);
            and for classes ``<task>_probability``, of the predicted class. Missing where the row
            has no text that the task reads.

        Raises:
            UserError: a task that the run has not, or that needs pairs where there are none, or
                texts that are no lists of equal length.
        """
        import pandas as pd

        firsts = _texts("texts", texts)
        seconds = None if text_pairs is None else _texts("text_pairs", text_pairs)
        if seconds is not None and len(seconds) != len(firsts):
            allowed = f"{len(firsts)}, one for each text"
            raise UserError("text_pairs", f"{len(seconds)} texts", allowed)
        chosen = self._tasks(tasks, seconds is not None)
        size = self.run_spec.runtime.evaluation_batch if batch_size is None else batch_size
        check_range("batch_size", size, 1)
        columns = {}
        for name, answers in self.predictor.predict(firsts, seconds, chosen, size).items():
            spec = self.run_spec.specs[name]
            kind = "float64" if spec.kind == "regression" else "str" if spec.labels else "Int64"
            columns[name] = pd.Series(readable(spec, answers), dtype=kind)
            if answers.probability is not None:
                columns[f"{name}_probability"] = pd.Series(answers.probability)
        return pd.DataFrame(columns)

    def _tasks(self, wanted: Sequence[str] | None, pairs: bool) -> tuple[str, ...]:
        specs = self.run_spec.specs
        if isinstance(wanted, str):
            raise UserError("tasks", wanted, f"a list, as in [{wanted!r}]")
        for name in wanted or ():
            check_known("tasks", name, self.tasks)
            if specs[name].is_pair and not pairs:
                raise UserError("text_pairs", "none", f"second texts, for task {name}")
        if wanted is not None:
            return tuple(dict.fromkeys(wanted))
        chosen = tuple(name for name in self.tasks if pairs or not specs[name].is_pair)
        if not chosen:
            raise UserError("text_pairs", "none", f"second texts, for {one_of(self.tasks)}")
        return chosen


def _texts(name: str, given: Iterable[str | None]) -> list[str | None]:
    """The texts by their place, whatever index they had."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        found = "one text" if isinstance(given, str) else repr(given)
        raise UserError(name, found, "a list of texts")
    texts = [None if _is_missing(value) else value for value in given]
    for number, text in enumerate(texts):
        if not isinstance(text, str | None):
            raise UserError(f"{name}[{number}]", repr(text), "a text, or None")
    return texts


def _is_missing(value: object) -> bool:
    """Whether a table's column has this where it has nothing: NaN, or pandas' NA."""
    import pandas as pd

    return value is pd.NA or (isinstance(value, float) and math.isnan(value))


def load_run(folder: str | Path, device: str = "auto") -> LoadedRun:
    """The run in ``folder``, with its best weights so far.

    Reads model.safetensors, config.json and tokenizer.json of the folder and nothing else, so
    that the folder may have come from another machine. Runs no code from it, and asks no hub.
    A run that is still training may be loaded after its first evaluation.

    Args:
        device: ``auto`` (the GPU where there is one), ``cpu``, ``cuda``, ``cuda:1`` and so on.

    Raises:
        UserError: no run is there, it has no weights, or its files are damaged or do not fit.
    """
    _check_device(device)
    place = Path(folder).expanduser()
    record = _read_record(place)
    run_spec = _blueprint(place / CONFIG, record, device)
    network = _network(run_spec, place / WEIGHTS)
    if not (place / TOKENIZER).is_file():
        raise UserError(str(place), f"no {TOKENIZER}", _RUN)
    tokenizer = load_tokenizer(place)
    check_vocabulary(tokenizer, run_spec.shape.vocabulary)
    return LoadedRun(place, run_spec, network, tokenizer)


def _check_device(device: str) -> None:
    try:
        choose_device(device)
    except UserError as error:
        raise UserError("device", error.found, error.allowed) from None


def _read_record(folder: Path) -> dict[str, Any]:
    """The content of config.json, once it is sure that a trained run lies here."""
    if not folder.is_dir():
        raise UserError(str(folder), "a file" if folder.exists() else "no such folder", _RUN)
    if not (folder / CONFIG).is_file() or not (folder / WEIGHTS).is_file():
        raise _no_weights(folder)
    record = read_object(folder / CONFIG)
    if "settings" not in record:
        kind = "an encoder's" if "model_type" in record else "one of an earlier version's"
        found = f"{kind}, without the run's settings"
        raise UserError(str(folder / CONFIG), found, "a run of this version; train it again")
    return record


def _no_weights(folder: Path) -> UserError:
    """Why a folder has no weights, as far as its other files tell."""
    result = read_result(folder)
    state = str(result.get("status")) if result is not None else None
    if state in _STATES:
        found, allowed = _STATES[state]
        return UserError(str(folder), f"a run {found}", allowed.format(folder=folder))
    if (folder / PLAN).is_file() and state is None:
        return UserError(str(folder), "a dry run, which has no weights", _RUN)
    if (folder / CONFIG).is_file() or state is not None:
        return UserError(str(folder), f"a run without {WEIGHTS}", _RUN)
    return UserError(str(folder), f"a folder without {CONFIG} and {WEIGHTS}", _RUN)


def _blueprint(path: Path, record: Mapping[str, Any], device: str) -> RunSpec:
    """The run's run_spec as far as its files tell: without what the run started from."""
    try:
        config = to_config(OmegaConf.create(dict(record["settings"])))
        config = _without_start(config, record["encoder"], record["precision"], device)
    except (OmegaConfBaseException, KeyError, TypeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        found = f"settings that this version does not read ({reason})"
        raise UserError(str(path), found, "a run of this version; train it again") from None
    # What a setting leaves without effect was said when the run began.
    with log_level("mtl_sharing", logging.ERROR):
        run_spec = start_on_machine(resolve_spec(config))
    _check_tags(run_spec, record)
    return run_spec


def _without_start(config: Config, shape: Mapping[str, Any], precision: str, device: str) -> Config:
    """The config with the encoder's shape in full, and the run's precision on ``device``."""
    known = {name: shape[name] for name in SHAPE_FIELDS}
    encoder = replace(config.encoder, checkpoint=None, tokenizer=None, **known)
    trainer = replace(config.trainer, device=device, precision=precision, threads=None)
    # Using the run tells no tracker and merges no gradients, so it needs none of their packages.
    config = replace(config, tracker=TrackerConfig(), loss=LossConfig())
    return replace(config, encoder=encoder, trainer=trainer, resume=None)


def _check_tags(run_spec: RunSpec, record: Mapping[str, Any]) -> None:
    """Says so where the pipeline that tags words is another than the run's, by its digest."""
    tags = record.get("parts", {}).get("tags")
    if tags is not None and run_spec.tags is not None and tags["digest"] != run_spec.tags.digest:
        words = "%s is not the pipeline that the run was trained with: tags may differ"
        log.warning(words, run_spec.tags.pipeline)


def _network(run_spec: RunSpec, path: Path) -> Network:
    """The run_spec's network with the weights of a file."""
    # Without memory, so that no time goes into random numbers that are overwritten.
    with torch.device("meta"):
        network = Network(run_spec.architecture, None)
    weights = read_weights(path)
    check_weights("the network", weights, network.state_dict(), path, f"weights of {CONFIG}")
    network.load_state_dict(weights, assign=True)
    return network.to(run_spec.runtime.device).eval()


def named_tasks(run: LoadedRun, wanted: Sequence[str] | None) -> tuple[str, ...]:
    """The tasks that are asked for, in the run's order; None takes all.

    Raises:
        UserError: a task that the run has not.
    """
    for name in wanted or ():
        check_known("--tasks", name, run.tasks)
    return tuple(name for name in run.tasks if wanted is None or name in wanted)
