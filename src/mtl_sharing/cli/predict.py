"""``mtl-predict``: a run's predictions for a table's rows, or for its tasks' dev or test files."""

import argparse
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from mtl_sharing.cli.options import add_common_options, logged, run_with
from mtl_sharing.errors import UserError, check_range
from mtl_sharing.predict import table_files
from mtl_sharing.predict.inputs import input_file
from mtl_sharing.utils.locks import exclusive_folder
from mtl_sharing.utils.terminal import messages_on_stderr, show, show_json, wants_json

if TYPE_CHECKING:
    from mtl_sharing.predict.loaded_run import LoadedRun
    from mtl_sharing.utils.progress import Progress

_PROGRAM = "mtl-predict"
_INPUT_OPTIONS = ("text", "text_pair", "id", "prefix", "delimiter", "no_quoting")
_EXAMPLES = """examples:
  mtl-predict RUN --string "a fine film"
  mtl-predict RUN --input texts.csv --out predicted
  mtl-predict RUN --input pairs.jsonl --text question1 --text-pair question2 --out predicted
  mtl-predict RUN --split dev --format cs224n --out predictions
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script. Exits with 2 on a user's mistake, 130 when interrupted."""
    options = _parser().parse_args(arguments)

    def work() -> None:
        with logged(), nullcontext() if options.out else messages_on_stderr():
            _check(options)
            (_predict_input if options.split is None else _predict_split)(options)

    run_with(options, work, _PROGRAM)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_PROGRAM,
        description="Predict with a run: all tasks on a table's texts, or the tasks' own files.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", metavar="RUN", help="a run's folder")
    source = parser.add_mutually_exclusive_group(required=True)
    about = "a table: CSV, TSV, JSON or Parquet, a .txt file, or - for stdin"
    source.add_argument("--input", metavar="FILE", help=about)
    source.add_argument(
        "--string", nargs="+", metavar="TEXT", help="a text, or two of a pair, after RUN"
    )
    source.add_argument("--split", choices=("dev", "test"), help="the tasks' own files")
    parser.add_argument("--out", metavar="DIR", help="folder for the predictions (without: stdout)")
    parser.add_argument("--tasks", metavar="A,B", help="some of the run's tasks")
    parser.add_argument("--format", choices=table_files.KINDS,
                        help="of the output; by default the input's")  # fmt: skip
    parser.add_argument("--no-class-probabilities", action="store_true",
                        help="write the predicted class's probability alone")  # fmt: skip
    parser.add_argument("--batch-size", type=int, metavar="N", help="rows at a time")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 (%(default)s)")
    parser.add_argument("--data-dir", metavar="DIR", help="with --split: where the files are")
    add_common_options(parser)
    table = parser.add_argument_group("with --input, --string")
    table.add_argument("--text", metavar="COLUMN", help="the text (that of training, or text)")
    table.add_argument("--text-pair", metavar="COLUMN", help="a pair's second text (likewise)")
    table.add_argument("--id", metavar="COLUMN", help="keep this column alone (all are kept)")
    table.add_argument("--prefix", metavar="P", help="before the names of the added columns")
    table.add_argument("--delimiter", metavar="C", help="of a text table: one character, or tab")
    table.add_argument("--no-quoting", action="store_true", default=None,
                       help="quotes of a text table are part of its text")  # fmt: skip
    return parser


def _check(options: argparse.Namespace) -> None:
    """Refuses options that would have no effect, and a folder that is missing."""
    if options.split is not None:
        for name in _INPUT_OPTIONS:
            if (value := getattr(options, name)) is not None:
                option = f"--{name.replace('_', '-')}"
                raise UserError(option, f"{value} with --split", "--input FILE")
        if options.out is None:
            raise UserError("--out", "none with --split", "a folder")
    elif options.string is not None and (given := _given(options)):
        raise UserError(given, "an option of tables, with --string", "--input FILE")
    elif options.data_dir is not None:
        raise UserError("--data-dir", f"{options.data_dir} with --input", "--split dev or test")
    elif options.format == table_files.CS224N:
        raise UserError("--format", f"{table_files.CS224N} with --input", "--split dev or test")
    if options.json and options.out is None:
        raise UserError("--json", "predictions on stdout", "--format jsonl, or --out DIR")
    if options.no_class_probabilities and options.format == table_files.CS224N:
        found = f"the option with {table_files.CS224N}, which has no probabilities"
        raise UserError("--no-class-probabilities", found, "another --format")
    if options.out == "":
        raise UserError("--out", "an empty name", "a folder")


def _given(options: argparse.Namespace) -> str:
    """The first option on the input table that is given; empty without one."""
    names = [name for name in _INPUT_OPTIONS if name != "prefix"]
    given = [f"--{n.replace('_', '-')}" for n in names if getattr(options, n) is not None]
    return next(iter(given), "")


def _load(options: argparse.Namespace) -> "tuple[LoadedRun, int]":
    """The run, and the rows of a batch."""
    from mtl_sharing.predict.loading import load_run
    from mtl_sharing.utils.device import keep_freed_memory

    run = load_run(options.run, options.device)
    keep_freed_memory()
    default = run.run_spec.runtime.evaluation_batch
    size = default if options.batch_size is None else options.batch_size
    check_range("--batch-size", size, 1)
    return run, size


def _predict_input(options: argparse.Namespace) -> None:
    with input_file(options.input, options.string) as (source, name):
        delimiter, quoting = _delimiter(options.delimiter), options.no_quoting is None
        _predict_table(options, table_files.open_input(source, delimiter, quoting, name))


def _predict_table(options: argparse.Namespace, table: table_files.InputTable) -> None:
    run, size = _load(options)
    # Not before the input is checked: torch takes long to load.
    from mtl_sharing.predict.columns import choose_columns, read_for
    from mtl_sharing.predict.tables import predict_table

    named = (options.text, options.text_pair)
    table = read_for(run, table, named)
    table.check_rows()
    prefix, each_class = options.prefix or "", not options.no_class_probabilities
    columns = choose_columns(run, table, named, options.id, _tasks(options), prefix, each_class)
    kind = options.format or (table_files.CSV if options.string else table_files.format_of(table))
    target = _target(options, kind, table.path, run.folder)
    progress = predict_table(run, table, target, kind, columns, size)
    _print_files(progress, [] if target is None else [target])


def _target(options: argparse.Namespace, kind: str, source: Path, run: Path) -> Path | None:
    """The file to write; None for the standard output."""
    from mtl_sharing.run_folder.layout import PREDICTIONS

    if options.out is None:
        if kind == table_files.PARQUET_NAME:
            allowed = f"a folder: --out, or another --format than {kind}"
            raise UserError("--out", f"{kind} to {table_files.STANDARD_OUTPUT}", allowed)
        return None
    target = Path(options.out).expanduser() / f"predictions.{kind}"
    kept = {"the input": source, "the run's own file": run / PREDICTIONS}
    table_files.check_writable(target, kept)
    return target


def _predict_split(options: argparse.Namespace) -> None:
    from mtl_sharing.predict import splits
    from mtl_sharing.utils.progress import Progress

    run, size = _load(options)
    kind = options.format or table_files.CSV
    names = splits.split_files(run, options.split, _tasks(options), kind)
    own_files = kind == table_files.CS224N
    read = splits.read_examples(run, options.split, tuple(names), options.data_dir, own_files)
    targets = {task: Path(options.out).expanduser() / name for task, name in names.items()}
    for target in targets.values():
        table_files.check_writable(target)
    with Progress(f"predicting {options.split}", unit="rows") as progress:
        answers = {
            task: splits.predict_examples(run, task, examples, size, progress)
            for task, examples in read.items()
        }
    # Only after all predictions: neither a failure nor another process leaves a mix of files.
    scores = []
    with exclusive_folder(Path(options.out).expanduser()):
        for task, examples in read.items():
            spec = run.run_spec.specs[task]
            each_class = not options.no_class_probabilities
            splits.write_split(targets[task], kind, spec, examples, answers[task], each_class)
    for task, examples in read.items():
        if any(example.label is not None for example in examples):
            scores.append(splits.score(run, task, examples, answers[task]))
    if scores:
        show(f"{'task':<12}  {'metric':<8}  {'value':>6}  {'examples':>8}")
    for task, metric, value, count in scores:
        show(f"{task:<12}  {metric:<8}  {value:6.3f}  {count:>8,}")
    _print_files(progress, list(targets.values()), scores)


def _delimiter(name: str | None) -> str | None:
    from mtl_sharing.data.tasks.sources import FormatConfig, make_format

    try:
        return make_format("", FormatConfig(delimiter=name)).delimiter
    except UserError as error:
        raise UserError("--delimiter", error.found, "one character, or tab") from None


def _tasks(options: argparse.Namespace) -> list[str] | None:
    return None if options.tasks is None else [name.strip() for name in options.tasks.split(",")]


def _print_files(
    progress: "Progress", files: Sequence[Path], scores: Sequence[tuple[str, str, float, int]] = ()
) -> None:
    from mtl_sharing.utils.files import short_path

    show(f"rows   {progress.done:,} in {progress.seconds:.1f} s, {progress.rate:,.0f} rows/s")
    for number, path in enumerate(files):
        show(f"{'' if number else 'files':<7}{short_path(path)}")
    if wants_json():
        names = ("task", "metric", "value", "examples")
        named = [dict(zip(names, score, strict=True)) for score in scores]
        show_json({"rows": progress.done, "files": list(map(str, files)), "scores": named})


if __name__ == "__main__":
    main()
