#ifndef FS_PROTO_ERROR_H
#define FS_PROTO_ERROR_H

/*
 * Errors are negative and banded by whose fault they are, so that severity is
 * one comparison:
 *
 *   -100 .. -199  the peer's fault, in one message: answered with its status
 *   -200 .. -299  the peer's fault, in the connection: nothing can be answered
 *   -300 .. -399  the application's fault: raised in the application, or 500
 *   -400 .. -499  ours: out of memory, a broken invariant
 *
 * error.c holds one row for each: name, HTTP status, WebSocket close code,
 * HTTP/2 error code, and the text for the log.
 */
enum {
    FS_OK = 0,

    FS_E_BAD_REQUEST_LINE = -100,
    FS_E_BAD_TARGET = -101,
    FS_E_BAD_FIELD = -102,           /* name, value, folding, bare LF or CR */
    FS_E_BAD_HOST = -103,            /* missing, twice or invalid: RFC 9112 3.2 */
    FS_E_BAD_LENGTH = -104,          /* Content-Length: RFC 9112 6.3 */
    FS_E_BAD_FRAMING = -105,         /* Content-Length with Transfer-Encoding, TE in HTTP/1.0 */
    FS_E_BAD_CHUNK = -106,
    FS_E_BAD_TRAILER = -107,
    FS_E_BODY_CUT = -108,            /* the peer closed in the middle of a message */
    FS_E_TIMEOUT = -109,             /* 408 */
    FS_E_BODY_TOO_LARGE = -110,      /* 413 */
    FS_E_TARGET_TOO_LONG = -111,     /* 414 */
    FS_E_EXPECTATION = -112,         /* 417 */
    FS_E_HEAD_TOO_LARGE = -113,      /* 431 */
    FS_E_TOO_MANY_FIELDS = -114,     /* 431 */
    FS_E_METHOD_UNKNOWN = -115,      /* 501 */
    FS_E_CODING_UNKNOWN = -116,      /* 501 */
    FS_E_OVERLOADED = -117,          /* 503 */
    FS_E_VERSION = -118,             /* 505 */
    FS_E_BAD_METHOD = -119,          /* 400: not even a token */
    FS_E_WS_HANDSHAKE = -120,        /* 400: RFC 6455 section 4.2.1 */
    FS_E_WS_VERSION = -121,          /* 426: not version 13 */
    FS_E_PLAIN_HTTP = -122,          /* 400: HTTP without TLS on a port with TLS */
    FS_E_H2_MALFORMED = -123,        /* a message that RFC 9113 section 8 calls malformed */
    FS_E_NO_ROOM = -124,             /* 503: the worker holds as much as it may, at this time */
    FS_E_NEVER_FITS = -125,          /* 413: more than it may ever hold */
    FS_E_QUEUE_TIMEOUT = -126,       /* 503: the request has waited too long for its application */

    FS_E_PEER_GONE = -200,
    FS_E_PEER_STALLED = -201,        /* does not read: write deadline */
    FS_E_PROXY_HEADER = -202,        /* PROXY protocol: missing or malformed */
    FS_E_WS_FRAME = -203,            /* these close a WebSocket: 1002, 1007, 1007, 1009, 1011 */
    FS_E_WS_UTF8 = -204,
    FS_E_WS_DEFLATE = -205,
    FS_E_WS_TOO_BIG = -206,
    FS_E_WS_PING_TIMEOUT = -207,
    FS_E_TLS = -208,
    FS_E_H2_CONNECTION = -209,       /* the session is broken: GOAWAY */
    FS_E_H2_FLOOD = -210,            /* too much of what costs and carries nothing: ENHANCE_YOUR_CALM */
    FS_E_H2_PING_TIMEOUT = -211,
    FS_E_WS_FLOOD = -212,            /* too many frames that carry nothing: 1008, as the next */
    FS_E_WS_MESSAGE_TIMEOUT = -213,  /* a message that is not completed */

    FS_E_APP_STATUS = -300,
    FS_E_APP_FIELD_NAME = -301,
    FS_E_APP_FIELD_VALUE = -302,
    FS_E_APP_LENGTH = -303,          /* Content-Length not a number, or two that differ */
    FS_E_APP_BODY_TOO_LONG = -304,
    FS_E_APP_BODY_TOO_SHORT = -305,
    FS_E_APP_ORDER = -306,           /* body before head, anything after the end */
    FS_E_APP_RAISED = -307,
    FS_E_APP_NO_RESPONSE = -308,
    FS_E_APP_TRAILER = -309,
    FS_E_APP_FILE = -310,            /* a file range that could not be read */
    FS_E_APP_TIMEOUT = -311,         /* 504 */
    FS_E_APP_CLOSE = -312,           /* a close code or reason that may not be sent */

    FS_E_NOMEM = -400,
    FS_E_INTERNAL = -401,
    FS_E_STORAGE = -402,             /* 507: a request body could not be put on disk */
    FS_E_STOPPED = -403              /* 503: the worker has stopped before the answer was complete */
};

typedef struct fs_error_info {
    int code;
    const char *name;     /* "bad-request-line": for logs and counters */
    int status;           /* HTTP status, 0 if nothing can be answered */
    int close_code;       /* RFC 6455 section 7.4 */
    int h2_code;          /* RFC 9113 section 7 */
    const char *text;     /* one sentence for the log */
} fs_error_info;

/* Never NULL: for an unknown code, FS_E_INTERNAL's row. Static storage. */
const fs_error_info *fs_error_describe(int code);

/* The rows in the order of the enum, for the test that walks them. */
const fs_error_info *fs_error_table(unsigned *count);

static inline int fs_error_is_peer(int e) { return e <= -100 && e > -300; }
static inline int fs_error_is_message(int e) { return e <= -100 && e > -200; }
static inline int fs_error_is_application(int e) { return e <= -300 && e > -400; }

#endif
