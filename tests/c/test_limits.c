#include "harness.h"

#include "proto/limits.h"

static fs_limits defaults(void)
{
    fs_limits limits;

    memset(&limits, 0xa5, sizeof limits);
    fs_limits_default(&limits);
    return limits;
}

static void sizes(void)
{
    const fs_limits limits = defaults();

    CHECK_INT(limits.max_request_line, 8192);
    CHECK_INT(limits.max_head, 32768);
    CHECK_INT(limits.max_fields, 100);
    CHECK_INT(limits.methods, FS_METHODS_ANY);
    CHECK_INT(limits.max_body, 1073741824);
    CHECK_INT(limits.max_chunk_extension, 1024);
    CHECK_INT(limits.max_pipelined, 64);
    CHECK_INT(limits.max_requests, 0);
    CHECK_INT(limits.max_concurrency, 0);
    CHECK_INT(limits.max_queue, 0);
    CHECK_INT(limits.ws_max_size, 16777216);
    CHECK_INT(limits.ws_max_queue, 32);
    CHECK_INT(limits.ws_deflate_min_size, 256);
}

static void flow(void)
{
    const fs_limits limits = defaults();

    CHECK_INT(limits.high_water, 65536);
    CHECK_INT(limits.low_water, 16384);
    CHECK_INT(limits.body_high_water, 65536);
    CHECK_INT(limits.max_drain, 262144);
    CHECK_INT(limits.body_buffer, 524288);
    CHECK_INT(limits.buffered, 268435456);
    CHECK_INT(limits.body_files, 10737418240);
}

static void times(void)
{
    const fs_limits limits = defaults();

    CHECK_INT(limits.timeout_first_byte, 15000);
    CHECK_INT(limits.timeout_head, 15000);
    CHECK_INT(limits.timeout_keep_alive, 75000);
    CHECK_INT(limits.timeout_body, 30000);
    CHECK_INT(limits.timeout_write, 60000);
    CHECK_INT(limits.timeout_linger, 2000);
    CHECK_INT(limits.timeout_discard, 30000);
    CHECK_INT(limits.timeout_request, 0);
    CHECK_INT(limits.timeout_response_idle, 0);
    CHECK_INT(limits.timeout_response, 0);
    CHECK_INT(limits.timeout_queue, 0);
    CHECK_INT(limits.timeout_client_gone, 0);
    CHECK_INT(limits.timeout_threads, 0);
    CHECK_INT(limits.timeout_ws_handshake, 10000);
    CHECK_INT(limits.timeout_ws_close, 10000);
    CHECK_INT(limits.timeout_ws_ping, 20000);
    CHECK_INT(limits.timeout_ws_pong, 20000);
    CHECK_INT(limits.timeout_ws_message, 60000);
}

static void limits_fit_each_other(void)
{
    const fs_limits limits = defaults();

    CHECK(limits.low_water < limits.high_water);
    CHECK(limits.max_request_line < limits.max_head);
    CHECK(limits.max_fields <= FS_MAX_FIELDS_CEILING);
    CHECK(limits.max_drain < limits.max_body);
    CHECK(limits.body_buffer < limits.buffered);
    CHECK(limits.ws_max_size < limits.buffered);
    CHECK(limits.max_body < limits.body_files);
}

int main(void)
{
    RUN(sizes);
    RUN(flow);
    RUN(times);
    RUN(limits_fit_each_other);
    return harness_end();
}
