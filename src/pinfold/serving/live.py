"""A generation together with all that was accepted since: what requests are answered from."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from pinfold.arrays import Bools, Ints, TopK
from pinfold.errors import DataError, NotFoundError
from pinfold.serving.answerers import Answerer, Asker, answerer
from pinfold.serving.catalogue import Catalogue, Later
from pinfold.serving.embedder import NewVectors
from pinfold.serving.generation import Generation
from pinfold.serving.second_stage import ranked
from pinfold.serving.store import Entry, EventEntry, ItemEntry

TAKERS = 100  # users by whom an item that came since is placed; more of them change little


class Live:
    """One thread writes, any number read; a reader never waits.

    What was accepted is replayed onto a new generation by `replay`. Items that the generation was trained with keep
    their trained vectors unless they were put after its training; what they are called, and whether they are gone,
    is always what was said last.
    """

    def __init__(self, generation: Generation) -> None:
        artifact = generation.artifact
        self.generation = generation
        self.items = Catalogue(artifact.items, artifact.item_table, artifact.graph.item_users.degrees())
        self.answers: Answerer = answerer(
            len(artifact.items), generation.vectors, generation.indexes, generation.recommender
        )
        self.n_events = 0
        self._notes: dict[int, str] = {}  # rows that cannot be found, and why
        self._taken: dict[str, dict[int, int]] = {}  # by user: rows, and a number that rises with each event
        self._given: dict[str, dict[int, None]] = {}  # by user: rows that were put with them among the collections
        self._takers: dict[str, dict[str, None]] = {}  # by item: users of events
        self._new_users: set[str] = set()
        self._titles = artifact.user_table.titles()

    # ---- reading

    @property
    def quick(self) -> bool:
        """Whether one look into an index answers a question."""
        return self.answers.vectors and self.generation.stages is None

    def history(self, user: str) -> Ints:
        """The rows that somebody has, the latest first.

        Raises:
            NotFoundError: nobody has this id.
        """
        row = self.generation.artifact.users.row_or(user, -1)
        taken, given = self._taken.get(user), self._given.get(user)
        if row < 0 and not taken and not given:
            raise NotFoundError(
                f"no user has the id {user!r}; to recommend to somebody new, POST /v1/recommendations with what they "
                "have, or tell their events"
            )
        since = list(dict.fromkeys([*reversed(_in_order(taken)), *reversed(list(given or ()))]))
        old = self.generation.seen.row(row) if row >= 0 else np.empty(0, np.int32)
        if not since:
            return np.asarray(old, np.int32)
        late = np.array(since, np.int32)
        return np.concatenate([late, old[~np.isin(old, late)]]).astype(np.int32)

    def asker(self, user: str) -> Asker:
        """Somebody known, as the model sees them.

        Raises:
            NotFoundError: nobody has this id.
        """
        history = self._speaking(self.history(user))
        since = [*list(self._given.get(user, ())), *_in_order(self._taken.get(user))]
        found = self.generation.artifact.users.row_or(user, -1)
        row = found if found >= 0 else None
        later = _each_once(since, history)
        if row is not None and np.isin(later, self.generation.seen.row(row)).all():
            return Asker(row, history, row, later)  # nothing that their own vector does not know
        return Asker(None, history, row, later)

    def asker_of(self, rows: Sequence[int], *, ordered: bool = False) -> Asker:
        """Somebody of whom only this is known, the latest last if `ordered`."""
        history = self._speaking(np.unique(np.array(rows, np.int32)))
        return Asker(None, history, None, _each_once(rows, history) if ordered else history, ordered)

    def user_title(self, user: str) -> str | None:
        """A user's name for people."""
        row = self.generation.artifact.users.row_or(user, -1)
        return None if row < 0 or self._titles is None else self._titles[row]

    def note(self, row: int) -> str | None:
        """Why an item is in no answer; None where it is."""
        return self._notes.get(row)

    @property
    def n_users(self) -> int:
        """Users of the training data, and those that came since."""
        return len(self.generation.artifact.users) + len(self._new_users)

    def n_users_of(self, row: int) -> int:
        """How many users have an item, of those who took it since training up to TAKERS; each counts once."""
        artifact, came = self.generation.artifact, self.users_of(row)
        old = artifact.graph.item_users.row(row) if row < self.items.n_old else np.empty(0, np.int32)
        known = [artifact.users.row_or(user, -1) for user in came]
        return len(old) + len(came) - int(np.isin(known, old).sum())

    def users_of(self, row: int) -> list[str]:
        """The users who are known to have an item that came since, or was changed since."""
        later = self.items.later(row)
        given = later.collections if later is not None else []
        return list(dict.fromkeys([*given, *self._takers.get(self.items.id(row), ())]))

    def recommend(self, asker: Asker, k: int, exclude: Ints, allowed: Bools | None) -> TopK:
        """The K best rows for somebody, in the ranker's order where there is one and what they have is excluded."""
        stages = self.generation.stages
        if stages is None or not len(asker.history) or len(np.setdiff1d(asker.history, exclude)):
            return self.answers.recommend(asker, k, exclude, allowed)
        return ranked(stages, self.answers, asker, k, exclude, self._there(allowed))

    def _there(self, allowed: Bools | None) -> Bools | None:
        """Which rows may be answered with, without those that are gone."""
        gone = self.items.all_gone()
        if not gone:
            return allowed
        there = np.ones(len(self.items), np.bool_) if allowed is None else allowed.copy()
        there[[row for row in gone if row < len(there)]] = False
        return there

    def _speaking(self, history: Ints) -> Ints:
        """The rows that say something of who has them: all but what came since and is gone or has no vector."""
        n_old = self.items.n_old
        silent = [row for row in history.tolist() if row >= n_old and (self.items.gone(row) or row in self._notes)]
        return np.sort(history[~np.isin(history, np.array(silent, np.int32))]) if silent else np.sort(history)

    # ---- writing, by one thread

    def place(self, name: str, attributes: Mapping[str, Any], collections: Sequence[str]) -> NewVectors | str:
        """The vectors of an item with these attributes and collections, or why it has none.

        Raises:
            DataError: an attribute that is not known, or a value of another kind.
        """
        artifact = self.generation.artifact
        row = artifact.items.row_or(name, -1)
        takers = self._takers.get(name, ()) if row < 0 else ()  # events move only what came since: `take`
        known = [user for user in dict.fromkeys([*collections, *takers]) if user in artifact.users][:TAKERS]
        if row >= 0:
            known += artifact.users.ids(artifact.graph.item_users.row(row)).tolist()
        return self.generation.embedder(attributes, known)

    def put(self, entry: ItemEntry, vectors: NewVectors | str | None) -> int:
        """An item was accepted; None: it keeps the vectors it was trained to. Its row."""
        row = self.items.row_for(entry.id)
        self._ungive(row)
        self._show(row, vectors)  # before its id leads to it, so that who finds the row finds its vector
        self.items.put(row, Later(entry.attributes, list(entry.collections)))
        for user in entry.collections:
            self._came(user)
            self._given.setdefault(user, {})[row] = None
        return row

    def delete(self, entry: ItemEntry) -> None:
        """An item is gone."""
        row = self.items.row_for(entry.id)  # also one that came and went before a restart: its events may count again
        self.answers.delete(row)
        self._ungive(row)
        self.items.delete(row)

    def take(self, entries: Iterable[EventEntry]) -> list[int]:
        """Events were accepted; the rows of items that came since and move to where their users are."""
        moved: dict[str, None] = {}
        for entry in entries:
            self.n_events += 1
            row = self.items.any_row(entry.item)
            if row is None:
                continue  # the item was deleted, and the generation never knew it
            self._came(entry.user)
            self._taken.setdefault(entry.user, {})[row] = self.n_events  # in one step; the latest counts
            takers = self._takers.setdefault(entry.item, {})
            if len(takers) < TAKERS and entry.user not in takers:
                takers[entry.user] = None
                if row >= self.items.n_old and entry.user in self.generation.artifact.users:
                    moved[entry.item] = None
        return [row for row in map(self._move, moved) if row is not None]

    def replay(self, entries: Iterable[Entry]) -> int:
        """All that was accepted before, in order; the last sequence."""
        items: list[ItemEntry] = []
        events: list[EventEntry] = []
        last = 0
        for entry in entries:
            last = entry.sequence
            (items if isinstance(entry, ItemEntry) else events).append(entry)  # type: ignore[arg-type]
        for entry in events:  # who took an item counts for where it is placed, so the events come first
            takers = self._takers.setdefault(entry.item, {})
            if len(takers) < TAKERS:
                takers[entry.user] = None
        for entry in items:
            self._replay_item(entry)
        self.take(events)
        return last

    def catch_up(self, entries: Iterable[Entry], last: int) -> int:
        """What was accepted while the rest was replayed, up to the sequence `last`; the last sequence now."""
        for entry in entries:
            last = entry.sequence
            if isinstance(entry, ItemEntry):
                self._replay_item(entry)
            else:
                self.take([entry])
        return last

    def _replay_item(self, entry: ItemEntry) -> None:
        if entry.deleted:
            self.delete(entry)
        elif entry.id in self.generation.artifact.items and entry.time < self.generation.created:
            self.put(entry, None)
        else:
            self.put(entry, self._placed(entry.id, entry.attributes, entry.collections))

    def _placed(self, name: str, attributes: Mapping[str, Any], collections: Sequence[str]) -> NewVectors | str:
        """As `place`, of what was accepted already: by another generation, it may hold what this one cannot read."""
        try:
            return self.place(name, attributes, collections)
        except DataError as error:
            return f"this model cannot read it: {error}"

    def _move(self, name: str) -> int | None:
        """Place an item anew, now that more users have it; its row."""
        row = self.items.row_or(name)
        later = None if row is None else self.items.later(row)
        if row is not None and later is not None:
            self._show(row, self._placed(name, later.attributes, later.collections))
        return row

    def _show(self, row: int, vectors: NewVectors | str | None) -> None:
        """Let an item be found, or note why it is not."""
        if isinstance(vectors, str) and row >= self.items.n_old:
            self._notes[row] = vectors
            self.answers.delete(row)
            return
        self._notes.pop(row, None)
        self.answers.put(row, None if isinstance(vectors, str) else vectors)

    def _ungive(self, row: int) -> None:
        later = self.items.later(row)
        for user in later.collections if later is not None else ():
            given = self._given.get(user, {})
            given.pop(row, None)
            if not given and not self._taken.get(user):
                self._new_users.discard(user)

    def _came(self, user: str) -> None:
        if user not in self.generation.artifact.users:
            self._new_users.add(user)


def _in_order(taken: Mapping[int, int] | None) -> list[int]:
    """Rows by their numbers."""
    found = list((taken or {}).items())
    return [row for row, _ in sorted(found, key=lambda entry: entry[1])]


def _each_once(rows: Sequence[int], among: Ints) -> Ints:
    """Those of the rows that are among others, in their order, each where it last stands."""
    kept = np.array(list(dict.fromkeys(reversed(rows)))[::-1], np.int32)
    return kept[np.isin(kept, among)]
