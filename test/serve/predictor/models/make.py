"""Writes the tiny ONNX models of the predictor's tests beside this file; run with the versions in
../../fixtures/employment/requirements.txt.

identity.onnx: one input of each datatype that the REST form can carry, given back as it came; log: natural logarithm.
add.onnx: x + y, two vectors of any length (lengths that do not fit are an error of the request at run time).
half.onnx: a float16 input, which has no JSON form.
sequence.onnx: an output that is a sequence, no tensor (as scikit-learn's ZipMap makes).
"""

import pathlib

from onnx import TensorProto as T
from onnx import helper as h

HERE = pathlib.Path(__file__).resolve().parent
TYPES = {
    "BOOL": T.BOOL, "UINT8": T.UINT8, "UINT16": T.UINT16, "UINT32": T.UINT32, "UINT64": T.UINT64,
    "INT8": T.INT8, "INT16": T.INT16, "INT32": T.INT32, "INT64": T.INT64,
    "FP32": T.FLOAT, "FP64": T.DOUBLE, "BYTES": T.STRING,
}


def save(name, nodes, inputs, outputs):
    model = h.make_model(h.make_graph(nodes, name, inputs, outputs), opset_imports=[h.make_opsetid("", 15)], ir_version=8)
    (HERE / f"{name}.onnx").write_bytes(model.SerializeToString(deterministic=True))


save(
    "identity",
    [h.make_node("Identity", [n], [f"same_{n}"]) for n in TYPES] + [h.make_node("Log", ["FP32"], ["log"])],
    [h.make_tensor_value_info(n, t, ["N", 2]) for n, t in TYPES.items()],
    [h.make_tensor_value_info(f"same_{n}", t, ["N", 2]) for n, t in TYPES.items()]
    + [h.make_tensor_value_info("log", T.FLOAT, ["N", 2])],
)
vector = lambda name, size: h.make_tensor_value_info(name, T.FLOAT, [size])
save("add", [h.make_node("Add", ["x", "y"], ["sum"])], [vector("x", "N"), vector("y", "M")], [vector("sum", "K")])
save(
    "half",
    [h.make_node("Identity", ["x"], ["y"])],
    [h.make_tensor_value_info("x", T.FLOAT16, [1])],
    [h.make_tensor_value_info("y", T.FLOAT16, [1])],
)
save(
    "sequence",
    [h.make_node("SequenceConstruct", ["x"], ["y"])],
    [vector("x", "N")],
    [h.make_tensor_sequence_value_info("y", T.FLOAT, ["N"])],
)
