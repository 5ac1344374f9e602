"""The options of the service: where it listens, whom it answers, and how much it takes."""

from typing import Annotated

from pydantic import Field

from pinfold.config import options


@options
class Limits:
    """How much one request may ask for. What is beyond a limit is refused with the name of the field."""

    max_body: Annotated[int, Field(ge=1024, description="bytes of a request's body; more is 413")] = 1 << 20
    max_url: Annotated[int, Field(ge=1024, description="bytes of path and query; more is 414")] = 1 << 15
    max_batch: Annotated[int, Field(ge=1, description="events in one request")] = 1000
    max_k: Annotated[int, Field(ge=1, description="answers in one list")] = 1000
    max_history: Annotated[int, Field(ge=1, description="items or events that stand for an unknown user")] = 1000
    max_collections: Annotated[int, Field(ge=1, description="first users of an item that is put")] = 1000
    max_text: Annotated[int, Field(ge=1, description="characters of one text, in an attribute or a search")] = 20_000
    max_id: Annotated[int, Field(ge=1, description="bytes of an id, in UTF-8")] = 512
    max_attributes: Annotated[int, Field(ge=1, description="attributes of an item")] = 1000
    max_values: Annotated[int, Field(ge=1, description="values of an attribute that is a list")] = 10_000
    max_depth: Annotated[int, Field(ge=1, le=64, description="lists and objects inside each other")] = 8
    max_filter_ids: Annotated[int, Field(ge=1, description="ids, or values, in each list of a filter")] = 10_000
    max_conditions: Annotated[int, Field(ge=1, description="conditions of a filter")] = 32
    max_concurrent: Annotated[
        int, Field(ge=1, description="requests at work at the same time; the next ones are 503 with Retry-After")
    ] = 64
    max_arriving: Annotated[
        int, Field(ge=1, description="bodies that arrive at the same time; the next ones are 503 with Retry-After")
    ] = 128
    body_seconds: Annotated[float, Field(gt=0, description="for a body to arrive; later is 408")] = 10.0
    seconds: Annotated[float, Field(gt=0, description="for an answer to be found and sent; later is 504")] = 30.0
    requests_per_second: Annotated[
        float | None,
        Field(gt=0, description="of one client address, twice as many in a burst; more is 429; none: no limit"),
    ] = None


@options
class ServeConfig:
    """Where the service listens and whom it answers."""

    host: Annotated[
        str, Field(min_length=1, description="the address to listen on; one that others can reach needs tokens")
    ] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="0: any free one")] = 8000
    allowed_hosts: Annotated[
        tuple[str, ...],
        Field(description="names by which the service may be called, besides this machine's own; without port"),
    ] = ()
    allowed_origins: Annotated[
        tuple[str, ...],
        Field(description="origins of the explorer where a proxy changes Host, such as https://find.example"),
    ] = ()
    read_token_file: Annotated[
        str | None, Field(description="a file with the token for reading, instead of PINFOLD_READ_TOKEN")
    ] = None
    write_token_file: Annotated[
        str | None, Field(description="a file with the token for everything, instead of PINFOLD_WRITE_TOKEN")
    ] = None
    limits: Limits = Limits()
