"""What a Pinterest-like world is made to be: its sizes, its exponents, its seed. data/pinterest_world.py makes it."""

from typing import Annotated

from pydantic import Field

from pinfold.config import options
from pinfold.errors import ConfigError


@options
class PinterestConfig:
    """A world of users and items, how many edges they have, and the seed it grows from."""

    users: Annotated[int, Field(ge=1, lt=2**31, description="users (U), each with at least one edge")]
    items: Annotated[int, Field(ge=2, lt=2**31, description="items (I), each with at least one edge")]
    edges: Annotated[int, Field(ge=1, lt=2**40, description="edges (E), all distinct")]
    features: Annotated[int, Field(ge=2, le=4096, description="numbers of an item's feature vector")] = 64
    seed: Annotated[int, Field(ge=0, lt=2**63, description="where all chance comes from")] = 0
    days: Annotated[int, Field(ge=1, le=20_000, description="days from the first event to the last")] = 365
    user_exponent: Annotated[
        float, Field(gt=2, le=6, description="the tail of users' degrees: p(d) falls with d to this power")
    ] = 2.3
    item_exponent: Annotated[float, Field(gt=2, le=6, description="the same of items")] = 2.3
    most_user_edges: Annotated[int, Field(ge=1, description="edges of a user at most")] = 10_000
    communities: Annotated[
        int, Field(ge=0, description="communities of items (C); 0: a third of the root of the items")
    ] = 0
    community_share: Annotated[
        float, Field(ge=0, le=1, description="how many of the edges are within a user's one to three communities")
    ] = 0.8


def check_sizes(config: PinterestConfig) -> None:
    """Raise unless there is a world of these sizes.

    Raises:
        ConfigError: says which size does not go with which.
    """
    users, items, edges = config.users, config.items, config.edges
    if edges < max(users, items):
        raise ConfigError(
            f"edges = {edges}: with {users} users and {items} items, each with an edge, expected at least "
            f"{max(users, items)}; ask for more edges"
        )
    most = min(config.most_user_edges, items // 2)
    if edges > users * most:
        raise ConfigError(
            f"edges = {edges}: {users} users take at most {most} of the {items} items each, {users * most} in all; "
            "ask for fewer edges, more users or items, or more most_user_edges (half the items is the bound)"
        )
    if edges * items >= 2**63:
        raise ConfigError(f"edges x items = {edges} x {items}: expected less than 2^63; ask for fewer")
    if config.communities > items:
        raise ConfigError(f"communities = {config.communities}: expected at most one for each of the {items} items")
