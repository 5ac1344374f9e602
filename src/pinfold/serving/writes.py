"""Handlers of requests that change something: what they answer is on disk, and in every answer from then on."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import perf_counter
from typing import TypeVar

from fastapi import Request
from fastapi.responses import Response

from pinfold.errors import DataError, RequestError
from pinfold.serving import checks
from pinfold.serving.limits import Limits
from pinfold.serving.metrics import Metrics
from pinfold.serving.query import Query
from pinfold.serving.reads import in_pool, json
from pinfold.serving.service import Service
from pinfold.serving.strict_json import named

Value = TypeVar("Value")


class Writes:
    """One thread writes; another loads generations."""

    def __init__(self, service: Service, limits: Limits, metrics: Metrics) -> None:
        self._service, self._limits, self._metrics = service, limits, metrics
        self._writer = ThreadPoolExecutor(1, "pinfold-write")
        self._loader = ThreadPoolExecutor(1, "pinfold-load")

    async def put_item(self, request: Request) -> Response:
        """Put an item, new or changed: durable, embedded, and in every answer, when this returns."""
        arrived = perf_counter()
        item = self._item(request)
        put = checks.parse_put_item(await request.body(), self._limits)
        try:
            stored, new = await self._write(
                partial(self._service.put_item, item, put.attributes, put.collections, arrived)
            )
        except DataError as error:
            name = self._service.refused_attribute(put.attributes)
            field = "body.attributes" if name is None else f"body.attributes.{named(name)}"
            raise RequestError(422, f"{field}: {error}", field) from None
        self._metrics.item("put", stored.seconds)
        return json(stored, 201 if new else 200)

    async def delete_item(self, request: Request) -> Response:
        """Delete an item: no answer holds it when this returns."""
        deleted = await self._write(partial(self._service.delete_item, self._item(request)))
        self._metrics.item("deleted")
        return json(deleted)

    async def add_events(self, request: Request) -> Response:
        """Tell who took what: durable, and known to their next answers, when this returns."""
        self._nothing_asked(request)
        events = checks.parse_events(await request.body(), self._limits)
        stored = await self._write(partial(self._service.add_events, events))
        self._metrics.events(stored.accepted)
        return json(stored)

    async def publish(self, request: Request) -> Response:
        """Serve another artifact, a folder beside the first one, by its name: loaded beside, then swapped at once."""
        self._nothing_asked(request)
        name = checks.parse_name(await request.body(), self._limits)
        return await self._swap(partial(self._service.publish, name))

    async def rollback(self, request: Request) -> Response:
        """Serve again what was served before."""
        self._nothing_asked(request)
        return await self._swap(self._service.rollback)

    async def _swap(self, work: Callable[[], object]) -> Response:
        return json(await in_pool(self._loader, work))

    def _item(self, request: Request) -> str:
        self._nothing_asked(request)
        return checks.path_id("item", request.path_params["item"], self._limits)

    def _nothing_asked(self, request: Request) -> None:
        Query(request.scope["query_string"], self._limits)

    async def _write(self, work: Callable[[], Value]) -> Value:
        return await in_pool(self._writer, work)
