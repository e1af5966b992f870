"""The options that all commands share: what is printed, and how a shell completes them."""

import logging
import shlex
from argparse import Action, ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from mtl_sharing import VERSION

SHELLS = ("bash", "zsh")
_ZSH = "autoload -U +X bashcompinit && bashcompinit\n"
_SCRIPT = """\
{name}() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}"
    case "${{COMP_WORDS[COMP_CWORD-1]}}" in
{cases}    *) [[ "$word" != -* ]] || COMPREPLY=($(compgen -W "{options}" -- "$word")) ;;
    esac
}}
complete -o default -F {name} {program}
"""


def add_common_options(parser: ArgumentParser) -> None:
    """Adds the options of all commands whose parser is argparse's."""
    add_output_options(parser)
    parser.add_argument("--completion", choices=SHELLS, action=_Completion,
                        help=f'for a shell: eval "$({parser.prog} --completion bash)"')  # fmt: skip
    parser.add_argument("--version", action="version", version=VERSION)
    parser.add_argument("--debug", action="store_true", help="show the traceback of a mistake")


def add_output_options(parser: ArgumentParser) -> None:
    """Adds the options on what a command prints."""
    parser.add_argument("--quiet", action="store_true",
                        help="only warnings, errors and the result")  # fmt: skip
    parser.add_argument("--json", action="store_true",
                        help="the result as a JSON object, the rest on stderr")  # fmt: skip


def run_with(options: Namespace, work: Callable[[], object], program: str) -> None:
    """Calls ``work``, which prints as the options say; exits as :func:`cli.exit.run_command`."""
    # Here, not above: --help must not wait for Hydra.
    from mtl_sharing.cli.exit import run_command
    from mtl_sharing.utils.terminal import output_options

    with output_options(options.quiet, options.json):
        run_command(work, options.debug, program)


@contextmanager
def logged() -> Iterator[None]:
    """Within a block the project's log lines go to the console."""
    from mtl_sharing.utils.logging import ConsoleHandler, log_level

    handler, log = ConsoleHandler(), logging.getLogger("mtl_sharing")
    log.addHandler(handler)
    with log_level(log.name, logging.INFO):
        try:
            yield
        finally:
            log.removeHandler(handler)


def train_options(arguments: Sequence[str]) -> tuple[Namespace, list[str]]:
    """The options of ``mtl-train`` that are not Hydra's, and the other arguments."""
    parser = ArgumentParser("mtl-train", add_help=False, allow_abbrev=False)
    add_output_options(parser)
    parser.add_argument("--help-key", nargs="?", const="")
    parser.add_argument("--completion", choices=SHELLS)
    parser.add_argument("--version", action="version", version=VERSION)
    return parser.parse_known_args(arguments)


class _Completion(Action):
    """Prints the script that has a shell complete the parser's options, and exits."""

    def __call__(self, parser: ArgumentParser, *arguments: Any) -> None:
        print(completion_script(parser, arguments[1]), end="")
        parser.exit()


def completion_script(parser: ArgumentParser, shell: str) -> str:
    """A script with which a shell completes options, choices, and file names elsewhere."""
    actions = [action for action in parser._actions if action.option_strings]
    cases = [
        f"    {'|'.join(action.option_strings)}) COMPREPLY=($(compgen -W"
        f' {shlex.quote(" ".join(map(str, action.choices)))} -- "$word")) ;;\n'
        for action in actions
        if action.choices is not None
    ]
    script = _SCRIPT.format(
        name=f"_{parser.prog.replace('-', '_')}",
        program=parser.prog,
        cases="".join(cases),
        options=" ".join(name for action in actions for name in action.option_strings),
    )
    return (_ZSH if shell == "zsh" else "") + script
