"""A PACS that sends in pieces, to the web server as it is run."""

from __future__ import annotations

import requests
from dicomweb_client import DICOMwebClient

from tests.worker.test_dicomweb import scan


def test_a_body_without_a_length_is_stored_and_had_again(server):
    session = requests.Session()
    session.headers["Authorization"] = f"Token {server.token}"
    client = DICOMwebClient(f"{server.address}/api/v1/dicomweb/1", session=session, chunk_size=1 << 16)
    instances = scan()
    assert len(client.store_instances(instances).ReferencedSOPSequence) == 3
    base = instances[0]
    frames = client.retrieve_instance_frames(
        base.StudyInstanceUID, base.SeriesInstanceUID, base.SOPInstanceUID, [1, 2], media_types=("image/jpeg",)
    )
    assert len(frames) == 2 and all(frame.startswith(b"\xff\xd8") for frame in frames)


def test_what_comes_in_pieces_is_read_everywhere_or_asked_for_with_its_length(server):
    def patch(*pieces: bytes) -> requests.Response:
        headers = {"Authorization": f"Token {server.token}", "Content-Type": "application/json"}
        return requests.patch(f"{server.address}/api/v1/studies/1/", iter(pieces), headers=headers, timeout=30)

    answer = patch(b'{"shape":', b'"square"}')
    assert (answer.status_code, answer.json()["shape"]) == (200, "square")
    assert patch(b'{"shape":"', b"x" * 99_999, b'"}').status_code == 411
