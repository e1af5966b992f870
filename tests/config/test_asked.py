"""What a config asks of its surroundings is known by its text; other text stands for itself."""

from dataclasses import asdict

import pytest
from hydra import compose, initialize_config_module
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from mtl_sharing.config import register, to_config
from mtl_sharing.config.asked import as_text, as_written, asked_texts, hidden_texts, hide
from mtl_sharing.config.schema import literal, plain_config
from support import compose_config

ENVIRONMENT = {"ASKED": "hunter2", "RATE": "0.01", "NAMES": "[sst,sts]", "NESTED": "${oc.env:RATE}"}


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


def composed(*overrides):
    register()
    with initialize_config_module("mtl_sharing.conf"):
        return compose("train", overrides=list(overrides))


CASES = {
    "a text": (["data_dir=${oc.env:ASKED}/a"], {"data_dir": "${oc.env:ASKED}/a"}),
    "a number": (["optimizer.lr='${oc.decode:${oc.env:RATE}}'"],
                 {"optimizer.lr": "${oc.decode:${oc.env:RATE}}"}),
    "a fallback": (["data_dir=${oc.env:NO_SUCH_NAME,null}"],
                   {"data_dir": "${oc.env:NO_SUCH_NAME,null}"}),
    "the time": (["suite.name='a-${now:%Y}'"], {"suite.name": "a-${now:%Y}"}),
    "through another key": (
        ["suite.pretrained=${oc.env:ASKED}"],
        {"suite.pretrained": "${oc.env:ASKED}", "encoder.checkpoint": "${suite.pretrained}"}),
    "through two": (
        ["optimizer.head_lr=${optimizer.lr}", "optimizer.lr='${oc.decode:${oc.env:RATE}}'",
         "loss.lr=${optimizer.head_lr}"],
        {"optimizer.lr": "${oc.decode:${oc.env:RATE}}", "optimizer.head_lr": "${optimizer.lr}",
         "loss.lr": "${optimizer.head_lr}"}),
    "an item of a list": (
        ["task.sst.train=['${oc.env:ASKED}',b]"], {"task.sst.train": '["${oc.env:ASKED}", "b"]'}),
    "a list": (["suite.tasks='${oc.decode:${oc.env:NAMES}}'"],
               {"suite.tasks": "${oc.decode:${oc.env:NAMES}}"}),
    "in fields": (["tracker={mlflow: {folder: '${oc.env:ASKED}'}}"],
                  {"tracker.mlflow.folder": "${oc.env:ASKED}"}),
    "fields": (["loss.weights='${oc.decode:\"{sst: 3}\"}'"],
               {"loss.weights": '${oc.decode:"{sst: 3}"}'}),
    "another key alone": (["optimizer.head_lr=${optimizer.lr}"], {}),
    "an escaped one": (["suite.name='\\${oc.env:ASKED}'"], {}),
    "nothing": ([], {}),
}  # fmt: skip


@pytest.mark.parametrize(("overrides", "texts"), CASES.values(), ids=CASES)
def test_keys_that_need_a_resolver_are_found(overrides, texts):
    assert asked_texts(composed(*overrides)) == texts


def test_a_name_with_a_dot_makes_all_above_it_one_key():
    values = OmegaConf.create({"task": {"a.b": {"train": ["${oc.env:ASKED}"]}}})
    assert list(asked_texts(values)) == ["task"]
    written = as_written({"task": {"a.b": {"train": ["hunter2"]}}}, asked_texts(values))
    assert "hunter2" not in str(written)


def test_files_show_a_value_only_where_a_trained_network_needs_it():
    names = ("data_dir", "tracker.mlflow.experiment", "score.reference", "cache.folder",
             "encoder.tokenizer", "suite.name")  # fmt: skip
    values = composed(
        *(f"{name}=${{oc.env:ASKED}}" for name in names), "task.sst.dev=['${oc.env:ASKED}']",
        "cache.max_gb=${oc.env:RATE}", "optimizer.lr=${oc.env:RATE}",
        "task.sst.columns.text=${oc.env:ASKED}",
    )  # fmt: skip
    config, texts = to_config(values), asked_texts(values)
    shown = as_written(asdict(config), texts)
    assert shown["data_dir"] == "${oc.env:ASKED}"
    assert shown["task"]["sst"]["dev"] == ['["${oc.env:ASKED}"]']
    assert "max_gb" not in shown["cache"]
    assert shown["optimizer"]["lr"] == 0.01
    assert shown["task"]["sst"].pop("columns")["text"] == "hunter2"  # to read new files by
    assert "hunter2" not in str(shown)
    plain_config(shown)  # it can be read again
    assert "hunter2" not in str(as_text(asdict(config), texts))
    hidden = hidden_texts(asdict(config), texts)
    message = hide("no hunter2/a", hidden)
    assert message.startswith("no ${oc.env:ASKED}")
    assert "0.01" not in hidden


def test_texts_that_stand_for_values_are_not_searched_themselves():
    hidden = {"hunter2": "${oc.env:ASKED}", "oc.env": "env", "hunter2/more": "${more}", "2/m": "x"}
    assert hide("hunter2 hunter2/more 2/m", hidden) == "${oc.env:ASKED} ${more} 2/m"


def test_what_the_environment_holds_is_resolved_once():
    assert to_config(composed("suite.name=${oc.env:NESTED}")).suite.name == "${oc.env:RATE}"


def test_a_whole_config_is_taken_as_it_is():
    config = compose_config(["suite.name=a"])
    config.suite.name = "${oc.env:ASKED} \\${x} ${"
    assert compose_config(config) == config


TEXTS = st.text(st.sampled_from("\\${}a:.'\" ,[]?#~\n"), max_size=12).filter(lambda t: t != "???")


@settings(max_examples=100, deadline=None)
@given(TEXTS)
def test_any_text_stands_for_itself(text):
    values = OmegaConf.create({"a": literal(text), "b": literal([text, {"c": text}])})
    assert OmegaConf.to_container(values, resolve=True) == {"a": text, "b": [text, {"c": text}]}
    again = OmegaConf.create(OmegaConf.to_yaml(OmegaConf.create({"a": literal(text)})))
    assert again.a == text


@settings(max_examples=15, deadline=None)
@given(TEXTS)
def test_any_text_of_a_config_stands_for_itself(text):
    config = plain_config({"data_dir": text, "task": {"sst": {"labels": [text, "b"]}}})
    assert config.data_dir == text
    assert config.task["sst"].labels == [text, "b"]
