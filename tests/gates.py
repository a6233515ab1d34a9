"""Runs the long gates, file by file, and keeps a record of the last run of each: docs/results/gates.md.

    python tests/gates.py                          # those that ran longest ago first
    python tests/gates.py tests/faults             # of one folder or file
    python tests/gates.py --minutes 60             # begins no file after an hour

Hours in all. A run that is stopped has kept the record of the files before.
"""

import argparse
import datetime
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
RECORD = ROOT / "docs" / "results" / "gates.md"
HEAD = """# Long gates

The last run of each file's long tests, by `python tests/gates.py`. They are what takes too long for
`.ci/run`: crashes at random moments, hundreds of served calls, whole examples.

| file | passed | failed | skipped | minutes | date | commit | processor |
|---|---|---|---|---|---|---|---|
"""


def files_with_gates(places):
    """The test files that have long tests, in the order of their names."""
    command = [sys.executable, "-m", "pytest", "-n", "0", "-m", "slow", "--collect-only", "-q", *places]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    return sorted({line.split("::")[0] for line in shown.splitlines() if "::" in line})


def recorded_rows():
    """The rows of the record, by file."""
    if not RECORD.exists():
        return {}
    rows = [line for line in RECORD.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    return {re.match(r"\| `([^`]+)`", row).group(1): row for row in rows}


def date_of(row):
    return re.search(r"\d{4}-\d{2}-\d{2}", row).group(0) if row else ""


def run_gates(file):
    """Runs a file's long tests; the row of the record."""
    start = time.monotonic()
    command = [sys.executable, "-m", "pytest", "-n", "0", "-m", "slow", "-q", file]
    process = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    summary = process.stdout.strip().splitlines()[-1] if process.stdout.strip() else "nothing"
    print(process.stdout if process.returncode else summary, flush=True)
    counts = {word: int(count) for count, word in re.findall(r"(\d+) (passed|failed|error|skipped)", summary)}
    failed = counts.get("failed", 0) + counts.get("error", 0) or int(process.returncode not in (0, 5))
    minutes = (time.monotonic() - start) / 60
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    cells = [f"`{file}`", counts.get("passed", 0), failed, counts.get("skipped", 0), f"{minutes:.1f}"]
    cells += [datetime.date.today().isoformat(), commit.stdout.strip(), processor()]
    return f"| {' | '.join(map(str, cells))} |", failed


def processor():
    about = pathlib.Path("/", "proc", "cpuinfo")
    flags = set(about.read_text(encoding="utf-8").split()) if about.exists() else set()
    kinds = {"avx512_bf16": "AVX-512 with bfloat16", "avx512f": "AVX-512", "avx2": "AVX2"}
    return next((kind for flag, kind in kinds.items() if flag in flags), "unknown")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("places", nargs="*", default=["tests"], help="files or folders")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begins no file after so many")
    arguments = parser.parse_args()
    start, failures = time.monotonic(), 0
    for file in sorted(files_with_gates(arguments.places), key=lambda file: date_of(recorded_rows().get(file))):
        if time.monotonic() - start > 60 * arguments.minutes:
            break
        print(f"=== {file}", flush=True)
        row, failed = run_gates(file)
        failures += failed
        rows = recorded_rows() | {file: row}
        RECORD.write_text(HEAD + "".join(f"{rows[name]}\n" for name in sorted(rows)), encoding="utf-8")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
