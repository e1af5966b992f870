"""``mtl-export``: a trained task as a model that ``transformers`` loads."""

from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from pathlib import Path

from mtl_sharing.cli.options import add_common_options, logged, run_with

_HELP = """\
Writes DIR, whole or not at all:
  config.json, model.safetensors, tokenizer files   what pipeline("text-classification") loads
  README.md                                         the model card, which begins with its use

A head that AutoModelForSequenceClassification lacks is written beside the tower:
  head.safetensors, head.json                       the task's head, and how it is applied

A run with PALs, lanes or tags has no plain model: its DIR is what load_run reads, with a card.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script. Exits with 2 on a user's mistake, 130 when interrupted."""
    options = _parser().parse_args(arguments)

    def work() -> None:
        with logged():
            _export(options)

    run_with(options, work, "mtl-export")


def _parser() -> ArgumentParser:
    parser = ArgumentParser("mtl-export", description=_HELP,
                            formatter_class=RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("run", metavar="RUN", help="the folder of a run that has trained")
    parser.add_argument("--task", help="whose tower and head; a run of one task needs none")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR",
                        help="a new folder, or an empty one")  # fmt: skip
    add_common_options(parser)
    return parser


def _export(options: Namespace) -> None:
    # Here, not above: --help must not wait for torch.
    from mtl_sharing.export.write import export_run
    from mtl_sharing.utils.files import short_path
    from mtl_sharing.utils.summary import Summary, print_summary

    exported = export_run(options.run, options.task, options.out)
    path = str(short_path(exported.folder))
    print_summary(Summary(
        answer=f"exported {exported.description}; {exported.parameters:,} parameters",
        files=[("folder", f"{path} (README.md shows how to use it)")],
        record={"exported": exported.description, "parameters": exported.parameters,
                "folder": str(exported.folder)},
    ))  # fmt: skip


if __name__ == "__main__":
    main()
