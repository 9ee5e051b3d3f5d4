"""`fuzz/corpus.zip`: what `tests/fuzz` replays. The same files always give the same archive.

    python fuzz/pack_corpus.py FOLDER ...

Each FOLDER holds the folders `streams`, `core_decode`, `core_engine` or `core_encode`; what the archive
holds stays. An input that broke something is added under a name that says what, such as
`found_line_break_in_name`. Corpora of libFuzzer are minimised before (`-merge=1`).
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

CORPUS = Path(__file__).resolve().parent / "corpus.zip"
FOLDERS = ("streams", "core_decode", "core_engine", "core_encode")


def pack(folders: list[Path]) -> int:
    """Add the files below `folders`; how many the archive holds then."""
    files: dict[str, bytes] = {}
    if CORPUS.exists():
        with zipfile.ZipFile(CORPUS) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
    for folder in folders:
        for kind in FOLDERS:
            files |= {f"{kind}/{path.name}": path.read_bytes() for path in (folder / kind).glob("*")}
    with zipfile.ZipFile(CORPUS, "w") as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(name), files[name], zipfile.ZIP_DEFLATED, 9)
    return len(files)


if __name__ == "__main__":
    print(pack([Path(name) for name in sys.argv[1:]]), "inputs")
