/* input.h - an input of a fuzzer taken apart: numbers from its front, what is left for the payloads. */
#ifndef NNR_FUZZ_INPUT_H
#define NNR_FUZZ_INPUT_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../c_core/nnr_core.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct {
    const uint8_t *data;
    size_t left;
} input;

static uint64_t take(input *in, int bytes) /* little-endian; zeros behind the end */
{
    uint64_t value = 0;
    int k;
    for (k = 0; k < bytes && in->left > 0; k++, in->left--)
        value |= (uint64_t)*in->data++ << (8 * k);
    return value;
}

static int64_t take_signed(input *in) /* 16 bits */
{
    return (int16_t)(uint16_t)take(in, 2);
}

/* A promise that does not hold ends the run, and the fuzzer keeps the input. */
static void promise(int holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "broken promise: %s\n", what);
        abort();
    }
}

/* Memory of exactly the size asked for, all bytes `fill`; its neighbours belong to the sanitizer. */
static void *filled(size_t size, int fill)
{
    void *memory = malloc(size ? size : 1);
    promise(memory != NULL, "memory for the test itself");
    memset(memory, fill, size);
    return memory;
}

static int64_t address_of(const void *memory)
{
    return (int64_t)(uintptr_t)memory;
}

/* A copy of the next `size` bytes of the input. */
static uint8_t *take_bytes(input *in, size_t size)
{
    uint8_t *copy = filled(size, 0);
    if (size > in->left)
        size = in->left;
    memcpy(copy, in->data, size);
    in->data += size;
    in->left -= size;
    return copy;
}

enum { MOST_UNITS = 4, MOST_TENSORS = 3, MOST_ELEMENTS = 1 << 11, RENEWED = 512 };

/* Handles are used again, as callers do, and made anew every RENEWED inputs. */
static nnr_decoder *fresh_decoder(nnr_decoder **handle, unsigned number)
{
    if (number % RENEWED == 0) {
        nnr_decoder_free(*handle);
        *handle = nnr_decoder_new();
        promise(*handle != NULL, "memory for a decoder");
    }
    return *handle;
}

/* Units as an input describes them. Layout, little-endian:

     u8 number of units - 1 (mod 4); for each unit
         u8 flags: profile, dq, parent, temporal, legacy, param_opt (2 bits)
         u8 number of tensors - 1 (mod 3), u16 payload size; for each tensor
             u16 rows, u16 cols, u8 unary length - 1, u8 scan order,
             u16 codebook size, u16 zero offset, i16 base_qp, i16 qp, u8 qp_density,
             u8 flags: has_qp, dequantize, history, skip list, entry list, hist_flag, row_skip_flag, base
     then the payloads, the last one up to the end of the input. */
typedef struct {
    nnr_unit units[MOST_UNITS];
    nnr_tensor tensors[MOST_UNITS * MOST_TENSORS];
    int64_t unit_count, tensor_count;
    void *keep[MOST_UNITS + 5 * MOST_UNITS * MOST_TENSORS];
    int kept;
} job;

static int64_t keep(job *j, void *memory)
{
    j->keep[j->kept++] = memory;
    return address_of(memory);
}

static void *at(int64_t address)
{
    return (void *)(uintptr_t)address;
}

static size_t elements(const nnr_tensor *t)
{
    return (size_t)(t->rows * t->cols);
}

static void read_tensor(job *j, nnr_tensor *t, input *in, int fill)
{
    int flags;
    size_t k;
    memset(t, 0, sizeof *t);
    t->rows = (int64_t)take(in, 2);
    t->cols = (int64_t)take(in, 2);
    if (t->cols > 0 && t->rows > MOST_ELEMENTS / t->cols) {
        t->cols = t->cols < 256 ? t->cols : t->cols % 256 + 1;
        t->rows = t->rows < MOST_ELEMENTS / t->cols ? t->rows : t->rows % (MOST_ELEMENTS / t->cols);
    }
    t->cabac_unary_length = (int64_t)take(in, 1) + 1;
    t->scan_order = (int64_t)take(in, 1) % 8; /* 5 and more are refused at the door */
    t->codebook_size = (int64_t)take(in, 2);
    t->codebook_zero_offset = (int64_t)take(in, 2);
    t->base_qp = take_signed(in);
    t->qp = take_signed(in);
    t->qp_density = (int64_t)take(in, 1) % 10;
    flags = (int)take(in, 1);
    t->has_qp = flags & 1;
    t->dequantize = flags >> 1 & 1;
    t->hist_flag = flags >> 5 & 1;
    t->row_skip_flag = flags >> 6 & 1;
    t->levels = keep(j, filled(4 * elements(t), fill));
    if (flags & 4) {
        uint8_t *history = filled(elements(t), 0);
        for (k = 0; k < elements(t); k++)
            history[k] = k % 3 == 0;
        t->history = keep(j, history);
    }
    if (flags & 8)
        t->skip_list = keep(j, filled((size_t)t->rows, fill));
    if (flags & 16)
        t->entry_list = keep(j, filled(24 * ((size_t)t->rows / 8 + 1), fill));
    if (flags & 128) {
        int32_t *base = filled(4 * elements(t), 0);
        for (k = 0; k < elements(t); k++)
            base[k] = (int32_t)(k * k % 7) - 3;
        t->base = keep(j, base);
    }
}

/* `fill` is what stands in memory that the core has to write. */
static void read_job(job *j, input in, int fill)
{
    size_t sizes[MOST_UNITS];
    int64_t u, t;
    memset(j, 0, sizeof *j);
    j->unit_count = (int64_t)take(&in, 1) % MOST_UNITS + 1;
    for (u = 0; u < j->unit_count; u++) {
        nnr_unit *unit = &j->units[u];
        const int flags = (int)take(&in, 1);
        unit->profile = flags & 1;
        unit->dq_flag = flags >> 1 & 1;
        unit->parent_node_id_present_flag = flags >> 2 & 1;
        unit->temporal_context_modeling_flag = flags >> 3 & 1;
        unit->escape_context_count = flags & 16 ? 32 : 31;
        unit->param_opt = flags >> 5 & 3;
        unit->first_tensor = j->tensor_count;
        unit->tensor_count = (int64_t)take(&in, 1) % MOST_TENSORS + 1;
        sizes[u] = (size_t)take(&in, 2);
        for (t = 0; t < unit->tensor_count; t++)
            read_tensor(j, &j->tensors[j->tensor_count++], &in, fill);
    }
    for (u = 0; u < j->unit_count; u++) {
        const size_t size = u == j->unit_count - 1 || sizes[u] > in.left ? in.left : sizes[u];
        j->units[u].payload = keep(j, take_bytes(&in, size));
        j->units[u].payload_size = (int64_t)size;
    }
}

static void free_job(job *j)
{
    while (j->kept > 0)
        free(j->keep[--j->kept]);
}

#endif
