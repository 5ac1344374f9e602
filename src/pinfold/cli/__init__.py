"""The commands. Each does little more than call one function of the house and print what comes back."""

import os
import sys
from collections.abc import Sequence

from cyclopts import CycloptsError
from pydantic import ValidationError

from pinfold.cli import ask, compare, data, embed, generate, index, plan, rank, runs, serve, studies, update  # noqa: F401 - each puts its commands into the app
from pinfold.cli.app import app
from pinfold.errors import PinfoldError


def main(words: Sequence[str] | None = None) -> None:
    """Run the command line; errors raised on purpose become one message and exit code 1, wrong words exit code 2."""
    try:
        app(sys.argv[1:] if words is None else words, print_error=False, exit_on_error=False)
    except CycloptsError as error:
        sys.stderr.write(f"pinfold: {wrong_words(error)}\n")
        sys.exit(2)
    except PinfoldError as error:
        sys.stderr.write(f"pinfold: {error}\n")
        sys.exit(1)
    except OSError as error:  # a full disk, a reader of our output that has gone away, a folder that may not be entered
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or Python would fail once more when it flushes at its end
        if not isinstance(error, BrokenPipeError):
            sys.stderr.write(f"pinfold: {error}\n")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.stderr.write("pinfold: stopped\n")
        sys.exit(130)


def wrong_words(error: CycloptsError) -> str:
    """What is wrong with the words of a command, on one line."""
    cause = error.__cause__
    if isinstance(cause, ValidationError) and error.argument is not None:
        problem = cause.errors(include_url=False)[0]
        return f"{error.argument.name} {problem['input']}: {problem['msg']}"
    return f"{' '.join(str(error).split())} See `pinfold --help`."
