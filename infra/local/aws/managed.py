"""What Lambda's managed Python runtime gives a function, laid out in a directory.

`lang/` stands for /var/lang: this interpreter with an empty site-packages. `runtime/` stands for
/var/runtime: awslambdaric and boto3, of the versions installed here, and what they need. Nothing
else that is installed here is found, so a dependency that a bundle lacks is missed, as it would be
on the platform.
"""

import importlib.metadata
import shutil
import sys
import venv
from pathlib import Path

BOOTSTRAP = Path(__file__).with_name("bootstrap.py")
BROUGHT = (
    *("awslambdaric", "simplejson", "snapshot-restore-py"),
    *("boto3", "botocore", "s3transfer", "jmespath", "python-dateutil", "six", "urllib3"),
)
"""https://docs.aws.amazon.com/lambda/latest/dg/lambda-python.html: the runtime includes boto3."""


class ManagedRuntime:
    """The managed runtime in ``directory``, where it is laid out anew."""

    def __init__(self, directory: Path) -> None:
        self.runtime = directory / "runtime"
        self.lang = directory / "lang"
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        self.name = f"AWS_Lambda_python{version}"
        """The value of AWS_EXECUTION_ENV."""
        self.interpreter = self.lang / "bin" / f"python{version}"
        # Always: an older one may lead to what is no longer installed.
        for part in (self.lang, self.runtime):
            shutil.rmtree(part, ignore_errors=True)
        venv.EnvBuilder(symlinks=True).create(self.lang)
        _link_packages(self.runtime)

    @property
    def command(self) -> list[str]:
        """The runtime's own command, which a wrapper gets as its arguments."""
        return [str(self.interpreter), str(self.runtime / BOOTSTRAP.name)]


def _link_packages(runtime: Path) -> None:
    runtime.mkdir()
    # A copy: through a link Python would look for modules beside the original.
    shutil.copy(BOOTSTRAP, runtime)
    for name in BROUGHT:
        distribution = importlib.metadata.distribution(name)
        tops = {file.parts[0] for file in distribution.files or () if file.parts[0] != ".."}
        for top in sorted(tops - {"__pycache__"}):
            found = Path(str(distribution.locate_file(top)))
            (runtime / top).symlink_to(found.resolve())
