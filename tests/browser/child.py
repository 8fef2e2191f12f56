"""What the previews of these tests run: one kind of output for each argument."""

import itertools
import sys
import time

BURST = 50_000
SECONDS = 300.0
MIXED = 600


def ticks() -> None:
    """Numbered lines without an end, twenty a second."""
    began = time.monotonic()
    for number in itertools.count(1):
        print(f"tick {number}")
        time.sleep(0.05)
        if time.monotonic() - began > SECONDS:
            return


def shapes() -> int:
    """Every shape that a line can have; then it fails."""
    print("<script>document.title = 'taken'</script><img src=x onerror=\"document.title='taken'\">")
    print("\x1b[31mred <b>\x1b[1mbold\x1b[0m plain \x1b[38;2;255;140;0morange\x1b[0m")
    print("\x1b[32mgreen begins here")
    print("and goes on here\x1b[0m")
    for percent in (10, 60, 100):
        print(f"\rdone {percent}%", end="", flush=True)
        time.sleep(0.25)  # longer than an unfinished line is held back
    print()
    print("name? ", end="", flush=True)
    time.sleep(0.25)
    print("answered")
    print("long " + "x" * 30_000 + " end")
    print("a warning", file=sys.stderr)
    print("last line")
    return 3


def burst() -> None:
    """As many lines as fast as it goes."""
    for first in range(1, BURST + 1, 1000):
        print("\n".join(f"line {number}" for number in range(first, first + 1000)))


def quiet() -> None:
    """One line, and then nothing."""
    print("here")
    time.sleep(SECONDS)


def mixed() -> int:
    """Lines of all lengths, each hundredth on the standard error."""
    for number in range(1, MIXED + 1):
        if number % 100 == 0:
            print(f"line {number} went wrong", file=sys.stderr)
        elif number % 7 == 0:
            print(f"line {number} " + "long words " * (number // 5))
        else:
            print(f"line {number} is \x1b[1mwell\x1b[0mmade")
    return 1


def colours() -> None:
    """Colours by number, by value, and with colons; backgrounds; and what is none."""
    print("\x1b[38;5;208mby number\x1b[0m \x1b[38;2;255;140;0mby value\x1b[0m")
    print("\x1b[38:5:208mby number\x1b[0m \x1b[38:2::255:140:0mby value\x1b[0m")
    print("\x1b[48;5;19mbehind by number\x1b[0m \x1b[48;2;0;0;175mbehind by value\x1b[0m")
    print("\x1b[2J\x1b[?25l\x1b]0;title\x07nothing of that is seen\x1b(B")


if __name__ == "__main__":
    kinds = (ticks, shapes, burst, quiet, mixed, colours)
    sys.exit({kind.__name__: kind for kind in kinds}[sys.argv[1]]())
