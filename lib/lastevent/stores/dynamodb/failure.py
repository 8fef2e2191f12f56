"""What the SDK and the service raise, as errors of ours. No message holds an id or a secret.

Refused, Cancelled and Passing are dealt with in this package; nobody else sees them.
"""

from typing import Any

from lastevent.core.errors import LastEventError, StoreUnavailable, TooLarge, Transient
from lastevent.stores.dynamodb.capacity import Item


class Refused(Exception):
    """A conditional write met another item, or another state of it.

    ``item`` is what is there, where the service says it. ``repeated``: the request had been sent
    before without an answer, so that what is there may be its own doing.
    """

    def __init__(self, item: Item | None, repeated: bool = False) -> None:
        super().__init__("the condition of a write does not hold")
        self.item = item
        self.repeated = repeated


class Passing(Exception):
    """Trouble in which it may help to send the request again; if not, ``error`` is raised."""

    def __init__(self, error: LastEventError) -> None:
        super().__init__(str(error))
        self.error = error


class Cancelled(Exception):
    """A transaction met other items. ``items`` has one entry for each of its parts.

    None: this part was not the reason. An empty item: it was, and the service says no more.
    """

    def __init__(self, items: list[Item | None]) -> None:
        super().__init__("the conditions of a transaction do not hold")
        self.items = items


class Missing(StoreUnavailable):
    """There is no such table."""


class Denied(StoreUnavailable):
    """The credentials do not allow the operation."""


class Exists(StoreUnavailable):
    """The table is there, or being made or removed."""


_PASSING = frozenset(
    {
        "InternalServerError",
        "InternalFailure",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ReplicatedWriteConflictException",
        "ServiceUnavailable",
        "ThrottlingException",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)
_CONDITION = "ConditionalCheckFailed"
_NO_CREDENTIALS = (
    "there are no credentials for DynamoDB: give the process a role, or set AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY"
)
_BAD_CREDENTIALS = (
    "DynamoDB refuses the credentials: check the role, or AWS_ACCESS_KEY_ID and what belongs to it"
)
_NO_REGION = (
    "the region is not known: write dynamodb://TABLE?region=REGION, or set AWS_DEFAULT_REGION"
)
_CREDENTIAL_CODES = frozenset(
    {
        "ExpiredTokenException",
        "IncompleteSignatureException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationTokenException",
        "UnrecognizedClientException",
    }
)


def translated(error: Exception, operation: str, table: str) -> Exception:
    """Return what ``error`` of the SDK means: an answer, passing trouble, or an error of ours.

    Called where the SDK is loaded already, since it is not to be loaded for this.
    """
    from botocore import exceptions as sdk  # type: ignore[import-untyped]
    from botocore.parsers import ResponseParserError  # type: ignore[import-untyped]

    silent = (
        sdk.ConnectionError,
        sdk.HTTPClientError,
        sdk.IncompleteReadError,
        sdk.ChecksumError,
        ResponseParserError,
        OSError,
    )
    if isinstance(error, sdk.ClientError):
        return _answered(error.response, operation, table)
    if isinstance(error, (sdk.NoCredentialsError, sdk.PartialCredentialsError)):
        return StoreUnavailable(_NO_CREDENTIALS)
    if isinstance(error, sdk.NoRegionError):
        return StoreUnavailable(_NO_REGION)
    if isinstance(error, silent):
        return Passing(StoreUnavailable("DynamoDB does not answer"))
    if isinstance(error, sdk.BotoCoreError):
        return StoreUnavailable(f"the AWS SDK cannot send {operation}: see its configuration")
    return error


def _answered(response: dict[str, Any], operation: str, table: str) -> Exception:
    code = response.get("Error", {}).get("Code", "")
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code == "ConditionalCheckFailedException":
        return Refused(response.get("Item"))
    if code == "TransactionCanceledException":
        return _cancelled(response.get("CancellationReasons") or [])
    if code in _PASSING or status >= 500:
        return Passing(Transient("DynamoDB is busy"))
    return _refusal(code, response.get("Error", {}).get("Message", ""), operation, table)


def _cancelled(reasons: list[dict[str, Any]]) -> Exception:
    codes = [reason.get("Code", "None") for reason in reasons]
    if _CONDITION not in codes:
        return Passing(Transient("DynamoDB is busy"))
    return Cancelled(
        [
            reason.get("Item", {}) if code == _CONDITION else None
            for code, reason in zip(codes, reasons, strict=True)
        ]
    )


def _refusal(code: str, message: str, operation: str, table: str) -> LastEventError:
    if code in ("ResourceNotFoundException", "TableNotFoundException"):
        return Missing(
            f"there is no table {table!r} in this region: make it with "
            f"`lastevent init --store dynamodb://{table}`"
        )
    if code == "AccessDeniedException":
        return Denied(f"the credentials do not allow dynamodb:{operation} on {table!r}")
    if code == "ResourceInUseException":
        return Exists(f"the table {table!r} is being made or removed")
    if code in _CREDENTIAL_CODES:
        return StoreUnavailable(_BAD_CREDENTIALS)
    if code == "ValidationException" and "size" in message.lower():
        return TooLarge("an item of DynamoDB has at most 400 KB")
    return StoreUnavailable(f"DynamoDB refuses {operation} with {code or 'no reason'}")
