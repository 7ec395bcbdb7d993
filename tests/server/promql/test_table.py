"""The two tables of functions belong together, and to the parser's."""

from __future__ import annotations

import promql_parser as pp
import pytest

from mirante.server.promql.functions.labels import natural_key
from mirante.server.promql.functions.signatures import SIGNATURES
from mirante.server.promql.functions.table import SCALAR_FUNCTIONS, VECTOR_FUNCTIONS
from mirante.server.promql.parse import parse
from mirante.server.promql.plan import Call

LITERALS = {"vector": "m", "matrix": "m[5m]", "scalar": "1", "string": "'x'"}


def test_every_signature_has_an_implementation() -> None:
    """And every implementation a signature; what gives a scalar is apart from what gives a vector."""
    scalars = {name for name, signature in SIGNATURES.items() if signature.returns == "scalar"}
    assert scalars == SCALAR_FUNCTIONS.keys()
    assert SIGNATURES.keys() - scalars == VECTOR_FUNCTIONS.keys()


@pytest.mark.parametrize("name", sorted(SIGNATURES))
def test_the_parser_knows_the_same_signature(name: str) -> None:
    """A call with exactly the arguments that the table asks for is accepted, and its type is the table's."""
    signature = SIGNATURES[name]
    call = f"{name}({', '.join(LITERALS[kind] for kind in signature.takes)})"
    tree = pp.parse(call)
    assert isinstance(tree, pp.Call)
    assert str(tree.func.return_type).rpartition(".")[2].lower() == signature.returns
    plan = parse(call)
    assert isinstance(plan, Call)
    assert plan.type == signature.returns
    if signature.variadic > 0:
        shorter = signature.takes[: len(signature.takes) - signature.variadic]
        pp.parse(f"{name}({', '.join(LITERALS[kind] for kind in shorter)})")
    if signature.variadic < 0:
        longer = (*signature.takes, signature.takes[-1])
        pp.parse(f"{name}({', '.join(LITERALS[kind] for kind in longer)})")


def test_numbers_in_labels_sort_as_numbers() -> None:
    """Natural order: 4m5 before 4m600 before 4m1000, and text by its characters."""
    texts = ["4m600", "4m5", "", "4m1000", "b", "a", "10", "9"]
    assert sorted(texts, key=natural_key) == ["", "4m5", "4m600", "4m1000", "9", "10", "a", "b"]
