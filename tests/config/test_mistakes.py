"""A mistake in a config file names the key, what was found there and what is allowed."""

import pytest

from mtl_sharing.errors import UserError
from support import compose_config

FIELDS = ("kind, columns, train, dev, test, format, sources, classes, labels, range, metric, loss, "
          "pairing, batch_size, layer")  # fmt: skip
FILES = {
    "clases: 3": f"task.rev.clases: found an unknown key (nearest: classes); allowed: {FIELDS}",
    "label_smoothing: 0.1": f"task.rev.label_smoothing: found an unknown key (nearest: labels); "
    f"allowed: {FIELDS}",
    "columns: {txt: a}": "task.rev.columns.txt: found an unknown key (nearest: text); allowed: te",
    "sources: {more: {trian: [a]}}": "task.rev.sources.more.trian: found an unknown key (nearest: "
    "train)",
    "just text": f"task.rev.just text: found an unknown key (nearest: test); allowed: {FIELDS}",
    "classes: many": "task.rev.classes: found many; allowed: a whole number or null",
    "batch_size: 3.5": "task.rev.batch_size: found 3.5; allowed: a whole number or null",
    "labels: good": "task.rev.labels: found good; allowed: a list (each item text) or null",
    "train: a.csv": "task.rev.train: found a.csv; allowed: a list (each item text)",
    "kind: [classes]": "task.rev.kind: found ['classes']; allowed: text",
    "kind: null": "task.rev.kind: found null; allowed: text",
    "range: [0, high]": "task.rev.range[1]: found high; allowed: a number",
    "format: {header: perhaps}": "task.rev.format.header: found perhaps; allowed: true or false",
    "sources: {more: {train: a}}": "task.rev.sources.more.train: found a; allowed: a list (each",
    "kind: ${nope}": "task.rev.kind: found Interpolation key 'nope' not found; allowed: a value",
    "loss: ${env:X": "task.rev.loss: found ${env:X, which cannot be parsed (missing BRACE_CLOSE at "
    "'<EOF>') (FILE); allowed: a value, or ${KEY} of a key that is there; as text: \\${",
    "train: [a, '${b c']": "task.rev.train[1]: found ${b c, which cannot be parsed (",
    "columns: {text: '${'}": "task.rev.columns.text: found ${, which cannot be parsed (",
    # OmegaConf names no key for these.
    "columns: text": "task.rev.columns: found text (FILE); allowed: fields of its own (text, text_",
    "columns: [text, label]": "task.rev.columns: found ['text', 'label'] (FILE); allowed: fields",
    "range: {low: 0}": "task.rev.range: found {'low': 0} (FILE); allowed: a list (each item a num",
    "sources: [more]": "task.rev.sources: found ['more'] (FILE); allowed: entries NAME: VALUE",
    "- kind: binary": f"task.rev: found [{{'kind': 'binary'}}] (FILE); allowed: fields of its own "
    f"({FIELDS})",
    "train: [a": "FILE:2: found broken YAML (did not find expected ',' or ']'); allowed:",
    "\tkind: a": "FILE:1: found broken YAML (found character that cannot start any token)",
    "kind: a\nkind: b": "FILE:2: found broken YAML (found duplicate key kind)",
    "null: 3": "a config file: found the key null (NoneType); allowed: text",
}  # fmt: skip


@pytest.mark.parametrize(("text", "message"), FILES.items(), ids=FILES)
def test_a_task(tmp_path, text, message):
    path = tmp_path / "task" / "rev.yaml"
    path.parent.mkdir()
    path.write_text(text + "\n")
    with pytest.raises(UserError) as error:
        compose_config([f"hydra.searchpath=['{tmp_path}']", "+task@task.rev=rev"])
    assert str(error.value).startswith(message.replace("FILE", str(path)))
    assert "\n" not in str(error.value)


def test_the_name_that_an_override_gives(tmp_path):
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "reviews.yaml").write_text("range: {low: 0}\n")
    words = [f"hydra.searchpath=['{tmp_path}']", "+task@task.mine=reviews"]
    with pytest.raises(UserError, match=r"^task\.mine\.range: found \{'low': 0\}"):
        compose_config(words)


OTHERS = {
    "trainer": ("max_step: 3", "trainer.max_step: found an unknown key (nearest: max_steps)"),
    "optimizer": ("lr: high", "optimizer.lr: found high; allowed: a number"),
    "sharing": ("depths: [1, 2]", "sharing.depths: found [1, 2] (FILE); allowed: entries NAME:"),
    "suite": ("tasks: {sst: 1}", "suite.tasks: found {'sst': 1} (FILE); allowed: a list"),
}  # fmt: skip


@pytest.mark.parametrize(("group", "case"), OTHERS.items(), ids=OTHERS)
def test_another_group(tmp_path, group, case):
    text, message = case
    path = tmp_path / group / "mine.yaml"
    path.parent.mkdir()
    path.write_text(text + "\n")
    with pytest.raises(UserError) as error:
        compose_config([f"hydra.searchpath=['{tmp_path}']", f"{group}=mine"])
    assert str(error.value).startswith(message.replace("FILE", str(path)))
