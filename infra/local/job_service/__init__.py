"""An external job service on this machine, for developers and tests: jobs that run by a script, a
WebSocket and an address that tell their progress, and faults on demand.

    WS   /ws                         joined by {"type":"join","jobId":"…"}
    WS   /jobs/{job}/ws              joined by connecting
    GET  /jobs/{job}                 its state
    GET  /jobs/{job}/access?user=…   204, 403 for a user who may not see it, 404

`JobService` (service.py) is the application, `JobServer` (server.py) runs it as a process of its
own, control.py has the endpoints by which it is told what to do.
"""

from infra.local.job_service.server import JobServer
from infra.local.job_service.service import JobService

__all__ = ["JobServer", "JobService"]
