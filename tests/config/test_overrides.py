"""Overrides that Hydra cannot parse, or would take for something else than the user means."""

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from mtl_sharing.config.overrides import check_overrides, parse_override
from mtl_sharing.config.quoting import bad_item, in_quotes
from mtl_sharing.errors import UserError
from support import compose_config

FOLDERS = (
    "a=b", "it's", "daten-ü", "a(b)", "a,b", "a#b", "a[b]", "a{b}", "a&b", "~unknown/x", "${x",
    "x${y}z", r"C:\a b" + "\\", "a'b\"c", "a!'b", "$HOME x=", "`date`=", "日本=語", " x", "a\\'b=",
)  # fmt: skip

PARSED = (" x", "x${y}z", r"C:\a b" + "\\")


def in_bash(words: list[str]) -> list[str]:
    """The words as a program gets them from bash."""
    script = "printf '%s\\0' " + " ".join(words)
    done = subprocess.run(["bash", "-c", script.encode()], capture_output=True, check=True)
    return done.stdout.decode().split("\0")[:-1]


def value_of(override: str) -> object:
    value = parse_override(override).value()
    return OmegaConf.create({"key": getattr(value, "text", value)}).key


def test_the_quoted_forms_work_in_bash():
    words = [in_quotes("data_dir", folder) for folder in FOLDERS]
    assert None not in words
    read = in_bash([word for word in words if word is not None])
    assert [value_of(override) for override in read] == list(FOLDERS)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8")), min_size=1))
def test_quoted_forms_of_any_text(texts):
    words = [in_quotes("data_dir", text) for text in texts]
    read = iter(in_bash([word for word in words if word is not None]))
    for text, word in zip(texts, words, strict=True):
        # Hydra's grammar has no quoted form of some control characters.
        assert word is None or value_of(next(read)) == text


@pytest.mark.parametrize("folder", [name for name in FOLDERS if name not in PARSED])
def test_a_text_that_cannot_be_parsed_is_shown_in_quotes(folder):
    with pytest.raises(UserError) as error:
        check_overrides([f"data_dir={folder}"])
    assert str(error.value).startswith(f"data_dir: found {folder}, which ")
    assert error.value.allowed.endswith(str(in_quotes("data_dir", folder)))


@pytest.mark.parametrize("folder", ["a b", "a@b", "100%", "a$b", "a:b", "a+b", r"C:\Users\me"])
def test_a_text_that_needs_no_quotes(folder):
    check_overrides([f"data_dir={folder}"])
    assert value_of(f"data_dir={folder}") == folder


ITEMS = {
    "task.sst.train=[ü.csv]": "task.sst.train[0]: found ü.csv, which needs quotes",
    "task.sst.train=[a.csv, it's.csv]": "task.sst.train[1]: found it's.csv, which needs",
    "task.sst.train=[a'b\"c,é]": "task.sst.train[0]: found a'b\"c, which needs quotes",
    "task.sst.train=[file (1).csv]": "task.sst.train[0]: found file (1).csv, which needs",
    "task.sst.labels=['no',it's]": "task.sst.labels[1]: found it's, which needs quotes",
    "suite.tasks=[sst,ü]": "suite.tasks[1]: found ü, which needs quotes as text",
    "phases=[mlm,ü]": "phases[1]: found ü, which needs quotes as text",
    "task.sst.columns={text: ü, label: label}": "task.sst.columns.text: found ü, which",
    "task.sst={train:[ü],kind:binary}": "task.sst.train[0]: found ü, which needs quotes",
    "hydra.searchpath=[/tmp/ü]": "hydra.searchpath[0]: found /tmp/ü, which needs quotes",
}


@pytest.mark.parametrize(("override", "message"), ITEMS.items(), ids=ITEMS)
def test_an_item_that_cannot_be_parsed_is_shown_in_quotes(override, message):
    with pytest.raises(UserError) as error:
        check_overrides([override])
    assert str(error.value).startswith(message)
    [word] = in_bash([error.value.allowed])
    parse_override(word)
    text = str(error.value.found).partition(", which")[0]
    assert repr(text)[1:-1] in str(value_of(word))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text("aü;:'\"\\! (${", min_size=1), min_size=1))
def test_quoted_forms_of_any_items(texts):
    texts = [f"ü{text.strip()}" for text in texts]  # each needs quotes
    item = bad_item("suite.tasks", f"[{','.join(texts)}]")
    if item is not None and item.quoted is not None:
        assert list(value_of(*in_bash([item.quoted]))) == texts


REFUSED = {
    "split": "split: found no =; allowed: split=VALUE, or",
    "=3": "=3: found no key; allowed: KEY=VALUE",
    "a b=3": "a b=3: found the key 'a b'; allowed: KEY=VALUE",
    "seed=int(x)": "seed: found int(x); allowed: a whole number",
    "suite.tasks=[a": "suite.tasks: found [a; allowed: a list (each item text) or null",
    "seed=1,2": "seed: found 1,2, which is several values; allowed: one value, -m for",
    "seed=range(1,3)": "seed: found range(1,3), which is several values",
    "sharing=hybrid,shared": "sharing: found hybrid,shared, which is several values",
    "loss=[sum]": "loss: found [sum], which is a list; allowed: one of aligned_mtl,",
    "sharing=[hybrid,shared]": "sharing: found [hybrid,shared], which is a list",
    "phases=[nope]": "phases: found nope (nearest: none); allowed: heads_first, mlm,",
    "phases=[mlm,heds_first]": "phases: found heds_first (nearest: heads_first); allowed:",
    "~score": "~score: found a deletion of what every run needs; allowed: score=weighted",
    "~seed": "~seed: found a deletion of what every run needs; allowed: seed=a whole number",
    "~trainer.max_steps": "~trainer.max_steps: found a deletion",
    "~task": "task: found nothing to delete; allowed: a group",
    "~unknown/x": "unknown/x: found no such key; allowed:",
    "cache.tokens=3": "cache.tokens: found 3; allowed: true or false",
    "trainer.max_steps=1.5": "trainer.max_steps: found 1.5; allowed: a whole number or null",
    "trainer.max_steps=": "trainer.max_steps: found an empty text; allowed: a whole number or null",
    "optimizer.lr=null": "optimizer.lr: found null; allowed: a number",
    "optimizer.betas=[0.9,b]": "optimizer.betas[1]: found b; allowed: a number",
    "suite.tasks=sst": "suite.tasks: found sst; allowed: a list (each item text) or null",
    "suite.tasks=[[sst]]": "suite.tasks[0]: found ['sst']; allowed: text",
    "loss.weights={sst:x}": "loss.weights.sst: found x; allowed: a number",
    "loss.weights={ü: 1}": "loss.weights: found the name 'ü'; allowed: letters a-z, digits, _",
    "loss.weights={sst: ü}": "loss.weights.sst: found ü; allowed: a number",
    "optimizer.betas=[0.9,ü]": "optimizer.betas[1]: found ü; allowed: a number",
    "suite.tasks=[sst,,sts]": "suite.tasks[1]: found nothing; allowed: text",
    "phases=[mlm,mlm]": "phases: found 'mlm' twice; allowed: each name only once",
    "task.stss.kind=binary": "task.stss: found no such entry (nearest: sts); allowed: sst, quora, "
    "sts, or to add one: '+task={stss:{...}}'",
    "task.sst.loss='${env:X'": "task.sst.loss: found ${env:X, which cannot be parsed (",
    "loss.weights=[1,2,3]": "loss.weights: found [1, 2, 3]; allowed: entries NAME: VALUE (each",
    "sharing.depths=3": "sharing.depths: found 3; allowed: entries NAME: VALUE",
    "trainer={max_steps:[1]}": "trainer.max_steps: found [1]; allowed: a whole number or null",
    "task.sst={columns:[text,label]}": "task.sst.columns: found ['text', 'label']; allowed: fields",
    "task.sst=3": "task.sst: found 3; allowed: fields of its own (kind, columns,",
    "data_dir=${nope}": "data_dir: found Interpolation key 'nope' not found; allowed: a value, or",
    "n_jobs=2": "n_jobs: found an unknown key here; allowed: hydra.sweeper.n_jobs=N beside -m, a",
    "hydra.launcher.n_jobs=2": "hydra.launcher.n_jobs: found an unknown key here; allowed: hydra.",
}  # fmt: skip


@pytest.mark.parametrize(("override", "message"), REFUSED.items(), ids=REFUSED)
def test_a_mistake_names_key_value_and_what_is_allowed(override, message):
    with pytest.raises(UserError) as error:
        compose_config([override])
    assert str(error.value).startswith(message)


@pytest.mark.parametrize("override", [
    "~task@task.sst", "~phases", "tracker=[tensorboard,mlflow]", "cache.tokens=1", "dry_run=yes",
    "phases=[mlm,heads_first]", "optimizer.lr=1", "trainer.max_steps=null", "split=6/12",
])  # fmt: skip
def test_what_is_no_mistake(override):
    compose_config([override])
