#include "limits.h"

#define KIB 1024u
#define MIB (1024u * KIB)
#define GIB (1024ull * MIB)
#define SECONDS 1000u

void fs_limits_default(fs_limits *limits)
{
    *limits = (fs_limits){
        .max_request_line = 8 * KIB,
        .max_head = 32 * KIB,
        .max_fields = 100,
        .methods = FS_METHODS_ANY,
        .max_body = 1024 * MIB,
        .max_chunk_extension = 1 * KIB,
        .max_pipelined = 64,
        .max_requests = 0,
        .max_concurrency = 0,
        .max_queue = 0,

        .high_water = 64 * KIB,
        .low_water = 16 * KIB,
        .body_high_water = 64 * KIB,
        .max_drain = 256 * KIB,
        .body_buffer = 512 * KIB,
        .buffered = 256 * MIB,
        .body_files = 10 * GIB,

        .ws_max_size = 16 * MIB,
        .ws_max_queue = 32,
        .ws_deflate_min_size = 256,

        .h2_max_streams = 128,
        .h2_stream_window = 256 * KIB,
        .h2_connection_window = 1 * MIB,
        .h2_max_frame_size = 16 * KIB,
        .h2_max_header_list = 32 * KIB,
        .h2_reset_rate = 200,

        .timeout_first_byte = 15 * SECONDS,
        .timeout_head = 15 * SECONDS,
        .timeout_keep_alive = 75 * SECONDS,
        .timeout_body = 30 * SECONDS,
        .timeout_write = 60 * SECONDS,
        .timeout_linger = 2 * SECONDS,
        .timeout_discard = 30 * SECONDS,
        .timeout_request = 0,
        .timeout_response_idle = 0,
        .timeout_response = 0,
        .timeout_queue = 0,
        .timeout_client_gone = 0,
        .timeout_threads = 0,
        .timeout_ws_handshake = 10 * SECONDS,
        .timeout_ws_close = 10 * SECONDS,
        .timeout_ws_ping = 20 * SECONDS,
        .timeout_ws_pong = 20 * SECONDS,
        .timeout_ws_message = 60 * SECONDS,
        .timeout_tls_handshake = 10 * SECONDS,
        .timeout_h2_ping = 20 * SECONDS,
        .timeout_h2_pong = 20 * SECONDS,
    };
}
