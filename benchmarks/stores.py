"""Measure the stores: python benchmarks/stores.py [--quick] [--only TEXT] [--json FILE] [--counts]

All stores are held idle at the same time; then they take turns in each case and round. Figures are
medians over the rounds, beside SQLite's. Anything lost, repeated or out of order is reported, and
makes the command fail.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks import held_cases, store_cases
from benchmarks.cases import Case, Measured, Scale
from benchmarks.counts import COUNTS, update, write
from benchmarks.report import machine, medians
from benchmarks.run import measure
from benchmarks.store_report import tables

FULL = Scale(rounds=3, saturated_seconds=1.2, paced_seconds=7.0, replays=3)
QUICK = Scale(rounds=1, saturated_seconds=0.5, paced_seconds=2.0, replays=1, held_seconds=60.0)

STAGGER_SECONDS = 2.0
"""Between the beginnings of what is held: each starts several processes."""

HELD_SECONDS = 600.0

Runs = list[tuple[str, str, Measured]]


async def hold(cases: Sequence[Case], scale: Scale) -> Runs:
    """Run all cases on all their subjects at the same time; return as run.measure does."""

    async def one(number: int, case: Case, subject: int) -> tuple[str, str, Measured]:
        await asyncio.sleep(number * STAGGER_SECONDS)
        return case.name, case.subjects[subject].name, await case.run(case.subjects[subject], scale)

    places = [(case, place) for case in cases for place in range(len(case.subjects))]
    async with asyncio.timeout(HELD_SECONDS), asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(n, *place)) for n, place in enumerate(places)]
    return [task.result() for task in tasks]


async def run(only: str, scale: Scale) -> Runs:
    """Run the cases whose name contains ``only``: those that are held, then those that are timed.

    With a single round both run at the same time, which is quicker, and makes times rough.
    """
    held = hold([case for case in held_cases.CASES if only in case.name], scale)
    timed = measure([case for case in store_cases.CASES if only in case.name], scale)
    if scale.rounds > 1:
        return await held + await timed
    async with asyncio.TaskGroup() as group:
        both = [group.create_task(held), group.create_task(timed)]
    return both[0].result() + both[1].result()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a short round, under 3 minutes")
    parser.add_argument("--only", metavar="TEXT", help="only the cases whose name contains TEXT")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every run to FILE")
    parser.add_argument(
        "--counts",
        action="store_true",
        help=f"write {COUNTS.name}, for costs.py; with --only, these cases of it",
    )
    arguments = parser.parse_args()
    if arguments.counts and arguments.quick:
        parser.error("counts are taken from runs of full length")
    about = machine()
    runs = asyncio.run(run(arguments.only or "", QUICK if arguments.quick else FULL))
    figures = medians((subject, measured) for _, subject, measured in runs)
    print("\n".join(f"{key}: {value}" for key, value in about.items()))
    print()
    print(tables(figures))
    if arguments.json:
        listed = [{"case": c, "subject": s, **asdict(measured)} for c, s, measured in runs]
        document = {"machine": about, "medians": figures, "runs": listed}
        arguments.json.write_text(json.dumps(document, indent=1) + "\n")
    if arguments.counts:
        if arguments.only:
            update(figures)
        else:
            write(about, figures)
    wrong = [(c, s) for c, s, measured in runs if not measured.verdict.is_right]
    for case_name, subject_name in wrong:
        print(f"WRONG: {case_name} on {subject_name} lost, repeated or disordered events")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
