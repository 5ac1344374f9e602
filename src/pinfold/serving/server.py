"""An artifact becomes a running service: store, generation, application, web server; and its end."""

import gc
import socket
from collections.abc import Callable
from pathlib import Path

import uvicorn
from threadpoolctl import threadpool_limits

from pinfold.artifacts import is_folder
from pinfold.errors import ArtifactError, ConfigError, StoreError
from pinfold.serving.app import build_app
from pinfold.serving.limits import ServeConfig
from pinfold.serving.page import read_page
from pinfold.serving.protocol import BoundedProtocol
from pinfold.serving.service import Service
from pinfold.serving.sql_store import open_store
from pinfold.serving.tokens import read_tokens

DATABASE = "pinfold.db"
KEEP_ALIVE = 30  # seconds that an idle connection stays open
GRACE = 10  # seconds that requests at work have when the service is stopped


def serve(
    artifact: Path, store: str | None, config: ServeConfig, started: Callable[[str, Service], None] | None = None
) -> None:
    """Serve until the process is told to stop; then finish what is at work and close the store.

    Args:
        artifact: a folder that `pinfold train` made. Later generations are folders beside it.
        store: a folder, or a URL as `open_store` takes it; None: the folder `ARTIFACT.state` beside the artifact.
        config: where to listen, and limits.
        started: is told the address when requests are answered.

    Raises:
        ConfigError: an address that others can reach without a token, or that cannot be had.
        ArtifactError: the artifact is damaged.
        StoreError: the store is, or another server has it.
    """
    tokens = read_tokens(config)
    if not is_folder(artifact):
        raise ArtifactError(f"{artifact}: no artifact there; make one with `pinfold train RUN.toml {artifact}`")
    opened = open_store(place_of(artifact, store))
    try:
        with threadpool_limits(1, "blas"):  # requests come side by side; threads within one get in each other's way
            service = Service(artifact, opened, keep_vectors=bool(store and store.startswith("postgres")))
            try:
                app = build_app(service, config, tokens, read_page())
                _run(app, config, (lambda url: started(url, service)) if started else None)
            finally:
                service.close()
    finally:
        opened.close()


def place_of(artifact: Path, store: str | None) -> str:
    """Where the store of a service is; its folder is made if it is not there.

    Raises:
        StoreError: the folder cannot be made.
    """
    if store is not None and "://" in store:
        return store
    folder = Path(store) if store is not None else artifact.resolve().with_name(f"{artifact.resolve().name}.state")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{folder}: cannot be made: {error.strerror}; name another folder by --state") from error
    return str(folder / DATABASE)


def _run(app: object, config: ServeConfig, started: Callable[[str], None] | None) -> None:
    settings = uvicorn.Config(
        app,  # type: ignore[arg-type]
        host=config.host,
        port=config.port,
        http=BoundedProtocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=GRACE,
    )
    try:
        listening = _listen(config)
    except OSError as error:
        raise ConfigError(
            f"port {config.port} of {config.host}: {error.strerror}; choose another by --port, or stop what has it"
        ) from error
    name, port = listening.getsockname()[:2]
    gc.collect()
    gc.freeze()  # the generation is never garbage; looking at it again and again costs milliseconds
    if started is not None:
        started(f"http://{f'[{name}]' if ':' in name else name}:{port}")
    uvicorn.Server(settings).run(sockets=[listening])


def _listen(config: ServeConfig) -> socket.socket:
    """A socket that takes connections, of the first address that the host stands for."""
    family, _, _, _, address = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM)[0]
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(address)
    listening.set_inheritable(True)
    return listening
