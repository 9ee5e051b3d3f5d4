"""`nnr conformance run` on the vectors of this folder: ``python conformance/run.py [OPTION ...]``."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from nnr.cli.run import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(["conformance", "run", str(HERE), *sys.argv[1:]]))
