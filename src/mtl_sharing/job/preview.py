"""Describes a run without training it: its plan (``dry_run``) and its data (``check_data``)."""

from dataclasses import asdict, dataclass
from pathlib import Path

from mtl_sharing.config import Config
from mtl_sharing.config.interpolations import hidden_texts
from mtl_sharing.job.data_check import DataCheck, check_data
from mtl_sharing.job.description import plan_record
from mtl_sharing.job.encoder_advice import warn_of_unknown_text
from mtl_sharing.job.hiding import hiding
from mtl_sharing.job.saved_settings import RunStart, hold_run, write_settings
from mtl_sharing.job.spec import resolve_spec
from mtl_sharing.run_folder.layout import DATA, PLAN
from mtl_sharing.run_folder.results import Result
from mtl_sharing.utils.files import replace_json


@dataclass(frozen=True)
class Preview:
    """The content of plan.json and the data's check; None where the config does not ask for it."""

    plan: Result | None
    data: DataCheck | None


def preview(config: Config, folder: Path, start: RunStart) -> Preview:
    """Writes plan.json and data.json, as the config asks, into ``folder``; reads no weights.

    A dry run alone reads no data. Mistakes in the data are returned, not raised.

    Raises:
        UserError: a mistake in the config, or a folder that another process works in.
    """
    with hold_run(folder, start), hiding(hidden_texts(asdict(config), start.texts)):
        run_spec = resolve_spec(config, start.texts)
        warn_of_unknown_text(config, run_spec.specs)
        plan = plan_record(run_spec) if config.dry_run else None
        data = check_data(run_spec) if config.check_data else None
        write_settings(config, start, folder)
        if plan is not None:
            replace_json(folder / PLAN, plan)
        if data is not None:
            replace_json(folder / DATA, data.record)
    return Preview(plan, data)
