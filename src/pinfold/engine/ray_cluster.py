"""The way to a Ray cluster: one of this machine's own, or one that runs already, with safe defaults.

Ray is asked for tokens, shows no dashboard and tells nobody that it is used. It still listens on all networks of the
machine and encrypts nothing: docs/cluster.md says how to fence it.
"""

import logging
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pinfold.errors import ConfigError, EngineError

FLOOR = (2, 52)  # the first with tokens
INSTALL = "--engine ray needs Ray 2.52 or later; install it: pip install 'pinfold[ray]'"
KNOCK_SECONDS = 5.0  # for a machine to take a connection
CONNECT_SECONDS = 60.0  # for a cluster to let this process in
LEAST_STORE = 80_000_000  # bytes; Ray refuses less
HOME = "127.0.0.1"
NUMBERS = re.compile(r"(class_name|actor_id|namespace|pid|name|ip|repr|session_name)\b.*:")
TOKEN = "RAY_AUTH_TOKEN"  # noqa: S105 - the variable's name
SAFE = {
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # else it warns of its own future
    "RAY_gcs_server_port_wait_time_s": "60",  # its own patience is too short for a machine that is busy
    "RAY_raylet_start_wait_time_s": "120",
}
# what a process of its own does first, because in this one it could neither be ended nor be kept quiet
PROBE = """
import logging, sys
import ray
ray.init(address=sys.argv[1], log_to_driver=False, configure_logging=False, logging_level=logging.CRITICAL)
ray.shutdown()
"""


@contextmanager
def connected(address: str | None, processors: int, store: int) -> Iterator[Any]:
    """Ray, connected; at the end a cluster of this machine's own is gone, with its processes and files.

    In a process that is connected already, that connection is used and left as it is.

    Args:
        address: host:port of a cluster's head; None for a cluster of this machine's own.
        processors: how many the own cluster lends to workers.
        store: bytes of shared memory for what its workers send.

    Raises:
        ConfigError: Ray is not installed, or too old.
        EngineError: the cluster cannot be reached, or does not start.
    """
    ray = _ray()
    if ray.is_initialized():
        yield ray
        return
    quiet = {"log_to_driver": False, "configure_logging": False, "logging_level": logging.CRITICAL}
    with _handlers():
        if address is None:
            with _own(ray, processors, store, quiet):
                yield ray
            return
        knock(address, KNOCK_SECONDS)
        _probe(address)
        _init(ray, address=address, **quiet)
        try:
            yield ray
        finally:
            ray.shutdown()


def _ray() -> Any:
    """The library, imported when it is needed, with safe defaults where the environment says nothing else."""
    try:
        found = version("ray")
    except PackageNotFoundError as error:
        raise ConfigError(INSTALL) from error
    if tuple(int(part) for part in re.findall(r"\d+", found)[:2]) < FLOOR:
        raise ConfigError(f"{INSTALL}; found {found}, which lets anybody on the network run commands")
    for name, value in SAFE.items():
        os.environ.setdefault(name, value)
    import ray
    from ray._raylet import Config  # type: ignore[attr-defined] # compiled

    Config.initialize("")  # where Ray was imported before, it has read the environment already
    return ray


@contextmanager
def _own(ray: Any, processors: int, store: int, quiet: dict[str, Any]) -> Iterator[None]:
    """A cluster of one machine, for this process alone: nobody else knows its token."""
    if TOKEN not in os.environ and "RAY_AUTH_TOKEN_PATH" not in os.environ:
        os.environ[TOKEN] = secrets.token_hex(32)  # stays: Ray reads it once in a process
    folder = tempfile.mkdtemp(prefix="ray-")
    try:
        _init(
            ray, address="local", num_cpus=processors, num_gpus=0, include_dashboard=False,
            object_store_memory=max(store, LEAST_STORE), _temp_dir=folder, _node_ip_address=HOME, **quiet,
        )  # fmt: skip
        yield
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def _init(ray: Any, **options: Any) -> None:
    try:
        ray.init(**options)
    except Exception as error:  # Ray raises many kinds
        where = "of this machine's own" if options["address"] == "local" else options["address"]
        raise EngineError(f"the Ray cluster {where} cannot be used: {first_line(error)}") from error


def knock(address: str, seconds: float) -> None:
    """Raise unless something takes connections at host:port.

    Raises:
        ConfigError: this is no host:port.
        EngineError: nothing does.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536 or "/" in host:
        raise ConfigError(f"--address {address!r}: expected host:port of the cluster's head, such as 10.0.0.1:6379")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=seconds).close()
    except OSError as error:
        raise EngineError(
            f"--address {address}: nothing answers there ({error}); is the head started (`ray start --head`), "
            "is this its address and port, and does a firewall stand between?"
        ) from error


def _probe(address: str) -> None:
    """Raise unless a process of its own can join the cluster.

    Raises:
        EngineError: it cannot.
    """
    command = [sys.executable, "-P", "-c", PROBE, address]  # nothing from the folder we stand in
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and text; the address is one argument
            command, capture_output=True, text=True, timeout=CONNECT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise EngineError(
            f"--address {address}: something listens there, but no Ray cluster let us in within "
            f"{CONNECT_SECONDS:.0f} s; is it the port of the head (`ray start --head --port`)?"
        ) from error
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise EngineError(
            f"--address {address}: the cluster did not let us in: {said[:500]}; all machines need the same "
            "Ray and Python, and the same token (RAY_AUTH_TOKEN_PATH, or ~/.ray/auth_token)"
        )


@contextmanager
def _handlers() -> Iterator[None]:
    """Ray's handler of SIGTERM goes with the connection."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread() and before is not None:
            signal.signal(signal.SIGTERM, before)


def first_line(error: BaseException) -> str:
    """What an error says, in one line and without Ray's own numbers."""
    lines = [line.strip() for line in str(error).splitlines()]
    told = [line for line in lines if line and not NUMBERS.match(line)]
    return f"{type(error).__name__}: {' '.join(told[:3])}"[:500]


def shared_memory() -> int:
    """Bytes that this machine has for shared memory, 0 where it is not known."""
    try:
        return shutil.disk_usage(Path("/dev/shm")).free  # noqa: S108 - what the system calls it
    except OSError:
        return 0
