"""Run the benchmarks and print a table: python benchmarks/run.py [--quick] [--json FILE]

The subjects take turns in each case and round, so that a change in the machine's mood falls on all
of them; figures are medians over the rounds. Anything lost, repeated or out of order is reported,
and makes the command fail unless it is another server's fault.
"""

import argparse
import asyncio
import json
import resource
import sys
from collections.abc import Collection, Sequence
from dataclasses import asdict
from pathlib import Path
from time import monotonic

from benchmarks.aims import aims
from benchmarks.cases import CASES, QUICK, Case, Measured, Scale
from benchmarks.recorded import compared, known, record
from benchmarks.report import machine, medians, table
from benchmarks.subjects import PEERS, RANKED, Subject

CASE_SECONDS = 240.0
CONNECTIONS = 20_000


async def measure(
    cases: Sequence[Case], scale: Scale, without: Collection[Subject] = ()
) -> list[tuple[str, str, Measured]]:
    """Return the name of the case, that of the subject, and what was measured, for every run.

    The subjects ``without`` are left out.
    """
    runs: list[tuple[str, str, Measured]] = []
    for number in range(1, scale.rounds + 1):
        for case in cases:
            for subject in (it for it in case.subjects if it not in without):
                began = monotonic()
                async with asyncio.timeout(CASE_SECONDS):
                    measured = await case.run(subject, scale)
                runs.append((case.name, subject.name, measured))
                told = f"round {number}/{scale.rounds}  {case.name:<16} {subject.name:<18}"
                print(f"{told} {monotonic() - began:5.1f} s  {_remark(measured)}", file=sys.stderr)
    return runs


def _remark(measured: Measured) -> str:
    """Say what is wrong with a run, or what may limit it."""
    remarks = [] if measured.verdict.is_right else [str(measured.verdict)]
    for who in ("subscribers", "publisher"):
        share = measured.tool.get(f"{who}_cpu", 0.0)
        if share > 0.7:
            remarks.append(f"the load generator's {who} used {share:.0%} of a core")
    return "; ".join(remarks)


def _allow_connections() -> None:
    """Let the processes that are started have as many open as a case needs, if the system does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS if hard == resource.RLIM_INFINITY else min(hard, CONNECTIONS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one short round, under a minute")
    parser.add_argument("--peers", action="store_true", help="other servers, too (make peers)")
    parser.add_argument("--record", action="store_true", help="keep the ratios for later runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every run to FILE")
    parser.add_argument("--only", metavar="TEXT", help="only the cases whose name contains TEXT")
    arguments = parser.parse_args()
    _allow_connections()
    cases = [case for case in CASES if not arguments.only or arguments.only in case.name]
    about = machine()
    without = () if arguments.peers else PEERS
    runs = asyncio.run(measure(cases, QUICK if arguments.quick else Scale(), without))
    figures = medians((subject, measured) for _, subject, measured in runs)
    print("\n".join(f"{key}: {value}" for key, value in about.items()))
    print()
    print(table(figures, subjects=[it for it in RANKED if it not in without]))
    if arguments.peers:
        print(f"\n{aims(figures)}")
    if before := known():
        print(f"\n{compared(figures, before)}")
    if arguments.record:
        record(figures, about)
    if arguments.json:
        listed = [{"case": c, "subject": s, **asdict(measured)} for c, s, measured in runs]
        document = {"machine": about, "medians": figures, "runs": listed}
        arguments.json.write_text(json.dumps(document, indent=1) + "\n")
    wrong = [(c, s, it.verdict) for c, s, it in runs if not it.verdict.is_right]
    for case_name, subject_name, verdict in wrong:
        print(f"WRONG: {case_name} on {subject_name}: {verdict}")
    foreign = {peer.name for peer in PEERS}
    return 0 if all(subject_name in foreign for _, subject_name, _ in wrong) else 1


if __name__ == "__main__":
    sys.exit(main())
