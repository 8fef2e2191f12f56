"""AWS Lambda on loopback: runs a built function as the platform would.

    with LambdaFunction(built, "functions.streams.handler", variables, data=directory) as function:
        with HttpApi(function) as api:
            ...  # requests to api.url; function.environments, function.kill(), function.recycle()

What it models, each where its module cites the vendor's page for it:
- the managed Python runtime: awslambdaric and boto3 of the versions installed here, nothing else
  that is installed here, the variables that Lambda sets, an exec wrapper (managed.py, function.py);
- the Runtime API, with streamed answers, their trailers, and its refusals (runtime_api.py);
- execution environments: one invocation each at a time, the one used last used first, frozen
  between invocations, killed at the deadline; a new one after a crash; Init's ten seconds and its
  second try; throttling; what is billed (environment.py, function.py);
- function URLs, streamed and buffered, HTTP APIs, and REST APIs that stream, with their limits;
  a client's disconnect, which the function never sees (fronts.py);
- the Invoke API, synchronous and asynchronous, the queue of asynchronous invocations with its
  retries, and a schedule that feeds it (invoke_api.py, asynchronous.py);
- Lambda Managed Instances as far as the Runtime API goes: several invocations in one environment,
  which is not frozen, and whose time-outs end nothing.

What it does not model:
- the machine: no share of a processor by memory, no limit of memory, no Firecracker. Frozen means
  SIGSTOP for the environment's process group; the clocks run on, and a process that left the group
  runs on too. Environments share this machine's files, /tmp too, and may write
  everywhere; only Python's bytecode stays unwritten, as on the platform.
- the network: no TLS (so `x-forwarded-proto` says http), no latency, no CloudFront, and connections
  of a frozen environment are not dropped while it sleeps;
- access: no IAM, signatures, authorizers, CORS settings or tracing. Credentials are placeholders
  unless the caller gives some;
- a reset of an environment after a time-out or crash in place of a new one, extensions, layers
  (/opt), SnapStart, provisioned concurrency, scaling rates, destinations of asynchronous
  invocations and events that are handed out twice, logs in CloudWatch, limits of headers' sizes,
  and the way of several Availability Zones.
"""

from infra.local.aws.asynchronous import EventQueue, Schedule
from infra.local.aws.fronts import FunctionUrl, HttpApi, RestApi
from infra.local.aws.function import EnvironmentState, LambdaFunction
from infra.local.aws.invoke_api import InvokeApi

__all__ = [
    "EnvironmentState",
    "EventQueue",
    "FunctionUrl",
    "HttpApi",
    "InvokeApi",
    "LambdaFunction",
    "RestApi",
    "Schedule",
]
