/* core_engine.c - libFuzzer target: the engine step by step, in any order, and block rows from entry points that lie.

   After the description of a job (input.h) come steps of four bytes: what, and a number; the payload of the first unit
   is what the engine reads. */
#include "input.h"

enum { STEPS = 48 };

static void step(nnr_decoder *decoder, nnr_decoder *second, job *j, int what, int64_t number)
{
    nnr_tensor *tensor = &j->tensors[number & 1 && j->units[0].tensor_count > 1];
    int64_t out[3] = {0, 0, 0};
    const int64_t entry[3] = {number & 0xfff, number >> 12 & 0xff, number >> 20 & 7};
    switch (what % 11) {
    case 0:
        nnr_decoder_start(decoder, at(j->units[0].payload), j->units[0].payload_size);
        break;
    case 1:
        nnr_decoder_set_context(decoder, number % 1200 - 10, number >> 11 & 15);
        break;
    case 2:
        nnr_decoder_read_bin(decoder, number % 1200 - 10, out);
        break;
    case 3:
        nnr_decoder_read_uae(decoder, number % 36 - 1, out);
        break;
    case 4:
        nnr_decoder_read_iae(decoder, number % 36 - 1, out);
        break;
    case 5:
        nnr_decoder_read_tensor(decoder, &j->units[0], tensor);
        break;
    case 6:
        nnr_decoder_open_tensor(decoder, &j->units[0], tensor);
        break;
    case 7:
        nnr_decoder_read_block_rows(number & 1 ? second : decoder, decoder, number >> 1 & 7, number >> 4 & 7, entry);
        nnr_decoder_entry(second, out);
        break;
    case 8:
        nnr_decoder_reset_range(decoder);
        break;
    case 9:
        nnr_decoder_finish(number & 1 ? second : decoder);
        break;
    default:
        nnr_decoder_state(decoder, out);
        nnr_decoder_estimators(decoder, number % 1200 - 10, out);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static job j;
    static nnr_decoder *one, *other;
    static unsigned number;
    nnr_decoder *decoder = fresh_decoder(&one, number), *second = fresh_decoder(&other, number++);
    const size_t half = size / 2 < 4 * STEPS ? size / 2 : 4 * STEPS;
    input steps = {data, half};
    const input in = {data + half, size - half};

    read_job(&j, in, 0);
    nnr_decoder_start(decoder, at(j.units[0].payload), j.units[0].payload_size);
    nnr_decoder_start(second, at(j.units[0].payload), j.units[0].payload_size);
    while (steps.left > 0) {
        const int what = (int)take(&steps, 1);
        step(decoder, second, &j, what, (int64_t)take(&steps, 3));
    }
    nnr_decoder_start(decoder, NULL, 0);
    nnr_decoder_start(second, NULL, 0);
    free_job(&j);
    return 0;
}
