"""A study as it stands, read without leaving a trace."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial
from sqlalchemy import create_engine, inspect
from sqlalchemy.engine import make_url
from sqlalchemy.exc import NoSuchModuleError

from mtl_sharing.sweep.settings import SweeperConfig
from mtl_sharing.sweep.storage import (
    STUDY_FILE,
    engine_arguments,
    open_storage,
    patiently,
    place_of,
)
from mtl_sharing.sweep.study import MADE_FOR, check_made_for


def known_trials(
    options: SweeperConfig, folder: Path, made_for: Mapping[str, Any]
) -> list[FrozenTrial]:
    """The trials of the study as it stands; none where there is no study. Writes nothing.

    Raises:
        UserError: the study was made for another sweep, or cannot be reached.
    """
    if options.storage is None and not (folder / STUDY_FILE).is_file():
        return []
    if options.storage is not None and not _has_studies(options.storage):
        return []
    storage = open_storage(options.storage, folder)
    place = STUDY_FILE if options.storage is None else place_of(options.storage)
    studies = {s.study_name: s for s in patiently(storage.get_all_studies, place)}
    name = str(options.study_name)
    if name not in studies:
        return []
    found = storage.get_study_user_attrs(studies[name]._study_id).get(MADE_FOR)
    if found is not None:
        check_made_for(name, found, dict(made_for))
    return storage.get_all_trials(studies[name]._study_id, deepcopy=False)


def _has_studies(url: str) -> bool:
    """Whether a database has optuna's tables, which merely opening a storage would make."""

    def look() -> bool:
        parsed = make_url(url)
        if parsed.drivername.startswith("sqlite") and not Path(parsed.database or "").is_file():
            return False  # looking for tables would make the file
        engine = create_engine(parsed, **engine_arguments(parsed))
        try:
            return inspect(engine).has_table("studies")
        finally:
            engine.dispose()

    place = place_of(url)
    try:
        return patiently(look, place)
    except (ImportError, NoSuchModuleError):
        return True  # opening it says what is missing
