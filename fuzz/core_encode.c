/* core_encode.c - libFuzzer target: any weights quantized, any levels encoded, and what was encoded decoded again.

   The payloads of the job (input.h) serve as the weights, bit patterns of float32, and as the levels. */
#include "input.h"

static const double LAMBDAS[4] = {0.0, 0.5, 1.0, 1e6};

/* Whatever the input says, levels of moderate size now and then, so that payloads come about. */
static void fill_levels(const nnr_tensor *t, const nnr_unit *unit, int dq)
{
    const uint8_t *bytes = at(unit->payload);
    const size_t size = (size_t)unit->payload_size;
    int32_t *levels = at(t->levels);
    size_t k;
    for (k = 0; k < elements(t); k++) {
        const int8_t byte = size ? (int8_t)bytes[k % size] : 0;
        levels[k] = byte > -120 ? byte / 8 : (int32_t)((uint32_t)byte << (k % 32));
        if (dq && byte > -120)
            levels[k] *= 2; /* some paths through the states exist, others are refused */
    }
}

static void quantize(nnr_encoder *encoder, const nnr_unit *unit, const nnr_tensor *t)
{
    const size_t count = elements(t);
    float *weights = filled(4 * count, 0), *importance = NULL;
    const double lambda = LAMBDAS[unit->payload_size & 3];
    int status;
    size_t k;
    for (k = 0; k < 4 * count && unit->payload_size > 0; k++)
        ((uint8_t *)weights)[k] = ((uint8_t *)at(unit->payload))[k % (size_t)unit->payload_size];
    if (t->history) {
        importance = filled(4 * count, 0);
        for (k = 0; k < count; k++)
            importance[k] = (float)(k % 5);
    }
    if (unit->param_opt & 1) {
        nnr_quantize_nearest(weights, at(t->levels), (int64_t)count, 0.01f * (float)(t->qp + 1));
        nnr_quantize_trellis(weights, at(t->levels), t->rows, t->cols, t->scan_order, 0.01f * (float)(t->qp + 1));
    }
    status = (unit->dq_flag ? nnr_quantize_trellis_rate : nnr_quantize_nearest_rate)(encoder, unit, t, weights,
                                                                                  importance, lambda);
    if (status != NNR_OK)
        fill_levels(t, unit, unit->dq_flag != 0);
    free(weights);
    free(importance);
}

static void check(nnr_decoder *decoder, const job *j, int64_t u)
{
    nnr_unit unit = j->units[u];
    nnr_tensor tensors[MOST_TENSORS];
    void *levels[MOST_TENSORS];
    int64_t t;

    for (t = 0; t < unit.tensor_count; t++) {
        tensors[t] = j->tensors[unit.first_tensor + t];
        levels[t] = filled(4 * elements(&tensors[t]), 0x55);
        tensors[t].levels = address_of(levels[t]);
        tensors[t].dequantize = 0;
        tensors[t].entry_list = tensors[t].skip_list = 0;
    }
    unit.first_tensor = 0;
    promise(nnr_decode_units(decoder, &unit, 1, tensors, unit.tensor_count) == NNR_OK, "a sound batch");
    promise(unit.status == NNR_OK, "what was encoded is decoded");
    for (t = 0; t < unit.tensor_count; t++) {
        const nnr_tensor *given = &j->tensors[j->units[u].first_tensor + t];
        promise(memcmp(levels[t], at(given->levels), 4 * elements(given)) == 0, "to the same levels");
        promise(!given->has_qp || tensors[t].qp == given->qp, "and the same quantization parameter");
        free(levels[t]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static job j;
    static nnr_encoder *encoder;
    static nnr_decoder *decoder;
    static unsigned number;
    const input in = {data, size};
    int64_t u, t;

    if (number % RENEWED == 0) {
        nnr_encoder_free(encoder);
        encoder = nnr_encoder_new();
        promise(encoder != NULL, "memory for an encoder");
    }
    fresh_decoder(&decoder, number++);
    read_job(&j, in, 0);
    for (u = 0; u < j.unit_count; u++)
        for (t = 0; t < j.units[u].tensor_count; t++)
            quantize(encoder, &j.units[u], &j.tensors[j.units[u].first_tensor + t]);
    promise(nnr_encode_units(encoder, j.units, j.unit_count, j.tensors, j.tensor_count) == NNR_OK,
            "units are to blame, not the call");
    for (u = 0; u < j.unit_count; u++)
        if (j.units[u].status == NNR_OK)
            check(decoder, &j, u);
    free_job(&j);
    return 0;
}
