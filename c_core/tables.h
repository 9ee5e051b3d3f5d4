/* tables.h - the numeric tables of the specification (tables.json), nothing else.

   tests/core/test_tables.py compares every entry with the specification's file and checks the sums
   that tables.md gives. Static const data: each file that includes this gets what it uses. */
#ifndef NNR_TABLES_H
#define NNR_TABLES_H

#include <stdint.h>

enum {
    NNR_RANGE_ROWS = 8,      /* (range >> 5) & 7 */
    NNR_RANGE_COLUMNS = 32,  /* abs((16*s0 + s1) >> 7) */
    NNR_PARAMETER_SETS = 9,  /* 0, or shift_idx_minus_1 + 1 */
    NNR_DQ_STATES = 8
};

/* (decoding 3.2) width of the less probable interval */
static const uint8_t RANGE_LPS[NNR_RANGE_ROWS][NNR_RANGE_COLUMNS] = {
    {128, 112, 97, 84, 74, 65, 57, 50, 45, 39, 34, 30, 27, 23, 20, 18,
     15, 14, 12, 11, 10, 9, 7, 7, 5, 5, 4, 4, 3, 3, 2, 2},
    {142, 125, 108, 93, 82, 72, 63, 56, 50, 43, 38, 33, 30, 26, 22, 20,
     17, 16, 13, 12, 11, 10, 8, 8, 6, 6, 5, 5, 3, 3, 2, 2},
    {156, 137, 119, 103, 90, 79, 70, 61, 55, 48, 42, 37, 33, 28, 24, 22,
     19, 17, 15, 13, 12, 11, 9, 9, 6, 6, 5, 5, 4, 4, 2, 2},
    {171, 150, 130, 112, 99, 87, 76, 67, 60, 52, 46, 40, 36, 31, 27, 24,
     21, 19, 16, 15, 13, 12, 10, 10, 7, 7, 6, 6, 4, 4, 3, 3},
    {185, 162, 141, 121, 107, 94, 82, 73, 65, 56, 50, 43, 39, 34, 29, 26,
     22, 21, 17, 16, 14, 13, 11, 11, 8, 8, 6, 6, 4, 4, 3, 3},
    {199, 175, 152, 131, 115, 101, 89, 78, 70, 61, 54, 47, 42, 36, 31, 28,
     24, 22, 19, 17, 15, 14, 12, 12, 8, 8, 7, 7, 5, 5, 3, 3},
    {213, 187, 163, 140, 123, 108, 95, 84, 75, 65, 58, 50, 45, 39, 33, 30,
     26, 24, 20, 18, 16, 15, 13, 13, 9, 9, 7, 7, 5, 5, 3, 3},
    {228, 200, 174, 150, 132, 116, 102, 90, 80, 70, 62, 54, 48, 42, 36, 32,
     28, 26, 22, 20, 18, 16, 14, 14, 10, 10, 8, 8, 6, 6, 4, 4},
};

/* (decoding 3.3) adaptation step before the rate shift */
static const int16_t ADAPTATION_CURVE[32] = {
    2512, 2288, 2064, 1840, 1616, 1392, 1168,  944,
     720,  560,  464,  368,  272,  208,  144,   80,
      64,   64,   64,   64,   64,   64,   64,   64,
      64,   64,   64,   64,   64,   64,   64,    0,
};

/* (decoding 3.4) rates and initial estimators of the parameter sets */
typedef struct {
    int8_t shift0, shift1;
    int16_t s0_init, s1_init;
} parameter_values;

static const parameter_values PARAMETER_SET[NNR_PARAMETER_SETS] = {
    {5, 4, 0, 0},
    {5, 4, -41, -654},
    {5, 4, 95, 1519},
    {4, 5, 0, 0},
    {6, 6, 30, 482},
    {6, 6, 95, 1519},
    {6, 6, -21, -337},
    {7, 5, 0, 0},
    {7, 5, 30, 482},
};

/* (decoding 8) next state of dependent quantization, by state and parity of the coded index */
static const uint8_t DQ_TRANSITION[NNR_DQ_STATES][2] = {
    {0, 2}, {7, 5}, {1, 3}, {6, 4}, {2, 0}, {5, 7}, {3, 1}, {4, 6}
};

#endif
