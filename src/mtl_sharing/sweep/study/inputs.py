"""The files that a study's trials read: digests of its first start, compared later."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mtl_sharing.job.pins import check_same_files, digest_files, input_files
from mtl_sharing.job.spec import RunSpec
from mtl_sharing.sweep.study.study import SweepStudy


def study_inputs(run_specs: Iterable[RunSpec]) -> dict[str, Any]:
    """Size and digest of every local file that one of these trials reads."""
    return digest_files(_paths(run_specs))


def check_study_inputs(study: SweepStudy, run_specs: Iterable[RunSpec]) -> None:
    """Compares the files of trials with those that the study began with.

    Raises:
        UserError: naming a file that differs, as it was and as it is.
    """
    began_with = study.began_with
    paths = {key: path for key, path in _paths(run_specs).items() if key in began_with}
    now = digest_files(paths)
    check_same_files({key: began_with[key] for key in now}, now, paths, "sweep")


def _paths(run_specs: Iterable[RunSpec]) -> dict[str, Path]:
    paths: dict[str, Path] = {}
    for run_spec in run_specs:
        paths |= input_files(run_spec, download=False)
    return paths
