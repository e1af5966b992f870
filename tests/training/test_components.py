"""Tasks that share no trained weight train as they would alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mtl_sharing.job.phases import make_trainer
from mtl_sharing.job.spec import resolve_spec
from mtl_sharing.run_folder.layout import WEIGHTS
from mtl_sharing.training import trainer as trainer_module
from support import load_config

TASKS = ("sst", "quora", "sts")
ALONE = tuple((task,) for task in TASKS)
PAIR = (("sst",), ("quora", "sts"))
DROPOUT = ("encoder.dropout=0.2", "encoder.attention_dropout=0.2", "head.dropout=0.2")
NO_DROPOUT = tuple(f"{word.partition('=')[0]}=0" for word in DROPOUT)
COURSE = ("encoder.layers=2", "trainer.max_steps=7", "trainer.eval_every=2", "optimizer.lr=0.01",
          "trainer.eval_examples=20", "optimizer.clip=0.5")  # fmt: skip


@pytest.mark.parametrize(
    ("words", "components"),
    [
        ("sharing.plan=I4", ALONE),
        ("sharing.plan=S4", (TASKS,)),
        ("sharing.plan=F4", ALONE),
        ("sharing.plan=F2-I2", ALONE),
        ("sharing.plan=S1-I3", (TASKS,)),
        ("sharing.plan=T4", (TASKS,)),
        ("sharing.plan=I3-T1", (TASKS,)),
        ("sharing.plan=G4:quora+sts", PAIR),
        ("sharing.plan=G2:sst+quora-G2:quora+sts", (TASKS,)),
        ("sharing.plan=EF-I3-G1:quora+sts", PAIR),
        ("sharing.plan=F4-PS head.pooling=cls", ALONE),
        ("sharing.plan=F4-PS head.pooling=pooler", (TASKS,)),
        # The head of sst reads below the layers that the others share.
        ("sharing.plan=I2-S2 task.sst.layer=1", PAIR),
        ("sharing.plan=I4/S head.depth=1 head.width=32 pairing=joined", (TASKS,)),
        ("sharing.plan=F4 sharing.pals.size=24", ALONE),
        # A lane reads another task's head, even where it does not train it.
        ("sharing.plan=I4 sharing.lanes.fusion=attention sharing.lanes.upstream_rate=0", (TASKS,)),
    ],
)
def test_components_of_a_plan(words, components):
    run_spec = resolve_spec(load_config("encoder.layers=4", *words.split()))
    assert run_spec.architecture.components() == components


def run_of(trainer):
    """The best weights of every task by name, with the evaluations and the best steps."""
    trainer.run()
    best = load_file(trainer.folder / WEIGHTS)
    owners = trainer.network.owners()
    weights = {
        task: [w for name, w in best.items() if task in owners[name]]
        for task in trainer.network.architecture.plan.tasks
    }
    steps = {task: one.step for one in trainer.selections for task in one.tasks}
    columns = {
        task: [{k: v for k, v in row.items() if f"/{task}/" in k} for row in trainer.history]
        for task in weights
    }
    return weights, steps, columns


def only(inputs, tasks):
    """The part of the inputs that belongs to some tasks."""
    train, dev = ({t: data[t] for t in tasks} for data in (inputs.train, inputs.dev))
    return replace(inputs, train=train, dev=dev)


def case(*words, groups=ALONE, slow=False):
    return pytest.param(words, groups, marks=[pytest.mark.slow] * slow, id=" ".join(words))


SMART = ("regularizer.name=smart", "regularizer.weight=1", "regularizer.proximal=1")
CASES = [
    case("sharing.plan=I2", *NO_DROPOUT, slow=True),
    case("sharing.plan=I2", *DROPOUT, "trainer.patience=1", "seed=3"),
    case("sharing.plan=I2", *DROPOUT, "trainer.accumulation=2", "trainer.batch_size=7"),
    case("sharing.plan=I2", *DROPOUT, "loss.weighting=uncertainty", slow=True),
    case("sharing.plan=I2", *DROPOUT, "loss.weighting=dwa", "trainer.epochs=4", slow=True),
    case("sharing.plan=I2", *DROPOUT, "loss.weighting=random", slow=True),
    case("sharing.plan=I2", *DROPOUT, *SMART, slow=True),
    case("sharing.plan=I2", *DROPOUT, "regularizer.name=r_drop", "regularizer.weight=1", slow=True),
    case("sharing.plan=I2", *DROPOUT, "distillation.weight=1", "distillation.end=0"),
    case("sharing.plan=F1-I1", *DROPOUT, slow=True),
    case("sharing.plan=F2", *DROPOUT, "sharing.pals.size=6", slow=True),
    case("sharing.plan=G2:quora+sts", *DROPOUT, "loss.aggregation=pcgrad", groups=PAIR),
    case("sharing.plan=I2", *DROPOUT, "trainer.precision=bf16"),
    case("sharing.plan=G2:quora+sts", *DROPOUT, "trainer.precision=bf16", groups=PAIR, slow=True),
]


def taught(run_spec, inputs):
    """The inputs with outputs of a teacher, drawn at random."""
    random = np.random.default_rng(2)
    outputs = {task: measure.objective.outputs for task, measure in run_spec.measures.items()}
    train = {
        task: replace(
            data, teacher=random.standard_normal((len(data), outputs[task]), dtype=np.float32)
        )
        for task, data in inputs.train.items()
    }
    return replace(inputs, train=train)


@pytest.mark.parametrize(("words", "groups"), CASES)
def test_each_component_trains_as_it_would_alone(describe, prepare, tmp_path, words, groups):
    run_spec, inputs = prepare(*COURSE, *words)
    inputs = taught(run_spec, inputs) if "distillation.weight=1" in words else inputs
    folder = tmp_path / "all"
    folder.mkdir()
    weights, steps, columns = run_of(make_trainer(run_spec, inputs, folder))
    moved = 0
    for tasks in groups:
        plan = run_spec.config.sharing.plan.replace("G2:quora+sts", f"{'SI'[len(tasks) == 1]}2")
        own_words = [word for word in words if "sharing.plan" not in word]
        own_spec = describe(*COURSE, *own_words, f"sharing.plan={plan}",
                            f"suite.tasks=[{','.join(tasks)}]")  # fmt: skip
        folder = tmp_path / "-".join(tasks)
        folder.mkdir()
        own = run_of(make_trainer(own_spec, only(inputs, tasks), folder))
        for task in tasks:
            pairs = list(zip(weights[task], own[0][task], strict=True))
            assert all(torch.equal(one, other) for one, other in pairs)
            assert steps[task] == own[1][task]
            # A component that is done is evaluated as long as others train.
            assert columns[task][: len(own[2][task])] == own[2][task]
            moved += len(columns[task]) > len(own[2][task])
    if "trainer.patience=1" in words:
        assert moved


def test_the_best_weights_of_each_component_are_kept(start, scripted):
    """Each task is best at another evaluation."""
    scripted((0.3, 0.1, 0.2), (0.2, 0.5, 0.1), (0.1, 0.2, 0.6), (0.1, 0.1, 0.1))
    trainer = start("encoder.layers=1", "sharing.plan=I1", "trainer.max_steps=8",
                    "trainer.eval_every=2", "optimizer.lr=0.01")  # fmt: skip
    states = []
    trainer.on_evaluation = lambda *_: states.append(
        {name: w.clone() for name, w in trainer.network.state_dict().items()}
    )
    trainer.run()
    owners = trainer.network.owners()
    assert {owners[name] for name in owners} == set(ALONE)
    for name, weight in load_file(trainer.folder / WEIGHTS).items():
        (task,) = owners[name]
        assert torch.equal(weight, states[TASKS.index(task)][name]), name
        assert torch.equal(weight, trainer.network.state_dict()[name])
    assert [(one.tasks, one.step) for one in trainer.selections] == [
        (("sst",), 2), (("quora",), 4), (("sts",), 6)
    ]  # fmt: skip


def test_a_component_out_of_patience_stops_alone(start, scripted, monkeypatch):
    scripted((0.3, 0.1, 0.2), (0.2, 0.5, 0.3), (0.9, 0.6, 0.4), (0.9, 0.1, 0.5))
    monkeypatch.setattr(trainer_module, "_UNTIMED_STEPS", 0)
    trainer = start("encoder.layers=1", "sharing.plan=I1", "trainer.max_steps=4",
                    "trainer.eval_every=1", "trainer.patience=1")  # fmt: skip
    trainer.run()
    # Steps of fewer components are faster, and none of the regime's.
    assert trainer.timing.counted_steps == 2 and len(trainer.history) == 4
    # The later, better metric of sst is of weights that no longer train.
    assert [one.step for one in trainer.selections] == [1, 3, 4]
    assert trainer.learner.served == {"sst": 2, "quora": 4, "sts": 4}
    assert trainer.done == 4


def test_separate_models_are_pretrained_apart(start):
    """In a masked-LM phase each has a head of its own."""
    trainer = start("encoder.layers=1", "sharing.plan=I1", phases=["mlm"])
    components = trainer.learner.components
    assert [component.tasks for component in components] == list(ALONE)
    counts = [sum(len(g["params"]) for g in c.optimizer.param_groups) for c in components]
    assert len(set(counts)) == 1 and len(trainer.learner.network.heads) == 3
