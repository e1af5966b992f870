"""Git is asked for facts; nothing that a checkout's config names is run."""

import os
import subprocess

import pytest

from mtl_sharing.utils.git import git_state

PLAIN = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}


def git(folder, *words):
    who = ("-c", "user.name=n", "-c", "user.email=e")
    subprocess.run(["git", "-C", folder, *who, *words], check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    for name, value in PLAIN.items():
        monkeypatch.setenv(name, value)
    folder = tmp_path / "checkout"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "text.txt").write_text("one\n")
    git(folder, "add", "text.txt")
    git(folder, "commit", "-qm", "first")
    return folder


def test_commit_and_changes(checkout):
    commit = (checkout / ".git" / "refs" / "heads").glob("*")
    commit = next(commit).read_text().strip()
    assert git_state(checkout) == {"commit": commit, "changed": False}
    (checkout / "text.txt").write_text("two\n")
    assert git_state(checkout) == {"commit": commit, "changed": True}


def test_no_checkout_has_no_state(tmp_path):
    assert git_state(tmp_path) is None
    git(tmp_path, "init", "-q")
    assert git_state(tmp_path) is None  # no commit yet
    assert git_state(tmp_path / "gone") is None


def _script(path, marker):
    path.write_text(f"#!/bin/sh\necho {path.name} >> '{marker}'\n")
    path.chmod(0o755)
    return str(path)


HOOKS = ("post-index-change", "reference-transaction", "pre-auto-gc", "post-checkout", "update")


def _arm(folder, marker):
    """Makes everything of a checkout's config that git may run write a marker."""
    tools = folder / ".git"
    for hook in HOOKS:
        _script(tools / "hooks" / hook, marker)

    def command(name):
        return _script(tools / name, marker)

    config = f"""
[core]
    fsmonitor = {command("monitor")}
    hooksPath = {tools / "hooks"}
    sshCommand = {command("ssh")}
    pager = {command("pager")}
    editor = {command("editor")}
    askPass = {command("askpass")}
    alternateRefsCommand = {command("alternate")}
    untrackedCache = true
    repositoryFormatVersion = 1
[pager]
    status = {command("status-pager")}
    config = {command("config-pager")}
[alias]
    status = !{command("alias-status")}
    rev-parse = !{command("alias-rev-parse")}
[diff]
    external = {command("external")}
[diff "d"]
    textconv = {command("textconv")}
    command = {command("differ")}
[credential]
    helper = {command("credentials")}
[filter "Old.style"]
    clean = {command("clean")}
    smudge = {command("smudge")}
    required = true
[filter "long"]
    process = {command("process")}
    required = true
[extensions]
    partialClone = promised
[remote "promised"]
    url = ext::{command("remote")}
    promisor = true
    uploadpack = {command("uploadpack")}
[protocol]
    allow = always
[hook "named"]
    event = post-index-change
    command = {command("configured-hook")}
[include]
    path = more
[status]
    submoduleSummary = true
"""
    (tools / "more").write_text(f'[filter "included"]\n\tclean = {command("included")}\n')
    with (tools / "config").open("a") as file:
        file.write(config)
    attributes = "*.a filter=Old.style\n*.b filter=long\n*.txt diff=d\n*.c filter=included\n"
    (folder / ".gitattributes").write_text(attributes)


@pytest.mark.parametrize("promisor", [False, True])
def test_nothing_that_a_checkout_names_is_run(checkout, tmp_path, promisor):
    names = [f"file.{ending}" for ending in "abc"]
    for name in names:
        (checkout / name).write_text("same\n")
    git(checkout, "add", ".")
    git(checkout, "commit", "-qm", "second")
    expected = git_state(checkout)
    marker = tmp_path / "marker"
    _arm(checkout, marker)
    for name in names:  # of equal size and a new time, so that git has to compare the content
        (checkout / name).write_text("same\n")
        os.utime(checkout / name, (1, 1))
    if promisor:  # objects are missing, which git would fetch
        listed = subprocess.run(
            ["git", "-C", checkout, "rev-parse", "HEAD^{tree}"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        marker.unlink(missing_ok=True)
        (checkout / ".git" / "objects" / listed[:2] / listed[2:]).unlink()
    state = git_state(checkout)
    assert not marker.exists(), marker.read_text()
    assert state == (None if promisor else expected | {"changed": True})  # .gitattributes is new
    # The same config does run commands where nothing is switched off.
    for options in ((), ("-c", "filter.long.process=", "-c", "filter.long.required=false")):
        command = ["git", *options, "-C", checkout, "status"]
        subprocess.run(command, capture_output=True, check=False)
    ran = set(marker.read_text().split())
    expected = {"monitor", "remote"} if promisor else {"monitor", "process", "clean", "included"}
    assert expected <= ran


def test_a_filter_that_cannot_be_named_alone_leaves_no_state(checkout, tmp_path):
    marker = tmp_path / "marker"
    command = _script(checkout / ".git" / "clean", marker)
    with (checkout / ".git" / "config").open("a") as file:
        file.write(f'[filter "a=b"]\n\tclean = {command}\n')
    assert git_state(checkout) is None and not marker.exists()
