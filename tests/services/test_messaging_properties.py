"""Any interleaving of what two people do, on servers that may die at any call, leaves both sides,
of whom each reads only its own stream after one snapshot, with the conversation of the records.

Every call to the store waits until the machine lets it through; so deeds of several servers meet at
every point at which another's call could come between two of theirs.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from lastevent.core.errors import LastEventError
from lastevent.services.messaging import service
from lastevent.services.messaging.message import Draft
from lastevent.services.messaging.people import User
from lastevent.services.messaging.service import Messaging
from lastevent.stores.base import Store
from lastevent.stores.url import open_store
from tests.services.dying import POWERS, Died
from tests.services.talk import ANN, LOOSE, PAIR, PAUL, View, draft

USER = st.sampled_from([ANN, PAUL])
NUMBER = st.integers(1, 4)
WAIT_SECONDS = 20.0
TURNS = 12
"""Of the loop, after which nothing goes on by itself."""


@dataclass(eq=False)
class Call:
    """A call that waits to be let through."""

    server: "Server"
    method: Callable[..., Awaitable[Any]]
    passed: asyncio.Future[None]


@dataclass(eq=False)
class Server:
    """A process on the store, with the one thing that it does."""

    waiting: list[Call]
    is_dead: bool = False
    task: asyncio.Task[Any] | None = None

    def over(self, store: Store) -> Store:
        """Return the store as this process has it."""
        powers: dict[str, Any] = {name: _Gate(getattr(store, name), self) for name in POWERS}
        return store._replace(**powers)


class _Gate:
    def __init__(self, power: object, server: Server) -> None:
        self._power = power
        self._server = server

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self._power, name)

        async def call(*args: Any, **options: Any) -> Any:
            if self._server.is_dead:
                raise Died
            passed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._server.waiting.append(Call(self._server, method, passed))
            await passed
            result = await method(*args, **options)
            if self._server.is_dead:
                raise Died
            return result

        return call


@dataclass
class Sent:
    """A draft that somebody sent, and what came of it, if anybody heard."""

    user: User
    draft: Draft
    answers: list[dict[str, object]] = field(default_factory=list)


class Machine(RuleBasedStateMachine):
    """Ann and Paul, each with a page, and as many servers as there are deeds."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.store = open_store("memory://")
        self.waiting: list[Call] = []
        self.servers: list[Server] = []
        self.sent: list[Sent] = []
        self.views = {user.id: View(user) for user in (ANN, PAUL)}
        self.loading: set[str] = set()
        # Once it is there, every deed is possible.
        self.begun = Sent(ANN, draft("begun"))
        self.sent.append(self.begun)
        answer = self.run(Messaging(self.store, LOOSE).begin(ANN, PAUL.id, self.begun.draft))
        self.begun.answers.append(answer)

    def run[T](self, work: Awaitable[T]) -> T:
        async def done() -> T:
            return await work

        return self.runner.run(done())

    def settle(self) -> None:
        """Let all go on until it waits."""

        async def turns() -> None:
            for _ in range(TURNS):
                await asyncio.sleep(0)

        self.runner.run(turns())

    def start(self, deed: Callable[[Messaging], Awaitable[object]]) -> None:
        server = Server(self.waiting)
        messaging = Messaging(server.over(self.store), LOOSE)

        async def do() -> None:
            try:
                await deed(messaging)
            except Died:
                assert server.is_dead
            except LastEventError as error:
                # 503: so many were at it that this one gave up; whoever sent asks again.
                assert error.status in (400, 404, 409, 503), error

        async def begin() -> None:
            server.task = asyncio.create_task(do())

        self.runner.run(begin())
        self.servers.append(server)
        self.settle()

    # What they do.

    def send_again(self, sent: Sent) -> None:
        async def deed(messaging: Messaging) -> None:
            sent.answers.append(await messaging.send(sent.user, PAIR, sent.draft))

        self.start(deed)

    @rule(user=USER)
    def send(self, user: User) -> None:
        sent = Sent(user, draft("said"))
        self.sent.append(sent)
        self.send_again(sent)

    @rule(which=st.integers(0, 5))
    def repeat(self, which: int) -> None:
        self.send_again(self.sent[which % len(self.sent)])

    @rule(user=USER, number=NUMBER, text=st.sampled_from(["this", "that"]))
    def edit(self, user: User, number: int, text: str) -> None:
        self.start(lambda it: self.altered(it, user, number, text))

    @rule(user=USER, number=NUMBER)
    def delete(self, user: User, number: int) -> None:
        self.start(lambda it: self.altered(it, user, number, None))

    async def altered(self, it: Messaging, user: User, number: int, text: str | None) -> None:
        message = await self.store.records.get("messages", f"{PAIR}/{number:010d}")
        if message is None or f'"sender":"{user.id}"' not in message.value:
            return
        if text is None:
            await it.delete(user, f"{PAIR}-{number}")
        else:
            await it.edit(user, f"{PAIR}-{number}", text)

    @rule(user=USER, number=NUMBER, read=st.booleans())
    def mark(self, user: User, number: int, read: bool) -> None:
        self.start(lambda it: it.mark(user, PAIR, "read" if read else "delivered", number))

    @rule(user=USER)
    def reconnect(self, user: User) -> None:
        """Open the page anew, while the rest goes on."""
        if user.id in self.loading:
            return
        self.loading.add(user.id)
        self.views[user.id] = view = View(user)

        async def load(messaging: Messaging) -> None:
            try:
                await view.load(messaging)
            except Died:
                view.cursor = None
                raise
            finally:
                self.loading.discard(user.id)

        self.start(load)

    @rule(user=USER)
    def listen(self, user: User) -> None:
        if user.id not in self.loading and self.views[user.id].cursor is not None:
            self.run(self.views[user.id].listen(self.store))

    @rule()
    def sweep(self) -> None:
        self.start(lambda it: it.sweep())

    # What becomes of their calls.

    @precondition(lambda self: bool(self.waiting))
    @rule(which=st.integers(0, 9), steps=st.integers(1, 8))
    def let_through(self, which: int, steps: int) -> None:
        for _ in range(steps):
            if self.waiting:
                self.waiting.pop(which % len(self.waiting)).passed.set_result(None)
                self.settle()

    @precondition(lambda self: bool(self.waiting))
    @rule(which=st.integers(0, 9), carried_out=st.booleans())
    def die(self, which: int, carried_out: bool) -> None:
        call = self.waiting[which % len(self.waiting)]
        call.server.is_dead = True
        for other in [it for it in self.waiting if it.server is call.server]:
            self.waiting.remove(other)
            if other is call and carried_out:
                other.passed.set_result(None)
            else:
                other.passed.set_exception(Died())
        self.settle()

    # What must be true in the end.

    def teardown(self) -> None:
        try:
            self.run(self.finish())
            self.run(self.check())
        finally:
            self.runner.close()

    async def finish(self) -> None:
        """Let everything through."""
        tasks = [server.task for server in self.servers if server.task is not None]
        async with asyncio.timeout(WAIT_SECONDS):
            while not all(task.done() for task in tasks):
                await asyncio.sleep(0 if self.waiting else 0.001)
                while self.waiting:
                    self.waiting.pop(0).passed.set_result(None)
        await asyncio.gather(*tasks)

    async def check(self) -> None:
        messaging = Messaging(self.store, LOOSE)
        await messaging.sweep()
        truth = {user.id: View(user) for user in (ANN, PAUL)}
        for view in truth.values():
            await view.load(messaging)
        assert truth[ANN.id].agrees(truth[PAUL.id])
        for id, view in self.views.items():
            if view.cursor is not None:
                await view.listen(self.store)
                assert view.agrees(truth[id]), (view, truth[id])

        messages = truth[ANN.id].messages
        assert sorted(messages) == list(range(1, len(messages) + 1)), "dense"
        answers = [sent.answers for sent in self.sent if sent.answers]
        assert all(answer == heard[0] for heard in answers for answer in heard)
        numbers = [heard[0]["number"] for heard in answers]
        assert len(set(numbers)) == len(numbers) <= len(messages) <= len(self.sent)
        for sent in self.sent:
            again = await messaging.send(sent.user, PAIR, sent.draft)
            assert not sent.answers or again == sent.answers[0]
        for user in (ANN, PAUL):
            other = PAUL if user is ANN else ANN
            (listed,) = (await messaging.conversations(user, None, 10)).items
            history: Any = (await messaging.history(user, PAIR, None, 100)).items
            read: Any = listed["read"]
            unread = [
                it for it in history if it["from"] == other.id and it["number"] > read["mine"]
            ]
            assert listed["unread"] == len(unread)


def test_both_sides_have_the_same_conversation(monkeypatch: pytest.MonkeyPatch) -> None:
    async def at_once(attempt: int) -> None:
        await asyncio.sleep(0)

    monkeypatch.setattr(service, "_pause", at_once)
    # Not shrunk: what fails here may hang, and a smaller one would be found long after the limit.
    phases = [Phase.explicit, Phase.generate]
    run_state_machine_as_test(
        Machine, settings=settings(max_examples=80, stateful_step_count=40, phases=phases)
    )
