"""A runtime for AWS Lambda that streams what an ASGI application sends.

Lambda's own Python runtime answers whole. This one speaks the Runtime API itself:

    next ─► RuntimeApi ─► Call ─► events ─► ASGI scope ─► the application
    response ◄─ chunks ◄─ Upload ◄─ prelude, body ◄─ Exchange ◄─ send

    next ─► RuntimeApi ─► Call ─► events ─► Task ─► App.perform ─► its result

    connection    HTTP/1.1 to the Runtime API, by h11 on asyncio's sockets
    runtime_api   its requests and headers; what a Call is
    failure       errors as Lambda wants to be told of them
    events        which events are HTTP requests, and their scopes; which are tasks
    exchange      receive and send of one invocation
    loop          the slots that ask for work and serve it
    lifespan      the application's start and end
    process       from the environment to an exit code

The protocol: AWS Lambda Developer Guide, "Using the Lambda runtime API for custom runtimes" and
"Building a custom runtime", with its sections on response streaming and on managed instances.
"""
