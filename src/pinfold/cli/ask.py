"""Commands that ask an artifact: recommend, similar, explain."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from pinfold.cli.app import MAX_K, Json, K, app, print_json

if TYPE_CHECKING:
    from pinfold.index.answers import Answer, Answers


@app.command
def recommend(artifact: Path, *, user: str | None = None, items: str | None = None, k: K = 10,
              as_json: Json = False) -> None:  # fmt: skip
    """Recommend items to a user, or to somebody who has certain items.

    Example: pinfold recommend out --user u42; pinfold recommend out --items "python3-numpy,python3-scipy"

    Args:
        artifact: A folder that `pinfold train` made.
        user: The id of a user of the training data.
        items: Ids of items, separated by commas, for a user whom the model does not know.
        k: How many items.
        as_json: Print JSON instead of a table.
    """
    answers = open_answers(artifact, k)
    named = given_items(user, items)
    if user is not None:
        show_answers(answers.for_user(user, k), f"for {user}", as_json=as_json)
    else:
        show_answers(answers.for_items(named, k), f"goes with {', '.join(named)}", as_json=as_json)


@app.command
def similar(artifact: Path, *, item: str | None = None, user: str | None = None, attributes: str | None = None,
            users: str | None = None, k: K = 10, as_json: Json = False) -> None:  # fmt: skip
    """The items most like one item, even one that is new, or the users (collections) most like one user.

    Examples: pinfold similar out --item python3-numpy; pinfold similar out --user jupyter-notebook;
    pinfold similar out --attributes '{"description": "numerical arrays"}' --users jupyter-notebook

    Args:
        artifact: A folder that `pinfold train` made.
        item: The id of an item.
        user: The id of a user of the training data.
        attributes: What is known of a new item, as a JSON object with the columns of the item table.
        users: Ids of users (collections) that already have the new item, separated by commas.
        k: How many of them.
        as_json: Print JSON instead of a table.
    """
    from pinfold.errors import ConfigError

    if sum(given is not None for given in (item, user, attributes)) != 1:
        raise ConfigError("say like what: --item ID, --user ID or --attributes JSON, one of them")
    if users is not None and attributes is None:
        raise ConfigError("--users says who has a new item; describe it with --attributes JSON")
    known = None if attributes is None else given_attributes(attributes)
    answers = open_answers(artifact, k)
    if known is not None:
        found = answers.similar_to_fresh(known, split_ids(users or ""), k)
    else:
        found = answers.similar(item, k) if item is not None else answers.similar_users(str(user), k)
    show_answers(found, f"like {item or user or 'the new item'}", as_json=as_json)


@app.command
def explain(artifact: Path, *, item: str, user: str | None = None, items: str | None = None, k: K = 10,
            as_json: Json = False) -> None:  # fmt: skip
    """Why an item has its score: what each item that a user has adds to it. The terms sum to the score.

    Example: pinfold explain out --items "python3-numpy,python3-scipy" --item python3-pandas

    Args:
        artifact: A folder that `pinfold train` made.
        item: The id of the item that is explained.
        user: The id of a user of the training data.
        items: Ids of items, separated by commas, for a user whom the model does not know.
        k: How many of the largest terms.
        as_json: Print JSON instead of a table.
    """
    from pinfold.terminal import OUT, reasons_table

    answers = open_answers(artifact, k)
    named = given_items(user, items)
    if user is not None:
        found, whom = answers.explain_for_user(user, item, k), user
    else:
        found, whom = answers.explain_for_items(named, item, k), f"somebody with {', '.join(named)}"
    if as_json:
        print_json(found.to_json())
    else:
        OUT.print(reasons_table(found, f"why {item} for {whom}"))


def given_items(user: str | None, items: str | None) -> list[str]:
    """The ids in `items`, separated by commas; exactly one of the two must be given."""
    from pinfold.errors import ConfigError

    if (user is None) == (items is None):
        raise ConfigError("say for whom: either --user ID or --items ID,ID,...")
    return split_ids(items or "")


def split_ids(text: str) -> list[str]:
    """Ids separated by commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def given_attributes(text: str) -> "dict[str, object]":
    """A JSON object."""
    from pinfold.errors import ConfigError

    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"--attributes: not JSON: {error}") from error
    if not isinstance(found, dict):
        raise ConfigError(f'--attributes: expected a JSON object such as {{"title": "..."}}, got {text[:60]!r}')
    return found


def open_answers(artifact: Path, k: int) -> "Answers":
    """The artifact, ready to answer."""
    from pinfold.embedding.artifact import read_artifact
    from pinfold.errors import ConfigError
    from pinfold.index.answers import Answers
    from pinfold.ranking.opening import open_recommender

    if not 1 <= k <= MAX_K:
        raise ConfigError(f"-k {k}: expected 1 to {MAX_K}")
    found = read_artifact(artifact)
    return Answers(found, open_recommender(artifact, found))


def show_answers(answers: "list[Answer]", title: str, *, as_json: bool) -> None:
    """A table, or a JSON array."""
    from pinfold.terminal import OUT, answers_table

    if as_json:
        print_json([answer.to_json() for answer in answers])
    else:
        OUT.print(answers_table(answers, title))
