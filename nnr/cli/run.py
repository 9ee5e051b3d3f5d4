"""The whole command line, and everything that can end a command."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import NoReturn

from .._version import __version__
from .errors import CommandError, UsageError, describe
from .parser import Parser
from .text import OutputError, one_line

__all__ = ["COMMANDS", "build_parser", "main"]

#: Subcommands in the order of the help; each is a module here with `SUMMARY`, `EXAMPLES`,
#: `add_arguments` and `run`.
COMMANDS = ("encode", "decode", "info", "trace", "compare", "check", "conformance", "demo", "completion")

_DESCRIPTION = "Codec for neural network coding, ISO/IEC 15938-17 (NNR, NNC)."
#: Commands that have nothing but what they print.
_PRINTING = ("info", "trace", "compare", "check", "conformance", "demo", "completion")

_FIRST_STEPS = """first steps:
  nnr demo                                      code a network that comes along
  nnr encode model.safetensors -o model.nnr     compress a model of your own
  nnr decode model.nnr -o decoded.safetensors   and back
  nnr encode --help                             all options of a command"""

_EPILOG = "Exit status: 0 done; 1 the input is bad, unsupported or does not match; 2 wrong usage."


class _Ended(BaseException):
    """A signal asked the process to end."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.signal_number = signal_number


def build_parser() -> Parser:
    """The parser of the whole command line; `args.run` is the function of the subcommand."""
    parser = Parser(prog="nnr", description=_DESCRIPTION, epilog=f"{_FIRST_STEPS}\n\n{_EPILOG}")
    parser.add_argument("-V", "--version", action="version", version=f"nnr {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", dest="command", parser_class=Parser)
    for name in COMMANDS:
        module = importlib.import_module(f".{name}", __package__)
        command = commands.add_parser(
            name, help=module.SUMMARY, description=module.__doc__, epilog=_epilog(module.EXAMPLES)
        )
        command.example = module.EXAMPLES[0]
        module.add_arguments(command)
        command.usage = command.short_usage()
        command.set_defaults(run=module.run)
    return parser


def _epilog(examples: Sequence[str]) -> str:
    lines = "\n".join(f"  {example}" for example in examples)
    return f"examples:\n{lines}\n\n{_EPILOG}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (by default that of the process); the exit status."""
    try:
        with _signals(), _streams():
            return _run(argv)
    except _Ended as ended:
        return 128 + ended.signal_number
    except KeyboardInterrupt:
        _say("interrupted")
        return 130
    except BrokenPipeError:
        _abandon_stdout()
        return 141
    except UsageError as error:
        _say(str(error))
        return 2
    except CommandError as error:
        _debug()
        _say(str(error))
        return 1
    except OutputError as error:
        _debug()
        _abandon_stdout()
        _say(f"standard output: {error}")
        return 1
    except OSError as error:
        _debug()
        _abandon_stdout()
        where = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else "standard output"
        _say(f"{where}: {describe(error)}")
        return 1
    except MemoryError as error:
        _debug()
        _say(describe(error))
        return 1
    except Exception as error:
        _debug()
        _say(
            f"internal error, please report it: {type(error).__name__}: {error} "
            "(NNR_DEBUG=1 in the environment shows where)"
        )
        return 1


def _run(argv: Sequence[str] | None) -> int:
    parser = build_parser()
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["help"]:
        words = [*words[1:2], "--help"]
    try:
        args = parser.parse_args(words)
        if args.command is None:
            raise UsageError(f"a command is needed: {', '.join(COMMANDS)} (see `nnr --help`)")
        if sys.stdout is None and (args.command in _PRINTING or getattr(args, "json", False)):
            raise OutputError("closed")
        status: int = args.run(args)
    except SystemExit as end:  # --help and --version
        status = end.code if isinstance(end.code, int) else 0
    if sys.stdout is not None:
        sys.stdout.flush()
    return status


@contextlib.contextmanager
def _streams() -> Iterator[None]:
    """Printing cannot fail for a character that the terminal lacks, and warnings do not reach the user."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    with warnings.catch_warnings():
        if not sys.warnoptions:
            warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """A request to end unwinds the stack, so that temporary files go."""

    def end(number: int, frame: FrameType | None) -> NoReturn:
        raise _Ended(number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    # one that is ignored (nohup) stays ignored
    before = {n: signal.signal(n, end) for n in numbers if signal.getsignal(n) is signal.SIG_DFL}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _abandon_stdout() -> None:
    """Nobody reads standard output any more: what is still buffered must not fail at exit."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _say(text: str) -> None:
    if sys.stderr is None:  # closed; print would take standard output instead
        return
    with contextlib.suppress(OSError, ValueError, AttributeError):
        print(f"nnr: {one_line(text)}", file=sys.stderr, flush=True)


def _debug() -> None:
    if os.environ.get("NNR_DEBUG"):
        traceback.print_exc()
