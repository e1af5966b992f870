"""The model card: use, content, metrics and origin of an exported folder."""

from collections.abc import Mapping, Sequence
from typing import Any

from mtl_sharing.export import sections
from mtl_sharing.export.classifier import CLASSIFIERS
from mtl_sharing.export.head import describe_labels, example_texts, head_code, loading_code
from mtl_sharing.export.plain import CLASSES, drops_pooler, layers_read
from mtl_sharing.job.description import describe_regime
from mtl_sharing.predict.loaded_run import LoadedRun
from mtl_sharing.utils.markdown import code_span, escaped

_UNREAD_POOLER = """\
The head reads no pooler, so none was kept: `add_pooling_layer=False` keeps `transformers` from \
making a random one.
"""


def classifier_card(run: LoadedRun, result: Mapping[str, Any], task: str) -> str:
    """The README.md of a model that ``AutoModelForSequenceClassification`` loads."""
    spec, shape = run.run_spec.specs[task], run.run_spec.shape
    text = '{"text": "a text", "text_pair": "another text"}' if spec.is_pair else '"a text"'
    is_value = spec.kind == "regression"
    code = (
        "from transformers import pipeline\n\n"
        'predict = pipeline("text-classification", model=".", truncation=True)  # this folder\n'
        f"print(predict({text}{'' if is_value else ', top_k=None'}))\n"
    )
    meaning = "the value in the label's units" if is_value else "each label with its probability"
    layers = layers_read(run.run_spec.architecture, task)
    return _page(
        sections.front_matter(run, "transformers", "text-classification"),
        _title(task),
        f"This code gives {meaning}:\n",
        f"```python\n{code}```\n",
        _cleaning(run),
        f"A plain `{CLASSIFIERS[shape.family].name}` of {layers} layers, hidden width"
        f" {shape.hidden}: the tower and head of task {code_span(task)} in a {_training(run)}."
        f" `AutoModel` loads the tower alone.{_cut(run, task)}\n",
        *_facts(run, result, task),
    )


def plain_card(
    run: LoadedRun, result: Mapping[str, Any], task: str, record: Mapping[str, Any], reason: str
) -> str:
    """The README.md of a plain model with its head.

    Args:
        record: the content of head.json.
        reason: why no class of ``transformers`` has the head.
    """
    shape = run.run_spec.shape
    layers = layers_read(run.run_spec.architecture, task)
    return _page(
        sections.front_matter(run, "transformers"),
        _title(task),
        "**Use the code under Head to predict**, which needs `transformers` and `safetensors`"
        f" alone. `pipeline` and `AutoModelForSequenceClassification` cannot: {reason}, which"
        f" `{CLASSIFIERS[shape.family].name}` has no place for.\n",
        _cleaning(run),
        f"A plain `{CLASSES[shape.family]}` of {layers} layers, hidden width {shape.hidden}: the"
        f" tower of task {code_span(task)} in a {_training(run)}.{_cut(run, task)}\n",
        "## Load\n",
        f"```python\n{loading_code(run, task)}```\n",
        _UNREAD_POOLER if drops_pooler(run.run_spec.architecture, task) else "",
        "## Head\n",
        f"`head.safetensors` holds the head's weights, `head.json` how they are applied. The"
        f" head reads {record['input']}, and returns {record['meaning']}. Its labels are"
        f" {escaped(describe_labels(run.run_spec.specs[task]))}.\n",
        f"```python\n{head_code(run, task)}```\n",
        *_facts(run, result, task),
    )


def _facts(run: LoadedRun, result: Mapping[str, Any], task: str) -> tuple[str, ...]:
    """The sections that end the card of one task."""
    return (
        sections.label_map(run, task),
        sections.metrics_section(run, result, [task]),
        sections.data_section(run, [task]),
        sections.base_section(run),
        _precision(run),
        sections.origin(result),
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
        sections.front_matter(run, "mtl-sharing"),
        f"# {escaped(', '.join(tasks))}: a multi-task run\n",
        f"**`load_run` of mtl-sharing reads this folder**, which holds the whole network. It has"
        f" {' and '.join(obstacles)}, which no plain model of `transformers` has.\n",
        f"```python\n{code}```\n",
        f"A {_training(run)}.\n",
        sections.metrics_section(run, result, tasks),
        sections.data_section(run, tasks),
        sections.base_section(run),
        sections.origin(result),
    )


def _page(*parts: str) -> str:
    return "\n".join(filter(None, parts))


def _title(task: str) -> str:
    return f"# {escaped(task)}, from a multi-task run\n"


def _training(run: LoadedRun) -> str:
    regime = f"{code_span(describe_regime(run.run_spec))} (seed {run.run_spec.config.seed})"
    others = f"{sections.listed(run.tasks)} together" if len(run.tasks) > 1 else "it alone"
    return f"run of mtl-sharing that trained {others} as {regime}"


def _cut(run: LoadedRun, task: str) -> str:
    layers = layers_read(run.run_spec.architecture, task)
    if layers == run.run_spec.shape.layers:
        return ""
    return (
        f" The head reads layer {layers - 1} of {run.run_spec.shape.layers}, counted from 0. Layers"
        " above it are left out, so the last hidden states here are the head's input."
    )


def _cleaning(run: LoadedRun) -> str:
    clean = run.run_spec.config.suite.clean
    text = "**Clean each text first**, as Data says: the model has only seen cleaned ones.\n"
    return text if clean else ""


def _precision(run: LoadedRun) -> str:
    precision = run.run_spec.runtime.precision
    rounded = f"The run computed in {precision}; the weights here are its own, in fp32.\n"
    return "" if precision == "fp32" else rounded
