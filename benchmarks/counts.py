"""benchmarks/counts.json: what was measured of the stores, for costs.py. Committed."""

import json
from pathlib import Path

COUNTS = Path(__file__).with_name("counts.json")


def write(figures: object) -> None:
    COUNTS.write_text(json.dumps(figures, indent=1, sort_keys=True) + "\n")
