#!/usr/bin/env python3
"""Makes `ext/proto/fields_table.h`: the known field names and a perfect hash over them.

The names with constants stand in the order of the enum of `ext/proto/fields.h`. Run it after a change of the list;
`fields.c` has the same hash and the C tests find every name.
"""

from __future__ import annotations

import random
import sys
from itertools import count
from pathlib import Path

TABLE = Path(__file__).resolve().parent.parent / "ext" / "proto" / "fields_table.h"
SLOT_BITS = 10
WORD = (1 << 32) - 1

WITH_CONSTANT = """
    host content-length transfer-encoding connection expect upgrade te trailer keep-alive proxy-connection
    http2-settings date server content-type cookie authorization proxy-authorization
    x-forwarded-for x-forwarded-proto x-forwarded-host forwarded
"""

# What browsers, proxies and API clients send.
REQUEST = """
    accept accept-charset accept-datetime accept-encoding accept-language
    access-control-request-headers access-control-request-method
    cache-control cdn-loop cf-connecting-ip cf-ipcountry cf-ray cf-visitor content-disposition content-encoding
    content-language content-location content-md5 content-range device-memory digest dnt downlink ect from
    grpc-timeout idempotency-key if-match if-modified-since if-none-match if-range if-unmodified-since max-forwards
    origin pragma prefer priority purpose range referer rtt save-data
    sec-ch-ua sec-ch-ua-arch sec-ch-ua-full-version-list sec-ch-ua-mobile sec-ch-ua-model sec-ch-ua-platform
    sec-ch-ua-platform-version sec-fetch-dest sec-fetch-mode sec-fetch-site sec-fetch-user sec-gpc sec-purpose
    sec-websocket-accept sec-websocket-extensions sec-websocket-key sec-websocket-protocol sec-websocket-version
    signature traceparent tracestate true-client-ip upgrade-insecure-requests user-agent via
    x-amzn-trace-id x-api-key x-b3-sampled x-b3-spanid x-b3-traceid x-client-ip x-correlation-id x-csrf-token
    x-csrftoken x-forwarded-port x-forwarded-prefix x-forwarded-server x-http-method-override x-real-ip x-request-id
    x-request-start x-requested-with
"""

# What applications answer with: known names need no validation.
RESPONSE = """
    access-control-allow-headers access-control-allow-methods
    access-control-allow-origin access-control-expose-headers access-control-max-age accept-ranges age allow
    content-security-policy etag expires last-modified link location referrer-policy retry-after set-cookie
    strict-transport-security vary www-authenticate x-accel-buffering x-content-type-options x-frame-options
    x-powered-by x-process-time
"""


def names() -> list[str]:
    listed = [*WITH_CONSTANT.split(), *sorted({*REQUEST.split(), *RESPONSE.split()})]
    assert len(listed) == len(set(listed)) < 256, "an id is a byte, and a name has one"
    assert all(1 < len(name) < 32 for name in listed), "an entry of the table is 32 bytes"
    return listed


def key(name: str) -> int:
    """What fields.c hashes: length and the bytes at no, two and three quarters of it, folded to lower case."""
    first, middle, late = (ord(name[at]) | 0x20 for at in (0, len(name) // 2, len(name) * 3 // 4))
    return len(name) << 24 | first << 16 | middle << 8 | late


def multiplier(keys: list[int]) -> int:
    """An odd factor that sends all keys to slots of their own."""
    rng = random.Random(1)
    for _ in count():
        factor = rng.getrandbits(32) | 1
        taken: set[int] = set()
        for one in keys:
            slot = (one * factor & WORD) >> (32 - SLOT_BITS)
            if slot in taken:
                break
            taken.add(slot)
        else:
            return factor
    raise AssertionError("unreachable")


def render(listed: list[str]) -> str:
    keys = [key(name) for name in listed]
    if len(set(keys)) < len(keys):
        twins = sorted((one, name) for one, name in zip(keys, listed, strict=True) if keys.count(one) > 1)
        sys.exit(f"equal keys: {twins}")
    factor = multiplier(keys)
    slots = {(one * factor & WORD) >> (32 - SLOT_BITS): at for at, one in enumerate(keys, 1)}
    lines = [
        "/* Made by tools/field_table.py. */",
        "",
        f"#define FIELD_SLOT_BITS {SLOT_BITS}",
        f"#define FIELD_FACTOR UINT32_C(0x{factor:08x})",
        "",
        "/* By id. */",
        'static const field_entry FIELDS[] = {\n    {"", 0},',
        *(f'    {{"{name}", {len(name)}}},' for name in listed),
        "};",
        "",
        "/* By hash: the id, or 0. */",
        "static const uint8_t FIELD_SLOTS[1 << FIELD_SLOT_BITS] = {",
    ]
    every = [f"[{slot}] = {slots[slot]}," for slot in sorted(slots)]
    lines += ["    " + " ".join(every[at : at + 8]) for at in range(0, len(every), 8)]
    return "\n".join([*lines, "};", ""])


def main() -> None:
    TABLE.write_text(render(names()), encoding="ascii")


if __name__ == "__main__":
    main()
