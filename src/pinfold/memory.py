"""How much memory this process may still take, and how much it has held."""

import re
import resource
import sys
from pathlib import Path

UNLIMITED = 1 << 60  # cgroup v1 writes a number near 2^63 where there is no limit


def available_memory(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Bytes that can be taken without swapping; None where the system does not say.

    The least of the machine's MemAvailable and of what each control group around this process (a container, a batch
    job) leaves. Files that a group keeps cached and not active count as free: the kernel drops them first.
    """
    found = _number(proc / "meminfo", r"^MemAvailable:\s+(\d+) kB")
    left = [] if found is None else [found * 1024]
    for line in _text(proc / "self" / "cgroup").splitlines():
        _, controllers, path = [*line.split(":", 2), "?", ""][:3]
        if controllers == "":  # version 2
            left += _left(cgroups, path, ("memory.max", "memory.current", "inactive_file"))
        elif "memory" in controllers.split(","):  # version 1
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            left += _left(cgroups / "memory", path, names)
    return min(left, default=None)


def _left(root: Path, path: str, names: tuple[str, str, str]) -> list[int]:
    """What the group at `path` and each one above it leave; a group without a limit says nothing."""
    limit, used, cached = names
    group = root / path.strip("/")
    # inside a container the path may be the host's; then the container's own group is the root
    groups = [group, *group.parents] if group.is_dir() else [root]
    left = []
    for one in groups[: groups.index(root) + 1]:
        most, now = _number(one / limit, r"^(\d+)$"), _number(one / used, r"^(\d+)$")
        if most is not None and now is not None and most < UNLIMITED:
            left.append(max(0, most - now + (_number(one / "memory.stat", rf"^{cached} (\d+)$") or 0)))
    return left


def _number(path: Path, pattern: str) -> int | None:
    found = re.search(pattern, _text(path), re.MULTILINE)
    return int(found.group(1)) if found else None


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return ""


def peak_memory() -> int:
    """The most memory this process has held, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
