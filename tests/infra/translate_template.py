"""Prints what AWS::Serverless makes of the template on stdin, as JSON, by .venv-sam's Python."""

import json
import sys
from typing import Any

from samtranslator.parser.parser import Parser  # type: ignore[import-not-found]
from samtranslator.translator.translator import Translator  # type: ignore[import-not-found]


def main() -> None:
    """Translate, with the managed policies of nobody: a template that uses one fails."""
    template: dict[str, Any] = json.load(sys.stdin)
    # `sam package` does this: the service takes code from S3 only.
    template["Globals"]["Function"]["CodeUri"] = "s3://bucket/key"
    translated = Translator({}, Parser()).translate(template, {}, {})
    json.dump(translated, sys.stdout)


if __name__ == "__main__":
    main()
