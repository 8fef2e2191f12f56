"""An upload is read: by the built-in parsers, and prose by a model if there is one."""

import asyncio
from dataclasses import replace

from lastevent.core.errors import UpstreamLost, UpstreamRefused
from lastevent.services.purchase_orders.model import Model
from lastevent.services.purchase_orders.order import Order
from lastevent.services.purchase_orders.parsing import BadOrder, decode, kind_of, parse


async def read(content: bytes, content_type: str, model: Model | None = None) -> Order:
    """Return the order in an upload.

    What the built-in parser says is wrong stays wrong: a model is not asked to make something of
    it. Where the model fails, what the built-in parser has read counts, and a note says so; another
    note says if the two do not agree. Raises BadOrder; UpstreamLost when only the model could have
    read it, and does not answer.
    """
    # In a thread: a long file takes a while.
    builtin, prose = await asyncio.to_thread(_parsed, content, content_type)
    if prose is None or model is None or (isinstance(builtin, BadOrder) and builtin.recognised):
        if isinstance(builtin, BadOrder):
            raise builtin
        return builtin
    try:
        order = await model.read(prose)
    except UpstreamLost as error:
        if isinstance(builtin, BadOrder):
            raise
        why = str(error)
    except UpstreamRefused as error:
        if isinstance(builtin, BadOrder):
            raise builtin from error
        why = str(error)
    else:
        return order if isinstance(builtin, BadOrder) else _compared(order, builtin)
    return replace(builtin, notes=(*builtin.notes, f"Read by the built-in parser: {why}"))


def _compared(order: Order, builtin: Order) -> Order:
    """Return what the model has read, with a note if the built-in parser finds something else."""
    if (len(order.lines), order.pieces) == (len(builtin.lines), builtin.pieces):
        return order
    note = (
        f"It finds {order.pieces} pieces in {len(order.lines)} line items, the built-in parser "
        f"{builtin.pieces} in {len(builtin.lines)}."
    )
    return replace(order, notes=(*order.notes, note))


def _parsed(content: bytes, content_type: str) -> tuple[Order | BadOrder, str | None]:
    """Return what the built-in parser makes of an upload, and its text if it is prose."""
    try:
        text = decode(content)
    except BadOrder as error:
        return error, None
    prose = text if kind_of(text, content_type) == "text" else None
    try:
        return parse(content, content_type), prose
    except BadOrder as error:
        return error, prose
