"""Single files written whole or not at all, and what it takes to have something on the disk."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def flush(path: Path) -> None:
    """Have a file or a folder written to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Write beside, flush to disk, rename: whoever reads sees the old file or the new one.

    Raises:
        OSError: the file system refuses; nothing is left beside.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        flush(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """One object as JSON, written as `write_text` does."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
