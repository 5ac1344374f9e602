"""Times of any kind as SQL: what kind a text is, and its seconds since 1970 in UTC.

A number is an epoch time whose unit its magnitude tells; anything else must be ISO 8601. One column has one
kind, the most frequent one; a time of another kind is a bad row.
"""

from pinfold.data.interactions import NO_TIME

KINDS = {
    "s": "epoch seconds",
    "ms": "epoch milliseconds",
    "us": "epoch microseconds",
    "ns": "epoch nanoseconds",
    "iso": "ISO 8601 times",
}

# 1e11 seconds is the year 5138, 1e11 milliseconds 1973: between 1973 and 5138 the units do not overlap.
UNIT = """CASE
        WHEN NOT isfinite(TRY_CAST(time AS DOUBLE)) THEN NULL
        WHEN abs(TRY_CAST(time AS DOUBLE)) < 1e11 THEN 's'
        WHEN abs(TRY_CAST(time AS DOUBLE)) < 1e14 THEN 'ms'
        WHEN abs(TRY_CAST(time AS DOUBLE)) < 1e17 THEN 'us'
        WHEN abs(TRY_CAST(time AS DOUBLE)) < 1e20 THEN 'ns'
        END"""
KIND = f"""CASE
    WHEN TRY_CAST(time AS DOUBLE) IS NOT NULL THEN {UNIT}
    WHEN isfinite(TRY_CAST(time AS TIMESTAMPTZ)) THEN 'iso'
    END"""

NO_SECONDS = f"CAST('{NO_TIME}' AS BIGINT)"

# A time of day that says where: Z or an offset such as +02:00.
HAS_OFFSET = r"regexp_matches(time, ':\d\d(\.\d+)?\s*([Zz]|[+-]\d\d(:?\d\d)?)$')"


def kind_of(type_: str) -> str:
    """SQL for the kind of a `time` that has this SQL type: numbers need no look at their text."""
    return KIND if type_ == "VARCHAR" else UNIT


def seconds(kind: str | None) -> str:
    """SQL for the seconds since 1970 in UTC of a valid `time` of this kind; NO_TIME without a kind."""
    if kind is None:
        return NO_SECONDS
    if kind == "iso":
        return "CAST(floor(epoch(TRY_CAST(time AS TIMESTAMPTZ))) AS BIGINT)"
    scale = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}[kind]
    return f"CAST(floor(TRY_CAST(time AS DOUBLE) / {scale}) AS BIGINT)"
