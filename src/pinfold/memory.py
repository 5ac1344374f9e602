"""How much memory this process may still take, how much it has held, and sizes as people write them."""

import re
import resource
import sys
from fractions import Fraction
from pathlib import Path

UNLIMITED = 1 << 60  # cgroup v1 writes a number near 2^63 where there is no limit
SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?)(i?)B")


def parse_bytes(text: str) -> int:
    """Bytes of a size such as "8GB" (8 * 10^9), "500MB", "1.5GiB" (1.5 * 2^30) or "4096B".

    Raises:
        ValueError: the text is no size, or the size is not at least one byte. Callers know which option it was.
    """
    found = SIZE.fullmatch(text.strip())
    power = "_KMGT".index(found.group(2) or "_") if found else 0
    # exact: a float would lose bytes of large sizes
    number = int(Fraction(found.group(1)) * (1024 if found.group(3) else 1000) ** power) if found else 0
    if number < 1 or (found and found.group(3) and not power):
        raise ValueError(f"{text!r} is not a size of memory; expected a number and a unit, such as 8GB, 500MB or 2GiB")
    return number


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
    # Linux lets a process begin with the peak of the one that started it in its usage, not in its VmHWM
    return memory_marks().get("VmHWM") or _most(resource.RUSAGE_SELF)


def peak_memory_of_children() -> int:
    """The most memory that any one of the processes this one started and waited for has held, in bytes.

    On Linux no less than this process held when it started them: a child that can should tell its own `peak_memory`.
    """
    return _most(resource.RUSAGE_CHILDREN)


def _most(who: int) -> int:
    peak = resource.getrusage(who).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def memory_marks(process: int | None = None, proc: Path = Path("/proc")) -> dict[str, int]:
    """What the kernel counts of a process, in bytes; empty where the system does not say or the process is gone.

    VmHWM is the most it has held in memory (pages of mapped files too), VmRSS what it holds now, RssAnon the part of
    that which is no file's, and VmPeak the most it has had of addresses, which RLIMIT_AS limits.
    """
    lines = _text(proc / ("self" if process is None else str(process)) / "status").splitlines()
    found = (re.fullmatch(r"(VmHWM|VmRSS|RssAnon|VmPeak|VmSize):\s+(\d+) kB", line) for line in lines)
    return {one.group(1): int(one.group(2)) * 1024 for one in found if one}
