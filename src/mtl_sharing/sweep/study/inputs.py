"""The files that a study's trials read: digests of its first start, compared later."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mtl_sharing.job.pins import Facts, check_same_files, digest_files, input_files
from mtl_sharing.job.spec import RunSpec
from mtl_sharing.sweep.study.study import SweepStudy


def study_inputs(run_specs: Iterable[RunSpec]) -> dict[str, Any]:
    """Size and digest of every local file that one of these trials reads."""
    return digest_files(_paths(run_specs))


def check_study_inputs(study: SweepStudy, run_specs: Iterable[RunSpec]) -> None:
    """Compares the files of trials with those that the study began with.

    Raises:
        UserError: naming the files that differ, as they were and as they are.
    """
    paths = _paths(run_specs)
    check_trial_inputs(study, paths, digest_files(paths))


def check_trial_inputs(
    study: SweepStudy, paths: Mapping[str, Path], digests: Mapping[str, Facts]
) -> None:
    """Compares files that were digested already; raises as :func:`check_study_inputs`.

    What the study has not begun with, such as a checkpoint of the hub, is not compared.
    """
    theirs, ours = ({_whole(key) for key in keys} for keys in (study.began_with, paths))
    before = {key: facts for key, facts in study.began_with.items() if _whole(key) in ours}
    now = {key: facts for key, facts in digests.items() if _whole(key) in theirs}
    check_same_files(before, now, paths, "sweep")


def _whole(key: str) -> str:
    """The path compared as a whole: a checkpoint's folder, to which files may come, or a file."""
    return key.rpartition("/")[0] if key.startswith("encoder.") else key


def _paths(run_specs: Iterable[RunSpec]) -> dict[str, Path]:
    paths: dict[str, Path] = {}
    for run_spec in run_specs:
        paths |= input_files(run_spec, download=False)
    return paths
