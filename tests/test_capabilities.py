"""What the package says of itself."""

import nnr


def test_capabilities_name_what_is_there():
    found = nnr.capabilities()
    assert found["editions"] == {1: 0, 2: 1}
    assert set(found["encoder"]) < set(found["decoder"])
    assert {"uniform", "dq_trellis", "codebook", "bit_depth"} <= set(found["encoder_tools"])
    assert {"3gpp-ims-full", "3gpp-ims-incremental"} <= set(found["tool_sets"])
