"""Alerts, where LASTEVENT_ALERT_URL says who is to be told: of runs that failed, of clients that
come back more often than they were asked to."""

from collections.abc import Mapping, Sequence

from lastevent.serve.service import Service
from lastevent.services.alerts import KIND, Alerts
from lastevent.services.incident import Detail
from lastevent.services.webhook import Webhook


async def raise_alert(
    service: Service,
    kind: str,
    key: str,
    title: str,
    details: Mapping[str, Detail],
    *,
    quiet_seconds: float | None = None,
) -> bool:
    """Have somebody told, once, of what ``kind`` and ``key`` name; return whether that is new.

    ``title`` is a sentence, ``details`` what helps to find the cause; both leave this house, so no
    secret and nothing of people's own belongs in them. Alerts.notice says the rest. Without an
    address nobody is told. Raises Transient.
    """
    alerts = service.part(alerts_of)
    if alerts is None:
        return False
    return await alerts.notice(kind, key, title, details, quiet_seconds)


async def sweep(service: Service) -> Sequence[Mapping[str, object]]:
    """Tell what is left to tell; return the incidents that were."""
    alerts = service.part(alerts_of)
    if alerts is None:
        return ()
    return [{"kind": KIND, "id": it.id, "state": it.untold} for it in await alerts.sweep()]


def alerts_of(service: Service) -> Alerts | None:
    """Return the alerts of a process; None if nobody is to be told."""
    settings = service.settings
    if settings.alert_url is None or settings.alert_secret is None:
        return None
    return Alerts(service.store, Webhook(settings.alert_url, settings.alert_secret))
