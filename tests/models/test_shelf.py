"""The shelf: every name leads to its model, and its options say what is wrong with them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pinfold.arrays import Embeddings
from pinfold.config import parse, read_run, to_toml
from pinfold.errors import ConfigError
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.graph.learned import Blend, ItemSimilarity, Learned
from pinfold.models.gf_cf import GFCFConfig
from pinfold.models.item_knn import ItemKNNConfig
from pinfold.models.lightgcn import LightGCN, LightGCNConfig
from pinfold.models.losses import BPRConfig, SoftmaxConfig
from pinfold.models.mf import MF, MFConfig
from pinfold.models.pairwise import ObjectiveConfig, Pairwise
from pinfold.models.popularity import PopularityConfig
from pinfold.models.shelf import (
    BlendConfig,
    ComputedConfig,
    MemberConfig,
    ModelConfig,
    TrainedConfig,
    build,
    compute,
    extend,
    member_weights,
)
from pinfold.models.slim import SLIMConfig
from pinfold.run import RunConfig


@pytest.mark.parametrize(("config", "made"), [(PopularityConfig(), Embeddings), (ItemKNNConfig(), ItemSimilarity)])
def test_compute(graph: BipartiteGraph, config: ComputedConfig, made: type) -> None:
    assert type(compute(config, graph)) is made


@pytest.mark.parametrize(("config", "made"), [(MFConfig(), MF), (LightGCNConfig(), LightGCN)])
def test_build(graph: BipartiteGraph, config: TrainedConfig, made: type) -> None:
    model = build(config, graph, seed=0)
    assert type(model) is Pairwise
    assert type(model.module()) is made


def test_names_in_a_run_file() -> None:
    found: object = parse({"name": "lightgcn", "n_layers": 2}, ModelConfig, "run.toml")  # type: ignore[arg-type]
    assert found == LightGCNConfig(n_layers=2)
    with pytest.raises(ConfigError, match="lightgnc"):
        parse({"name": "lightgnc"}, ModelConfig, "run.toml")  # type: ignore[arg-type]


def lightgcn(**options: Any) -> object:
    tree = {"data": {"path": "x"}, "model": {"name": "lightgcn", **options}}
    return parse(tree, RunConfig, "run.toml").model


def test_nested_options_in_a_run_file() -> None:
    found = lightgcn(layer_weights=[0, 0.5, 0.5], n_layers=2, objective={"loss": {"name": "softmax", "temperature": 2}})
    expected = ObjectiveConfig(loss=SoftmaxConfig(temperature=2.0))
    assert found == LightGCNConfig(layer_weights=(0.0, 0.5, 0.5), n_layers=2, objective=expected)


LOSS_NAMES = "(known: binary, bpr, max-margin, softmax, bsl, cosine-contrastive)"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"objective": {"sampling": {"n_negativs": 3}}},
            "objective.sampling.n_negativs: unknown option; did you mean 'n_negatives'? "
            "(known: batch_by, batch_size, negatives, n_negatives, shared)",
        ),
        (
            {"objective": {"loss": {"name": "bprr"}}},
            f"objective.loss.name: unknown name 'bprr'; did you mean 'bpr'? {LOSS_NAMES}",
        ),
        ({"objective": {"loss": {"margin": 1}}}, f"objective.loss.name: missing; say which one {LOSS_NAMES}"),
        ({"objective": {"loss": "bpr"}}, "objective.loss: expected a table, got 'bpr'"),
        (
            {"objective": {"loss": {"name": "softmax", "temprature": 1}}},
            "objective.loss.temprature: unknown option; did you mean 'temperature'? (known: name, temperature, log_q)",
        ),
        (
            {"objective": {"loss": {"name": "softmax", "temperature": 0}}},
            "objective.loss.temperature: Input should be greater than 0, got 0",
        ),
        (
            {"layer_weights": "unifrom"},
            "layer_weights: Input should be 'uniform', 'last' or 'learned' or a valid array, got 'unifrom'",
        ),
        ({"layer_weights": [0.5, "x"]}, "layer_weights.1: Input should be a valid number, got 'x'"),
    ],
)
def test_messages_about_nested_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        lightgcn(**options)
    assert str(caught.value) == f"run.toml: model.{message}"


BLEND = """
[data]
path = "x"
[model]
name = "blend"
weights = [1, 0.5]
[[model.members]]
name = "slim"
l1 = 0.25
[[model.members]]
name = "lightgcn"
dim = 32
[model.members.objective.loss]
name = "bpr"
"""


def test_a_blend_in_a_run_file(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(BLEND)
    run = read_run(tmp_path / "run.toml", RunConfig)
    lightgcn = LightGCNConfig(dim=32, objective=ObjectiveConfig(loss=BPRConfig()))
    assert run.model == BlendConfig(members=(SLIMConfig(l1=0.25), lightgcn), weights=(1.0, 0.5))
    (tmp_path / "again.toml").write_text(to_toml(run))
    assert read_run(tmp_path / "again.toml", RunConfig) == run


MEMBER_NAMES = (
    "(known: popularity, item-knn, rp3beta, walk, ease, slim, gf-cf, chebycf, content-knn, mf, lightgcn, ngcf, gcn, "
    "sgc, pinsage)"
)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (
            [{"name": "gf-cff"}, {"name": "slim"}],
            f"members.0.name: unknown name 'gf-cff'; did you mean 'gf-cf'? {MEMBER_NAMES}",
        ),
        ([{"name": "slim"}, {"name": "blend"}], f"members.1.name: unknown name 'blend' {MEMBER_NAMES}"),
        ([{"name": "slim"}, {"l1": 1}], f"members.1.name: missing; say which one {MEMBER_NAMES}"),
        (
            [{"name": "slim"}, {"name": "slim", "l11": 1}],
            "members.1.l11: unknown option; did you mean 'l1'? (known: name, n_candidates, l1, l2)",
        ),
        (
            [{"name": "slim", "l1": -1}, {"name": "slim"}],
            "members.0.l1: Input should be greater than or equal to 0, got -1",
        ),
        (
            [{"name": "slim"}, {"name": "mf", "objective": {"loss": {"name": "bprr"}}}],
            f"members.1.objective.loss.name: unknown name 'bprr'; did you mean 'bpr'? {LOSS_NAMES}",
        ),
        (["slim", {"name": "gf-cf"}], "members.0: expected a table, got 'slim'"),
        (
            [{"name": "slim"}],
            "members: Tuple should have at least 2 items after validation, not 1, got [{'name': 'slim'}]",
        ),
    ],
)
def test_messages_about_members(members: list[object], message: str) -> None:
    """One for each mistake, by its place in the file."""
    tree = {"data": {"path": "x"}, "model": {"name": "blend", "members": members}}
    with pytest.raises(ConfigError) as caught:
        parse(tree, RunConfig, "run.toml")
    assert str(caught.value) == f"run.toml: model.{message}"


def test_member_weights() -> None:
    members: tuple[MemberConfig, ...] = (SLIMConfig(), GFCFConfig(), ItemKNNConfig())
    assert member_weights(BlendConfig(members=members)).tolist() == [1, 1, 1]
    assert member_weights(BlendConfig(members=members, weights=(1, 0.5, 2))).tolist() == [1, 0.5, 2]
    for weights in ((1.0,), (1.0,) * 4):
        with pytest.raises(ConfigError, match=rf"model\.weights has {len(weights)} numbers for 3 members"):
            member_weights(BlendConfig(members=members, weights=weights))
    with pytest.raises(ConfigError, match=r"model\.weights\.1: Input should be greater than 0, got 0"):
        parse({"data": {"path": "x"}, "model": {"name": "blend", "weights": [1, 0]}}, RunConfig, "run.toml")


def test_a_blend_is_extended_member_by_member(graph: BipartiteGraph) -> None:
    config = BlendConfig(members=(PopularityConfig(), ItemKNNConfig()), weights=(1, 3))
    members: tuple[Learned, ...] = (compute(PopularityConfig(), graph), compute(ItemKNNConfig(), graph))
    takers = graph.item_users.take(np.array([4, 7], np.int32))
    extended = extend(config, Blend(members, member_weights(config)), graph, takers)
    assert isinstance(extended, Blend)
    assert extended.weights.tolist() == [1, 3]
    vectors, similarity = extended.members
    assert isinstance(vectors, Embeddings)
    assert isinstance(similarity, ItemSimilarity)
    alone = [extend(one, what, graph, takers) for one, what in zip(config.members, members, strict=True)]
    assert isinstance(alone[0], Embeddings)
    assert isinstance(alone[1], ItemSimilarity)
    np.testing.assert_array_equal(vectors.items, alone[0].items)
    np.testing.assert_array_equal(similarity.weights.to_scipy().toarray(), alone[1].weights.to_scipy().toarray())
    with pytest.raises(ValueError, match="'blend' does not learn Embeddings"):
        extend(config, members[0], graph, takers)
    with pytest.raises(ValueError, match="'item-knn' does not learn Embeddings"):
        extend(BlendConfig(members=config.members[::-1]), Blend(members, extended.weights), graph, takers)
