"""What outlives a stream: the parameter update tree (decoding 11).

A `State` holds, for each parameter, its accumulated value, its place in the tree, and what the contexts of
the next update look at. It is replaced as a whole and its arrays are never written to, so that an error on
the way leaves the old one untouched.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ..errors import ConformanceError
from ..metadata import Metadata, parse, serialize
from ..syntax.constants import ParentNodeIdType
from .clauses import clause
from .forms import Split, UnitLayout, layout_of
from .payload import CodedUnit, TensorContext
from .plan import Role, UnitPlan

if TYPE_CHECKING:
    import zipfile

__all__ = ["Node", "State", "advance", "check_parent", "dump_state", "load_state", "parameter_ids"]

_FORMAT = "nnr decoder state 1"


@dataclass(frozen=True, slots=True)
class Node:
    """The latest unit of one parameter.

    Attributes:
        depth: put_node_depth, or None where the unit has no node id.
        sha256, sha512: hexadecimal digests of its payload, by which an update can name its parent.
        parameters: source of out-of-band parameters for the next unit (semantics 7).
        layout: its members.
        device_id, parameter_id: the rest of its node id, or None where it has none.
    """

    depth: int | None
    sha256: str
    sha512: str
    parameters: Mapping[str, Any]
    layout: UnitLayout
    device_id: int | None = None
    parameter_id: int | None = None


@dataclass(frozen=True)
class State:
    """Everything a decoder keeps between streams.

    Attributes:
        model: accumulated coded tensors by element id.
        updates: the latest update of each coded tensor that had one (decoding 11.4).
        contexts: what the next unit's contexts look at, by element id.
        nodes: the latest unit of each parameter, by the first element id of the unit.
        layouts: layouts of the units that gave the model its values, by first element id.
        metadata: of the latest complete model that had some.
    """

    model: Mapping[str, np.ndarray] = field(default_factory=dict)
    updates: Mapping[str, np.ndarray] = field(default_factory=dict)
    contexts: Mapping[str, TensorContext] = field(default_factory=dict)
    nodes: Mapping[str, Node] = field(default_factory=dict)
    layouts: Mapping[str, UnitLayout] = field(default_factory=dict)
    metadata: Metadata | None = None

    def without_model(self) -> State:
        """(spec README 3) What stays when a complete model comes: the contexts of earlier units."""
        return State(contexts=self.contexts)


@clause("decoding 11.2")
def check_parent(state: State, plan: UnitPlan) -> None:
    """(decoding 11.2) The parent that a differential unit names must be the latest unit of its parameter.

    A chain may start with differential units whose base was never sent, so nothing is asked of a parameter
    that is not known; a depth is compared where both are known (README D32).

    Raises:
        ConformanceError: the unit is a difference to something else.
    """
    if not plan.differential:
        return
    header, name = plan.unit.header.unit_header, plan.element_ids[0]
    known = state.nodes.get(name)
    if header.parent_node_id_type == ParentNodeIdType.ICNN_NDU_ID:
        depth = header.get("put_node_depth")
        if known is not None and known.depth is not None and depth is not None and depth != known.depth + 1:
            raise ConformanceError(
                f"the unit is the update of depth {depth}, the decoder holds depth {known.depth} "
                f"of {name!r}: "
                "an update is missing, out of order or given twice",
                clause="decoding 11.2",
            )
        return
    wide = header.parent_node_id_type == ParentNodeIdType.ICNN_NDU_PL_SHA512
    asked = (
        f"{header.parent_node_payload_sha512:0128x}" if wide else f"{header.parent_node_payload_sha256:064x}"
    )
    if known is None:
        if state.nodes:
            raise ConformanceError(
                f"the unit is a difference to a unit of {name!r}, of which the decoder has none",
                clause="decoding 11.2",
            )
        return
    if asked != (known.sha512 if wide else known.sha256):
        raise ConformanceError(
            f"the unit names a parent whose payload has the digest {asked[:16]}..., the latest "
            f"unit of {name!r} "
            f"has {(known.sha512 if wide else known.sha256)[:16]}...: an update is missing, out "
            "of order, given "
            "twice, or meant for another base",
            clause="decoding 11.2",
        )


@clause("decoding 11.1", "decoding 11.3", "decoding 11.4", "decoding 11.5")
def advance(state: State, units: Iterable[CodedUnit], *, own: bool = False) -> State:
    """(decoding 11) The state after units were decoded.

    An absent unit is a zero update and changes nothing (README D28). Only differential units enter the
    history (README D15).

    Args:
        own: `state` came from here and nobody else has it, so that its mappings can be used on: a stream of
            many small waves must not copy a large model for each.
    """
    copy = cast("Callable[[Mapping[str, Any]], dict[str, Any]]", (lambda held: held) if own else dict)
    model, updates, contexts = copy(state.model), copy(state.updates), copy(state.contexts)
    nodes, layouts = copy(state.nodes), copy(state.layouts)
    for unit in units:
        plan = unit.plan
        for tensor in unit.tensors:
            name, values, levels = tensor.plan.name, tensor.values, tensor.levels
            assert values is not None
            values.setflags(write=False)
            if not plan.differential:
                model[name] = values
                updates.pop(name, None)
            elif name in model and model[name].shape == values.shape:
                before = updates.get(name) if plan.predictive else None
                update = values if before is None else before + values
                model[name] = model[name] + update
                updates[name] = update
            if levels is not None:
                contexts[name] = _next_context(contexts.get(name), levels, plan.differential)
        name = plan.element_ids[0]
        layout = layout_of(plan)
        nodes[name] = _node(plan, layout)
        if not plan.differential:
            layouts[name] = layout
    return replace(state, model=model, updates=updates, contexts=contexts, nodes=nodes, layouts=layouts)


def parameter_ids(state: State) -> dict[str, int]:
    """(decoding 11.2) parameter_id of each coded tensor that has one: for members of a block the block's."""
    known: dict[str, int] = {}
    for node in state.nodes.values():
        if node.parameter_id is not None:
            known |= dict.fromkeys((name for name, _ in node.layout.roles), node.parameter_id)
    for layout in state.layouts.values():  # members of a block whose first tensor got an update of its own
        names = [name for name, _ in layout.roles]
        numbers = [known[name] for name in names if name in known]
        if numbers:
            known |= {name: numbers[0] for name in names if name not in known}
    return known


def _next_context(known: TensorContext | None, levels: np.ndarray, differential: bool) -> TensorContext:
    flat = levels.reshape(-1)
    history = known.history if known is not None else None
    if differential:
        moved = (flat != 0).view(np.uint8)
        history = moved if history is None or history.size != moved.size else history | moved
    return TensorContext(flat, history)


def _node(plan: UnitPlan, layout: UnitLayout) -> Node:
    header = plan.unit.header.unit_header
    parameters: dict[str, Any] = {
        "tensor_dimensions": list(plan.tensor_dimensions),
        "cabac_unary_length_minus1": plan.cabac_unary_length - 1,
        "compressed_parameter_types": int(plan.compressed_parameter_types),
    }
    for name in ("decomposition_rank", "g_number_of_rows"):
        if name in header:
            parameters[name] = header[name]
    return Node(
        header.get("put_node_depth"),
        hashlib.sha256(plan.payload).hexdigest(),
        hashlib.sha512(plan.payload).hexdigest(),
        parameters,
        layout,
        header.get("device_id"),
        header.get("parameter_id"),
    )


def dump_state(state: State) -> bytes:
    """A state as bytes: a zip archive of a JSON text and plain arrays, without pickle."""
    import json  # both are slow to import, and few decoders are saved
    import zipfile

    arrays: list[np.ndarray] = []

    def put(array: np.ndarray | None) -> int | None:
        if array is None:
            return None
        arrays.append(array)
        return len(arrays) - 1

    text = {
        "format": _FORMAT,
        "model": {name: put(a) for name, a in state.model.items()},
        "updates": {name: put(a) for name, a in state.updates.items()},
        "contexts": {name: [put(c.base), put(c.history)] for name, c in state.contexts.items()},
        "nodes": {name: _plain(node) for name, node in state.nodes.items()},
        "layouts": {name: _plain(layout) for name, layout in state.layouts.items()},
        "metadata": None if state.metadata is None else base64.b64encode(serialize(state.metadata)).decode(),
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        _put_member(archive, "state.json", json.dumps(text).encode())
        for k, array in enumerate(arrays):
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
            _put_member(archive, f"{k}.npy", member.getvalue())
    return out.getvalue()


def _put_member(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    import zipfile

    archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)


def _plain(record: Node | UnitLayout) -> dict[str, Any]:
    values = asdict(record)
    layout = values["layout"] if isinstance(record, Node) else values
    layout["roles"] = [[name, role.value] for name, role in layout["roles"]]
    return values


def load_state(data: bytes) -> State:
    """The state that `dump_state` wrote.

    Raises:
        ValueError: the bytes are no such state.
    """
    import json
    import zipfile

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            text = json.loads(archive.read("state.json"))
            if text["format"] != _FORMAT:
                raise ValueError(f"format {text['format']!r}")
            count = len(archive.namelist()) - 1
            arrays = [
                np.lib.format.read_array(io.BytesIO(archive.read(f"{k}.npy")), allow_pickle=False)
                for k in range(count)
            ]
        contexts = {}
        for name, (base, history) in text["contexts"].items():
            contexts[name] = TensorContext(
                None if base is None else arrays[base].astype(np.int32, copy=False),
                None if history is None else arrays[history].astype(np.uint8, copy=False),
            )
        return State(
            model={name: arrays[k] for name, k in text["model"].items()},
            updates={name: arrays[k] for name, k in text["updates"].items()},
            contexts=contexts,
            nodes={name: _node_of(values) for name, values in text["nodes"].items()},
            layouts={name: _layout_of(values) for name, values in text["layouts"].items()},
            metadata=None if text["metadata"] is None else parse(base64.b64decode(text["metadata"])),
        )
    except (KeyError, IndexError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"not a saved decoder state: {error}") from None


def _node_of(values: Mapping[str, Any]) -> Node:
    return Node(
        values["depth"],
        values["sha256"],
        values["sha512"],
        dict(values["parameters"]),
        _layout_of(values["layout"]),
        values.get("device_id"),
        values.get("parameter_id"),
    )


def _layout_of(values: Mapping[str, Any]) -> UnitLayout:
    split = values["split"]
    if split is not None:
        shifts = tuple(tuple((int(i), int(v)) for i, v in pairs) for pairs in split["shifts"])
        split = Split(int(split["axis"]), tuple(split["boundaries"]), shifts)
    return UnitLayout(
        tuple(values["element_ids"]),
        tuple((name, Role(role)) for name, role in values["roles"]),
        tuple(values["tensor_dimensions"]),
        split,
        bool(values["differential"]),
    )
