"""What is wrong with a deployment's log, as it is seen through the API."""

from dataclasses import dataclass
from typing import Literal, get_args

Shape = Literal["wrapped", "flat", "mixed"]
Gone = Literal["404", "410", "empty"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chaos:
    """All of it is drawn under ``seed`` and the deployment's id: the same again for the same two.

    The lines themselves:
        late, late_share        so large a share of the lines becomes visible up to `late` seconds
                                after its date, when lines with later dates may long have been seen
        tail, tail_lines        that many last lines become visible one by one after the deployment
                                is over, the last of them `tail` seconds after it
        same_ms                 so many lines each share a millisecond
        gone, gone_as           so many seconds after the last line was visible the log is gone:
                                404, 410, or an empty array
    Each answer:
        shape                   as the first, the second, or now one and now the other of the
                                vendor's two shapes of a line
        duplicates              the probability that a line is in an answer twice
        echo                    the probability that an answer begins with lines before `since`
        shuffled                the lines are in no order
    """

    seed: int = 0
    late: float = 0.0
    late_share: float = 0.2
    tail: float = 0.0
    tail_lines: int = 6
    same_ms: int = 1
    gone: float | None = None
    gone_as: Gone = "404"
    shape: Shape = "wrapped"
    duplicates: float = 0.0
    echo: float = 0.0
    shuffled: bool = False

    def __post_init__(self) -> None:
        if self.shape not in get_args(Shape) or self.gone_as not in get_args(Gone):
            raise ValueError(
                "a shape is wrapped, flat or mixed; a log is gone as 404, 410 or empty"
            )
        if not all(0 <= chance <= 1 for chance in (self.late_share, self.duplicates, self.echo)):
            raise ValueError("a probability is 0 to 1")
        if min(self.late, self.tail, self.tail_lines, self.same_ms - 1, self.gone or 0) < 0:
            raise ValueError("no time or number is negative, and a line has a millisecond")


ORDERLY = Chaos()
"""Nothing is wrong."""

WILD = Chaos(
    late=2.0,
    tail=3.0,
    same_ms=3,
    shape="mixed",
    duplicates=0.1,
    echo=0.3,
    shuffled=True,
)
"""Everything that a client has to bear is, and nothing is lost."""
