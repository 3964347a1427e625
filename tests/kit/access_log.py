"""The access log as a server under test writes it to its standard output."""

import re

from kit.process import Server

LINE = re.compile(
    r'(?P<client>\S+) - - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000\] "(?P<request>[^"]*)" '
    r"(?P<status>\d{3}) (?P<bytes>\d+) (?P<seconds>\d+\.\d{6})"
)


def line_with(server: Server, needle: str) -> dict[str, str]:
    """Waits for the line that holds `needle`; its parts. It must come by itself, though nothing else happens."""
    text = server.stdout.wait(lambda text: any(needle in line for line in text.splitlines()[: text.count("\n")]))
    lines = [line for line in text.splitlines() if needle in line]
    assert len(lines) == 1, lines
    match = LINE.fullmatch(lines[0])
    assert match, lines[0]
    return match.groupdict()
