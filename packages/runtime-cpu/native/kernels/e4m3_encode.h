// f32 to codes of E4M3, as packages/runtime/native/formats has it.
#pragma once

namespace weft::cpu {
namespace {

void f32_to_e4m3_row(uint8_t* out, const float* in, size_t n, float scale) {
  const Vec::F32 divisor = Vec::set(scale);
  for_each_vector(n, [=](size_t i, size_t count) __attribute__((always_inline)) {
    const Vec::F32 scaled = Vec::div(load_some(in + i, count), divisor);
    const OnGrid<3> grid(Vec::min(absolute(scaled), Vec::set(448)), smallest_normal_e4m3);
    const Vec::I32 sign = Vec::and_i32(Vec::shift_right<24>(Vec::bits(scaled)), Vec::set_i32(0x80));
    uint32_t codes[Vec::lanes];
    Vec::store(codes, Vec::from_bits(Vec::or_i32(grid.code(smallest_normal_e4m3), sign)));
    for (size_t lane = 0; lane < count; ++lane) out[i + lane] = static_cast<uint8_t>(codes[lane]);
  });
}

}  // namespace
}  // namespace weft::cpu
