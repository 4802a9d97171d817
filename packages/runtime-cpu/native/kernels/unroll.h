// WEFT_UNROLL(n) before a loop: unroll it n times, so that arrays of vectors live in registers. Builds with a sanitizer
// do not: there every load grows a check, and the unrolled code takes many minutes to compile.
#pragma once

#if defined(__SANITIZE_ADDRESS__)
#define WEFT_UNROLL(count)
#else
#define WEFT_PRAGMA(text) _Pragma(#text)
#define WEFT_UNROLL(count) WEFT_PRAGMA(GCC unroll count)
#endif
