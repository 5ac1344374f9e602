"""Gowalla's standard split for the benchmarks: `user item item ...` lines, ids from 0, train.txt and test.txt."""

from pathlib import Path

from pinfold.data.dataset import load_dataset
from pinfold.data.readers import ImportConfig, Sources, import_files
from pinfold.data.splits import Part
from pinfold.graph.bipartite import BipartiteGraph, build_graph
from pinfold.run import DataConfig, load_test


def load_gowalla(data: Path, work: Path) -> tuple[BipartiteGraph, Part]:
    """The training graph and the test part of the standard split, imported once into `work`."""
    for name in ("train", "test"):
        if not (work / name).exists():
            file = next(path for path in (data / f"{name}.txt", data / f"{name}.txt.gz") if path.exists())
            import_files(Sources([file]), work / name, ImportConfig(format="lists"))
    dataset = load_dataset(work / "train")
    test = load_test(DataConfig(path=str(work / "train"), test=str(work / "test")), dataset)
    if test is None:
        raise SystemExit("no test part")
    return build_graph(dataset.interactions), Part(dataset.interactions, test, new_users=False)
