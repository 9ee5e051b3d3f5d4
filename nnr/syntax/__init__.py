"""What a bitstream says: every syntax table of the specification as one function, and what is made of them.

Knows nothing of weights. `read_units` and `write_unit` go between bytes and `NnrUnit`; the tables are in
`parameter_sets`, `topology`, `data_unit` and `stream`, the readings of them in `serdes`.
"""

from .stream import NnrUnit, StreamContext, read_units, split_units, write_unit

__all__ = ["NnrUnit", "StreamContext", "read_units", "split_units", "write_unit"]
