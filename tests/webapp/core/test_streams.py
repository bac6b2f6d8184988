"""Reading what a client sends: nothing that came is lost when it breaks off."""

from __future__ import annotations

import pytest

from webapp.core.streams import read_a_while


class Client:
    """Sends pieces of these sizes; an error breaks the connection."""

    def __init__(self, *sent):
        self.sent = list(sent)

    def read(self, size):
        piece = self.sent.pop(0) if self.sent else 0
        if isinstance(piece, Exception):
            self.sent.insert(0, piece)  # it stays broken
            raise piece
        return b"x" * min(piece, size)


def test_all_of_it_comes_in_blocks():
    client = Client(*[1 << 16] * 3, 10)
    assert [len(read_a_while(client, 1 << 17, 60)) for _ in range(3)] == [1 << 17, (1 << 16) + 10, 0]


def test_what_came_before_a_break_is_given_before_the_error():
    client = Client(1 << 16, 5, OSError("broken"))
    assert len(read_a_while(client, 1 << 20, 60)) == (1 << 16) + 5
    with pytest.raises(OSError, match="broken"):
        read_a_while(client, 1 << 20, 60)


def test_a_slow_client_is_not_waited_for_longer_than_it_takes_for_a_piece():
    client = Client(*[100] * 50)
    assert len(read_a_while(client, 1 << 20, 0)) == 100
