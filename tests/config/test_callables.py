"""A config names nothing to be called but the classes that the shipped configs name."""

import importlib
import pickle
import pkgutil
import random
from itertools import cycle
from pathlib import Path

import hydra
import pytest
import yaml
from hydra import compose, initialize_config_dir, initialize_config_module
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.errors import InstantiationException
from hydra.types import HydraContext, RunMode
from hydra.utils import instantiate
from omegaconf import OmegaConf

import mtl_sharing
from mtl_sharing.config import register
from mtl_sharing.config.callables import (
    CALLBACKS,
    LAUNCHERS,
    LOGGING,
    PRUNERS,
    SAMPLERS,
    STREAMS,
    SWEEPERS,
    check_callables,
)
from mtl_sharing.config.loading import checked_loading
from mtl_sharing.errors import UserError
from mtl_sharing.sweep.plugin import register_sweeper
from mtl_sharing.sweep.settings import SweeperConfig
from mtl_sharing.sweep.study.components import make_pruner, make_sampler
from support import ROOT, compose_config

GROUPS = {"hydra/launcher": LAUNCHERS, "hydra/sweeper": SWEEPERS,
          "hydra/sweeper/sampler": SAMPLERS, "hydra/sweeper/pruner": PRUNERS}  # fmt: skip


def options(group):
    """The options of a group that are registered, by name."""
    register()
    register_sweeper()
    node = ConfigStore.instance().repo
    for part in group.split("/"):
        node = node[part]
    return {name.removesuffix(".yaml"): entry.node for name, entry in node.items()
            if not isinstance(entry, dict)}  # fmt: skip


def target_of(node):
    return OmegaConf.to_container(OmegaConf.create(node), resolve=False)["_target_"]


def named(value, keys=()):
    """Values of these keys anywhere in a config, or texts that name Python's objects."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key in keys:
                yield item
            yield from named(item, keys)
    elif isinstance(value, list):
        for item in value:
            yield from named(item, keys)
    elif not keys and isinstance(value, str) and value.startswith("ext:"):
        yield value


@pytest.mark.parametrize("group", GROUPS)
def test_the_list_has_the_classes_of_the_registered_options_and_no_others(group):
    assert {target_of(node) for node in options(group).values()} == set(GROUPS[group])


def test_the_list_has_what_the_shipped_files_name_and_no_others():
    own = [path for folder in ("conf", "sweeps") for path in (ROOT / folder).rglob("*.yaml")]
    hydras = list((Path(hydra.__file__).parent / "conf").rglob("*.yaml"))
    assert len(own) > 100 and len(hydras) > 8
    files = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in (*own, *hydras)]
    assert set(named(files, ("class", "()"))) == set(LOGGING)
    assert set(named(files)) == set(STREAMS)
    assert set(named(files, ("_target_",))) == set(CALLBACKS)


OTHERS = (
    "os.system", "os.popen", "os.execv", "os.remove", "os.kill", "posix.system", "shutil.rmtree",
    "subprocess.run", "subprocess.Popen", "subprocess.call", "subprocess.check_output",
    "builtins.eval", "builtins.exec", "builtins.__import__", "builtins.open", "builtins.print",
    "builtins.getattr", "builtins.setattr", "runpy.run_path", "importlib.import_module",
    "pickle.load", "pickle.loads", "marshal.loads", "ctypes.CDLL", "code.interact", "pty.spawn",
    "functools.partial", "operator.methodcaller", "socket.create_connection",
    "urllib.request.urlopen", "webbrowser.open", "tempfile.mkdtemp", "pathlib.Path.unlink",
    "yaml.unsafe_load", "timeit.timeit", "torch.load", "torch.hub.load", "numpy.load",
    "optuna.create_study", "optuna.storages.RDBStorage",
    "optuna.samplers.PartialFixedSampler", "optuna.samplers.nsgaii.UniformCrossover",
    "optuna.pruners.PatientPruner", "optuna.samplers._tpe.sampler.TPESampler",
    "sqlalchemy.create_engine", "joblib.load", "submitit.AutoExecutor", "mtl_sharing", "os", "",
    "optuna.samplers.TPESampler.__init__.__globals__", "logging.os.system",
)  # fmt: skip
MODULES = ("logging", "logging.config", "logging.handlers", "hydra.utils", "hydra.main")
LISTED = {*LOGGING, *PRUNERS, *SAMPLERS, *LAUNCHERS, *SWEEPERS, *CALLBACKS}


def callables():
    """Names of what can be called in the package, in Hydra, in its plugins and in logging."""
    yield from OTHERS
    packages = (mtl_sharing, hydra, importlib.import_module("hydra_plugins"))
    modules = [
        module.name
        for package in packages
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    ]
    for name in (*modules, *MODULES):
        if "grammar.gen" in name or name.endswith("__main__"):
            continue
        module = importlib.import_module(name)
        for key, value in vars(module).items():
            if callable(value) and getattr(value, "__module__", "") == name:
                yield f"{name}.{key}"


PLACES = {
    "hydra.callbacks.x": "_target_", "hydra.launcher": "_target_", "hydra.sweeper": "_target_",
    "hydra.sweeper.sampler": "_target_", "hydra.sweeper.sampler.independent_sampler": "_target_",
    "hydra.sweeper.pruner": "_target_", "hydra.sweeper.storage": "_target_",
    "hydra.job_logging.handlers.x": "()", "hydra.hydra_logging.handlers.x": "class",
    "hydra.job_logging.formatters.x": "class", "hydra.job_logging.filters.x": "()",
    "hydra.help.header": "_target_",
}  # fmt: skip
EMPTY = {"hydra": {"job": {"env_set": {}, "env_copy": []}}}


def with_setting(path, key, value):
    settings = {key: value}
    for part in reversed(path.split(".")[1:]):
        settings = {part: settings}
    job = EMPTY["hydra"]["job"] | settings.pop("job", {})
    return OmegaConf.create({"hydra": settings | {"job": job}})


def check_refused(config, name, own=()):
    with pytest.raises(UserError) as error:
        check_callables(config, own)
    assert str(error.value.found) == name and error.value.allowed


def test_every_other_callable_is_refused_by_name():
    names = sorted(set(callables()) - LISTED)
    assert len(names) > 1500, len(names)
    for name, (path, key) in zip(names, cycle(PLACES.items()), strict=False):
        check_refused(with_setting(path, key, name), name)
    drawn = random.Random(3).sample(names, 200)
    for name in filter(None, (*OTHERS, *drawn)):  # Hydra's own check, were ours not there
        with pytest.raises(InstantiationException):
            instantiate({"_target_": name}, _execution_whitelist_=(*SAMPLERS, *PRUNERS))
    for name in (*OTHERS, *drawn[:20]):
        for path, key in PLACES.items():
            check_refused(with_setting(path, key, name), name)


def test_a_listed_class_is_called_in_its_own_place_alone():
    for name in LISTED:
        check_refused(with_setting("hydra.callbacks.x", "_target_", name), name)
    for group, own in {**GROUPS, "hydra/callbacks/runs_table": CALLBACKS}.items():
        path = group.replace("/", ".")
        for name in own:
            check_callables(with_setting(path, "_target_", name), ())
        for name in LISTED - set(own):
            check_refused(with_setting(path, "_target_", name), name)


SYSTEM = {"_target_": "os.system", "command": "true"}
# Other ways to a callable: the settings, and what is found.
WAYS = {
    "interpolated": ({"callbacks": {"a": {"_target_": "${hydra.x}"}}, "x": "os.system"},
                     "os.system"),
    "a node's interpolation": ({"callbacks": "${hydra.x}", "x": {"a": SYSTEM}}, "os.system"),
    "known later": ({"callbacks": {"a": "${hydra:x}"}}, "${hydra:x}, which has no value yet"),
    "in a list": ({"launcher": {"setup": [[SYSTEM]]}}, "os.system"),
    "an object": ({"job_logging": {"handlers": {"c": {"stream": "ext://os.environ"}}}},
                  "ext://os.environ"),
    "an object by interpolation": ({"job_logging": {"a": "${hydra.x}"}, "x": "ext://os.system"},
                                   "ext://os.system"),
    "a config's object": ({"hydra_logging": {"a": "cfg://x"}}, "cfg://x"),
    "attributes": ({"job_logging": {"handlers": {"c": {".": {"emit": "x"}}}}},
                   "attributes of a handler"),
    "a handler": ({"job_logging": {"handlers": {"c": {"class": "logging.handlers.SMTPHandler"}}}},
                  "logging.handlers.SMTPHandler"),
    "a factory that is no text": ({"job_logging": {"a": {"()": ["x"]}}}, "['x']"),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_other_ways_to_a_callable_are_refused(way):
    settings, found = WAYS[way]
    check_refused(OmegaConf.create({"hydra": EMPTY["hydra"] | settings}), found)


def test_endless_settings_end(monkeypatch):
    monkeypatch.setattr("mtl_sharing.config.callables._MAX_VALUES", 500)
    doubling = {f"a{n}": [f"${{hydra.a{n - 1}}}"] * 10 for n in range(1, 9)} | {"a0": {}}
    with pytest.raises(UserError, match="endless"):
        check_callables(OmegaConf.create({"hydra": EMPTY["hydra"] | doubling}), ())
    circle = {"callbacks": {"a": "${hydra.callbacks}"}}
    check_refused(OmegaConf.create({"hydra": EMPTY["hydra"] | circle}),
                  "${hydra.callbacks}, which has no value yet")  # fmt: skip


DECIDING = ("PATH", "LD_PRELOAD", "PYTHONPATH", "PYTHONSTARTUP", "GIT_SSH_COMMAND", "BASH_ENV",
            "HOME", "MPLBACKEND", "OMP_TOOL_LIBRARIES", "HF_ENDPOINT")  # fmt: skip


@pytest.mark.parametrize("name", DECIDING)
def test_a_config_file_sets_no_variable_that_decides_what_runs(name):
    where = f"hydra.job.env_set.{name}"
    setting = with_setting("hydra.job.env_set", name, "x")
    check_refused(setting, f"{name} in a config file")
    check_callables(setting, (where,))  # on the user's own command line
    copied = OmegaConf.create({"hydra": {"job": {"env_set": {name: "x"}, "env_copy": [name]}}})
    with pytest.raises(UserError):
        check_callables(copied, ())
    check_callables(copied, ("hydra.job.env_copy",))
    check_callables(
        with_setting("hydra.job.env_set", "CUDA_VISIBLE_DEVICES", "${hydra:job.num}"), ()
    )


@pytest.mark.parametrize("file", ["/home/ann/.bashrc", "${hydra.runtime.output_dir}/../x.log",
                                  "${hydra.runtime.output_dir}/.bashrc", "x.log"])  # fmt: skip
def test_a_config_file_sends_no_log_elsewhere(file):
    setting = with_setting("hydra.job_logging.handlers.file", "filename", file)
    check_refused(setting, f"{file} in a config file")
    check_callables(setting, ("hydra.job_logging.handlers.file.filename",))


def composed(*overrides):
    register()
    register_sweeper()
    with checked_loading(), initialize_config_module("mtl_sharing.conf"):
        return compose("train", list(overrides), return_hydra_config=True)


@pytest.mark.parametrize("name", ["basic", "joblib", "submitit_local", "submitit_slurm"])
def test_each_launcher_is_made(name):
    config = composed(f"hydra/launcher={name}")
    context = HydraContext(config_loader=None, callbacks=None)
    launcher = Plugins.instance().instantiate_launcher(
        hydra_context=context, task_function=lambda config: None, config=config
    )
    assert f"{type(launcher).__module__}.{type(launcher).__qualname__}" in LAUNCHERS


@pytest.mark.parametrize("kind", ["default", "disabled", "none", "stdout", "plain"])
def test_hydras_logging_may_be_chosen(kind):
    chosen = [f"hydra/job_logging={kind}"]
    chosen += [] if kind == "stdout" else [f"hydra/hydra_logging={kind}"]
    assert composed(*chosen).hydra.runtime.choices["hydra/job_logging"] == kind


def test_each_sampler_and_pruner_is_made():
    pruners, samplers = options("hydra/sweeper/pruner"), options("hydra/sweeper/sampler")
    for node in pruners.values():
        pruner = OmegaConf.to_container(OmegaConf.structured(node))
        pruner |= {"lower": 0.1} if "lower" in pruner else {}
        assert make_pruner(SweeperConfig(pruner=pruner)) is not None
    assert len(samplers) == 10
    for name, node in samplers.items():
        sampler = OmegaConf.to_container(OmegaConf.structured(node)) | {"seed": 0}
        if name == "motpe":
            with pytest.raises(UserError, match="removed in Optuna"):
                make_sampler(SweeperConfig(sampler=sampler), 0)
        else:
            assert make_sampler(SweeperConfig(sampler=sampler), 0) is not None


FILES = {
    "callback": ({"callbacks": {"x": SYSTEM}}, "hydra.callbacks.x._target_: found os.system"),
    "logging": ({"job_logging": {"handlers": {"console": {"()": "os.system"}}}},
                "hydra.job_logging.handlers.console.(): found os.system"),
    "first logging": ({"hydra_logging": {"handlers": {"console": {"class": "os.system"}}}},
                      "hydra.hydra_logging.handlers.console.class: found os.system"),
    "sweeper": ({"sweeper": {"_target_": "hydra.core.plugins.Plugins"}},
                "hydra.sweeper._target_: found hydra.core.plugins.Plugins"),
    "launcher": ({"launcher": {"_target_": "os.system"}},
                 "hydra.launcher._target_: found os.system"),
    "variable": ({"job": {"env_set": {"PATH": "/tmp"}}}, "hydra.job.env_set.PATH: found PATH"),
    "spoofed": ({"overrides": {"hydra": ["hydra.job.env_set.PATH=/tmp"]}},
                "hydra.overrides: found"),
}  # fmt: skip


@pytest.mark.parametrize("kind", FILES)
def test_a_config_file_with_a_callable_ends_the_command_with_one_message(mtl_train, tmp_path, kind):
    settings, message = FILES[kind]
    folder = tmp_path / "theirs"
    folder.mkdir()
    best = {"defaults": ["train", "_self_"], "hydra": settings}
    (folder / "best.yaml").write_text(yaml.safe_dump(best))
    sweep = ["-m"] if kind in ("sweeper", "launcher") else []
    done = mtl_train(*sweep, "--config-dir", folder, "--config-name", "best", "dry_run=true")
    assert done.code == 2 and "Traceback" not in done.err
    assert done.err.startswith(f"mtl-train: {message}") and len(done.err.splitlines()) == 1
    assert not (tmp_path / "outputs").exists()


def test_what_a_sweep_chooses_is_not_the_users_own(mtl_train, tmp_path):
    folder = tmp_path / "theirs" / "sweep"
    folder.mkdir(parents=True)
    params = {"sweeper": {"params": {"+hydra.job.env_set.LD_PRELOAD": "x"}}}
    text = yaml.safe_dump({"defaults": ["split_points"], "hydra": params})
    (folder / "mine.yaml").write_text(f"# @package _global_\n{text}")
    done = mtl_train("-m", "--config-dir", folder.parent, "+sweep=mine", "dry_run=true")
    assert done.code == 2 and "found LD_PRELOAD in a config file" in done.err


def test_a_run_of_others_is_not_taken_for_the_command_line(mtl_train):
    done = mtl_train("--experimental-r", "run")
    assert done.code == 2 and "resume=RUN_DIR" in done.err


def test_what_a_python_call_composes_is_checked():
    with pytest.raises(UserError, match=r"callbacks\.x\._target_: found os\.system"):
        compose_config(["+hydra.callbacks={x: {_target_: os.system}}"])


def test_a_hydra_app_of_the_users_own_is_not_checked(tmp_path):
    compose_config([])
    handler = {"class": "logging.handlers.RotatingFileHandler", "filename": "x.log"}
    own = {"hydra": {"job_logging": {"handlers": {"file": handler}}}}
    (tmp_path / "app.yaml").write_text(yaml.safe_dump(own))
    with initialize_config_dir(str(tmp_path)):
        for _ in range(2):
            composed = compose("app", return_hydra_config=True)
            assert composed.hydra.job_logging.handlers.file["class"] == handler["class"]
            compose_config([])


def test_a_job_is_checked_in_a_worker_too():
    with checked_loading(), initialize_config_module("mtl_sharing.conf"):
        loader = GlobalHydra.instance().config_loader()
    sweep = loader.load_configuration("train", [], RunMode.MULTIRUN)
    theirs = pickle.loads(pickle.dumps(loader))
    assert theirs.load_sweep_config(sweep, ["seed=3"]).seed == 3
    with pytest.raises(UserError, match=r"found os\.system"):
        theirs.load_sweep_config(sweep, ["+hydra.callbacks={x: {_target_: os.system}}"])
