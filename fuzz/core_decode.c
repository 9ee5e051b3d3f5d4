/* core_decode.c - libFuzzer target: batches of payloads through nnr_decode_units and nnr_decode_units_plainly.

   Both must say the same, and write every byte of every output whatever the payload is: each gets memory with other
   bytes in it before. */
#include "input.h"

static void decode(nnr_decoder *decoder, job *j, input in, int fill, int plainly)
{
    read_job(j, in, fill);
    promise((plainly ? nnr_decode_units_plainly : nnr_decode_units)(decoder, j->units, j->unit_count, j->tensors,
                                                                    j->tensor_count) == NNR_OK,
            "units are to blame, not the call");
}

static void compare(const job *a, const job *b)
{
    int64_t u, t;
    for (u = 0; u < a->unit_count; u++) {
        const nnr_unit *unit = &a->units[u], *other = &b->units[u];
        promise(unit->status == other->status, "one status");
        promise(unit->bits_consumed == other->bits_consumed, "one position");
        promise(unit->failed_tensor == other->failed_tensor, "one tensor that fails");
        if (unit->status == NNR_ERR_ARGUMENT)
            continue; /* nothing is written */
        promise(unit->bits_consumed >= 0, "a position in the payload");
        for (t = unit->first_tensor; t < unit->first_tensor + unit->tensor_count; t++) {
            const nnr_tensor *tensor = &a->tensors[t], *twin = &b->tensors[t];
            const int decoded = unit->failed_tensor < 0 || t - unit->first_tensor < unit->failed_tensor;
            promise(memcmp(at(tensor->levels), at(twin->levels), 4 * elements(tensor)) == 0, "all levels are written");
            if (!decoded)
                continue;
            promise(tensor->qp == twin->qp && tensor->hist_flag == twin->hist_flag &&
                        tensor->row_skip_flag == twin->row_skip_flag,
                    "one head");
            if (tensor->row_skip_flag && tensor->skip_list)
                promise(memcmp(at(tensor->skip_list), at(twin->skip_list), (size_t)tensor->rows) == 0, "one skip list");
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static job a, b;
    static nnr_decoder *one, *other;
    static unsigned number;
    const input in = {data, size};
    decode(fresh_decoder(&one, number), &a, in, 0x55, 0);
    decode(fresh_decoder(&other, number++), &b, in, 0xaa, 1);
    compare(&a, &b);
    free_job(&a);
    free_job(&b);
    return 0;
}
