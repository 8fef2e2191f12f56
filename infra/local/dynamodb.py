"""DynamoDB on this machine: two servers, each good at what the other is not.

`RotoServer` (PyPI `roto-aws`) runs requests really at the same time: for races, and `make run`.
`MotoServer` (PyPI `moto`) does more of what DynamoDB does. Neither was seen to remove an item whose
time to live is over, to lag behind itself, or to throttle. As found in roto 0.10 and moto 5.1:

| | DynamoDB | roto | moto |
|---|---|---|---|
| CreateTable on demand, TTL, point-in-time recovery | yes | yes | yes |
| the same TTL set again | ValidationException | the same | accepted |
| conditional Put, Update, Delete | yes | yes | yes |
| ReturnValuesOnConditionCheckFailure=ALL_OLD on them | the item | nothing | the item |
| TransactWriteItems: atomic, CancellationReasons in their order | yes | yes | yes |
| the old item in a reason | when asked | always | when asked |
| ClientRequestToken | makes a retry safe | ignored | ignored |
| TransactionConflict between two at once | can be | never | never |
| Query: ConsistentRead, ScanIndexForward, Limit, ExclusiveStartKey | yes | yes | yes |
| a page ends at 1 MB | yes | no | yes |
| BatchGetItem: at most 100 keys; 16 MB, then UnprocessedKeys | yes | 100 | 100 |
| an item's limit of 400 KB | 409,600 bytes | the same | about 405,000 |
| a sort key's limit of 1024 bytes | yes | no | yes |
| a table's name | 3 to 255 characters | the same | any |
| ReturnConsumedCapacity on Get, Put, BatchGet | by size | 1 or ½ an item | about the same |
| ReturnConsumedCapacity on Query | by size | nothing | always 1 |
| ReturnConsumedCapacity on TransactWriteItems | twice the size | nothing | an empty list |

So capacity units cannot be read off either: what is counted for a bill is counted by sizes.
"""

import os
import shutil
import sys
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path

from infra.local.child import HOST, Child, ServerFailed, Startable, answers, free_port
from infra.local.proxy import Proxy

REGION = "eu-west-1"


class DynamoServer(Startable):
    """A server in memory, as a process of its own, behind a `Proxy`; a context manager.

    ``directory`` is where its log goes. Clients connect to ``url``, through the ``proxy``, by which
    tests cut it off, silence it, lose its answers, and bring it back.
    """

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.proxy = Proxy(self.port)
        self.url = f"http://{HOST}:{self.proxy.port}"
        self._directory = directory
        self._child: Child | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which boto3 finds it. No file of the user's is read."""
        return {
            "AWS_ENDPOINT_URL_DYNAMODB": self.url,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    @abstractmethod
    def command(self) -> Sequence[str]:
        """Return what is run."""

    def start(self) -> None:
        """Start it, empty; return when it serves. Raises ServerFailed."""
        command = self.command()
        log = self._directory / f"{Path(command[0]).name}.log"
        self._child = Child(command, log, lambda: answers(self.port))
        self.proxy.start()

    def stop(self) -> None:
        """End it; its data is gone."""
        if self._child:
            self.proxy.stop()
            self._child.stop()


class RotoServer(DynamoServer):
    """The server of `roto-aws`."""

    def command(self) -> Sequence[str]:
        """Return what is run."""
        return [_installed("roto-server", "roto-aws"), "--port", str(self.port), "--ephemeral"]


class MotoServer(DynamoServer):
    """The server of `moto`."""

    def command(self) -> Sequence[str]:
        """Return what is run."""
        return [_installed("moto_server", "moto"), "--host", HOST, "--port", str(self.port)]


def _installed(name: str, package: str) -> str:
    """Return the path of a command of this environment."""
    beside = str(Path(sys.executable).parent)
    if found := shutil.which(name, path=os.pathsep.join([beside, os.environ.get("PATH", "")])):
        return found
    raise ServerFailed(f"{name}, of the package {package}, is missing: make setup")
