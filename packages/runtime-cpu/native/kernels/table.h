// The table of one instruction set, from everything compiled for it.
#pragma once

namespace weft::cpu {
namespace {

template <class Row>
constexpr void set_binary(KernelTable& table, BinaryOp op) {
  const size_t index = static_cast<size_t>(op);
  table.binary[index] = Row::vectors;
  table.binary_vector_scalar[index] = Row::vector_scalar;
  table.binary_scalar_vector[index] = Row::scalar_vector;
}

constexpr void set_nvfp4_products(KernelTable& t) {
  t.multiplies_bytes = ByteDot::available;
  t.nvfp4_most_streamed_rows = nvfp4_most_streamed_rows;
  t.nvfp4_multiply = nvfp4_multiply;
  t.nvfp4_scratch_bytes = nvfp4_scratch_bytes;
  t.nvfp4_pack_bytes = nvfp4_pack_bytes;
  t.nvfp4_pack_items = nvfp4_pack_items;
  t.nvfp4_pack = nvfp4_pack;
}

constexpr KernelTable make_table(const char* name) {
  KernelTable t{};
  t.name = name;
  t.vector_lanes = Vec::lanes;
  t.gemm_column_tile = column_tile;

  const auto unary = [&t](UnaryOp op, void (*row)(float*, const float*, size_t)) { t.unary[static_cast<size_t>(op)] = row; };
  unary(UnaryOp::neg, unary_row<negate>);
  unary(UnaryOp::abs, unary_row<absolute>);
  unary(UnaryOp::exp, unary_row<exponential>);
  unary(UnaryOp::log, unary_row<logarithm>);
  unary(UnaryOp::sqrt, unary_row<square_root>);
  unary(UnaryOp::rsqrt, unary_row<reciprocal_square_root>);
  unary(UnaryOp::reciprocal, unary_row<reciprocal>);
  unary(UnaryOp::sin, unary_row_scalar<sine>);
  unary(UnaryOp::cos, unary_row_scalar<cosine>);
  unary(UnaryOp::tanh, unary_row<hyperbolic_tangent>);
  unary(UnaryOp::sigmoid, unary_row<logistic>);
  unary(UnaryOp::silu, unary_row<sigmoid_linear_unit>);
  unary(UnaryOp::square, unary_row<square>);
  unary(UnaryOp::floor, unary_row<floor>);
  unary(UnaryOp::logical_not, unary_row<logical_not>);

  set_binary<BinaryRow<add>>(t, BinaryOp::add);
  set_binary<BinaryRow<subtract>>(t, BinaryOp::sub);
  set_binary<BinaryRow<multiply>>(t, BinaryOp::mul);
  set_binary<BinaryRow<divide>>(t, BinaryOp::div);
  set_binary<BinaryRow<maximum>>(t, BinaryOp::max);
  set_binary<BinaryRow<minimum>>(t, BinaryOp::min);
  set_binary<PowerRow>(t, BinaryOp::pow);
  set_binary<BinaryRow<less>>(t, BinaryOp::less);
  set_binary<BinaryRow<less_equal>>(t, BinaryOp::less_equal);
  set_binary<BinaryRow<equal>>(t, BinaryOp::equal);

  t.select = select_row;
  t.multiply_add = multiply_add_row;
  t.multiply_add_scalar = multiply_add_scalar_row;
  t.copy = copy_row;
  t.fill = fill_row;
  t.reduce_sum = reduce_sum;
  t.reduce_sum_of_squares = reduce_sum_of_squares;
  t.reduce_max = reduce_max;
  t.dot = dot_row;
  t.bf16_to_f32 = widen_row<Bf16Source>;
  t.f32_to_bf16 = f32_to_bf16_row;
  t.f16_to_f32 = widen_row<F16Source>;
  t.f32_to_f16 = f32_to_f16_row;
  t.e4m3_to_f32 = widen_row<E4m3Source>;
  t.f32_to_e4m3 = f32_to_e4m3_row;
  t.round_to_bf16 = unary_row<rounded_to_bf16>;
  t.stochastic_round = stochastic_round_row;

  t.gemv = gemv;
  t.gemm_panel = gemm_panel;
  t.gemm_scratch_bytes = gemm_scratch_bytes;
  t.pack_a_bytes = pack_a_bytes;
  t.pack_a_items = pack_a_items;
  t.pack_a = pack_a;
  t.prefer_gemv = prefer_gemv;

  t.nvfp4_encode = nvfp4_encode;
  t.nvfp4_decode = nvfp4_decode;
  t.nvfp4_load_row = nvfp4_load_row;
  t.nvfp4_store_row = nvfp4_store_row;
  t.nvfp4_to_tiles = nvfp4_to_tiles;
  t.nvfp4_from_tiles = nvfp4_from_tiles;
  set_nvfp4_products(t);

  t.attention_decode_items = attention_decode_items;
  t.attention_decode_partials_bytes = attention_decode_partials_bytes;
  t.attention_decode_scratch_bytes = attention_decode_scratch_bytes;
  t.attention_decode = attention_decode;
  t.attention_merge_items = attention_merge_items;
  t.attention_merge = attention_merge;
  t.attention_prefill_items = attention_prefill_items;
  t.attention_prefill_scratch_bytes = attention_prefill_scratch_bytes;
  t.attention_prefill = attention_prefill;
  t.attention_training_scratch_bytes = attention_training_scratch_bytes;
  t.attention_forward_items = attention_forward_items;
  t.attention_forward = attention_forward;
  t.attention_backward_items = attention_backward_items;
  t.attention_backward = attention_backward;
  t.prefer_attention_decode = prefer_attention_decode;
  return t;
}

}  // namespace
}  // namespace weft::cpu
