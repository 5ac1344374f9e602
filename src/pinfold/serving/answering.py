"""Questions by id against one snapshot: rows become ids and titles here, and nowhere further down."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pinfold.arrays import Bools, Ints, TopK
from pinfold.errors import ConfigError, NotFoundError
from pinfold.index.vectors import similar_users, user_vectors
from pinfold.ranking.diversity import mmr
from pinfold.serving.answerers import Asker
from pinfold.serving.filters import Filter
from pinfold.serving.live import Live
from pinfold.views import Explained, Found, ItemView, Ranked, Term, UserView

ALL = Filter()
DIVERSE = 5  # so many times k candidates are chosen from where answers are to be diverse
SHOWN = 200  # items of a history that are shown


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked for beside whom: how many, which of them, how diverse."""

    k: int = 10
    filter: Filter = ALL
    diversity: float = 0.0  # 0: by score alone
    seen: bool = False  # also what they have
    named: str = "filter"  # where the filter stands in the request


def for_user(live: Live, user: str, question: Question) -> Found:
    """The best items for somebody known.

    Raises:
        NotFoundError: nobody has this id.
    """
    return _for(live, live.asker(user), live.history(user), question)


def for_items(live: Live, items: Sequence[str], question: Question, *, ordered: bool = False) -> Found:
    """The best items for somebody of whom only this is known. What nobody knows is left out, and that is noted.

    Args:
        live: what answers.
        items: ids; the latest last, if `ordered`.
        question: how many, which.
        ordered: whether their order means anything.

    Raises:
        NotFoundError: there is none of these items.
    """
    rows = [row for item in items if (row := live.items.row_or(item)) is not None]
    if not rows:
        raise NotFoundError(f"none of these items is known; {live.items.unknown(items[0])}")
    found = _for(live, live.asker_of(rows, ordered=ordered), np.unique(np.array(rows, np.int32)), question)
    n, n_known = len(set(items)), len(set(rows))
    if n_known == n:
        return found
    left = f"{n - n_known} of {n} items are not known and were left out"
    return replace(found, note=left if found.note is None else f"{left}; {found.note}")


def similar(live: Live, item: str, question: Question) -> Found:
    """The items most like one.

    Raises:
        NotFoundError: there is no such item.
        ConfigError: it has no vector.
    """
    row = item_row(live, item)
    note = live.note(row)
    if note is not None:
        raise ConfigError(f"item {item!r} is like none yet: {note}")
    allowed = allowed_of(live, question)
    wanted = _wanted(question)
    found = _rows_of(live.answers.similar(row, wanted, allowed))
    return _found(live, *_diverse(live, found, question), question, allowed, 1)


def related(live: Live, user: str, k: int) -> Found:
    """The users (collections) most like one of the training data.

    Raises:
        NotFoundError: nobody has this id, or they came after training.
        ConfigError: the model has no vector for each user.
    """
    artifact = live.generation.artifact
    row = artifact.users.row_or(user, -1)
    if row < 0:
        live.history(user)  # says so where nobody has this id
        raise NotFoundError(f"user {user!r} came after the training; related ones are known once it was trained again")
    top = similar_users(user_vectors(artifact.learned), np.array([row], np.int32), k)
    rows, scores = _rows_of(top)
    names = [(str(artifact.users.all[one]), live.user_title(str(artifact.users.all[one]))) for one in rows.tolist()]
    answers = [Ranked(n + 1, *name, float(score)) for n, (name, score) in enumerate(zip(names, scores, strict=True))]
    return Found(live.generation.mark, answers, None if len(answers) == k else "no other user has a vector")


def explain(live: Live, user: str | None, items: Sequence[str], item: str, k: int) -> Explained:
    """Why an item has its score for a user, or for somebody who has `items`, by the K largest terms.

    Raises:
        NotFoundError: there is no such item.
        ConfigError: the model's scores are no sum over a history.
    """
    row = item_row(live, item)
    if live.note(row) is not None:
        raise ConfigError(f"item {item!r} has no score yet: {live.note(row)}")
    asker = live.asker(user) if user is not None else live.asker_of([item_row(live, one) for one in items])
    found = live.answers.explain(asker, row)
    order = np.argsort(-found.terms, kind="stable")
    shown = [one for one in order.tolist() if not live.items.gone(int(found.items[one]))][:k]  # others stay in the rest
    terms = [Term(*_name(live, int(found.items[one])), float(found.terms[one])) for one in shown]
    rest = float(np.delete(found.terms, shown).sum(dtype=np.float64))
    return Explained(*_name(live, row), found.score, terms, rest, len(order) - len(shown), found.own)


def item_view(live: Live, item: str) -> ItemView:
    """An item as it is known.

    Raises:
        NotFoundError: there is no such item.
    """
    row = item_row(live, item)
    items, note = live.items, live.note(row)
    return ItemView(*_name(live, row), items.attributes(row), live.n_users_of(row), items.origin(row), note is None)


def user_view(live: Live, user: str) -> UserView:
    """Somebody and what they have, the latest first.

    Raises:
        NotFoundError: nobody has this id.
    """
    rows = np.array([row for row in live.history(user).tolist() if not live.items.gone(row)], np.int32)
    return UserView(user, live.user_title(user), [live.items.named(int(row)) for row in rows[:SHOWN]], len(rows))


def item_row(live: Live, item: str) -> int:
    """The row of an item that is there.

    Raises:
        NotFoundError: there is none.
    """
    row = live.items.row_or(item)
    if row is None:
        raise NotFoundError(live.items.unknown(item))
    return row


def as_found(live: Live, top: TopK, question: Question, allowed: Bools | None) -> Found:
    """What another way of looking found, as an answer."""
    return _found(live, *_rows_of(top), question, allowed, 1)


def _for(live: Live, asker: Asker, history: Ints, question: Question) -> Found:
    allowed = allowed_of(live, question)
    exclude = np.empty(0, np.int32) if question.seen else np.sort(history)
    found = _rows_of(live.recommend(asker, _wanted(question), exclude, allowed))
    if not len(asker.history) and asker.user is None:
        return Found(live.generation.mark, [], "nothing that they have is known to the model, so it has nothing to say")
    return _found(live, *_diverse(live, found, question), question, allowed, len(exclude))


def _wanted(question: Question) -> int:
    return question.k if not question.diversity else question.k * DIVERSE


def allowed_of(live: Live, question: Question) -> Bools | None:
    """Which rows a filter lets through; None: all.

    Raises:
        RequestError: a condition on a field that no item has.
    """
    if question.filter == ALL:
        return None
    live.items.check_fields(question.filter, question.named)
    return live.items.mask(question.filter)


def _rows_of(top: TopK) -> tuple[Ints, list[float]]:
    """The rows that were found, and their scores."""
    there = top.ids[0] >= 0
    return top.ids[0][there], top.scores[0][there].tolist()


def _diverse(live: Live, found: tuple[Ints, list[float]], question: Question) -> tuple[Ints, list[float]]:
    """Candidates brought to an order that repeats itself less, where that is asked for."""
    rows, scores = found
    if not question.diversity or not len(rows):
        return rows, scores
    vectors = live.answers.directions(rows)
    order = mmr(np.array(scores, np.float32), vectors, min(question.k, len(rows)), question.diversity)
    return rows[order], [scores[one] for one in order.tolist()]


def _found(
    live: Live, rows: Ints, scores: list[float], question: Question, allowed: Bools | None, n_excluded: int
) -> Found:
    note = None
    if len(rows) < question.k:
        gone = live.items.all_gone()
        there = len(live.items) - len(gone)
        if allowed is not None:
            there = int(allowed.sum()) - sum(bool(allowed[row]) for row in gone if row < len(allowed))
        said = f"the filter lets {there} items through" if allowed is not None else f"there are {there} items"
        note = (
            f"{len(rows)} of {question.k}: {said}, {n_excluded} were left out as known, and of others there is no score"
        )
    return _ranked(live, rows, scores, question.k, note)


def _name(live: Live, row: int) -> tuple[str, str | None]:
    return live.items.id(row), live.items.title(row)


def _ranked(live: Live, rows: Ints, scores: Sequence[float], k: int, note: str | None) -> Found:
    answers = [
        Ranked(rank, name, title, score)
        for rank, ((name, title), score) in enumerate(zip(live.items.names(rows[:k]), scores, strict=False), 1)
    ]
    return Found(live.generation.mark, answers, note)
