"""FastAPI: JSON, upload, dependencies with yield, thread pool."""

from kit import Open
from kit.waiting import until


def test_json(framework: Open) -> None:
    _, client = framework("with_fastapi:app")
    response = client.post("/items", json={"name": "ä", "price": 1.5, "tags": ["a"]})
    assert response.json() == {"name": "Ä", "price": 3.0, "tags": ["a", "seen"]}
    assert client.post("/items", json={"name": 1}).status_code == 422
    assert client.get("/openapi.json").json()["openapi"]


def test_upload(framework: Open) -> None:
    _, client = framework("with_fastapi:app")
    for size in (0, 10, 3_000_000):
        response = client.post("/upload", files={"file": ("name.bin", b"\x01" * size)}, data={"note": "hä"})
        assert response.json() == {"name": "name.bin", "size": size, "sum": size, "note": "hä"}


def test_dependencies_with_yield(framework: Open) -> None:
    _, client = framework("with_fastapi:app")
    before = client.get("/log").json()
    assert client.get("/session").json() == {"session": "session"}
    assert client.get("/session-fails").status_code == 409
    assert client.get("/blocking").json() == {"session": "blocking"}
    expected = ["open", "closed", "open", "rolled back", "closed", "blocking closed"]
    assert until(lambda: client.get("/log").json()[len(before) :] == expected)


def test_background(framework: Open) -> None:
    _, client = framework("with_fastapi:app")
    before = client.get("/log").json().count("background")
    assert client.get("/background").json() == "later"
    assert until(lambda: client.get("/log").json().count("background") == before + 1)


def test_stream(framework: Open) -> None:
    _, client = framework("with_fastapi:app")
    assert client.get("/stream").text == "".join(f"{number};" for number in range(50))


def test_crash(framework: Open) -> None:
    server, client = framework("with_fastapi:app")
    assert client.get("/crash").status_code == 500
    server.expect_traceback("fastapi route fails")
