// Storage formats for programs that convert weights: no device, no plan.
#pragma once

#include <napi.h>

namespace weft::cpu {

// nvfp4Encode(values, dtype, encodeScale, fourOverSix, codes?, scales?): { codes, scales }, of whole blocks; `values` is
// bytes of dtype. Arrays that are given are filled.
Napi::Value encode_nvfp4_entry(const Napi::CallbackInfo& info);
// fp8Encode(values, dtype, columns): { codes, scales }, a byte for each element and an f32 for each row.
Napi::Value encode_fp8_entry(const Napi::CallbackInfo& info);
// nvfp4Decode(codes, scales): a Float32Array.
Napi::Value decode_nvfp4_entry(const Napi::CallbackInfo& info);
// nvfp4Statistics(values, dtype, codes, scales, tensorScale): { zeroBlocks, amax, error, power }, sums in f64.
Napi::Value nvfp4_statistics_entry(const Napi::CallbackInfo& info);
// amax(values, dtype): the largest magnitude; NaN where there is one.
Napi::Value amax_entry(const Napi::CallbackInfo& info);

}  // namespace weft::cpu
