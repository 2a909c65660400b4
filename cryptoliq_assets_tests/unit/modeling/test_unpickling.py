"""Unpickling: every crafted pickle is rejected with the error of the loader, and none ends the process."""

import pickle
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cryptoliq_assets.modeling.estimators.candidates.gradient_boosting import XGBoostForecaster
from cryptoliq_assets.modeling.estimators.candidates.linear_regression import RidgeForecaster
from cryptoliq_assets.modeling.estimators.candidates.random_forest import RandomForestForecaster
from cryptoliq_assets.modeling.registry import serialization
from cryptoliq_assets.modeling.registry.serialization import ModelRejectedError, to_bytes

_NAMES = [f"f{n}" for n in range(6)] + ["liquidity_score"]


def text(value: str) -> bytes:
    return pickle.BINUNICODE + struct.pack("<I", len(value.encode())) + value.encode()


def name(module: str, attribute: str) -> bytes:
    return text(module) + text(attribute) + pickle.STACK_GLOBAL


def of(value: object) -> bytes:
    """Return the pickle instructions that build a plain value."""
    return pickle.dumps(value, protocol=2)[2:-1]


DTYPE = name("numpy", "dtype") + of(("f8", False, True)) + b"R" + of((3, "<", None, None, None, -1, -1, 0)) + b"b"
OBJECTS = name("numpy", "dtype") + of(("O8", False, True)) + b"R" + of((3, "|", None, None, None, -1, -1, 63)) + b"b"
FROM_BUFFER, RECONSTRUCT = name("numpy._core.numeric", "_frombuffer"), name("numpy._core.multiarray", "_reconstruct")
EMPTY = RECONSTRUCT + b"(" + name("numpy", "ndarray") + of((0,)) + of(b"b").replace(b"c_codecs", b"c_codecs") + b"tR"
EMPTY = RECONSTRUCT + b"(" + name("numpy", "ndarray") + of((0,)) + b"C\x01b" + b"tR"
BYTES = b"C\x08" + b"A" * 8


def array(dtype: bytes, shape: object, content: bytes = BYTES, order: str = "C") -> bytes:
    return FROM_BUFFER + b"(" + content + dtype + of(shape) + of(order) + b"tR"


def built(dtype: bytes, shape: object, content: bytes = BYTES) -> bytes:
    return EMPTY + b"(" + of(1) + of(shape) + dtype + of(False) + content + b"tb"


STRUCTURED = name("numpy", "dtype") + of(("V8", False, True)) + b"R"
XGBOOST = name(XGBoostForecaster.__module__, "XGBoostForecaster")
TREE = name("sklearn.tree._tree", "Tree")
CRAFTED = {
    "object dtype": array(OBJECTS, (1,)),
    "object dtype by state": built(OBJECTS, (1,)),
    "object code turned plain": name("numpy", "dtype") + of(("f8", False, True)) + b"R"
    + of((3, "|", None, None, None, -1, -1, 63)) + b"b" + of((3, "O", None, None, None, -1, -1, 63)) + b"b",
    "void of objects": STRUCTURED + b"(" + of(3) + of("|") + b"N" + of(("a",)) + b"}" + of("a") + OBJECTS + of(0) + b"\x86s"
    + of(8) + of(1) + of(16) + b"tb",
    "field beyond the record": STRUCTURED + b"(" + of(3) + of("|") + b"N" + of(("a",)) + b"}" + of("a") + DTYPE + of(4)
    + b"\x86s" + of(8) + of(1) + of(16) + b"tb",
    "negative shape": array(DTYPE, (-1,)),
    "negative shape twice": array(DTYPE, (-1, -1)),
    "huge shape": array(DTYPE, (2**62,)),
    "shape of zeros": array(DTYPE, (0, 2**70)),
    "overflowing shape": array(DTYPE, (2**32, 2**32)),
    "shape by state": built(DTYPE, (2**40,)),
    "negative shape by state": built(DTYPE, (-1,)),
    "list in place of bytes": built(DTYPE, (1,), b"]"),
    "array of an array's buffer": array(DTYPE, (1,), array(DTYPE, (1,))),
    "dtype without state": array(name("numpy", "dtype") + of(("f8", False, True)) + b"R", (1,)),
    "dtype from a list": name("numpy", "dtype") + b"(]" + of(False) + of(True) + b"tR",
    "dtype of text": name("numpy", "dtype") + of(("U4", False, True)) + b"R",
    "ndarray called": name("numpy", "ndarray") + of(((3,), "O")) + b"R",
    "ndarray made": name("numpy", "ndarray") + of(((3,),)) + b"\x81",
    "ndarray subtype": RECONSTRUCT + b"(" + name("sklearn.tree._tree", "Tree") + of((0,)) + b"C\x01btR",
    "scalar of objects": name("numpy._core.multiarray", "scalar") + b"(" + OBJECTS + BYTES + b"tR",
    "short scalar": name("numpy._core.multiarray", "scalar") + b"(" + DTYPE + b"C\x01AtR",
    "state for a class": XGBOOST + of({"predict": 1}) + b"b",
    "slots for a class": XGBOOST + of(({}, {"predict": 1})) + b"b",
    "method in a state": XGBOOST + b")\x81" + of({"predict": 1}) + b"b",
    "class in a state": XGBOOST + b")\x81" + of({"__class__": 1}) + b"b",
    "dotted name": name("numpy", "dtype.__class__.__subclasses__"),
    "dotted module": name(XGBoostForecaster.__module__, "os.system"),
    "getattr": name("builtins", "getattr"),
    "old global": b"cos\nsystem\n" + of(("true",)) + b"R",
    "old instance": b"(" + of("x") + b"inumpy\ndtype\n",
    "object of a function": b"(" + name("numpy", "dtype") + of("f8") + b"o",
    "made with arguments": XGBOOST + of((("a",),)) + b"\x81",
    "made with keywords": XGBOOST + b")}\x92",
    "called class": XGBOOST + of((("a",),)) + b"R",
    "huge bytearray": pickle.BYTEARRAY8 + struct.pack("<Q", 2**62),
    "bytearray of a size": name("builtins", "bytearray") + of((2**40,)) + b"R",
    "buffer from outside": pickle.NEXT_BUFFER,
    "persistent name": b"Px\n",
    "extension": b"\x82\x01",
    "tree of huge outputs": TREE + b"(" + of(3) + array(DTYPE, (1,)) + of(2**30) + b"tR",
    "tree of floats": TREE + b"(" + of(3) + array(DTYPE, (1,)) + of(1) + b"tR",
    "booster of nothing": name("xgboost.core", "Booster") + b")\x81" + of({"handle": 12345}) + b"b",
    "booster of noise": name("xgboost.core", "Booster") + b")\x81}" + of("handle") + name("builtins", "bytearray")
    + b"(" + BYTES + b"tRsb",
    "truncated": FROM_BUFFER,
    "nothing": b"",
    "array alone": array(DTYPE, (1,)),
}  # fmt: skip


def test_every_crafted_pickle_is_rejected_without_a_crash(tmp_path: Path) -> None:
    for case, content in CRAFTED.items():
        (tmp_path / case).write_bytes(b"\x80\x05" + content + b".")
    program = (
        "import pathlib, sys\n"
        "from cryptoliq_assets.modeling.registry import serialization\n"
        "for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):\n"
        "    print(path.name, end=': ', flush=True)\n"
        "    try:\n"
        "        serialization._unpickle(path.read_bytes())\n"
        "        print('loaded', flush=True)\n"
        "    except serialization.ModelRejectedError as error:\n"
        "        print('refused', flush=True)\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=120
    )
    assert process.stdout.splitlines() == [f"{case}: refused" for case in sorted(CRAFTED)], process.stderr[-2000:]
    assert process.returncode == 0


@pytest.fixture(scope="module")
def forecasters() -> dict:
    rng = np.random.default_rng(7)
    X = rng.normal(size=(300, len(_NAMES))).astype(np.float32)
    y = rng.normal(size=300)
    kinds = {
        "line": RidgeForecaster(_NAMES),
        "forest": RandomForestForecaster(_NAMES, params={"n_estimators": 2}, threads=1),
        "boosted": XGBoostForecaster(_NAMES, params={"rounds": 2, "max_depth": 2}, threads=1),
    }
    return {kind: forecaster.fit(X, y) for kind, forecaster in kinds.items()}


@pytest.mark.parametrize("kind", ["line", "forest", "boosted"])
def test_a_stored_model_loads_and_predicts_as_before(forecasters, kind):
    X = np.random.default_rng(8).normal(size=(20, len(_NAMES))).astype(np.float32)
    loaded = serialization._unpickle(to_bytes(forecasters[kind]))
    np.testing.assert_array_equal(loaded.predict(X), forecasters[kind].predict(X))
    np.testing.assert_array_equal(serialization._unpickle(to_bytes(loaded)).predict(X), forecasters[kind].predict(X))


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("line", lambda part: setattr(part, "columns", part.columns + 100)),
        ("line", lambda part: setattr(part, "columns", part.columns - 1)),
        ("line", lambda part: setattr(part, "columns", part.columns.astype(float))),
        ("line", lambda part: setattr(part, "coefficients", part.coefficients[:-1])),
        ("line", lambda part: setattr(part, "intercept", float("nan"))),
        ("line", lambda part: delattr(part, "scale")),
        ("line", lambda part: setattr(part, "threads", 10**9)),
        ("forest", lambda part: setattr(part, "model", None)),
        ("forest", lambda part: setattr(part.model, "estimators_", [])),
        ("forest", lambda part: setattr(part, "columns", part.columns[:1])),
        ("boosted", lambda part: setattr(part, "columns", part.columns[:1])),
        ("boosted", lambda part: setattr(part, "line", [99])),
        ("boosted", lambda part: setattr(part, "slopes", np.zeros(99))),
        ("boosted", lambda part: setattr(part, "booster", None)),
    ],
)
def test_a_part_with_invalid_fields_is_rejected(forecasters, kind, change):
    forecaster = pickle.loads(pickle.dumps(forecasters[kind]))
    [part] = forecaster.parts.values()
    change(part)
    with pytest.raises(ModelRejectedError, match="restore the artifact or roll back"):
        serialization._unpickle(pickle.dumps(forecaster, protocol=5))


@pytest.mark.parametrize(
    ("field", "value"), [("left_child", 0), ("left_child", 2**40), ("right_child", 0), ("feature", 99), ("feature", -5)]
)
def test_a_forest_with_invalid_node_links_is_rejected(forecasters, field, value):
    forecaster = pickle.loads(pickle.dumps(forecasters["forest"]))
    [part] = forecaster.parts.values()
    tree = part.model.estimators_[0].tree_
    constructor, arguments, state = tree.__reduce__()
    state["nodes"] = state["nodes"].copy()
    state["nodes"][field][0] = value
    changed = constructor(*arguments)
    changed.__setstate__(state)
    part.model.estimators_[0].tree_ = changed
    with pytest.raises(ModelRejectedError, match=r"child does not come after it|not among its"):
        to_bytes(forecaster)


@pytest.mark.parametrize("count", [10**9, -1, 0])
def test_a_tree_with_another_number_of_nodes_is_rejected(forecasters, count):
    forecaster = pickle.loads(pickle.dumps(forecasters["forest"]))
    content = pickle.dumps(forecaster, protocol=5)
    nodes = forecaster.parts["all"].model.estimators_[0].tree_.node_count
    encoded_count = b"node_count\x94" + of(nodes)
    assert encoded_count in content
    with pytest.raises(ModelRejectedError):
        serialization._unpickle(content.replace(encoded_count, b"node_count\x94" + of(count), 1))
