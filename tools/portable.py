"""Run the chapters as other machines would compute them; say for each which cell differs, and how.

    python -m tools.portable                  # every chapter in every lane
    python -m tools.portable 02_tokenization  # one chapter

Three lanes: AVX2 and nothing newer; no vector extensions at all; four threads. Floating-point sums differ in their
last digits between them, as they do between readers' machines. A chapter that fails in one lane is told, and the
others go on. Below _build/portable: a folder a lane, with the notebooks as they ran there, and summary.json.
"""

import argparse
import json
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bookkit import files, notebooks, paths
from bookkit.errors import BookError
from tools import execute, runs
from tools.runs import tell

LANES = {
    "avx2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "OPENBLAS_CORETYPE": "Haswell",
        "OMP_NUM_THREADS": "1",
    },
    "plain": {
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "OPENBLAS_CORETYPE": "Nehalem",
        "OMP_NUM_THREADS": "1",
    },
    "threads4": {"OMP_NUM_THREADS": "4"},
}
SAID = {
    "avx2": "AVX2 and nothing newer, one thread",
    "plain": "no vector extensions, one thread",
    "threads4": "four threads",
}


def row(path: Path, lane: str) -> dict:
    """Run one chapter in one lane, tell of it, and return its row of the summary."""
    try:
        record = execute.nbval(path, runs.build() / "portable" / lane, LANES[lane])
    except BookError as error:
        record = {"verdict": runs.FAILED, "seconds": 0, "peak_mb": 0}
        record["problems"] = [{"cell": 0, "id": None, "said": "was not reached", "detail": str(error)}]
    tell(f"[{lane}] {execute.line(record, path.stem)}")
    found = {"chapter": path.stem, "lane": lane, "passed": record["verdict"] == runs.PASSED}
    found |= {"seconds": record["seconds"], "peak_mb": record["peak_mb"]}
    for problem in record["problems"][:1]:
        found |= {"cell": problem["cell"], "id": problem["id"], "differed": problem["detail"].strip()[-1500:]}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("chapters", nargs="*", help="names such as 02_tokenization; all of _toc.yml without any")
    parser.add_argument("--lane", action="append", choices=LANES, help="one lane (may be repeated)")
    options = parser.parse_args()
    book = notebooks.chapters(paths.root())
    if unknown := set(options.chapters) - {path.stem for path in book}:
        sys.exit(f"portable: there is no chapter {', '.join(sorted(unknown))} in _toc.yml.")
    book = execute.slowest_first(path for path in book if not options.chapters or path.stem in options.chapters)
    began, rows = time.monotonic(), []
    with runs.alone():
        shutil.rmtree(runs.build() / "portable", ignore_errors=True)
        for lane in options.lane or LANES:
            tell(f"[{lane}] {SAID[lane]}")
            # Chapters that have four threads each run one after the other.
            workers = execute.WORKERS if LANES[lane]["OMP_NUM_THREADS"] == "1" else 1
            with ThreadPoolExecutor(workers) as pool:
                rows += pool.map(lambda path, lane=lane: row(path, lane), book)
        files.write_text(runs.build() / "portable" / "summary.json", json.dumps(rows, indent=1) + "\n")
    failed = [one for one in rows if not one["passed"]]
    for one in failed:
        tell(f"\n--- {one['chapter']} [{one['lane']}], cell {one['cell']} (id {one['id']})\n{one['differed']}")
    tell(f"\n{'chapter':26}" + "".join(f"{lane:>12}" for lane in options.lane or LANES))
    for path in sorted(book):
        cells = [one for one in rows if one["chapter"] == path.stem]
        tell(
            f"{path.stem:26}"
            + "".join(f"{one['seconds']:8.0f} s  " if one["passed"] else "    FAILED  " for one in cells)
        )
    tell(f"{len(rows) - len(failed)} of {len(rows)} runs passed ({time.monotonic() - began:.0f} s)")
    sys.exit(bool(failed))


if __name__ == "__main__":
    runs.command(main)
