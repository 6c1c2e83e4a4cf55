"""The graph of the role `embedder` for the search lab: a sentence's token ids become its vector.

The lab gets MiniLM's weights as eight bits (:mod:`bookkit.eight_bits`), packed from the fetched model while the site is
built. An exporter would have them as fractions, so the graph is written here, node by node: a BERT of six layers over
one sentence without padding, then mean pooling and length 1. It points at the whole numbers in the file. Tables stay
as they are, and only the rows that were looked up become fractions; a matrix is cast once, while the runtime loads, and
its scales come after the product, so that no other copy of it is ever made.
"""

import json
import struct
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from bookkit.ask import browser
from bookkit.eight_bits import SCALE
from bookkit.errors import BookError
from training.browser import graphs

OPSET = 18


class Graph:
    """An ONNX graph while it grows; whatever is added is called by the name that comes back.

    Args:
        weights: the safetensors file that holds what :meth:`stored` names.
    """

    def __init__(self, weights: Path):
        content = weights.read_bytes()
        (length,) = struct.unpack("<Q", content[:8])
        self.begin, self.header = 8 + length, json.loads(content[8 : 8 + length])
        self.nodes, self.tensors = [], {}

    def op(self, kind: str, *inputs: str, **attributes) -> str:
        """The output of one more node."""
        from onnx import helper

        name = f"n{len(self.nodes):x}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def number(self, value, kind=np.int64) -> str:
        """A constant."""
        from onnx import numpy_helper

        name = f"c{len(self.tensors):x}"
        self.tensors[name] = numpy_helper.from_array(np.array(value, kind), name)
        return name

    def stored(self, name: str) -> str:
        """A tensor of the file, float32 or int8."""
        from onnx import TensorProto

        entry = self.header[name]
        begin, end = entry["data_offsets"]
        kind = {"F32": TensorProto.FLOAT, "I8": TensorProto.INT8}[entry["dtype"]]
        tensor = TensorProto(name=name, dims=entry["shape"], data_type=kind, data_location=TensorProto.EXTERNAL)
        for key, value in (("location", "weights"), ("offset", self.begin + begin), ("length", end - begin)):
            tensor.external_data.add(key=key, value=str(value))
        self.tensors[name] = tensor
        return name

    def fractions(self, whole: str) -> str:
        from onnx import TensorProto

        return self.op("Cast", whole, to=TensorProto.FLOAT)


def encoder(weights: Path, config: dict):
    """The ONNX model: ids (1, length) to vector (width,).

    Args:
        weights: MiniLM's, as :func:`bookkit.ask.browser.pack` writes them.
        config: the model's configuration.
    """
    from onnx import TensorProto, helper

    g = Graph(weights)
    width, heads = config["hidden_size"], config["num_attention_heads"]
    last, none = g.number([-1]), g.number([0])

    def rows(table: str, ids: str) -> str:
        name = f"embeddings.{table}_embeddings.weight"
        scale = g.op("Unsqueeze", g.op("Gather", g.stored(name + SCALE), ids), last)
        return g.op("Mul", g.fractions(g.op("Gather", g.stored(name), ids)), scale)

    def norm(name: str, x: str) -> str:
        scale, shift = g.stored(f"{name}.weight"), g.stored(f"{name}.bias")
        return g.op("LayerNormalization", x, scale, shift, axis=-1, epsilon=config["layer_norm_eps"])

    def linear(name: str, x: str) -> str:
        product = g.op("Gemm", x, g.fractions(g.stored(f"{name}.weight")), transB=1)
        return g.op("Add", g.op("Mul", product, g.stored(f"{name}.weight{SCALE}")), g.stored(f"{name}.bias"))

    apart, together, root = g.number([-1, heads, width // heads]), g.number([-1, width]), (width // heads) ** 0.5

    def attention(name: str, x: str) -> str:
        def split(part: str, order: list[int]) -> str:
            return g.op("Transpose", g.op("Reshape", linear(f"{name}.self.{part}", x), apart), perm=order)

        query, key, value = split("query", [1, 0, 2]), split("key", [1, 2, 0]), split("value", [1, 0, 2])
        scores = g.op("Div", g.op("MatMul", query, key), g.number(root, np.float32))
        mixed = g.op("MatMul", g.op("Softmax", scores, axis=-1), value)
        return linear(f"{name}.output.dense", g.op("Reshape", g.op("Transpose", mixed, perm=[1, 0, 2]), together))

    def gelu(x: str) -> str:
        bent = g.op("Erf", g.op("Div", x, g.number(2**0.5, np.float32)))
        return g.op("Mul", g.op("Mul", x, g.op("Add", bent, g.number(1, np.float32))), g.number(0.5, np.float32))

    ids = g.op("Reshape", "ids", last)
    places = g.op("Range", g.number(0), g.op("Size", ids), g.number(1))
    x = g.op("Add", g.op("Add", rows("word", ids), rows("position", places)), rows("token_type", none))
    x = norm("embeddings.LayerNorm", x)
    for layer in range(config["num_hidden_layers"]):
        name = f"encoder.layer.{layer}"
        x = norm(f"{name}.attention.output.LayerNorm", g.op("Add", x, attention(f"{name}.attention", x)))
        inner = gelu(linear(f"{name}.intermediate.dense", x))
        x = norm(f"{name}.output.LayerNorm", g.op("Add", x, linear(f"{name}.output.dense", inner)))
    mean = g.op("ReduceMean", x, none, keepdims=0)
    g.nodes.append(helper.make_node("Div", [mean, g.op("ReduceL2", mean, none)], ["vector"], name="vector"))

    inputs = [helper.make_tensor_value_info("ids", TensorProto.INT64, [1, "length"])]
    outputs = [helper.make_tensor_value_info("vector", TensorProto.FLOAT, [width])]
    graph = helper.make_graph(g.nodes, "encoder", inputs, outputs, list(g.tensors.values()))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)


def write(target: Path) -> dict:
    """Write the graph of the fetched embedder.

    Raises:
        BookError: the embedder has not been fetched.
    """
    model = browser.folder()
    if model is None:
        raise BookError("The embedder is not in the cache: run `python -m bookkit fetch embedder`.")
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    with TemporaryDirectory() as folder:
        weights = Path(folder) / "encoder.safetensors"
        weights.write_bytes(browser.pack(model))
        return graphs.keep({"encoder": (encoder(weights, config), weights.name)}, weights.parent, target, ["onnx"])
