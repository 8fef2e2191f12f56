"""``dynamodb://table``: streams in one table of DynamoDB, for any number of processes anywhere.

table     the table, and what makes it
client    requests: threads, time limits, retries; capacity counts them, failure names their errors
chunk     a stream as a chain of items; chain: the requests on it
keys      what idempotency keys were answered
calls     a group of appends; writer: writes one after the other
log, ends, leases, records    the powers of base (the wake-up is hints.Hints over the ends)
"""

from importlib.util import find_spec
from urllib.parse import parse_qsl, urlsplit

from lastevent.core.errors import ConfigError
from lastevent.stores.base import Clock, RetentionRules, Store
from lastevent.stores.dynamodb.chain import Chain
from lastevent.stores.dynamodb.client import Client
from lastevent.stores.dynamodb.ends import DynamoEnds
from lastevent.stores.dynamodb.leases import DynamoLeases
from lastevent.stores.dynamodb.log import DynamoLog
from lastevent.stores.dynamodb.records import DynamoRecords
from lastevent.stores.dynamodb.table import TABLE_NAME, prepare
from lastevent.stores.hints import Hints

_FORM = "write the store's URL as dynamodb://TABLE or dynamodb://TABLE?region=REGION"


def open_url(url: str, retention: RetentionRules, clock: Clock) -> Store:
    """Return the store in the table that ``url`` names; raise ConfigError if it names none.

    Region, credentials and endpoint are found as the AWS SDK finds them (AWS_DEFAULT_REGION,
    AWS_ENDPOINT_URL_DYNAMODB and the rest), unless the URL names the region.
    """
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    region = options.pop("region", None)
    if not TABLE_NAME.fullmatch(parts.netloc) or parts.path.strip("/") or parts.fragment:
        raise ConfigError(f"{_FORM}; a table's name has 3 to 255 of A-Z a-z 0-9 _ . -")
    if options or region == "" or parse_qsl(parts.query) != [("region", region)] * bool(region):
        raise ConfigError(f"{_FORM}: nothing else can be said there")
    if find_spec("boto3") is None:
        raise ConfigError("dynamodb:// needs the AWS SDK: install lastevent[dynamodb]")
    return open_table(Client(parts.netloc, region), retention, clock)


def open_table(client: Client, retention: RetentionRules, clock: Clock) -> Store:
    """Return the store in the table of ``client``."""
    chain = Chain(client, retention, clock)
    wakeup = Hints(DynamoEnds(client, chain, clock))
    log = DynamoLog(client, chain, retention, clock, wakeup.moved)

    async def close() -> None:
        await wakeup.close()
        await log.close()
        await client.close()

    return Store(
        name="dynamodb",
        log=log,
        wakeup=wakeup,
        leases=DynamoLeases(client, clock),
        records=DynamoRecords(client, clock),
        prepare=lambda: prepare(client),
        close=close,
        usage=client.usage.summary,
    )
