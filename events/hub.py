"""Receiving: one thread listens for a whole process, and an event loop hands out what it hears."""

import asyncio
import logging
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress

from django.db import DatabaseError
from django.db.utils import InterfaceError

from events import sources
from events.publishing import MISSED, Event

logger = logging.getLogger(__name__)

# What a subscriber may leave unread. Beyond that it is told to look at everything again.
QUEUE = 64
RECONNECT_AFTER = 1.0


class Subscription:
    """The events of some topics, in order, to be read by one task."""

    def __init__(self, topics: Iterable[str]) -> None:
        self.topics = tuple(topics)
        self._queue: asyncio.Queue[Event] = asyncio.Queue(QUEUE)

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        return await self._queue.get()

    def put(self, event: Event) -> None:
        if self._queue.full():
            while not self._queue.empty():
                self._queue.get_nowait()
            event = Event(MISSED)
        self._queue.put_nowait(event)


class Hub:
    """The subscriptions of one event loop, and the thread that listens for them."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._by_topic: defaultdict[str, set[Subscription]] = defaultdict(set)
        self._listening = asyncio.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="events", daemon=True)

    async def __aenter__(self) -> "Hub":
        self._thread.start()
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._ending.set()
        await asyncio.to_thread(self._thread.join)

    @asynccontextmanager
    async def subscribe(self, *topics: str) -> AsyncIterator[Subscription]:
        """From here on nothing is missed: what is read after this is either seen as it is, or announced."""
        await self._listening.wait()
        subscription = Subscription(topics)
        for topic in topics:
            self._by_topic[topic].add(subscription)
        try:
            yield subscription
        finally:
            for topic in topics:
                self._by_topic[topic].discard(subscription)
                if not self._by_topic[topic]:
                    del self._by_topic[topic]

    def _hand_out(self, events: list[Event]) -> None:
        for event in events:
            for subscription in tuple(self._by_topic.get(event.topic, ())):
                subscription.put(event)

    def _begun(self) -> None:
        """After a pause in listening, everybody looks again."""
        for subscription in {one for some in self._by_topic.values() for one in some}:
            subscription.put(Event(MISSED))
        self._listening.set()

    # --- In the thread ---

    def _listen(self) -> None:
        while not self._ending.is_set():
            try:
                self._listen_once()
            except (DatabaseError, InterfaceError) as error:
                logger.warning("Events cannot be heard; trying again in a second: %s", error)
                self._ending.wait(RECONNECT_AFTER)

    def _listen_once(self) -> None:
        source = sources.connect()
        try:
            self._tell(self._begun)
            while not self._ending.is_set():
                if events := source.wait():
                    self._tell(self._hand_out, events)
        finally:
            with suppress(DatabaseError, InterfaceError):  # it may be what broke
                source.close()

    def _tell(self, what: object, *args: object) -> None:
        self._loop.call_soon_threadsafe(what, *args)  # type: ignore[arg-type]
