"""scikit-learn's trees in LightGBM's text format, so that one library evaluates both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

_MISSING_IS_NAN, _DEFAULT_LEFT = 8, 2
"""Of LightGBM's `decision_type`, whose first bit is that of a split by category."""


@dataclass(frozen=True)
class _Node:
    """A node of a tree, as scikit-learn numbers them: a leaf, or a question with two children."""

    is_leaf: bool
    value: float
    column: int
    threshold: float
    left: int
    right: int
    missing_left: bool


def of_forest(forest: Any, columns: int) -> str:
    """A random forest of two classes, whose mean is the probability of the second.

    Parameters
    ----------
    forest : RandomForestClassifier
        Fitted.
    columns : int
        How many it was fitted on.
    """
    trees = []
    for estimator in forest.estimators_:
        tree = estimator.tree_
        nodes = tree.__getstate__()["nodes"]
        trees.append(
            [
                _Node(
                    node["left_child"] < 0,
                    float(value[0, 1]),
                    int(node["feature"]),
                    float(node["threshold"]),
                    int(node["left_child"]),
                    int(node["right_child"]),
                    bool(node["missing_go_to_left"]),
                )
                for node, value in zip(nodes, tree.value, strict=True)
            ]
        )
    return _text(trees, columns, averaged=True)


def of_histogram_boosting(boosting: Any, columns: int) -> str:
    """A histogram gradient boosting of two classes, whose sum is the log-odds of the second.

    Parameters
    ----------
    boosting : HistGradientBoostingClassifier
        Fitted, without splits by category.
    columns : int
        How many it was fitted on.
    """
    base = float(boosting._baseline_prediction.ravel()[0])
    trees = [[_Node(True, base, 0, 0.0, 0, 0, False)]]
    for (predictor,) in boosting._predictors:
        trees.append(
            [
                _Node(
                    bool(node["is_leaf"]),
                    float(node["value"]),
                    int(node["feature_idx"]),
                    float(node["num_threshold"]),
                    int(node["left"]),
                    int(node["right"]),
                    bool(node["missing_go_to_left"]),
                )
                for node in predictor.nodes
            ]
        )
    return _text(trees, columns, averaged=False)


def _text(trees: Sequence[Sequence[_Node]], columns: int, *, averaged: bool) -> str:
    names = [f"Column_{i}" for i in range(columns)]
    head = [
        "tree",
        "version=v4",
        "num_class=1",
        "num_tree_per_iteration=1",
        "label_index=0",
        f"max_feature_idx={columns - 1}",
        *(["average_output"] if averaged else []),
        f"feature_names={' '.join(names)}",
        f"feature_infos={' '.join('[-inf:inf]' for _ in names)}",
    ]
    blocks = ["\n".join(_block(number, tree)) + "\n\n" for number, tree in enumerate(trees)]
    sizes = f"tree_sizes={' '.join(str(len(block) + 1) for block in blocks)}"
    return "\n".join([*head, sizes, "", "\n".join(blocks), "end of trees", ""])


def _block(number: int, tree: Sequence[_Node]) -> Iterator[str]:
    """One tree: inner nodes are numbered from 0, leaves from -1 downwards."""
    inner = {i: place for place, i in enumerate(_inner(tree))}
    leaves = [i for i, node in enumerate(tree) if node.is_leaf]
    place = {**inner, **{i: ~place for place, i in enumerate(leaves)}}
    nodes = [tree[i] for i in inner]
    yield f"Tree={number}"
    yield f"num_leaves={len(leaves)}"
    yield "num_cat=0"
    if nodes:
        kinds = (_MISSING_IS_NAN + _DEFAULT_LEFT * node.missing_left for node in nodes)
        yield _line("split_feature", (node.column for node in nodes))
        yield _line("split_gain", (0 for _ in nodes))
        yield _line("threshold", (repr(node.threshold) for node in nodes))
        yield _line("decision_type", kinds)
        yield _line("left_child", (place[node.left] for node in nodes))
        yield _line("right_child", (place[node.right] for node in nodes))
    yield _line("leaf_value", (repr(tree[i].value) for i in leaves))
    if nodes:
        for name in ("leaf_weight", "leaf_count"):
            yield _line(name, (1 for _ in leaves))
        for name in ("internal_value", "internal_weight", "internal_count"):
            yield _line(name, (1 for _ in nodes))
    yield "is_linear=0"
    yield "shrinkage=1"


def _inner(tree: Sequence[_Node]) -> Iterator[int]:
    return (i for i, node in enumerate(tree) if not node.is_leaf)


def _line(name: str, values: Any) -> str:
    return f"{name}={' '.join(map(str, values))}"
