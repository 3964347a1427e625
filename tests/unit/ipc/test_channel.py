"""What passes between the supervisor and a worker."""

from fastserve.ipc.channel import Channel


def test_what_a_worker_said_before_its_end_is_heard() -> None:
    """It leaves with a message of ours unread, which the kernel tells before what it had said itself."""
    ours, theirs = Channel.pair()
    assert ours.send("look")
    assert theirs.send("draining")
    theirs.close()
    said = ours.receive()
    assert said is not None
    assert said.kind == "draining"
    assert ours.receive() is None
    assert ours.fileno() == -1
