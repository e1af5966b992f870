"""The report as a few lines of Markdown, to paste into an issue."""

from collections.abc import Sequence

from mtl_sharing.report.analysis.notes import common_note
from mtl_sharing.report.page.contents import NOTES, ReportContents
from mtl_sharing.report.page.folder import SUMMARY
from mtl_sharing.report.page.table_files import as_markdown
from mtl_sharing.utils.markdown import code_span, escaped

_MOST_ROWS = 14


def summary_text(
    title: str, facts: Sequence[tuple[str, str]], contents: ReportContents, names: Sequence[str]
) -> str:
    """The answer, the table of the first screen, and where the rest is.

    Args:
        names: the files and folders that were written.
    """
    sentence, *details = map(escaped, contents.answer_lines)
    frame = contents.tables["answer"]
    cut = f" The first {_MOST_ROWS} of {len(frame)} rows." * (len(frame) > _MOST_ROWS)
    caption = f"{NOTES['answer']} {escaped(common_note(contents.groups))}{cut}".strip()
    read = "; ".join(f"{label} {escaped(text)}" for label, text in facts)
    rest = ", ".join(code_span(name) for name in names if name != SUMMARY)
    parts = [
        f"### {escaped(title)}", f"**{sentence}**",
        "\n".join(f"- {line}" for line in details),
        as_markdown(frame.head(_MOST_ROWS)).rstrip(),
        caption, f"Report: {read}." + f" Beside this file: {rest}." * bool(rest),
    ]  # fmt: skip
    return "\n\n".join(part for part in parts if part) + "\n"
