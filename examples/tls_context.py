"""A TLS context of one's own: the groups of the key exchange, and an OCSP response that goes with the certificate.

    fastserve hello:app --ssl-certfile shop.pem --ssl-keyfile shop-key.pem --ssl-context tls_context:context

The response is a file, OCSP_RESPONSE in the environment, which a timer renews:

    openssl ocsp -issuer authority.pem -cert shop.pem -url http://ocsp.authority.example -respout ocsp.new
    mv ocsp.new ocsp.der

Python's ssl sets a single group before 3.15 and knows nothing of stapling, so OpenSSL itself is asked, by ctypes. That
needs an interpreter whose OpenSSL is a shared library, as those of distributions and python.org are.
"""

import _ssl
import ctypes
import os
import ssl
from collections.abc import Callable
from pathlib import Path

GROUPS = b"X25519:P-256"

# openssl/ssl.h and openssl/tls1.h
SET_GROUPS_LIST = 92
SET_STATUS_CALLBACK = 63
SET_STATUS_RESPONSE = 71
OK, NOTHING = 0, 3

openssl = ctypes.CDLL(_ssl.__file__)
openssl.CRYPTO_malloc.restype = ctypes.c_void_p
openssl.CRYPTO_malloc.argtypes = (ctypes.c_size_t, ctypes.c_char_p, ctypes.c_int)
openssl.SSL_CTX_ctrl.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_char_p)
openssl.SSL_CTX_ctrl.restype = ctypes.c_long
openssl.SSL_ctrl.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_void_p)
openssl.SSL_ctrl.restype = ctypes.c_long
Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
openssl.SSL_CTX_callback_ctrl.argtypes = (ctypes.c_void_p, ctypes.c_int, Callback)
openssl.SSL_CTX_callback_ctrl.restype = ctypes.c_long

kept: list[object] = []  # OpenSSL holds no reference to what it calls


def context(default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """What --ssl-context calls; `default` makes what the other options say."""
    made = default()
    if not openssl.SSL_CTX_ctrl(pointer(made), SET_GROUPS_LIST, 0, GROUPS):
        raise ValueError(f"OpenSSL knows no group in {GROUPS.decode()}")
    staple(made, Path(os.environ["OCSP_RESPONSE"]))
    return made


def staple(made: ssl.SSLContext, file: Path) -> None:
    """Sends what is in the file to clients that ask for it. The certificate alone is sent as long as there is none."""

    def answer(connection: int, _argument: int) -> int:
        try:
            response = file.read_bytes()
        except OSError:
            return NOTHING
        memory = openssl.CRYPTO_malloc(len(response), None, 0)  # OpenSSL frees it
        ctypes.memmove(memory, response, len(response))
        openssl.SSL_ctrl(connection, SET_STATUS_RESPONSE, len(response), memory)
        return OK

    callback = Callback(answer)
    kept.append(callback)
    openssl.SSL_CTX_callback_ctrl(pointer(made), SET_STATUS_CALLBACK, callback)


def pointer(made: ssl.SSLContext) -> int:
    """The SSL_CTX that a context is of, which stands first in it."""
    found = ctypes.c_void_p.from_address(id(made) + object.__basicsize__).value
    assert found is not None
    return found
