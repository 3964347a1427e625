"""The fifteen fields of an answer with a long head, as sites that follow the advice on security send them."""

BODY = b'{"id": 4711, "name": "Ada Lovelace", "active": true}'
FIELDS = {
    "content-type": "application/json",
    "content-length": str(len(BODY)),
    "cache-control": "private, max-age=60, must-revalidate",
    "etag": '"5d8c72a5edda8d6a"',
    "last-modified": "Wed, 21 Oct 2026 07:28:00 GMT",
    "vary": "accept-encoding, cookie, origin",
    "x-request-id": "8a3f0c52-6f0b-4b43-9d43-0a1f6f3f2f55",
    "strict-transport-security": "max-age=63072000; includeSubDomains; preload",
    "content-security-policy": "default-src 'self'; img-src 'self' data:; object-src 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "strict-origin-when-cross-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "access-control-allow-origin": "https://www.example.com",
    "set-cookie": "session=6f1c9a5b2d8e4f70; Path=/; Secure; HttpOnly; SameSite=Lax",
}
