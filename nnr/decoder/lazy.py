"""A bitstream opened for reading single tensors: `nnr.open`.

Headers are indexed when the file is opened; payloads are read and decoded on demand. The file is read and not
mapped into memory: one that became shorter would end the process that looks behind its end. The checksum of a
unit is compared when its tensor is decoded. In a profile-0 stream the first access decodes
every unit once, since only that settles the dialect (spec README D1).
"""

from __future__ import annotations

import os
import stat
import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np

from ..dtypes import dtype_from_code, dtype_name
from ..errors import BitstreamError, ConformanceError, TruncatedError
from ..limits import Limits
from ..metadata import TensorRecord
from ..syntax.bits import FileBytes
from ..syntax.constants import NnrUnitType, PayloadType
from ..syntax.info import head_qp, tools_of
from ..syntax.stream import NnrUnit
from ..topology import Topology, find_topology
from .decode import Form, OutOfBand, batch_norm_names
from .forms import Group, layout_of, plain_form, plain_groups
from .payload import Backend, checked_threads, decode_payloads
from .plan import Role, TensorPlan, UnitPlan
from .reconstruct import apply_format, original_names, restore_one
from .stream import Stream, checked_limits, located, read_stream, stream_bytes

__all__ = ["File", "open_file"]

#: Payload, and memory for tensors, that are worth a job of their own.
_JOB_PAYLOAD, _JOB_MEMORY = 1 << 16, 1 << 23

_FLOAT32 = 17  # number of nnr.dtypes

#: Bytes that tensors in work may take: for each thread while some threads have nothing to do, and at least
#: for all of them; for each thread when there is more work in hand than threads.
_THREAD_MEMORY, _LEAST_MEMORY, _AHEAD_MEMORY = 320 << 20, 512 << 20, 32 << 20


class File(Mapping[str, np.ndarray]):
    """Tensors of a bitstream by name; each access decodes.

    Use as a context manager, or call `close`.

    Attributes:
        units: parsed units in order, with byte offsets.
    """

    def __init__(
        self,
        data: memoryview | FileBytes,
        *,
        form: Form = "plain",
        out_of_band: OutOfBand | None = None,
        limits: Limits | None = None,
        threads: int | None = None,
        backend: Backend = "c",
        file: _Opened | None = None,
    ) -> None:
        self._file = file
        self._closed = False
        self._data: memoryview | FileBytes = data
        if form not in ("plain", "coded"):
            raise ValueError(f"form must be 'plain' or 'coded', not {form!r}")
        self._limits = checked_limits(limits)
        self._threads = checked_threads(threads)
        self._backend: Backend = backend
        self._dialect: int | None = None
        given = out_of_band or {}
        self._stream: Stream = read_stream(data, self._limits, given.get, check=False)
        self._plan_of = {t.name: (plan, t) for plan in self._stream.plans for t in plan.tensors}
        self._unfold = batch_norm_names(given)
        self._group_of: dict[str, Group] = {}
        # The group that was decoded last and what was not asked for of it, for who reads one parameter after
        # the other; each is given out once, so that nobody else has the array.
        self._last: tuple[Group | None, dict[str, np.ndarray]] = None, {}
        if form == "coded":
            coded = [
                name for plan in self._stream.plans for name in plan.element_ids if name in self._plan_of
            ]
            self._entries: Mapping[str, tuple[list[str], TensorRecord | None]] = {
                n: ([n], None) for n in coded
            }
            return
        for group in plain_groups(map(layout_of, self._stream.plans), self._unfold):
            self._group_of.update(dict.fromkeys(group.names, group))
        metadata = self._stream.metadata
        if metadata is None:
            self._entries = {name: ([name], None) for name in self._group_of}
        else:
            try:
                self._entries = original_names(list(self._group_of), metadata)
            except BitstreamError as error:
                raise self._stream.locate_metadata(error) from None

    @property
    def units(self) -> list[NnrUnit]:
        if self._file is not None:
            self._file.check()
        return self._stream.units

    @property
    def topology(self) -> Topology | None:
        """The network that the tensors are weights of; None where the stream does not say."""
        return find_topology(self.units, self._limits)

    def announced(self) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]] | None:
        """Shape and type of every tensor, in order, where `decoded` gives exactly what `nnr.decode` gives.

        None where tensors are known only when the whole stream is: an update, a unit that gives several
        parameters or comes in parts, a stream of profile 0 (spec README D1), a format that a unit asks for.

        Raises:
            BitstreamError: a unit that carries no tensor does not match its checksum.
            UnsupportedError: a type that needs `ml_dtypes`.
        """
        self._check_open()
        plans = self._stream.plans
        ids = [name for plan in plans for name in plan.element_ids]
        if (
            not self._stream.complete
            or len(self._plan_of) < len(ids)
            or any(len(group.names) != 1 for group in self._group_of.values())
            or any(
                plan.profile == 0
                or plan.differential
                or plan.data_format is not None
                or plan.unit.header.partial_data_counter
                for plan in plans
            )
        ):
            return None
        for unit in self._stream.units:
            if unit.unit_type != NnrUnitType.NNR_NDU:
                self._unit_bytes(unit)
        found = {}
        for name, (parts, record) in self._entries.items():
            plan, tensor = self._plan_of[self._first_id(parts[0])]
            dtype = np.dtype(_dtype(plan, None)) if record is None else dtype_from_code(record.dtype_code)
            found[name] = _shape(plan, tensor, record), dtype
        return found

    def decoded(self, names: Iterable[str]) -> Iterator[tuple[str, np.ndarray]]:
        """Names and tensors in the order asked for, decoded by all threads, a bounded part of them ahead.

        Raises:
            KeyError: there is no such tensor.
            BitstreamError: a unit cannot be decoded; of several, the first in this order.
        """
        self._check_open()
        waiting = deque(self._jobs(names))
        if self._threads == 1 or len(waiting) < 2:
            while waiting:
                yield from _drained(self._tensors(waiting.popleft()))
            return
        most = max(_LEAST_MEMORY, self._threads * _THREAD_MEMORY)
        running: deque[tuple[_Job, Future[list[tuple[str, np.ndarray]]]]] = deque()
        used = 0
        with ThreadPoolExecutor(min(self._threads, len(waiting))) as pool:
            try:
                while waiting or running:
                    while waiting:
                        idle = len(running) < self._threads
                        room = most if idle else self._threads * _AHEAD_MEMORY
                        if running and used + waiting[0].memory > room:
                            break
                        used += waiting[0].memory
                        running.append((waiting[0], pool.submit(self._tensors, waiting.popleft())))
                    job, future = running.popleft()
                    yield from _drained(future.result())
                    del future
                    used -= job.memory
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> File:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the file. Arrays given out stay valid; units given out keep the file for themselves."""
        self._closed = True
        self._file = None
        self._data = memoryview(b"")
        self._stream = Stream([], [], None, {})
        self._plan_of = {}
        self._last = None, {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, name: str) -> np.ndarray:
        """Decode one tensor.

        Raises:
            KeyError: there is no such tensor.
            BitstreamError: its unit cannot be decoded.
        """
        self._check_open()
        return self._restored(name, {})

    def info(self, name: str) -> dict[str, Any]:
        """Facts about one tensor; nothing but the head of its payload is read.

        Returns:
            shape, dtype, payload_type, payload_bytes, qp (None where nothing was quantized), tools (names
            of the coding tools in use), scan_order.
        """
        self._check_open()
        parts, record = self._entries[name]
        plan, tensor = self._plan_of[self._first_id(parts[0])]
        payload_bytes = sum(len(self._plan_of.get(part, (plan, tensor))[0].payload) for part in parts)
        return {
            "shape": _shape(plan, tensor, record),
            "dtype": _dtype(plan, record),
            "payload_type": plan.payload_type.name,
            "payload_bytes": payload_bytes,
            "qp": head_qp(plan.unit) if len(plan.tensors) == 1 else None,
            "tools": tools_of(plan.unit),
            "scan_order": tensor.scan_order,
        }

    def _first_id(self, part: str) -> str:
        """Id of the first coded tensor of a coded tensor or parameter."""
        return part if part in self._plan_of else self._group_of[part].layouts[0].element_ids[0]

    def _coded_ids(self, part: str) -> list[str]:
        """Ids of the coded tensors that a coded tensor or parameter is made of."""
        group = self._group_of.get(part)
        return [part] if group is None else [n for layout in group.layouts for n, _ in layout.roles]

    def _jobs(self, names: Iterable[str]) -> list[_Job]:
        """The work of reading tensors, in pieces that are worth a call of the core."""
        jobs: list[_Job] = []
        for name in names:
            parts, record = self._entries[name]
            plans = {id(p): p for part in parts for n in self._coded_ids(part) for p in [self._plan_of[n][0]]}
            if not jobs or jobs[-1].payload >= _JOB_PAYLOAD or jobs[-1].memory >= _JOB_MEMORY:
                jobs.append(_Job())
            job = jobs[-1]
            job.names.append(name)
            for key, plan in plans.items():
                if key not in job.plans:
                    job.plans[key] = plan
                    job.payload += len(plan.payload)
                    job.memory += len(plan.payload) + 4 * max(plan.elements, plan.plain_elements)
            if record is not None and record.dtype_code != _FLOAT32:
                elements = sum(plan.elements for plan in plans.values())
                job.memory += elements * dtype_from_code(record.dtype_code).itemsize
        return jobs

    def _tensors(self, job: _Job) -> list[tuple[str, np.ndarray]]:
        """Decode all tensors of a job."""
        coded: dict[str, np.ndarray] = {}
        self._decode(list(job.plans.values()), coded)
        return [(name, self._restored(name, coded)) for name in job.names]

    def _restored(self, name: str, coded: dict[str, np.ndarray]) -> np.ndarray:
        """A tensor as it was given, from coded ones, which are decoded if they are not there."""
        parts, record = self._entries[name]
        arrays = [self._part(part, coded) for part in parts]
        if record is None:
            return arrays[0]
        try:
            return restore_one(name, arrays, record)
        except BitstreamError as error:
            raise self._stream.locate_metadata(error) from None

    def _part(self, name: str, coded: dict[str, np.ndarray]) -> np.ndarray:
        """A coded tensor, or a parameter of the plain form, which may take several."""
        group = self._group_of.get(name)
        last, left = self._last
        array = left.pop(name, None) if group is not None and last is group else None
        if array is not None:
            return array
        needed = self._coded_ids(name)
        plans = {id(p): p for n in needed if n not in coded for p in [self._plan_of[n][0]]}
        for plan in plans.values():
            self._decode([plan], coded)
        if group is None:
            return coded[name]
        left = plain_form(coded, group.layouts, self._unfold, self._stream.locate)[0]
        array = left.pop(name)
        self._last = group, left
        return array

    def _check_open(self) -> None:
        if self._closed:
            raise ValueError("the file is closed")
        if self._file is not None:
            self._file.check()

    def _decode(self, plans: list[UnitPlan], coded: dict[str, np.ndarray]) -> None:
        """Decode units into `coded`, by the names of their tensors."""
        read = [self._read(plan) for plan in plans]
        if self._dialect is None and any(plan.profile == 0 for plan in plans):
            every = [self._read(one, check=False) for one in self._stream.plans]
            _, self._dialect = decode_payloads(every, threads=self._threads, backend=self._backend)
        threads = self._threads if len(plans) == 1 else 1  # a large tensor may have entry points
        units, _ = decode_payloads(read, dialect=self._dialect, threads=threads, backend=self._backend)
        for unit in units:
            for tensor in unit.tensors:
                assert tensor.values is not None
                try:
                    coded[tensor.plan.name] = apply_format(tensor.values, unit.plan.data_format)
                except BitstreamError as error:
                    raise located(error, unit.plan.unit) from None

    def _read(self, plan: UnitPlan, *, check: bool = True) -> UnitPlan:
        """`plan` with its payload in memory, its checksum compared if there is one."""
        unit = plan.unit
        whole = self._unit_bytes(unit, check=check)
        if self._file is None or unit.header.partial_data_counter:  # parts were put together on opening
            return plan
        return replace(plan, payload=whole[unit.payload_offset - unit.byte_offset :])

    def _unit_bytes(self, unit: NnrUnit, *, check: bool = True) -> memoryview:
        """A whole unit in memory, its checksum compared if there is one."""
        if self._closed:
            raise ValueError("the file is closed")
        if self._file is None:
            whole = self._data[unit.byte_offset : unit.byte_offset + unit.size]
        else:
            whole = self._file.read(unit.byte_offset, unit.size)
        crc = self._stream.crcs.get(unit.index) if check else None
        if crc is not None and zlib.crc32(whole) != crc:
            raise ConformanceError(
                "the unit does not match the CRC-32 in the metadata unit: the file was changed",
                unit_index=unit.index,
                unit=unit.name,
                byte_offset=unit.byte_offset,
                clause="docs/metadata.md",
            )
        return whole


@dataclass(slots=True)
class _Job:
    """Tensors that are decoded together.

    Attributes:
        plans: of the units that they need, by identity.
        payload: bytes of these.
        memory: bytes that the work takes.
    """

    names: list[str] = field(default_factory=list)
    plans: dict[int, UnitPlan] = field(default_factory=dict)
    payload: int = 0
    memory: int = 0


def _drained(found: list[tuple[str, np.ndarray]]) -> Iterator[tuple[str, np.ndarray]]:
    """The elements of a list, in order, which go from memory one by one."""
    found.reverse()
    while found:
        yield found.pop()


class _Opened:
    """A file that is read in pieces; its descriptor is kept until nobody needs it.

    Args:
        file: the open file.
        begin: where the stream begins, in bytes.

    Raises:
        OSError, ValueError, AttributeError: it has no descriptor, or is no file with a size.
    """

    def __init__(self, file: BinaryIO, begin: int) -> None:
        self._descriptor = -1
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("not a regular file")
        self._descriptor = os.dup(file.fileno())
        self._begin = begin
        self.size = max(0, status.st_size - begin)

    def check(self) -> None:
        """Raise TruncatedError if the file has become shorter."""
        left = os.fstat(self._descriptor).st_size - self._begin
        if left < self.size:
            raise self._shorter(max(0, left))

    def read(self, offset: int, size: int) -> memoryview:
        """`size` bytes from `offset` on; TruncatedError if they are no longer there."""
        held = bytearray(size)
        done = 0
        while done < size:
            piece = _pread(self._descriptor, size - done, self._begin + offset + done)
            if not piece:
                raise self._shorter(offset + done)
            held[done : done + len(piece)] = piece
            done += len(piece)
        return memoryview(held).toreadonly()

    @staticmethod
    def _shorter(byte_offset: int) -> TruncatedError:
        return TruncatedError(
            "the file has become shorter since it was opened", byte_offset=byte_offset, clause="syntax 2.2"
        )

    def __del__(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)


def _pread_by_seeking(descriptor: int, size: int, offset: int) -> bytes:
    """`os.pread` where there is none; who else reads by this descriptor finds it where it was."""
    with _SEEKING:
        before = os.lseek(descriptor, 0, os.SEEK_CUR)
        try:
            os.lseek(descriptor, offset, os.SEEK_SET)
            return os.read(descriptor, size)
        finally:
            os.lseek(descriptor, before, os.SEEK_SET)


_SEEKING = threading.Lock()
_pread: Callable[[int, int, int], bytes] = getattr(os, "pread", _pread_by_seeking)


def _shape(plan: UnitPlan, tensor: TensorPlan, record: TensorRecord | None) -> tuple[int, ...]:
    if record is not None and record.shape is not None:
        return record.shape
    return plan.tensor_dimensions if tensor.role in (Role.G, Role.H) else tensor.shape


def _dtype(plan: UnitPlan, record: TensorRecord | None) -> str:
    if record is not None:
        return dtype_name(record.dtype_code)
    return "int32" if plan.payload_type == PayloadType.NNR_PT_INT else "float32"


def open_file(
    source: str | os.PathLike[str] | BinaryIO | bytes | bytearray | memoryview,
    *,
    form: Form = "plain",
    out_of_band: OutOfBand | None = None,
    limits: Limits | None = None,
    threads: int | None = None,
    backend: Backend = "c",
) -> File:
    """Open a bitstream for reading single tensors.

    Args:
        source: path, bytes, or a binary file object (one without a file descriptor is read as a whole).
        form, out_of_band, limits, threads, backend: as for `nnr.decode`.

    Raises:
        BitstreamError: a header cannot be read.
        OSError: the file cannot be opened.
    """
    options: dict[str, Any] = {
        "form": form,
        "out_of_band": out_of_band,
        "limits": limits,
        "threads": threads,
        "backend": backend,
    }
    if isinstance(source, str | os.PathLike):
        with open(source, "rb") as file:
            opened = _opened(file)
        if opened is None:
            return File(stream_bytes(source), **options)
    elif isinstance(source, bytes | bytearray | memoryview) or not hasattr(source, "read"):
        return File(stream_bytes(source), **options)  # type: ignore[arg-type]
    else:
        opened = _opened(source)
        if opened is None:
            return File(memoryview(source.read()), **options)
    return File(FileBytes(opened.read, 0, opened.size), file=opened, **options)


def _opened(file: BinaryIO) -> _Opened | None:
    """The file, to be read in pieces; None where that cannot be done (a pipe, no descriptor)."""
    try:
        return _Opened(file, file.tell())
    except (OSError, ValueError, AttributeError):
        return None
