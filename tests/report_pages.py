"""Helpers for tests of a report's page: a parser, and a text that tries to inject markup."""

from html.parser import HTMLParser
from pathlib import Path

import pandas as pd

from mtl_sharing.run_folder.manifest import replace_listed

NASTY = '<script>alert("1")</script> & <img src=x onerror=alert(2)> مرحبا 🎉 {{ 7 * 7 }}'


def with_nasty_text(folder: Path) -> None:
    """Prefixes the texts of a run's predictions with :data:`NASTY`."""
    table = pd.read_parquet(folder / "predictions.parquet")
    nasty = table.assign(text=NASTY + " " + table["text"])
    replace_listed(folder, {"predictions.parquet": nasty.to_parquet})


class Reader(HTMLParser):
    """Tags with their attributes, and the texts between them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]
