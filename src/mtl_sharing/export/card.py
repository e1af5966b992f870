"""The model card: content, metrics and use of an exported folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mtl_sharing.export.head import describe_labels, example_texts, head_code, loading_code
from mtl_sharing.export.plain import CLASSES, drops_pooler, layers_read
from mtl_sharing.job.description import describe_regime
from mtl_sharing.predict.loaded_run import LoadedRun
from mtl_sharing.run_folder.results import result_problem
from mtl_sharing.utils.markdown import code_span, escaped

_UNREAD_POOLER = """\
The head reads no pooler, so none was kept: `add_pooling_layer=False` keeps `transformers` from \
making a random one.
"""


def plain_card(
    run: LoadedRun, result: Mapping[str, Any], task: str, record: Mapping[str, Any]
) -> str:
    """The README.md of a plain model with its head.

    Args:
        record: the content of head.json.
    """
    run_spec = run.run_spec
    architecture, shape = run_spec.architecture, run_spec.shape
    layers = layers_read(architecture, task)
    precision, cut = run_spec.runtime.precision, ""
    rounded = f"The run computed in {precision}; the weights here are its own, in fp32.\n"
    if layers < shape.layers:
        cut = (
            f" The head reads layer {layers - 1} of {shape.layers}, counted from 0. Layers above"
            " it are left out, so the last hidden states here are the head's input."
        )
    return _page(
        "transformers",
        f"# {escaped(task)}, from a multi-task run\n",
        f"A plain `{CLASSES[shape.family]}` of {layers} layers, hidden width {shape.hidden}: the"
        f" tower of task {code_span(task)} in a {_training(run)}.{cut}\n",
        _metrics(result, [task]),
        _data(run, [task]),
        "## Load\n",
        f"```python\n{loading_code(run, task)}```\n",
        _UNREAD_POOLER if drops_pooler(architecture, task) else "",
        "## Head\n",
        f"`head.safetensors` holds the head's weights, `head.json` how they are applied. The"
        f" head reads {record['input']}, and returns {record['meaning']}. Its labels are"
        f" {escaped(describe_labels(run_spec.specs[task]))}.\n",
        f"```python\n{head_code(run, task)}```\n",
        "" if precision == "fp32" else rounded,
        _origin(result),
    )


def run_card(
    run: LoadedRun, result: Mapping[str, Any], tasks: Sequence[str], obstacles: Sequence[str]
) -> str:
    """The README.md of a run that no plain model can hold.

    Args:
        tasks: the tasks that the card shows.
        obstacles: the reasons why there is no plain model.
    """
    texts = example_texts(any(run.run_spec.specs[task].is_pair for task in tasks))
    code = (
        "from mtl_sharing import load_run\n\n"
        'run = load_run(".")  # this folder\n'
        f"print(run.predict({texts}, tasks={list(tasks)!r}))\n"
    )
    return _page(
        "mtl-sharing",
        f"# {escaped(', '.join(tasks))}: a multi-task run\n",
        f"A {_training(run)}. It has {' and '.join(obstacles)}, which no plain model of"
        " `transformers` has, so this folder holds the whole network, and `load_run` of mtl-sharing"
        " reads it.\n",
        _metrics(result, tasks),
        _data(run, tasks),
        "## Load\n",
        f"```python\n{code}```\n",
        _origin(result),
    )


def _page(library: str, *parts: str) -> str:
    front_matter = f"---\nlibrary_name: {library}\ntags: [mtl-sharing, multi-task]\n---\n"
    return "\n".join(filter(None, (front_matter, *parts)))


def _training(run: LoadedRun) -> str:
    regime = f"{code_span(describe_regime(run.run_spec))} (seed {run.run_spec.config.seed})"
    return f"run of mtl-sharing that trained {_list(run.tasks)} together as {regime}"


def _list(names: Sequence[str]) -> str:
    return ", ".join(map(code_span, names))


def _metrics(result: Mapping[str, Any], tasks: Sequence[str]) -> str:
    if (reason := _unknown(result, tasks)) is not None:
        return f"## On dev\n\nNot known: {reason}.\n"
    rows = [_row(task, result["tasks"][task]) for task in tasks]
    head = ["| task | metric | value | floor | dev examples |",
            "| --- | --- | --- | --- | --- |"]  # fmt: skip
    floor = "The floor is what the best constant answer reaches."
    return "\n".join(["## On dev\n", *head, *rows, "", floor, ""])


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


def _row(task: str, entry: Mapping[str, Any]) -> str:
    floor = "?" if entry.get("floor") is None else f"{entry['floor']:.4f}"
    names = f"{escaped(task)} | {escaped(entry['metric'])}"
    return f"| {names} | {entry['value']:.4f} | {floor} | {entry['examples']:,} |"


def _data(run: LoadedRun, tasks: Sequence[str]) -> str:
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
        source = f", trained on {_list(files)}" if files else ""
        lines.append(f"- {code_span(task)}: {kind}; {escaped(describe_labels(spec))}{source}")
    if suite.clean:
        steps = _list(suite.clean)
        lemmas = f" (lemmas by {_pipeline(suite.lemmatizer)})" if suite.lemmatizer else ""
        lines.append(
            f"- every text was cleaned first, in this order: {steps}{lemmas}; clean yours alike"
            " before the tokenizer sees them (`mtl_sharing.data.text.cleaning.Cleaning`)"
        )
    if suite.tags.pipeline:
        lines.append(f"- words are tagged by {_pipeline(suite.tags.pipeline)}")
    return "\n".join(["## Data\n", *lines, ""])


def _pipeline(source: str) -> str:
    """A spaCy pipeline by its name; a folder of the machine is not part of the export."""
    name = path_name(source)
    elsewhere = ", a folder that is not here: set its path in `config.json`"
    return f"the spaCy pipeline {code_span(name)}{'' if name == source else elsewhere}"


def _origin(result: Mapping[str, Any]) -> str:
    versions = result.get("versions", {})
    if not isinstance(versions, dict) or not versions:
        return ""
    names = [f"{name} {versions[name]}" for name in ("mtl-sharing", "torch") if name in versions]
    return f"Trained with {escaped(', '.join(names))}.\n"


def path_name(text: str) -> str:
    """The last part of an absolute path; any other text unchanged."""
    absolute = text.startswith(("/", "~/", "file://")) and len(Path(text).parts) > 1
    return Path(text).name if absolute else text
