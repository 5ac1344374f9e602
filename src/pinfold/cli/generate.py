"""The command generate."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from pinfold.cli.app import app
from pinfold.data.pinterest import PinterestConfig


@app.command
def generate(*, out: Path, options: Annotated[PinterestConfig, Parameter(name="*")], shards: int | None = None) -> None:
    """Make up a Pinterest-like graph of any size: events, items and features, as files for `pinfold import`.

    Degrees follow power laws on both sides, items stand in communities, features agree with them. The same options and
    seed give the same edges. Example: pinfold generate --users 100000 --items 200000 --edges 1800000 --out raw

    Args:
        out: The folder to make.
        options: The world.
        shards: Files of events; without it as many as keep each near 4 million.
    """
    from pinfold.data.pinterest_files import generate as write
    from pinfold.terminal import OUT, TerminalProgress

    write(out, options, shards, TerminalProgress())
    OUT.print(f"{options.users:,} users, {options.items:,} items, {options.edges:,} edges written to {out}")
