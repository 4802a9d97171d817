// The scalar functions that CUDA declares without a header. Declared rather than included: <cmath> takes longer to
// compile than most modules.
#pragma once

extern "C" {
float acosf(float) noexcept;
float asinf(float) noexcept;
float atan2f(float, float) noexcept;
float atanf(float) noexcept;
float ceilf(float) noexcept;
float copysignf(float, float) noexcept;
float cosf(float) noexcept;
float coshf(float) noexcept;
float erff(float) noexcept;
float exp2f(float) noexcept;
float expf(float) noexcept;
float expm1f(float) noexcept;
float fabsf(float) noexcept;
float floorf(float) noexcept;
float fmaf(float, float, float) noexcept;
float fmaxf(float, float) noexcept;
float fminf(float, float) noexcept;
float fmodf(float, float) noexcept;
float log1pf(float) noexcept;
float log2f(float) noexcept;
float logf(float) noexcept;
float powf(float, float) noexcept;
float rintf(float) noexcept;
float roundf(float) noexcept;
float sinf(float) noexcept;
float sinhf(float) noexcept;
float sqrtf(float) noexcept;
float tanf(float) noexcept;
float tanhf(float) noexcept;
float truncf(float) noexcept;
}

DEVICE float rsqrtf(float x) { return 1.0f / sqrtf(x); }
DEVICE bool isnan(float x) { return __builtin_isnan(x) != 0; }
DEVICE bool isinf(float x) { return __builtin_isinf(x) != 0; }

DEVICE i32 min(i32 a, i32 b) { return b < a ? b : a; }
DEVICE i32 max(i32 a, i32 b) { return a < b ? b : a; }
DEVICE u32 min(u32 a, u32 b) { return b < a ? b : a; }
DEVICE u32 max(u32 a, u32 b) { return a < b ? b : a; }
DEVICE i64 min(i64 a, i64 b) { return b < a ? b : a; }
DEVICE i64 max(i64 a, i64 b) { return a < b ? b : a; }
DEVICE float min(float a, float b) { return fminf(a, b); }
DEVICE float max(float a, float b) { return fmaxf(a, b); }
