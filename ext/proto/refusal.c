#include "refusal.h"

#include "fields.h"
#include "head.h"

#include <string.h>

#define FIELD(field_id, field_name, field_value)                                                      \
    {.name = (field_name), .name_len = sizeof(field_name) - 1, .value = (field_value),                \
     .value_len = sizeof(field_value) - 1, .id = (field_id)}

int fs_answer_error(fs_stream *stream, int error)
{
    static const fs_field fields[] = {
        FIELD(FS_FIELD_CONTENT_TYPE, "content-type", "text/plain; charset=utf-8"),
        FIELD(FS_FIELD_UNKNOWN, "retry-after", "1"),
    };
    const fs_error_info *info = fs_error_describe(error);
    /* Somebody has typed http: instead of https:, and the phrase would not say so. */
    const fs_slice text =
        error == FS_E_PLAIN_HTTP ? (fs_slice){info->text, strlen(info->text)} : fs_reason_phrase(info->status);
    const fs_response_head head = {.status = info->status, .reason = {"", 0}, .fields = fields,
                                   .nfields = info->status == 503 ? 2 : 1, .flags = FS_RESPONSE_END, .length = text.n};
    int result = stream->ops->head(stream, &head);

    if (result == FS_OK && !stream->ended)
        result = stream->ops->body(stream, text.p, text.n, NULL, 1);
    return result;
}
