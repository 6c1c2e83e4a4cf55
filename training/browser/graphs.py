"""The graphs of pocket-diffusion for the browser: ONNX files without weights.

A graph says where in the shipped safetensors file each of its tensors lies (ONNX calls this external data), so the
site carries the same weights that the chapters load, once, and a graph is a few dozen kilobytes. What the format
cannot read from there as it is (a constant that the exporter folded) lies in the graph itself. Weights that are stored
as float16 pass through a cast, which the runtime works out while it loads.

Three networks: the text encoder, the U-Net, and the decoder of the autoencoder. The U-Net's graph has a second
output, where each place of the picture looks: cross-attention at its finest resolution, mean over layers and heads.
"""

import collections
import hashlib
import json
import struct
import warnings
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

import numpy as np
import torch

from bookkit import files
from bookkit.errors import BookError

TYPES = {"F16": np.float16, "F32": np.float32}
SMALL = 64
"""Tensors of fewer numbers stay in the graph."""


# --- the networks, as the lab calls them ------------------------------------------------------------------------------


class TextEncoder(torch.nn.Module):
    """Token ids (2, length) -> vectors (2, length, width)."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, ids):
        return self.model(ids).last_hidden_state


class Looking:
    """An attention processor that computes what the library's does, and keeps where each place looks."""

    def __init__(self, seen: list):
        self.seen = seen

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, temb=None, **_):
        def heads(vectors):
            return vectors.unflatten(-1, (attn.heads, -1)).transpose(1, 2)

        query, words = heads(attn.to_q(hidden_states)), encoder_hidden_states
        key, value = heads(attn.to_k(words)), heads(attn.to_v(words))
        weights = torch.softmax(query @ key.transpose(-1, -2) * attn.scale, dim=-1)
        self.seen.append(weights[1:].mean(dim=1))  # the second of the two is the reader's prompt
        mixed = (weights @ value).transpose(1, 2).flatten(-2)
        return attn.to_out[1](attn.to_out[0](mixed))


def watched(unet) -> list:
    """Have a U-Net note where its places look, in the list that is returned."""
    seen = []
    unet.set_attn_processor({
        name: Looking(seen) if "attn2" in name else processor for name, processor in unet.attn_processors.items()
    })  # fmt: skip
    return seen


def finest(seen: list):
    """Where each place looks, (places, length): mean over layers and heads at the finest resolution."""
    places = max(weights.shape[1] for weights in seen)
    return torch.cat([weights for weights in seen if weights.shape[1] == places]).mean(dim=0)


class UNet(torch.nn.Module):
    """Latents (2, 4, h, w), a time, vectors of both prompts -> predictions, attention (places, length)."""

    def __init__(self, model):
        super().__init__()
        self.model, self.seen = model, watched(model)

    def forward(self, latents, time, words):
        self.seen.clear()
        prediction = self.model(latents, time, words, return_dict=False)[0]
        return prediction, finest(self.seen)


class Decoder(torch.nn.Module):
    """Latents (1, 4, h, w) -> a picture (1, 3, side, side), from -1 to 1."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, latents):
        return self.model.decode(latents / self.model.config.scaling_factor, return_dict=False)[0]


# --- from a network to a graph ----------------------------------------------------------------------------------------


def stored(path: Path) -> dict[bytes, tuple[list[int], int, int, str, bool]]:
    """What a safetensors file holds, by the digest of its numbers: shape, where it begins, its bytes, its type, turned.

    A matrix stands there twice, as it is and transposed, since exporters turn matrices round.
    """
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    found = {}
    for name, entry in json.loads(content[8 : 8 + length]).items():
        if name == "__metadata__":
            continue
        if entry["dtype"] not in TYPES:
            raise BookError(f"{path} holds {name} as {entry['dtype']}; store float16 or float32.")
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        tensor = np.frombuffer(content[begin:end], TYPES[entry["dtype"]]).reshape(entry["shape"])
        for turned in (False, True)[: 1 + (tensor.ndim == 2)]:
            numbers = digest(tensor.T if turned else tensor)
            found.setdefault(numbers, (entry["shape"], begin, end - begin, entry["dtype"], turned))
    return found


def digest(tensor: np.ndarray) -> bytes:
    """Of the numbers in their order, whatever the shape."""
    return hashlib.sha256(np.ascontiguousarray(tensor, np.float32).tobytes()).digest()


def bare(graph) -> None:
    """Short names, and none of the exporter's notes; what goes in and out keeps its name."""
    kept = {value.name for value in [*graph.input, *graph.output]}
    names = collections.defaultdict(lambda: f"_{len(names):x}", {name: name for name in kept} | {"": ""})
    for tensor in graph.initializer:
        tensor.name = names[tensor.name]
        tensor.doc_string = ""
        del tensor.metadata_props[:]
    for count, node in enumerate(graph.node):
        node.name, node.doc_string = f"n{count:x}", ""
        node.input[:], node.output[:] = [names[name] for name in node.input], [names[name] for name in node.output]
        del node.metadata_props[:]
    for value in [*graph.input, *graph.output]:
        value.doc_string = ""
        del value.metadata_props[:]
    del graph.value_info[:], graph.metadata_props[:]


def without_weights(model, weights: Path, location: str):
    """The ONNX model whose larger tensors lie in the safetensors file, named `location` there.

    Raises:
        BookError: a weight is not in the file; then the graph does not belong to it.
    """
    from onnx import AttributeProto, TensorProto, helper, numpy_helper

    graph, known = model.graph, stored(weights)
    if any(a.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS) for node in graph.node for a in node.attribute):
        raise BookError("The exporter made a branch or a loop, which this recipe does not read.")
    bare(graph)
    tensors, before = [], []
    for tensor in graph.initializer:
        array = numpy_helper.to_array(tensor)
        place = known.get(digest(array)) if array.dtype == np.float32 and array.size >= SMALL else None
        if place is None:
            if array.dtype == np.float32 and array.size > 4096:
                raise BookError(f"A tensor of {array.size:,} numbers is not in {weights}.")
            tensors.append(tensor)
            continue
        shape, begin, length, kind, turned = place
        outside = TensorProto(name=f"{tensor.name}w", dims=shape, data_location=TensorProto.EXTERNAL)
        outside.data_type = TensorProto.FLOAT16 if kind == "F16" else TensorProto.FLOAT
        for key, value in (("location", location), ("offset", begin), ("length", length)):
            outside.external_data.add(key=key, value=str(value))
        tensors.append(outside)
        steps = [("Cast", {"to": TensorProto.FLOAT}, [])] if kind == "F16" else []
        if turned:
            steps.append(("Transpose", {"perm": [1, 0]}, []))
            shape = shape[::-1]
        if list(shape) != list(array.shape):
            tensors.append(numpy_helper.from_array(np.array(array.shape, np.int64), f"{tensor.name}s"))
            steps.append(("Reshape", {}, [f"{tensor.name}s"]))
        steps = steps or [("Identity", {}, [])]
        last = outside.name
        for count, (kind_of_node, attributes, more) in enumerate(steps, start=1):
            name = tensor.name if count == len(steps) else f"{tensor.name}{count}"
            before.append(helper.make_node(kind_of_node, [last, *more], [name], name=f"{name}n", **attributes))
            last = name
    nodes = [*before, *graph.node]
    for old, new in ((graph.initializer, tensors), (graph.node, nodes)):
        copies = [type(one).FromString(one.SerializeToString(deterministic=True)) for one in new]
        del old[:]
        old.extend(copies)
    del model.functions[:], model.metadata_props[:]
    model.doc_string = model.producer_version = ""
    return model


def export(network, inputs: dict, outputs: list[str]):
    """The network as an ONNX model with its weights in it."""
    network.eval()  # a wrapper starts in training mode, and the exporter would put its parts there, too
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(network, tuple(inputs.values()), input_names=list(inputs), output_names=outputs,
                                    dynamo=True, opset_version=18, optimize=True, verbose=False)  # fmt: skip
    return program.model_proto


# --- the three of them ------------------------------------------------------------------------------------------------


def networks(folder: Path) -> dict[str, tuple]:
    """By the name of their graph: the network, its inputs, its outputs, and its weights' file below the folder."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextModel

    text = CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32)
    unet = UNet2DConditionModel.from_pretrained(folder / "unet", dtype=torch.float32)
    vae = AutoencoderKL.from_pretrained(folder / "vae", dtype=torch.float32)
    length, channels, side = text.config.max_position_embeddings, unet.config.in_channels, unet.config.sample_size
    random = torch.Generator().manual_seed(0)
    ids = torch.randint(0, text.config.vocab_size, (2, length), generator=random)
    latents = torch.randn(2, channels, side, side, generator=random)
    words = torch.randn(2, length, text.config.hidden_size, generator=random)
    weights = "diffusion_pytorch_model.safetensors"
    return {
        "text_encoder": (TextEncoder(text), {"ids": ids}, ["vectors"], "text_encoder/model.safetensors"),
        "unet": (UNet(unet), {"latents": latents, "time": torch.tensor(500.0), "words": words},
                 ["prediction", "attention"], f"unet/{weights}"),
        "decoder": (Decoder(vae), {"latents": latents[:1]}, ["picture"], f"vae/{weights}"),
    }  # fmt: skip


def write(model: Path, target: Path) -> dict:
    """Export all graphs of a pipeline's folder; return, and write as graphs.json, what each belongs to."""
    graphs = {
        name: (without_weights(export(network, inputs, outputs), model / weights, "weights"), weights)
        for name, (network, inputs, outputs, weights) in networks(model).items()
    }
    return keep(graphs, model, target, ("torch", "diffusers", "transformers", "onnx", "onnxscript"))


def keep(graphs: dict[str, tuple], folder: Path, target: Path, makers: Iterable[str]) -> dict:
    """Write graphs and their graphs.json, which says what each belongs to and what it was made by; return that.

    Args:
        graphs: by name, an ONNX model and its weights' file below `folder`.
        folder: of the weights.
        target: where they are kept.
        makers: the packages whose versions are noted.
    """
    record = {"made_by": {name: metadata.version(name) for name in makers}, "graphs": {}}
    for name, (graph, weights) in graphs.items():
        content, path = graph.SerializeToString(deterministic=True), folder / weights
        files.write_bytes(target / f"{name}.onnx", content)
        record["graphs"][name] = {
            "file": f"{name}.onnx",
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "weights": {"file": weights, "bytes": path.stat().st_size, "sha256": files.sha256(path)},
            "inputs": shapes(graph.graph.input),
            "outputs": shapes(graph.graph.output),
        }
    files.write_text(target / "graphs.json", json.dumps(record, indent=1) + "\n")
    return record


def shapes(values) -> dict[str, list[int | str]]:
    """Of a graph's inputs or outputs; a size that is not fixed has a name."""
    return {one.name: [size.dim_param or size.dim_value for size in one.type.tensor_type.shape.dim] for one in values}
