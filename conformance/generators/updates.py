"""Vectors of differential updates: temporal contexts, history, parents (decoding 11)."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .stream import BI, FLOAT, INT, LS, Book, Case, Member, Stream, family, indices

_PARENTS = {"mps_parent_signalling_enabled_flag": 1}


def _parent(
    depth: int, number: int = 0, *, temporal: int = 0, device: int = 0, **more: Any
) -> dict[str, Any]:
    """(syntax 9.1) Elements that name a parent by its node."""
    return {
        "node_id_present_flag": 1,
        "device_id": device,
        "parameter_id": number,
        "put_node_depth": depth,
        "parent_node_id_present_flag": 1,
        "parent_node_id_type": 0,
        "temporal_context_modeling_flag": temporal,
        "parent_device_id": device,
        **more,
    }


class _Chain:
    """A base model and its updates; levels and history of each tensor as decoding 11.3 and 11.5 keep them."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.cases: list[Case] = []
        self.base: dict[str, np.ndarray] = {}
        self.history: dict[str, np.ndarray] = {}

    def add(self, stream: Stream, *, differential: bool) -> None:
        """The next stream of the chain."""
        number = len(self.cases)
        before = [case.name for case in self.cases]
        self.cases.append(stream.case(f"{self.name}/step{number}", requires=before))
        for name, levels in stream.levels.items():
            self.base[name] = levels
            if differential:
                self.history[name] = self.seen(name, levels.shape) | (levels != 0)

    def seen(self, name: str, shape: Sequence[int]) -> np.ndarray:
        """The history bits of a tensor before the next stream."""
        return self.history.get(name, np.zeros(shape, bool))


@family("decoding 6", "decoding 11.1", "decoding 11.3", "syntax 9.7")
def temporal_contexts(rng: np.random.Generator) -> Iterator[Case]:
    """Base levels of every class steer the contexts, by position whatever the scan, the quantizer and N
    were.
    """
    for dq, scan_order, unary in itertools.product((0, 1), (0, 1), (1, 11)):
        chain = _Chain(f"dq{dq}_order_{scan_order}_n{unary}")
        s = Stream(1, _PARENTS)
        s.tensor(
            "w",
            indices(rng, (19, 10), 3.0),
            dq=1 - dq,
            unary=5,
            changes={"node_id_present_flag": 1, "device_id": 0, "parameter_id": 0, "put_node_depth": 0},
        )
        s.tensor("v", indices(rng, (9,), 3.0))
        s.tensor("i", indices(rng, (4, 5), 30.0), INT)
        chain.add(s, differential=False)
        for depth in (1, 2):
            s = Stream(1, _PARENTS)
            for number, (name, shape, kind) in enumerate(
                (("w", (19, 10), FLOAT), ("v", (9,), FLOAT), ("i", (4, 5), INT))
            ):
                s.tensor(
                    name,
                    indices(rng, shape, 2.0),
                    kind,
                    dq=dq,
                    told_dq=dq,
                    unary=unary,
                    parent=1,
                    scan_order=scan_order if name == "w" else 0,
                    base=chain.base[name],
                    qp=-8 - depth,
                    sets=lambda group, n: n % 9,
                    changes=_parent(depth, number, temporal=1),
                )
            chain.add(s, differential=True)
        yield from chain.cases


@family("decoding 11.5", "decoding 6", "syntax 9.7")
def history_contexts(rng: np.random.Generator) -> Iterator[Case]:
    """Positions that an update ever changed have significance contexts of their own, with and without a
    base.
    """
    for dq, temporal, scan_order in itertools.product((0, 1), (0, 1), (0, 1)):
        chain = _Chain(f"dq{dq}_temporal_{temporal}_order_{scan_order}")
        s = Stream(1, _PARENTS)
        s.tensor("w", indices(rng, (12, 17), 2.0))
        chain.add(s, differential=False)
        for depth in (1, 2, 3):
            s = Stream(1, _PARENTS)
            skip = (rng.random(12) < 0.3).astype(int)
            k = indices(rng, (12, 17), 1.5, 0.7)
            k[skip == 1] = 0
            tools = {"skip": skip.tolist(), "hist_flag": 1, "history": chain.seen("w", (12, 17))}
            s.tensor(
                "w",
                k,
                dq=dq,
                parent=1,
                scan_order=scan_order,
                unary=3,
                base=chain.base["w"] if temporal else None,
                changes=_parent(depth, temporal=temporal),
                **(tools if depth != 2 else {}),
            )
            chain.add(s, differential=True)
        yield from chain.cases


@family("decoding 11.3", "decoding 10.3", "decoding 5")
def codebooks_in_updates(rng: np.random.Generator) -> Iterator[Case]:
    """Temporal and history contexts with codebooks of one and two sides; the base of the next are the
    indices.
    """
    books = {
        "two": Book([-9, -3, 0, 1, 2, 40], 2),
        "right": Book([0, 1, 5, 70], 0),
        "left": Book([-70, -6, 0], 2),
        "one": Book([7], 0),
        "long": Book(list(range(-40, 41)), 40),
    }
    for hist in (0, 1):
        chain = _Chain(f"hist_{hist}")
        for depth in range(3):
            s = Stream(1, _PARENTS)
            for number, (name, book) in enumerate(books.items()):
                k = rng.integers(-book.zero, len(book.entries) - book.zero, (7, 9))
                if depth == 0:
                    s.tensor(name, k, book=book)
                    continue
                s.tensor(
                    name,
                    k,
                    book=book,
                    parent=1,
                    base=chain.base[name],
                    unary=2,
                    hist_flag=hist,
                    history=chain.seen(name, k.shape),
                    changes=_parent(depth, number, temporal=1),
                )
            chain.add(s, differential=depth > 0)
        yield from chain.cases


@family("decoding 6", "decoding 11.3", "decoding 11.5", "decoding 9.2")
def many_weights_in_updates(rng: np.random.Generator) -> Iterator[Case]:
    """Thousands of weights with a temporal base, with a history, with both and with neither, units in any
    order; among them codebooks and long unary parts.
    """
    shapes = {"a": (70, 66), "b": (4200,), "c": (31, 140), "long": (64, 65), "p": (30, 40), "book": (30, 20)}
    book = Book([-9, -3, 0, 1, 2, 40], 2)
    orders = (
        (("a", "t"), ("p", ""), ("b", "t"), ("book", "t"), ("long", "t"), ("c", "")),
        (("p", ""), ("a", "h"), ("c", "t"), ("b", "t"), ("book", "th"), ("long", "h")),
        (("c", "th"), ("b", "t"), ("a", "th"), ("p", "")),
    )
    for dq, scan_order in itertools.product((0, 1), (0, 1)):
        chain = _Chain(f"dq{dq}_order_{scan_order}")
        for depth, units in enumerate(((*((name, None) for name in shapes),), *orders)):
            s = Stream(1, _PARENTS)
            for name, contexts in units:
                shape = shapes[name]
                tools: dict[str, Any] = {"dq": dq, "unary": 20 if name == "long" else 6}
                k = indices(rng, shape, 2.5, 0.6)
                if name == "book":
                    k = rng.integers(-book.zero, len(book.entries) - book.zero, shape)
                    tools |= {"dq": 0, "book": book}
                if contexts is not None:
                    number = list(shapes).index(name)
                    tools |= {"parent": 1, "changes": _parent(depth, number, temporal=int("t" in contexts))}
                    if "t" in contexts:
                        tools["base"] = chain.base[name]
                    if "h" in contexts:
                        tools |= {"hist_flag": 1, "history": chain.seen(name, shape)}
                s.tensor(name, k, scan_order=scan_order if len(shape) > 1 else 0, **tools)
            chain.add(s, differential=depth > 0)
        yield from chain.cases


@family("decoding 11.2", "syntax 9.1", "README D32", "README D28")
def parents(rng: np.random.Generator) -> Iterator[Case]:
    """Parents named by node, with and without a node id of their own, by SHA-256 and by SHA-512; absent
    units.
    """
    chain = _Chain("kinds")
    base = Stream(1, _PARENTS)
    base.tensor("w", indices(rng, (5, 4)))
    payload = base.payload
    base.tensor("v", indices(rng, (5, 4)))
    chain.add(base, differential=False)
    for depth in (1, 2, 3, 4):
        s = Stream(1, _PARENTS)
        node = {
            "node_id_present_flag": 0,
            "parent_node_id_present_flag": 1,
            "temporal_context_modeling_flag": depth & 1,
        }
        if depth == 1:
            digest = int.from_bytes(hashlib.sha256(payload).digest(), "big")
            changes = node | {"parent_node_id_type": 1, "parent_node_payload_sha256": digest}
        elif depth == 2:
            digest = int.from_bytes(hashlib.sha512(payload).digest(), "big")
            changes = node | {"parent_node_id_type": 2, "parent_node_payload_sha512": digest}
        elif depth == 3:
            changes = node | {
                "parent_node_id_type": 0,
                "parent_device_id": 5,
                "parameter_id": 9,
                "put_node_depth": 3,
            }
        else:
            changes = _parent(4, 9, device=5)
            changes["temporal_context_modeling_flag"] = 0
        s.tensor(
            "w", indices(rng, (5, 4)), parent=1, changes=changes, base=chain.base["w"] if depth & 1 else None
        )
        payload = s.payload
        chain.add(s, differential=True)
    yield from chain.cases
    s = Stream(1, _PARENTS)
    s.tensor("w", indices(rng, (5, 4)), parent=1, changes=_parent(1))
    yield s.case("base_never_sent")
    chain = _Chain("no_units")
    base = Stream(1, _PARENTS)
    base.tensor("w", indices(rng, (5, 4)))
    chain.add(base, differential=False)
    chain.add(Stream(1, _PARENTS), differential=True)
    s = Stream(1, _PARENTS)
    s.tensor("w", indices(rng, (5, 4)), parent=1, base=chain.base["w"], changes=_parent(1, temporal=1))
    chain.add(s, differential=True)
    yield from chain.cases


@family("decoding 11.4", "decoding 11.1")
def predictive_residuals(rng: np.random.Generator) -> Iterator[Case]:
    """With nnr_pre_flag the update as carried is not changed."""
    chain = _Chain("pre")
    for depth in range(3):
        s = Stream(1, _PARENTS | {"nnr_pre_flag": 1})
        k = indices(rng, (5, 4))
        if depth:
            s.tensor("w", k, parent=1, changes=_parent(depth))
        else:
            s.tensor("w", k)
        chain.add(s, differential=depth > 0)
    yield from chain.cases


@family("decoding 11.3", "semantics 5", "semantics 7", "README D31")
def blocks_in_updates(rng: np.random.Generator) -> Iterator[Case]:
    """Members of a block each have their own base and history; dimensions left out are those of the parent.
    """
    for dq in (0, 1):
        chain = _Chain(f"dq{dq}")
        for depth in range(3):
            s = Stream(1, _PARENTS, out_of_band={"w": {"tensor_dimensions": [6, 5]}} if depth else None)
            members = []
            for name, shape in (("s", (6,)), ("b", (6,)), ("w", (6, 5))):
                given: dict[str, Any] = {}
                if depth:
                    given = {"base": chain.base[name]}
                    if name == "w":
                        given |= {"history": chain.seen(name, shape), "hist_flag": 1}
                members.append(Member(name, indices(rng, shape, 3.0), -20 - depth, **given))
            changes: Mapping[str, Any] = {}
            if depth:
                changes = _parent(depth, temporal=1) | {
                    "tensor_dimensions_flag": 0,
                    "tensor_dimensions": None,
                }
            s.block(LS | BI, (6, 5), members, dq=dq, parent=int(depth > 0), changes=changes)
            s.out_of_band = None
            chain.add(s, differential=depth > 0)
        yield from chain.cases


@family("decoding 11.2", "decoding 11.3", "syntax 9.1", "README D24")
def broken_updates(rng: np.random.Generator) -> Iterator[Case]:
    """Updates out of order, given twice, with another parent, without the base they need, or of another
    size.
    """
    k = indices(rng, (5, 4))
    base = Stream(1, _PARENTS)
    base.tensor(
        "w", k, changes={"node_id_present_flag": 1, "device_id": 0, "parameter_id": 0, "put_node_depth": 0}
    )
    yield base.case("base")
    s = Stream(1, _PARENTS)
    s.tensor("w", k, parent=1, changes=_parent(2))
    yield s.refused("depth_too_large", "decoding 11.2", requires=["base"])
    s = Stream(1, _PARENTS)
    s.tensor("w", k, parent=1, changes=_parent(1))
    first = s.case("first", requires=["base"])
    yield first
    yield s.refused("given_twice", "decoding 11.2", requires=["base", "first"])
    for kind, bits in ((1, 256), (2, 512)):
        s = Stream(1, _PARENTS)
        digest = {
            "parent_node_payload_sha256" if kind == 1 else "parent_node_payload_sha512": (1 << bits) - 2
        }
        changes = {
            "node_id_present_flag": 0,
            "parent_node_id_present_flag": 1,
            "parent_node_id_type": kind,
            "temporal_context_modeling_flag": 0,
            **digest,
        }
        s.tensor("w", k, parent=1, changes=changes)
        yield s.refused(f"digest_{bits}", "decoding 11.2", requires=["base"])
    s = Stream(1, _PARENTS)
    s.tensor("w", k, parent=1, base=k, changes=_parent(1, temporal=1))
    yield s.refused("temporal_without_a_base", "decoding 11.3")
    s = Stream(1, _PARENTS)
    s.tensor("w", indices(rng, (4, 4)), parent=1, base=k[:4], changes=_parent(1, temporal=1))
    yield s.refused("base_of_another_size", "decoding 11.3", requires=["base"])
    s = Stream(1, _PARENTS)
    s.tensor("w", k, parent=1, changes=_parent(1))
    s.parts.pop()
    header = s.header(FLOAT, ["w"], k.shape, changes=_parent(1)) | {
        "parent_node_id_type": 3,
        "parent_device_id": None,
    }
    s.unit(5, {n: v for n, v in header.items() if v is not None}, s.payload, strict=False)
    yield s.refused("parent_type_3", "syntax 9.1", requires=["base"])
