"""The command line: one module a subcommand, over the public functions of the package.

Results go to standard output. An error is one line on standard error, `nnr: FILE: what is wrong`, and the
exit status is 1 when the input is bad, unsupported or does not match, 2 for wrong usage; a signal gives 128
plus its number (130 for Ctrl-C). A Python traceback never reaches a user, unless the environment variable
NNR_DEBUG asks for it.
"""

from __future__ import annotations

from .run import main

__all__ = ["main"]
