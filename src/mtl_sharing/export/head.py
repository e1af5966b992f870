"""A task's head as weights, a description in JSON, and Python code that applies it."""

from collections.abc import Mapping
from textwrap import indent
from typing import Any, cast

from torch import Tensor, nn

from mtl_sharing.data.tasks.task import TaskSpec
from mtl_sharing.export.plain import drops_pooler, layers_read, pools_in_model
from mtl_sharing.model.specs import TaskHead
from mtl_sharing.objectives import losses
from mtl_sharing.predict.loaded_run import LoadedRun

_ACTIVATION = {"relu": "F.relu", "gelu": "F.gelu", "tanh": "torch.tanh"}
_FEATURE = {"u": "u", "v": "v", "absdiff": "(u - v).abs()", "product": "u * v"}


def head_weights(run: LoadedRun, task: str) -> dict[str, Tensor]:
    """Weights of ``hidden.<n>``, ``output`` and, if the plain model lacks it, ``pooler``."""
    network, architecture = run.network, run.run_spec.architecture
    stages = {f"hidden.{depth}": stage for depth, stage in enumerate(network.heads.hidden)}
    pooling = architecture.head_of(task).pooling
    if pooling == "pooler" and not pools_in_model(architecture, task):
        stages = {"pooler": cast(nn.Module, network.encoder.pooler)} | stages
    layers = {name: cast(Any, stage).copy_of(task).dense for name, stage in stages.items()}
    output = network.heads.outputs[[head.name for head in network.heads.tasks].index(task)]
    layers |= {"output": output} if isinstance(output, nn.Linear) else {}
    return {
        f"{layer_name}.{name}": value.detach().float().cpu().contiguous()
        for layer_name, layer in layers.items()
        for name, value in layer.state_dict().items()
    }


def head_record(run: LoadedRun, task: str, weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """The content of head.json: the steps of the head, in their order."""
    run_spec, spec = run.run_spec, run.run_spec.specs[task]
    architecture, head = run_spec.architecture, run_spec.architecture.head_of(task)
    _, meaning = _reading(run_spec.measures[task].objective)
    names = spec.labels or (list(range(spec.classes)) if spec.classes else None)
    return {
        "task": task,
        "input": _input(run, task),
        "layers": layers_read(architecture, task),
        "pooling": head.pooling,
        "features": list(head.features),
        "features_of": "hidden layers' output" if head.late else "pooled vectors",
        "hidden_layers": architecture.head.depth,
        "activation": architecture.head.activation,
        "output": "cosine of the two vectors" if head.cosine else "linear",
        "meaning": meaning,
        "labels": None if names is None else list(names),
        "range": None if spec.low is None else [spec.low, spec.high],
        "max_length": run_spec.config.suite.max_length,
        "clean": list(run_spec.config.suite.clean),
        "weights": {name: list(value.shape) for name, value in weights.items()},
    }


def _input(run: LoadedRun, task: str) -> str:
    if not run.run_spec.specs[task].is_pair:
        return "one text"
    if run.run_spec.joined[task]:
        return "two texts as one sequence"
    return "two texts, each a sequence of its own"


def loading_code(run: LoadedRun, task: str) -> str:
    """Python that loads the exported model, for the card."""
    dropped = drops_pooler(run.run_spec.architecture, task)
    options = ", add_pooling_layer=False" if dropped else ""
    return f"""\
import torch
from transformers import AutoModel, AutoTokenizer

folder = "."  # this folder
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModel.from_pretrained(folder{options}).eval()

batch = tokenizer(["a text"], truncation=True, return_tensors="pt")
with torch.no_grad():
    print(model(**batch).last_hidden_state.shape)
"""


def head_code(run: LoadedRun, task: str) -> str:
    """Python that applies the head, after :func:`loading_code`, for the card."""
    head, pair = run.run_spec.architecture.head_of(task), run.run_spec.specs[task].is_pair
    returned, meaning = _reading(run.run_spec.measures[task].objective)
    parameters = "texts, text_pairs" if pair else "texts"
    body = indent("\n".join([*_head_lines(run, head, parameters), f"return {returned}"]), "    ")
    pooling = indent("\n".join(_pooling_lines(run, task)), "    ")
    return f"""\
import torch.nn.functional as F
from safetensors.torch import load_file

head = load_file(f"{{folder}}/head.safetensors")


def pooled(*texts):
    batch = tokenizer(*texts, padding=True, truncation=True, return_tensors="pt")
{pooling}


@torch.no_grad()
def predict({parameters}):
    \"\"\"{meaning[0].upper()}{meaning[1:]}.\"\"\"
{body}


print(predict({example_texts(pair)}))
"""


def example_texts(pair: bool) -> str:
    """Python of the texts in an example's call."""
    return '["a text"], ["another text"]' if pair else '["a text"]'


def _pooling_lines(run: LoadedRun, task: str) -> list[str]:
    pooling = run.run_spec.architecture.head_of(task).pooling
    if pools_in_model(run.run_spec.architecture, task):
        return ["return model(**batch).pooler_output"]
    states = "states = model(**batch).last_hidden_state"
    if pooling == "pooler":
        first = 'F.linear(states[:, 0], head["pooler.weight"], head["pooler.bias"])'
        return [states, f"return torch.tanh({first})"]
    if pooling == "cls":
        return [states, "return states[:, 0]"]
    return [
        states,
        'mask = batch["attention_mask"][:, :, None].to(states.dtype)',
        "return (states * mask).sum(1) / mask.sum(1)",
    ]


def _head_lines(run: LoadedRun, head: TaskHead, parameters: str) -> list[str]:
    shape = run.run_spec.architecture.head
    features = f"x = torch.cat([{', '.join(_FEATURE[name] for name in head.features)}], dim=1)"
    joined = not head.pair or head.joins_first
    lines = [f"x = pooled({parameters})"]
    if head.pair:
        lines = ["u, v = pooled(texts), pooled(text_pairs)", *([features] if joined else [])]
    lines += [
        f"{x} = {_ACTIVATION[shape.activation]}"
        f'(F.linear({x}, head["hidden.{n}.weight"], head["hidden.{n}.bias"]))'
        for n in range(shape.depth)
        for x in (("x",) if joined else ("u", "v"))
    ]
    if head.cosine:
        return [*lines, "raw = F.cosine_similarity(u, v, dim=1)[:, None]"]
    lines += [features] if head.late else []
    return [*lines, 'raw = F.linear(x, head["output.weight"], head["output.bias"])']


def _reading(objective: losses.Objective) -> tuple[str, str]:
    """Python that turns raw outputs (E, K) into predictions, and a description of these."""
    classes = "the probability of each class, of shape (texts, classes)"
    value = "the value in the label's units, of shape (texts,)"
    match objective:
        case losses.CrossEntropy():
            return "raw.softmax(dim=1)", classes
        case losses.BinaryCrossEntropy():
            return "torch.cat([(-raw).sigmoid(), raw.sigmoid()], dim=1)", classes
        case losses.SquaredError(whole=True):
            return "torch.cat([1 - raw, raw], dim=1).clamp(0, 1)", classes
        case losses.SquaredError():
            return "raw[:, 0]", value
        case losses.ExpectedClass(low=low):
            numbers = f"torch.arange(raw.shape[1]) + {low!r}"
            return f"raw.softmax(dim=1) @ ({numbers})", value
        case losses.CosineError(low=low, high=high, sigmoid=sigmoid):
            share = "raw[:, 0].sigmoid()" if sigmoid else "(raw[:, 0] + 1) / 2"
            return f"{low!r} + {share} * {high - low!r}", value
    raise TypeError(f"no export of {type(objective).__name__}")


def describe_labels(spec: TaskSpec) -> str:
    """A description of the task's labels."""
    if spec.low is not None:
        return f"values from {spec.low:g} to {spec.high:g}"
    names = spec.labels or range(spec.classes or 0)
    return "classes " + ", ".join(map(str, names))
