/* processor.c - what the processor has beyond its base set. */
#include "nnr_core.h"
#include "platform.h"

#if defined(__GNUC__) && defined(__x86_64__)
#include <cpuid.h>

int nnr_processor_has_bmi2(void)
{
    enum { LZCNT = 1 << 5, BMI1 = 1 << 3, BMI2 = 1 << 8 };
    unsigned eax, ebx, ecx, edx;
    if (!__get_cpuid(0x80000001u, &eax, &ebx, &ecx, &edx) || !(ecx & LZCNT))
        return 0;
    if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx))
        return 0;
    return (ebx & BMI1) && (ebx & BMI2);
}
#else
int nnr_processor_has_bmi2(void)
{
    return 0;
}
#endif
