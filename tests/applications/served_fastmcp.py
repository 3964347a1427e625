"""A server of the Model Context Protocol, whose streams wait for events."""

from fastmcp import FastMCP

server: FastMCP[None] = FastMCP("hello")


@server.tool
def greet(name: str) -> str:
    """Says hello."""
    return f"hello {name}"


app = server.http_app(transport="sse")
