"""NNCodec reads the weights of streams that carry a topology it goes over."""

from __future__ import annotations

import pytest

import nnr
from benchmarks.peer import Peer, PeerError
from nnr.syntax.constants import TopologyStorageFormat
from tests.interop.compare import assert_peer_reads
from tests.interop.models import synthetic_model

pytestmark = pytest.mark.interop

TEXT = b'{"pytorch": {"dict": [["layer.weight", {"tensor": "layer.weight"}]]}}'


@pytest.mark.parametrize("storage", ["NNR_TPL_PYT", "NNR_TPL_TEF"])
@pytest.mark.parametrize("metadata", [True, False])
@pytest.mark.parametrize("profile", [0, 1])
def test_text_of_pytorch_and_tensorflow(peer: Peer, storage: str, metadata: bool, profile: int) -> None:
    topology = nnr.Topology.of(TopologyStorageFormat[storage], TEXT)
    data = nnr.encode(synthetic_model(3), topology=topology, metadata=metadata, profile=profile)
    assert_peer_reads(peer, data)
    assert nnr.decode(data).report.topology.data == TEXT


@pytest.mark.parametrize("storage", ["NNR_TPL_NNEF", "NNR_TPL_ONNX"])
def test_where_it_stops_is_where_we_say(peer: Peer, storage: str) -> None:
    topology = nnr.Topology.of(TopologyStorageFormat[storage], b"text\0", deflate=False)
    with pytest.raises(ValueError, match=storage):
        nnr.encode(synthetic_model(3), topology=topology)
    with pytest.raises(PeerError, match="NotImplementedError"):
        peer.decode(nnr.encode(synthetic_model(3), topology=topology, compat=None))
