"""The command index."""

from pathlib import Path

from pinfold.cli.app import Json, Set, app, print_json


@app.command(name="index")
def index_(artifact: Path, *, kind: str | None = None, set_: Set = (), as_json: Json = False) -> None:
    """Build an artifact's indexes anew, measure what they find, and put them in place of the older ones.

    Example: pinfold index out --kind ivf --set bits=8

    Args:
        artifact: A folder that `pinfold train` made.
        kind: auto, exact, flat, ivf or hnsw, in place of what the run file said.
        set_: Another value for one option, such as --set recall=0.99; docs/run-files.md lists them under [index].
        as_json: Print JSON instead of text.
    """
    from pinfold.pipeline import index_artifact
    from pinfold.terminal import OUT

    words = set_ if kind is None else (f"kind={kind}", *set_)
    figures = index_artifact(artifact, words)
    if as_json:
        print_json(figures)
    elif figures is None:
        OUT.print("this model has no vectors, so there is nothing to index; its scores are computed for every item")
    else:
        OUT.print("\n".join(told(figures)))


def told(figures: dict[str, object]) -> list[str]:
    """What index.json holds, as lines for a person."""
    lines = [f"{figures['kind']} index of {figures['items']:,} items"]
    for name in ("users", "alike"):
        found = figures.get(name)
        if isinstance(found, dict):
            lines.append(
                f"{name}: recall@10 {found['recall@10']:.4f}, @100 {found['recall@100']:.4f} "
                f"({found['queries']} queries), effort {found['effort']}, {found['bytes'] / 2**20:,.1f} MiB, "
                f"built in {found['build_seconds']:.1f} s"
            )
    return lines + missed(figures)


def missed(figures: dict[str, object]) -> list[str]:
    """Where an index finds less than it was asked to, and what to do."""
    return [
        f"{name}: recall@10 is {found['recall@10']:.4f}, less than what was asked for: more probes, 32 bits or "
        "kind = 'exact'"
        for name in ("users", "alike")
        if isinstance(found := figures.get(name), dict) and not found["reached"]
    ]
