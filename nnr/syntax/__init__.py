"""What a bitstream says: every syntax table of the specification as one function, and what is made of them.

Knows nothing of weights. `read_units` and `write_unit` go between bytes and `NnrUnit`, `parse` and `write`
between bytes and a tree of plain values. The tables are in `parameter_sets`, `topology`, `data_unit` and
`stream`, the readings of them in `serdes`.
"""

from .stream import NnrUnit, StreamContext, read_units, split_units, write_unit
from .tree import parse, write

__all__ = ["NnrUnit", "StreamContext", "parse", "read_units", "split_units", "write", "write_unit"]
