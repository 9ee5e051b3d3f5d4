"""The same bytes on every platform and for every number of threads."""

import json

import pytest

from tests.golden import STORED, digests


@pytest.mark.parametrize("threads", [1, 3])
def test_streams_of_fixed_inputs_have_the_digests_that_were_stored(threads):
    assert digests(threads=threads) == json.loads(STORED.read_text())
