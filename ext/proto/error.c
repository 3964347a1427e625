#include "error.h"

/* RFC 6455 section 7.4.1, and 1013 from the IANA registry that it sets up. */
enum { WS_PROTOCOL = 1002, WS_ABNORMAL = 1006, WS_PAYLOAD = 1007, WS_POLICY = 1008, WS_TOO_BIG = 1009, WS_INTERNAL = 1011, WS_RESTART = 1012, WS_LATER = 1013 };

/* RFC 9113 section 7. */
enum { H2_NO_ERROR = 0x0, H2_PROTOCOL = 0x1, H2_INTERNAL = 0x2, H2_REFUSED = 0x7, H2_CANCEL = 0x8, H2_CALM = 0xb };

/* In the order of the enum: the test walks both. */
static const fs_error_info TABLE[] = {
    {FS_OK, "ok", 0, 1000, H2_NO_ERROR, "no error"},

    {FS_E_BAD_REQUEST_LINE, "bad-request-line", 400, WS_PROTOCOL, H2_PROTOCOL, "the request line is malformed"},
    {FS_E_BAD_TARGET, "bad-target", 400, WS_PROTOCOL, H2_PROTOCOL, "the request target is malformed"},
    {FS_E_BAD_FIELD, "bad-field", 400, WS_PROTOCOL, H2_PROTOCOL, "a field line is malformed"},
    {FS_E_BAD_HOST, "bad-host", 400, WS_PROTOCOL, H2_PROTOCOL, "Host is missing, given twice or malformed"},
    {FS_E_BAD_LENGTH, "bad-length", 400, WS_PROTOCOL, H2_PROTOCOL, "Content-Length is malformed or contradicts itself"},
    {FS_E_BAD_FRAMING, "bad-framing", 400, WS_PROTOCOL, H2_PROTOCOL, "the length of the body is ambiguous"},
    {FS_E_BAD_CHUNK, "bad-chunk", 400, WS_PROTOCOL, H2_PROTOCOL, "the chunked coding is malformed"},
    {FS_E_BAD_TRAILER, "bad-trailer", 400, WS_PROTOCOL, H2_PROTOCOL, "the trailer section is malformed"},
    {FS_E_BODY_CUT, "body-cut", 400, WS_ABNORMAL, H2_PROTOCOL, "the peer closed in the middle of a message"},
    {FS_E_TIMEOUT, "timeout", 408, WS_POLICY, H2_CANCEL, "the peer did not finish its message in time"},
    {FS_E_BODY_TOO_LARGE, "body-too-large", 413, WS_TOO_BIG, H2_CANCEL, "the body is larger than its limit"},
    {FS_E_TARGET_TOO_LONG, "target-too-long", 414, WS_POLICY, H2_CALM, "the request line is longer than its limit"},
    {FS_E_EXPECTATION, "expectation", 417, WS_POLICY, H2_PROTOCOL, "Expect asks for something unknown"},
    {FS_E_HEAD_TOO_LARGE, "head-too-large", 431, WS_POLICY, H2_CALM, "the head is larger than its limit"},
    {FS_E_TOO_MANY_FIELDS, "too-many-fields", 431, WS_POLICY, H2_CALM, "the head has more fields than its limit"},
    {FS_E_METHOD_UNKNOWN, "method-unknown", 501, WS_POLICY, H2_PROTOCOL, "the method is not implemented"},
    {FS_E_CODING_UNKNOWN, "coding-unknown", 501, WS_POLICY, H2_PROTOCOL, "the transfer coding is not implemented"},
    {FS_E_OVERLOADED, "overloaded", 503, WS_LATER, H2_REFUSED, "too many requests are in flight"},
    {FS_E_VERSION, "version", 505, WS_PROTOCOL, H2_PROTOCOL, "the HTTP version is not supported"},
    {FS_E_BAD_METHOD, "bad-method", 400, WS_PROTOCOL, H2_PROTOCOL, "the method is not a token"},
    {FS_E_WS_HANDSHAKE, "ws-handshake", 400, WS_PROTOCOL, H2_PROTOCOL, "the WebSocket handshake is malformed"},
    {FS_E_WS_VERSION, "ws-version", 426, WS_PROTOCOL, H2_PROTOCOL, "the WebSocket version is not supported"},
    {FS_E_PLAIN_HTTP, "plain-http", 400, WS_PROTOCOL, H2_PROTOCOL, "this port speaks TLS: use https"},
    {FS_E_H2_MALFORMED, "h2-malformed", 400, WS_PROTOCOL, H2_PROTOCOL, "the HTTP/2 message is malformed"},
    {FS_E_NO_ROOM, "no-room", 503, WS_LATER, H2_CALM, "the worker holds as much as it may: --limit-buffered or --limit-body-files"},
    {FS_E_NEVER_FITS, "never-fits", 413, WS_TOO_BIG, H2_CANCEL, "the body is larger than --limit-body-files"},
    {FS_E_QUEUE_TIMEOUT, "queue-timeout", 503, WS_LATER, H2_REFUSED, "the request has waited for longer than --queue-timeout"},

    {FS_E_PEER_GONE, "peer-gone", 0, WS_ABNORMAL, H2_CANCEL, "the peer has closed or reset the connection"},
    {FS_E_PEER_STALLED, "peer-stalled", 0, WS_ABNORMAL, H2_CANCEL, "the peer does not read what it asked for"},
    {FS_E_PROXY_HEADER, "proxy-header", 0, WS_PROTOCOL, H2_PROTOCOL, "the PROXY protocol header is missing or malformed"},
    {FS_E_WS_FRAME, "ws-frame", 0, WS_PROTOCOL, H2_PROTOCOL, "a WebSocket frame breaks the protocol"},
    {FS_E_WS_UTF8, "ws-utf8", 0, WS_PAYLOAD, H2_PROTOCOL, "a WebSocket text is not UTF-8"},
    {FS_E_WS_DEFLATE, "ws-deflate", 0, WS_PAYLOAD, H2_PROTOCOL, "a compressed WebSocket message cannot be inflated"},
    {FS_E_WS_TOO_BIG, "ws-too-big", 0, WS_TOO_BIG, H2_CANCEL, "a WebSocket message is larger than its limit"},
    {FS_E_WS_PING_TIMEOUT, "ws-ping-timeout", 0, WS_INTERNAL, H2_CANCEL, "the peer did not answer a ping in time"},
    {FS_E_TLS, "tls", 0, WS_PROTOCOL, H2_PROTOCOL, "the TLS handshake or a record failed"},
    {FS_E_H2_CONNECTION, "h2-connection", 0, WS_PROTOCOL, H2_PROTOCOL, "the peer broke the rules of HTTP/2"},
    {FS_E_H2_FLOOD, "h2-flood", 0, WS_POLICY, H2_CALM, "the peer sends too many HTTP/2 frames that carry nothing"},
    {FS_E_H2_PING_TIMEOUT, "h2-ping-timeout", 0, WS_INTERNAL, H2_CANCEL, "the peer did not answer an HTTP/2 ping in time"},
    {FS_E_WS_FLOOD, "ws-flood", 0, WS_POLICY, H2_CALM, "the peer sends too many WebSocket frames that carry nothing"},
    {FS_E_WS_MESSAGE_TIMEOUT, "ws-message-timeout", 0, WS_POLICY, H2_CANCEL, "a WebSocket message did not come to its end in time"},

    {FS_E_APP_STATUS, "app-status", 500, WS_INTERNAL, H2_INTERNAL, "the application gave an invalid status"},
    {FS_E_APP_FIELD_NAME, "app-field-name", 500, WS_INTERNAL, H2_INTERNAL, "the application gave an invalid field name"},
    {FS_E_APP_FIELD_VALUE, "app-field-value", 500, WS_INTERNAL, H2_INTERNAL, "the application gave an invalid field value"},
    {FS_E_APP_LENGTH, "app-length", 500, WS_INTERNAL, H2_INTERNAL, "the application gave an invalid Content-Length"},
    {FS_E_APP_BODY_TOO_LONG, "app-body-too-long", 500, WS_INTERNAL, H2_INTERNAL, "the body is longer than its Content-Length"},
    {FS_E_APP_BODY_TOO_SHORT, "app-body-too-short", 500, WS_INTERNAL, H2_INTERNAL, "the body is shorter than its Content-Length"},
    {FS_E_APP_ORDER, "app-order", 500, WS_INTERNAL, H2_INTERNAL, "the application sent the parts of a response out of order"},
    {FS_E_APP_RAISED, "app-raised", 500, WS_INTERNAL, H2_INTERNAL, "the application raised an exception"},
    {FS_E_APP_NO_RESPONSE, "app-no-response", 500, WS_INTERNAL, H2_INTERNAL, "the application ended without a response"},
    {FS_E_APP_TRAILER, "app-trailer", 500, WS_INTERNAL, H2_INTERNAL, "the application gave an invalid trailer field"},
    {FS_E_APP_FILE, "app-file", 500, WS_INTERNAL, H2_INTERNAL, "a file of the response could not be read"},
    {FS_E_APP_TIMEOUT, "app-timeout", 504, WS_INTERNAL, H2_CANCEL, "the application did not answer in time"},
    {FS_E_APP_CLOSE, "app-close", 500, WS_INTERNAL, H2_INTERNAL, "the application gave an invalid close code or reason"},

    {FS_E_NOMEM, "out-of-memory", 500, WS_INTERNAL, H2_INTERNAL, "out of memory"},
    {FS_E_INTERNAL, "internal", 500, WS_INTERNAL, H2_INTERNAL, "an invariant of the server is broken"},
    {FS_E_STORAGE, "storage", 507, WS_INTERNAL, H2_INTERNAL, "the request body could not be stored"},
    {FS_E_STOPPED, "stopped", 503, WS_RESTART, H2_CANCEL, "the server has stopped before the answer was there"},
};

enum { ROWS = sizeof TABLE / sizeof TABLE[0] };

const fs_error_info *fs_error_describe(int code)
{
    for (unsigned i = 0; i < ROWS; i++)
        if (TABLE[i].code == code)
            return &TABLE[i];
    return fs_error_describe(FS_E_INTERNAL);
}

const fs_error_info *fs_error_table(unsigned *count)
{
    *count = ROWS;
    return TABLE;
}
