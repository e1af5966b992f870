"""Folders of runs for tests of reports: altered copies of a real one."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mtl_sharing.evaluation.metrics import correlation

FILES = ("result.json", "config.json", "metrics.csv", "predictions.parquet")


def set_in(record: dict, path: str, value: Any) -> None:
    """Sets a value by its dotted path."""
    *above, last = path.split(".")
    for name in above:
        record = record.setdefault(name, {})
    record[last] = value


def change_json(path: Path, changes: Mapping[str, Any]) -> None:
    """Sets values of a JSON file by their dotted paths."""
    record = json.loads(path.read_text())
    for dotted, value in changes.items():
        set_in(record, dotted, value)
    path.write_text(json.dumps(record))


@dataclass
class Maker:
    """Copies a real run."""

    source: Path
    top: Path

    def __call__(
        self,
        name: str,
        plan: str = "I12",
        seed: int = 0,
        result: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
        answers: Callable[[pd.DataFrame], pd.DataFrame] | None = None,
    ) -> Path:
        """A run in ``top/name``.

        Args:
            result, settings: other changed values, by dotted paths.
            answers: changes the table of predictions; each task's value changes with it.
        """
        folder = self.top / name
        folder.mkdir(parents=True)
        for file in FILES:
            shutil.copy(self.source / file, folder / file)
        facts = {"plan": plan, "regime": plan, "seed": seed, **(result or {})}
        change_json(folder / "result.json", facts)
        own = {f"settings.{key}": value for key, value in (settings or {}).items()}
        change_json(folder / "config.json", {"settings.seed": seed, **own})
        if answers is not None:
            table = pd.read_parquet(folder / "predictions.parquet")
            table = answers(table)
            table.to_parquet(folder / "predictions.parquet")
            if "label" in table:
                change_json(folder / "result.json", _values(table))
        return folder


def _values(table: pd.DataFrame) -> dict[str, float]:
    """The metrics of the predictions, for result.json."""
    metrics = {}
    for task, rows in table.groupby("task"):
        right = (rows["prediction"] == rows["label"]).mean()
        r = correlation("pearson", rows["prediction"].to_numpy(), rows["label"].to_numpy())
        metrics[f"tasks.{task}.value"] = float(r if task == "sts" else right)
    return metrics


def shifted(seed):
    """Changes some answers of every task."""

    def change(table):
        random = np.random.default_rng(seed)
        found, hit = table.copy(), random.random(len(table)) < 0.4
        guess = random.permutation(table["label"][table["task"] != "sts"])
        found.loc[table["task"] != "sts", "prediction"] = np.where(
            hit[table["task"] != "sts"], guess % 2, table["prediction"][table["task"] != "sts"]
        )
        rows = table["task"] == "sts"
        found.loc[rows, "prediction"] = table["label"][rows] + random.normal(size=rows.sum())
        return found

    return change
