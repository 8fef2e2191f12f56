"""What the managed runtime runs: a function's handler under awslambdaric.

Stands in for /var/runtime/bootstrap.py. It is run from the runtime's own directory, so that
directory is the first in sys.path; the function's goes before it, as on the platform
(https://docs.aws.amazon.com/lambda/latest/dg/python-package.html, dependency search path).
"""

import importlib
import os
import sys


def main() -> None:
    """Serve the handler that _HANDLER names."""
    sys.path.insert(0, os.environ["LAMBDA_TASK_ROOT"])
    runtime = importlib.import_module("awslambdaric.__main__")
    runtime.main([sys.argv[0], os.environ["_HANDLER"]])


if __name__ == "__main__":
    main()
