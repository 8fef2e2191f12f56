"""What of Pillow is in a bundle."""

import re
from pathlib import Path

# A name with a digest in it, as the wheel's own libraries have it.
LINKED = re.compile(rb"lib\w+-[0-9a-f]{8}\.so[.\d]*")


def libraries(directory: Path) -> set[str]:
    """The names of Pillow's own libraries that are there."""
    return {it.name for it in (directory / "pillow.libs").iterdir()}


def linked(directory: Path) -> set[str]:
    """The names of those that its modules are linked with, or another of them: for architectures
    too whose files cannot be loaded here."""
    binaries = [*(directory / "PIL").glob("*.so"), *(directory / "pillow.libs").iterdir()]
    assert binaries
    # Each of them says its own name too.
    named = (LINKED.findall(it.read_bytes().replace(it.name.encode(), b"")) for it in binaries)
    return {name.decode() for names in named for name in names}
