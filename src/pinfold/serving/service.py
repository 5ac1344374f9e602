"""The service without HTTP: ids in, plain values out. A read takes one snapshot; writes come one at a time."""

import json
import logging
import re
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pinfold.errors import ArtifactError, DataError, NotFoundError, PinfoldError, RequestError
from pinfold.serving.exploring import Explorer
from pinfold.serving.generation import Generation, load_generation, warm
from pinfold.serving.kept_vectors import KeptVectors
from pinfold.serving.live import Live
from pinfold.serving.store import NewEvent, Store
from pinfold.views import EventsStored, Freshness, Generations, ItemDeleted, ItemStored, Status

LOG = logging.getLogger("pinfold.serving")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")  # of a generation: a folder beside the first one
SERVED = "served"  # the setting that lists what was served, the current one last
KEPT = 20  # names in that list
LATEST = 1000  # items whose freshness is remembered


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one request is answered from."""

    live: Live
    explorer: Explorer


class Service:
    """One generation at a time, what was told since, and the store that keeps it."""

    def __init__(self, artifact: Path, store: Store, *, keep_vectors: bool = False) -> None:
        """Serve the artifact, or what was served last if that is another folder beside it.

        With `keep_vectors` the vectors of all items go to the store, beside those of new items, while requests are
        answered: for those who ask the database itself.

        Raises:
            ArtifactError: the artifact is damaged.
            StoreError: the store is.
        """
        artifact = artifact.resolve()
        self._store, self._folder = store, artifact.parent
        self._writing = threading.Lock()
        self._kept = KeptVectors(store, self._writing, everything=keep_vectors)
        self._loading = threading.Lock()
        self._fresh: deque[float] = deque(maxlen=LATEST)
        self._n_fresh = 0
        self._closed = False
        self.started = time.time()
        served = self._served(artifact.name)
        if served and not (self._folder / served[-1]).is_dir():
            LOG.warning("%s, served last, is there no more; serving %s", self._folder / served[-1], artifact)
            served = []
        generation = self._load(served[-1] if served else artifact.name)
        live = Live(generation)
        live.replay(store.entries())
        if not served:  # a list that began with another artifact ends here
            store.set_meta(SERVED, "[]")
        self._note(generation.name)
        self._snapshot = Snapshot(live, Explorer(live))
        self._kept.keep_all(live, lambda: self._serves(live))

    @property
    def snapshot(self) -> Snapshot:
        """What a request is to be answered from, from its beginning to its end."""
        return self._snapshot

    def put_item(
        self, name: str, attributes: Mapping[str, Any], collections: Sequence[str], arrived: float
    ) -> tuple[ItemStored, bool]:
        """Accept an item: on disk and in every answer when this returns; and whether it is new.

        Args:
            name: its id.
            attributes: all that is known of it; what was known before is replaced.
            collections: the users who have it.
            arrived: `time.perf_counter()` when the request came.

        Raises:
            DataError: an attribute that is not known, or a value of another kind.
            StoreError: it could not be kept; nothing has changed.
        """
        with self._writing:
            live = self._snapshot.live
            live.items.check_attributes(attributes)
            vectors = live.place(name, attributes, collections)
            kept = None if isinstance(vectors, str) else (live.generation.mark, vectors.alike)
            new = live.items.row_or(name) is None
            entry = self._store.put_item(name, attributes, collections, time.time(), kept)
            row = live.put(entry, vectors)
            seconds = time.perf_counter() - arrived
            self._fresh.append(seconds)
            self._n_fresh += 1
        note = live.note(row)
        return ItemStored(name, entry.sequence, note is None, note, live.generation.mark, seconds), new

    def refused_attribute(self, attributes: Mapping[str, Any]) -> str | None:
        """The first attribute that `put_item` refuses by itself; None where each is taken."""
        live = self._snapshot.live
        for name, value in attributes.items():
            try:
                live.items.check_attributes({name: value})
                live.place("", {name: value}, ())
            except DataError:
                return name
        return None

    def delete_item(self, name: str) -> ItemDeleted:
        """An item is gone from disk and from every answer when this returns.

        Raises:
            NotFoundError: there is none.
            StoreError: the store refuses; nothing has changed.
        """
        with self._writing:
            live = self._snapshot.live
            if live.items.row_or(name) is None:
                raise NotFoundError(live.items.unknown(name))
            entry = self._store.delete_item(name, time.time())
            live.delete(entry)
        return ItemDeleted(name, entry.sequence)

    def add_events(self, events: Sequence[NewEvent]) -> EventsStored:
        """Accept all events or none: on disk, and known to their users' next answers, when this returns.

        Raises:
            RequestError: an item that nobody has put.
            ConflictError: an event's id came before with other content.
            StoreError: the store refuses; nothing has changed.
        """
        with self._writing:
            live = self._snapshot.live
            for place, event in enumerate(events):
                if live.items.any_row(event.item) is None:
                    message = f"{live.items.unknown(event.item)}; PUT it first"
                    raise RequestError(422, message, f"body.events[{place}].item")
            entries = self._store.add_events(events, time.time())
            accepted = [entry for entry in entries if entry is not None]
            self._kept.moved(live, live.take(accepted))
            last = accepted[-1].sequence if accepted else self._store.last_sequence()
        return EventsStored(len(accepted), len(entries) - len(accepted), last)

    def publish(self, name: str) -> Generations:
        """Serve another artifact, a folder beside the first one: loaded beside, checked, then swapped in one step.

        Raises:
            RequestError: the name is none, or the artifact is damaged or not there; the old one goes on.
            StoreError: the store refuses; the old one goes on.
        """
        if not NAME.fullmatch(name) or name.endswith(".state"):
            raise RequestError(422, f"a generation's name must match {NAME.pattern}, got {name[:80]!r}", "body.name")
        try:
            self._swap(name)
        except ArtifactError as error:
            raise RequestError(422, str(error), "body.name") from error
        return self.generations()

    def rollback(self) -> Generations:
        """Serve what was served before.

        Raises:
            RequestError: nothing was, or it is there no more.
        """
        served = self._served(None)
        if len(served) < 2:
            raise RequestError(409, "nothing was served before this generation")
        self._store.set_meta(SERVED, json.dumps(served[:-1]))
        try:
            self._swap(served[-2])
        except BaseException as error:
            self._store.set_meta(SERVED, json.dumps(served))
            if isinstance(error, ArtifactError):
                raise RequestError(409, str(error)) from error
            raise
        return self.generations()

    def _swap(self, name: str) -> None:
        """Load a generation beside the one that is served, replay onto it, and let it answer."""
        with self._loading:
            live = Live(self._load(name))
            last = live.replay(self._store.entries())
            last = live.catch_up(self._store.entries(last), last)  # most of what arrived meanwhile; writes go on
            with self._writing:
                live.catch_up(self._store.entries(last), last)
                self._note(name)
                before, self._snapshot = self._snapshot.live, Snapshot(live, Explorer(live))
                if before.generation.mark != live.generation.mark:
                    self._kept.forget(before.generation.mark)
            self._kept.keep_all(live, lambda: self._serves(live))

    def _serves(self, live: Live) -> bool:
        return not self._closed and self._snapshot.live is live

    def generations(self) -> Generations:
        """What was served, the current one last."""
        return Generations(self._snapshot.live.generation.mark, self._served(None))

    def status(self, requests: int) -> Status:
        """What is being served."""
        live, items = self._snapshot.live, self._snapshot.live.items
        return Status(
            generation=live.generation.mark,
            model=live.generation.model,
            n_items=len(items) - len(items.all_gone()),
            n_users=live.n_users,
            n_fresh=items.n_fresh,
            n_deleted=items.n_gone,
            n_events=live.n_events,
            fields=items.fields,
            freshness=self._freshness(),
            started=self.started,
            requests=requests,
        )

    def close(self) -> None:
        """Let go of the store once what is being written is on disk."""
        with self._writing:
            self._closed = True
            self._store.close()

    def _freshness(self) -> Freshness:
        seconds = np.array(self._fresh)
        if not len(seconds):
            return Freshness(0, None, None, None)
        p50, p99 = np.quantile(seconds, [0.5, 0.99]).tolist()
        return Freshness(self._n_fresh, p50, p99, float(seconds[-1]))

    def _load(self, name: str) -> Generation:
        path = self._folder / name
        if path.is_symlink() or not path.is_dir() or path.resolve().parent != self._folder:
            raise ArtifactError(f"{name}: there is no folder of this name in {self._folder}")
        try:
            generation = load_generation(path)
            warm(generation)
        except PinfoldError as error:
            raise ArtifactError(str(error)) from error
        return generation

    def _served(self, first: str | None) -> list[str]:
        """What was served; nothing where the service was begun with another artifact than then."""
        text = self._store.meta(SERVED)
        names = [] if text is None else [str(name) for name in json.loads(text)]
        return names if first is None or first in names[:1] else []

    def _note(self, name: str) -> None:
        served = self._served(None)
        if served[-1:] != [name]:
            served = [*served[:1], *served[1:][-KEPT + 2 :], name]
        self._store.set_meta(SERVED, json.dumps(served))
