"""``python -m lastevent.adapters.lambda_stream``: the runtime itself."""

import os
import sys

from lastevent.adapters.lambda_stream.process import main

if __name__ == "__main__":
    sys.exit(main(os.environ))
