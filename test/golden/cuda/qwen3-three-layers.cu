#include "device.cuh"
#include "numbers.cuh"
#include "rows.cuh"
#include "blocks.cuh"
#include "gemv.cuh"
#include "gemm.cuh"
#include "attention.cuh"
#include "flash.cuh"
#include "top_k.cuh"

// embedding
// of model.embed_tokens
// axes: rows seq $seq, along hidden 64
// b0 read i32, b1 read bf16, b2 write f32
DEVICE i64 k0_embedding_blocks([[maybe_unused]] const Args<3>& args) {
  const i64 s0 = symbol(args, 0);
  return ((s0 + 3) / 4);
}
DEVICE void k0_embedding_body(const Args<3>& args, [[maybe_unused]] i64 block) {
  const Global<i32> b0 = global<i32>(args.slot[0]);
  const Global<bf16> b1 = global<bf16>(args.slot[1]);
  const Global<float> b2 = global<float>(args.slot[2]);
  const i64 s0 = symbol(args, 0);
  let_next_start();
  wait_for_inputs();
  const i64 row = block * 4 + warp_index();
  if (row < s0) {
    const i64 i0 = row;
    const i64 at0 = i0;
    const float r0_1 = widen(load(b0, at0));
    for (i64 c2 = lane_index() * 8; c2 < 64LL; c2 += 32 * 8) {
      const i64 at3 = 0LL;
      const Piece<8> r1_4 = load_piece<bf16, 8>(b1, at3 + 64LL * checked_index(args, r0_1, 320LL) + c2);
      const i64 at5 = 64LL * i0;
      store_piece<float, 8>(b2, at5 + c2, r1_4);
    }
  }
}
WEFT_KERNEL(k0_embedding, 128, 1, 3)

// rope
// of model.layers.*
// axes: one row, along headDim 8
// one kernel: its operations go over the same rows, and nothing between them is stored
// b0 write f32, b1 write f32, b2 write f32
DEVICE i64 k1_rope_blocks([[maybe_unused]] const Args<3>& args) {
  return ((1LL + 3) / 4);
}
DEVICE void k1_rope_body(const Args<3>& args, [[maybe_unused]] i64 block) {
  const Global<float> b0 = global<float>(args.slot[0]);
  const Global<float> b1 = global<float>(args.slot[1]);
  const Global<float> b2 = global<float>(args.slot[2]);
  const i64 s0 = symbol(args, 0);
  const i64 s1 = symbol(args, 1);
  const i64 s2 = symbol(args, 2);
  let_next_start();
  wait_for_inputs();
  const i64 row = block * 4 + warp_index();
  if (row < 1LL) {
    const float r1_0 = 0.125f;
    const float r3_1 = 1000000.0f;
    const float r7_2 = static_cast<float>((s0 + s1 + s2 + -1LL));
    for (i64 c3 = lane_index() * 8; c3 < 8LL; c3 += 32 * 8) {
      const Piece<8> r0_4 = counting<8>(c3 + 0LL);
      const Piece<8> r2_5 = mul_of(r0_4, r1_0);
      const Piece<8> r4_6 = pow_of(r3_1, r2_5);
      const Piece<8> r5_7 = reciprocal_of(r4_6);
      const Piece<8> r8_8 = mul_of(r7_2, r5_7);
      const Piece<8> r9_9 = cos_of(r8_8);
      const Piece<8> r11_10 = sin_of(r8_8);
      const i64 at11 = 0LL;
      store_piece<float, 8>(b0, at11 + c3, r5_7);
      store_piece<float, 8>(b1, at11 + c3, r9_9);
      store_piece<float, 8>(b2, at11 + c3, r11_10);
    }
  }
}
WEFT_KERNEL(k1_rope, 128, 1, 3)

// rope_2
// of model.layers.*
// axes: rows seq $seq, along headDim 8
// one kernel: its operations go over the same rows, and nothing between them is stored
// b0 read f32, b1 write f32, b2 write f32
DEVICE i64 k2_rope_2_blocks([[maybe_unused]] const Args<3>& args) {
  const i64 s0 = symbol(args, 0);
  return ((s0 + 3) / 4);
}
DEVICE void k2_rope_2_body(const Args<3>& args, [[maybe_unused]] i64 block) {
  const Global<float> b0 = global<float>(args.slot[0]);
  const Global<float> b1 = global<float>(args.slot[1]);
  const Global<float> b2 = global<float>(args.slot[2]);
  const i64 s0 = symbol(args, 0);
  const i64 s1 = symbol(args, 1);
  const i64 s2 = symbol(args, 2);
  let_next_start();
  wait_for_inputs();
  const i64 row = block * 4 + warp_index();
  if (row < s0) {
    const i64 i0 = row;
    const float r0_0 = static_cast<float>(i0 + (s1 + s2));
    for (i64 c1 = lane_index() * 8; c1 < 8LL; c1 += 32 * 8) {
      const i64 at2 = 0LL;
      const Piece<8> r1_3 = load_piece<float, 8>(b0, at2 + c1);
      const Piece<8> r2_4 = mul_of(r0_0, r1_3);
      const Piece<8> r3_5 = cos_of(r2_4);
      const Piece<8> r5_6 = sin_of(r2_4);
      const i64 at7 = 8LL * i0;
      store_piece<float, 8>(b1, at7 + c1, r3_5);
      store_piece<float, 8>(b2, at7 + c1, r5_6);
    }
  }
}
WEFT_KERNEL(k2_rope_2, 128, 1, 3)

// rms_norm_matmul_rms_norm_rope_matmul_rms_norm_matmul
// of model.layers.*.input_layernorm, model.layers.*.self_attn.q_proj, model.layers.*.self_attn.q_norm, model.layers.*, model.layers.*.self_attn.k_proj, model.layers.*.self_attn.k_norm, model.layers.*.self_attn.v_proj
// axes: rows seq $seq, columns heads 4 x headDim 16 and kvHeads 2 x headDim 16 and kvHeads 2 x headDim 16, contracted hidden 64
// one kernel: the rows are computed where the products read them; the products read the same rows; what follows is done to the sums while they are at hand
// b0 read f32, b1 read bf16, b2 read bf16, b3 read bf16, b4 read f32, b5 read f32, b6 write f32, b7 read bf16, b8 read bf16, b9 write bf16, b10 read bf16, b11 write bf16
// the rows that the products read
DEVICE i64 k3_rms_norm_matmul_rms_norm_rope_matmul_rms_norm_matmul_x_blocks([[maybe_unused]] const Args<12>& args) {
  const i64 s0 = symbol(args, 0);
  return ((s0 + 3) / 4);
}
DEVICE void k3_rms_norm_matmul_rms_norm_rope_matmul_rms_norm_matmul_x_body(const Args<12>& args, [[maybe_unused]] i64 block) {
  const Global<float> b0 = global<float>(args.slot[0]);
  const Global<bf16> b1 = global<bf16>(args.slot[1]);
  const i64 s0 = symbol(args, 0);
  let_next_start();
  wait_for_inputs();
  const i64 row = block * 4 + warp_index();
  if (row < s0) {
    const i64 i0 = row;
    float partial0 = Sum::identity();
    for (i64 c1 = lane_index() * 8; c1 < 64LL; c1 += 32 * 8) {
      const i64 at2 = 64LL * i0;
      const Piece<8> r0_3 = load_piece<float, 8>(b0, at2 + c1);
      const Piece<8> r1_4 = mul_of(r0_3, r0_3);
      partial0 = Sum::join(partial0, join_piece<Sum>(r1_4));
    }
    const float r2_5 = reduce_warp<Sum>(partial0);
    const float r3_6 = 0.015625f;
    const float r4_7 = mul_of(r2_5, r3_6);
    const float r5_8 = 9.999999974752427e-7f;
    const float r6_9 = add_of(r4_7, r5_8);
    const float r7_10 = rsqrt_of(r6_9);
    const Global<bf16> x = global<bf16>(args.scratch);
    for (i64 c11 = lane_index() * 8; c11 < 64; c11 += 32 * 8) {
      const i64 at12 = 64LL * i0;
      const Piece<8> r0_13 = load_piece<float, 8>(b0, at12 + c11);
      const Piece<8> r8_14 = mul_of(r0_13, r7_10);
      const i64 at15 = 0LL;
      const Piece<8> r9_16 = load_piece<bf16, 8>(b1, at15 + c11);
      const Piece<8> r10_17 = mul_of(r8_14, r9_16);
      const Piece<8> r11_18 = round_of<bf16>(r10_17);
      store_piece<bf16, 8>(x, row * 64 + c11, r11_18);
    }
  }
}
WEFT_KERNEL(k3_rms_norm_matmul_rms_norm_rope_matmul_rms_norm_matmul_x, 128, 1, 12)

// rms_norm_matmul_rms_norm_rope_matmul_rms_norm_matmul
// of model.layers.*.input_layernorm, model.layers.*.self_attn.q_proj, model.layers.*.self_attn.q_norm, model.layers.*, model.layers.*.self_attn.k_proj, model.layers.*.self_attn.k_norm, model.layers.*.self_attn.v_proj
// axes: rows seq $seq, columns heads 4 x headDim 16 and kvHeads 2 x headDim 16 and kvHeads 2 x headDim 16, contracted hidden 64
// one kernel: the rows are computed where the products read them; the products read the same rows; what follows is done to the sums while they are at hand
// b0 read f32, b1 read bf16, b2 read bf16, b3 read bf16, b4 read f32, b5 read f32, b6 write f32, b7 read bf16, b8 read bf16, b9 write bf16, b10 read bf16, b11 write bf16
// tiles of 128 x 128, 32 deep
DEVICE i64 k3_rms_norm_matmul_rms_norm_rope_matmul_rms_norm_matmul_blocks([[maybe_unused]] const Args<12>& args) {
  const i64 s0 = symbol(args, 0);
  return ((s0 + 127) / 128) * 3LL;
}
DEVICE void k3_rms_norm_matmul_rms_norm_rope_matmul_rms_norm_matmul_body(const Args<12>& args, [[maybe_unused]] i64 block) {
  const Global<bf16> b2 = global<bf16>(args.slot[2]);
  const Global<bf16> b3 = global<bf16>(args.slot[3]);
  const Global<float> b4 = global<float>(args.slot[4]);
  const Global<float> b5 = global<float>(args.slot[5]);
  const Global<float> b6 = global<float>(args.slot[6]);
  const Global<bf16> b7 = global<bf16>(args.slot[7]);
  const Global<bf16> b8 = global<bf16>(args.slot[8]);
  const Global<bf16> b9 = global<bf16>(args.slot[9]);
  const Global<bf16> b10 = global<bf16>(args.slot[10]);
  const Global<bf16> b11 = global<bf16>(args.slot[11]);
  const i64 s0 = symbol(args, 0);
  const i64 s1 = symbol(args, 1);
  let_next_start();
  wait_for_inputs();
  const Shared<float> out = shared_at<float>(0, 16896);
  {
    const i64 rows = s0;
    const i64 tiles_of_rows = (rows + 127) / 128;
    const i64 first_row = (block % tiles_of_rows) * 128;
    [[maybe_unused]] const i64 tile = block / tiles_of_rows;
    const i64 first_column = tile < 1 ? (tile - 0) * 128 : tile < 2 ? (tile - 1) * 128 : (tile - 2) * 128;
    const Global<bf16> x = global<bf16>(args.scratch);
    const i32 columns = 128;
    const i32 used = 128;
    const i64 all_columns = tile < 1 ? 64 : tile < 2 ? 32 : 32;
    const Shared<bf16> stages = shared_at<bf16>(0, 40960);
    const Global<bf16> w0 = tile < 1 ? b2 : tile < 2 ? b7 : b10;
    const auto copy_x = [&](Shared<bf16> to, i32 index, i32 local, i32 k) {
      const i64 row = first_row + local;
      copy16_async(to, index, x, row < rows ? row * 64 + k : 0, row < rows && k < 64);
    }
    ;
    const auto copy_w = [&](Shared<bf16> to, i32 index, i32 column, i32 k) {
      const bool valid = first_column + column % columns < all_columns && column < used && k < 64;
      copy16_async(to, index, w0, valid ? (first_column + column % columns) * 64 + k : 0, valid);
    }
    ;
    mma_tile<MmaShape>(stages, out, 64, copy_x, copy_w);
  }
  {
    [[maybe_unused]] const i64 s0 = symbol(args, 0);
    [[maybe_unused]] const i64 s1 = symbol(args, 1);
    const i64 rows = s0;
    const i64 tiles_of_rows = (rows + 127) / 128;
    const i64 first_row = (block % tiles_of_rows) * 128;
    [[maybe_unused]] const i64 tile = block / tiles_of_rows;
    const i64 first_column = tile < 1 ? (tile - 0) * 128 : tile < 2 ? (tile - 1) * 128 : (tile - 2) * 128;
    if (tile < 1) {
      for (i32 item = warp_index(); item < 1024; item += 8) {
        const i64 row = first_row + item / 8;
        const i64 unit = first_column / 16 + item % 8;
        if (row >= rows || unit >= 4) continue;
        const i64 m0 = row;
        const i64 m1 = unit;
        float partial0 = Sum::identity();
        for (i64 c1 = lane_index() * 4; c1 < 16LL; c1 += 32 * 4) {
          const Piece<4> r0_2 = load_row_piece<4>(out, (item / 8) * 132 + 0 + (item % 8) * 16 + static_cast<i32>(c1));
          const Piece<4> r1_3 = mul_of(r0_2, r0_2);
          partial0 = Sum::join(partial0, join_piece<Sum>(r1_3));
        }
        const float r2_4 = reduce_warp<Sum>(partial0);
        const float r3_5 = 0.0625f;
        const float r4_6 = mul_of(r2_4, r3_5);
        const float r5_7 = 9.999999974752427e-7f;
        const float r6_8 = add_of(r4_6, r5_7);
        const float r7_9 = rsqrt_of(r6_8);
        for (i64 c10 = lane_index() * 4; c10 < 16LL; c10 += 32 * 4) {
          Piece<4> r21_11;
          if (c10 < 8) {
            const Piece<4> r0_12 = load_row_piece<4>(out, (item / 8) * 132 + 0 + (item % 8) * 16 + static_cast<i32>(c10));
            const Piece<4> r8_13 = mul_of(r0_12, r7_9);
            const i64 at14 = 0LL;
            const Piece<4> r9_15 = load_piece<bf16, 4>(b3, at14 + c10);
            const Piece<4> r10_16 = mul_of(r8_13, r9_15);
            const i64 at17 = 8LL * m0;
            const Piece<4> r13_18 = load_piece<float, 4>(b4, at17 + c10);
            const Piece<4> r14_19 = mul_of(r10_16, r13_18);
            const Piece<4> r0_20 = load_row_piece<4>(out, (item / 8) * 132 + 0 + (item % 8) * 16 + static_cast<i32>((c10 + 8)));
            const Piece<4> r8_21 = mul_of(r0_20, r7_9);
            const Piece<4> r9_22 = load_piece<bf16, 4>(b3, at14 + (c10 + 8));
            const Piece<4> r10_23 = mul_of(r8_21, r9_22);
            const Piece<4> r15_24 = load_piece<float, 4>(b5, at17 + c10);
            const Piece<4> r16_25 = mul_of(r10_23, r15_24);
            const Piece<4> r17_26 = sub_of(r14_19, r16_25);
            r21_11 = r17_26;
          }
          else {
            const Piece<4> r0_27 = load_row_piece<4>(out, (item / 8) * 132 + 0 + (item % 8) * 16 + static_cast<i32>(((c10 - 8) + 8)));
            const Piece<4> r8_28 = mul_of(r0_27, r7_9);
            const i64 at29 = 0LL;
            const Piece<4> r9_30 = load_piece<bf16, 4>(b3, at29 + ((c10 - 8) + 8));
            const Piece<4> r10_31 = mul_of(r8_28, r9_30);
            const i64 at32 = 8LL * m0;
            const Piece<4> r13_33 = load_piece<float, 4>(b4, at32 + (c10 - 8));
            const Piece<4> r18_34 = mul_of(r10_31, r13_33);
            const Piece<4> r0_35 = load_row_piece<4>(out, (item / 8) * 132 + 0 + (item % 8) * 16 + static_cast<i32>((c10 - 8)));
            const Piece<4> r8_36 = mul_of(r0_35, r7_9);
            const Piece<4> r9_37 = load_piece<bf16, 4>(b3, at29 + (c10 - 8));
            const Piece<4> r10_38 = mul_of(r8_36, r9_37);
            const Piece<4> r15_39 = load_piece<float, 4>(b5, at32 + (c10 - 8));
            const Piece<4> r19_40 = mul_of(r10_38, r15_39);
            const Piece<4> r20_41 = add_of(r18_34, r19_40);
            r21_11 = r20_41;
          }
          const i64 at42 = 64LL * m0 + 16LL * m1;
          store_piece<float, 4>(b6, at42 + c10, r21_11);
        }
      }
    }
    else if (tile < 2) {
      for (i32 item = warp_index(); item < 1024; item += 8) {
        const i64 row = first_row + item / 8;
        const i64 unit = first_column / 16 + item % 8;
        if (row >= rows || unit >= 2) continue;
        const i64 m0 = row;
        const i64 m1 = unit;
        float partial43 = Sum::identity();
        for (i64 c44 = lane_index() * 4; c44 < 16LL; c44 += 32 * 4) {
          const Piece<4> r0_45 = load_row_piece<4>(out, (item / 8) * 132 + 0 + (item % 8) * 16 + static_cast<i32>(c44));
          const Piece<4> r1_46 = mul_of(r0_45, r0_45);
          partial43 = Sum::join(partial43, join_piece<Sum>(r1_46));
        }
        const float r2_47 = reduce_warp<Sum>(partial43);
        const float r3_48 = 0.0625f;
        const float r4_49 = mul_of(r2_47, r3_48);
        const float r5_50 = 9.999999974752427e-7f;
        const float r6_51 = add_of(r4_49, r5_50);
        const float r7_52 = rsqrt_of(r6_51);
        for (i64 c53 = lane_index() * 4; c53 < 16LL; c53 += 32 * 4) {
          Piece<4> r21_54;
          if (c53 < 8) {
            const Piece<4> r0_55 = load_row_piece<4>(out, (item / 8) * 132 + 0 + (item % 8) * 16 + static_cast<i32>(c53));
            const Piece<4> r8_56 = mul_of(r0_55, r7_52);
            const i64 at57 = 0LL;
            const Piece<4> r9_58 = load_piece<bf16, 4>(b8, at57 + c53);
            const Piece<4> r10_59 = mul_of(r8_56, r9_58);
            const i64 at60 = 8LL * m0;
            const Piece<4> r13_61 = load_piece<float, 4>(b4, at60 + c53);
            const Piece<4> r14_62 = mul_of(r10_59, r13_61);
            const Piece<4> r0_63 = load_row_piece<4>(out, (item / 8) * 132 + 0 + (item % 8) * 16 + static_cast<i32>((c53 + 8)));
            const Piece<4> r8_64 = mul_of(r0_63, r7_52);
            const Piece<4> r9_65 = load_piece<bf16, 4>(b8, at57 + (c53 + 8));
            const Piece<4> r10_66 = mul_of(r8_64, r9_65);
            const Piece<4> r15_67 = load_piece<float, 4>(b5, at60 + c53);
            const Piece<4> r16_68 = mul_of(r10_66, r15_67);
            const Piece<4> r17_69 = sub_of(r14_62, r16_68);
            r21_54 = r17_69;
          }
          else {
            const Piece<4> r0_70 = load_row_piece<4>(out, (item / 8) * 132 + 0 + (item % 8) * 16 + static_cast<i32>(((c53 - 8) + 8)));
            const Piece<4> r8_71 = mul_of(r0_70, r7_52);
            const i64 at72 = 0LL;
            const Piece<4> r9_73 = load_piece<bf16, 4>(b8, at72 + ((c53 - 8) + 8));
            const Piece<4> r10_74 = mul_of(r8_71, r9_73);
            const i64 at75 = 8LL * m0;
            const Piece<4> r13_76 = load_piece<float, 4>(b4, at75 + (c53 - 8));
            const Piece<4> r18_77 = mul_of(r10_74, r13_76);
            const Piece<4> r0_78 = load_row_piece<4>(out, (item / 8) * 132 + 0 + (item % 8) * 16 + static_cast<i32>((c53 - 8)));
            const Piece<4> r8_79 = mul_of(r0_78, r7_52);
            const Piece<4> r9_80 = load_piece<bf16, 4>(b8, at72 + (c53 - 8));
            const Piece<4> r10_81 = mul_of(r8_79, r9_80);
            const Piece<4> r15_82 = load_piece<float, 4>(b5, at75 + (c53 - 8));
            const Piece<4> r19_83 = mul_of(r10_81, r15_82);
            const Piece<4> r20_84 = add_of(r18_77, r19_83);
            r21_54 = r20_84;
          }
          const i64 at85 = 16LL * m0 + 2048LL * m1 + 16LL * s1;
          store_piece<bf16, 4>(b9, at85 + c53, r21_54);
        }
      }
    }
    else {
      for (i32 item = thread_index(); item < 2048; item += 256) {
        const i64 row = first_row + item / 16;
        const i32 local = (item % 16) * 8;
        const i64 at_column = first_column + local;
        if (row >= rows || at_column >= 32) continue;
        const i64 column = at_column % 16;
        const i64 m0 = row;
        const i64 m1 = (at_column / 16);
        const Piece<8> r0_86 = load_row_piece<8>(out, (item / 16) * 132 + 0 + local);
        const i64 at87 = 16LL * m0 + 2048LL * m1 + 16LL * s1;
        store_piece<bf16, 8>(b11, at87 + column, r0_86);
      }
    }
  }
}
WEFT_KERNEL(k3_rms_norm_matmul_rms_norm_rope_matmul_rms_norm_matmul, 256, 2, 12)

// attend
// of model.layers.*
// axes: queries $seq, keys $keys
// one kernel: scores are weighed as they come, and never stored
// b0 read f32, b1 read bf16, b2 read bf16, b3 write f32
// 4 heads on 2 of 16; blocks of 64 rows, 2 heads side by side
DEVICE i64 k4_attend_blocks([[maybe_unused]] const Args<4>& args) {
  const i64 s0 = symbol(args, 0);
  return ((2LL * s0 + 63) / 64) * 2LL;
}
DEVICE void k4_attend_body(const Args<4>& args, [[maybe_unused]] i64 block) {
  const Global<float> b0 = global<float>(args.slot[0]);
  const Global<bf16> b1 = global<bf16>(args.slot[1]);
  const Global<bf16> b2 = global<bf16>(args.slot[2]);
  const Global<float> b3 = global<float>(args.slot[3]);
  const i64 s0 = symbol(args, 0);
  const i64 s1 = symbol(args, 1);
  const i64 s3 = symbol(args, 3);
  let_next_start();
  wait_for_inputs();
  const i64 rows = 2LL * s0;
  const i64 tiles = (rows + 63) / 64;
  const i64 first_row = (tiles - 1 - block / 2) * 64;
  const HeadsPlace query_place = {0LL, 64, 16};
  const HeadsPlace key_place = {0LL, 16, 2048};
  const HeadsPlace value_place = {0LL, 16, 2048};
  const HeadsPlace output_place = {0LL, 64, 16};
  attend_flash<FlashShape<16, 2>, float, float>(b0, query_place, b1, key_place, b2, value_place, b3, output_place, first_row, rows, block % 2, s3, s1 + 1, 0.25f, [](i64) -> i64 { return 0; }, [](i64, float) {});
}
WEFT_KERNEL(k4_attend, 128, 1, 4)

// matmul_add
// of model.layers.*.self_attn.o_proj, model.layers.*
// axes: rows seq $seq, columns hidden 64, contracted heads*headDim 64
// one kernel: what follows is done to the sums while they are at hand
// b0 read f32, b1 read bf16, b2 read f32, b3 write f32
// the rows that the products read
DEVICE i64 k5_matmul_add_x_blocks([[maybe_unused]] const Args<4>& args) {
  const i64 s0 = symbol(args, 0);
  return ((s0 + 3) / 4);
}
DEVICE void k5_matmul_add_x_body(const Args<4>& args, [[maybe_unused]] i64 block) {
  const Global<float> b0 = global<float>(args.slot[0]);
  const i64 s0 = symbol(args, 0);
  let_next_start();
  wait_for_inputs();
  const i64 row = block * 4 + warp_index();
  if (row < s0) {
    const i64 i0 = row;
    const Global<bf16> x = global<bf16>(args.scratch);
    for (i64 c0 = lane_index() * 8; c0 < 64; c0 += 32 * 8) {
      const i64 at1 = 64LL * i0;
      const Piece<8> r0_2 = load_piece<float, 8>(b0, at1 + c0);
      const Piece<8> r1_3 = round_of<bf16>(r0_2);
      store_piece<bf16, 8>(x, row * 64 + c0, r1_3);
    }
  }
}
WEFT_KERNEL(k5_matmul_add_x, 128, 1, 4)

// matmul_add
// of model.layers.*.self_attn.o_proj, model.layers.*
// axes: rows seq $seq, columns hidden 64, contracted heads*headDim 64
// one kernel: what follows is done to the sums while they are at hand
// b0 read f32, b1 read bf16, b2 read f32, b3 write f32
// tiles of 128 x 128, 32 deep
DEVICE i64 k5_matmul_add_blocks([[maybe_unused]] const Args<4>& args) {
  const i64 s0 = symbol(args, 0);
  return ((s0 + 127) / 128) * 1LL;
}
DEVICE void k5_matmul_add_body(const Args<4>& args, [[maybe_unused]] i64 block) {
  const Global<bf16> b1 = global<bf16>(args.slot[1]);
  const Global<float> b2 = global<float>(args.slot[2]);
  const Global<float> b3 = global<float>(args.slot[3]);
  const i64 s0 = symbol(args, 0);
  let_next_start();
  wait_for_inputs();
  const Shared<float> out = shared_at<float>(0, 16896);
  {
    const i64 rows = s0;
    const i64 tiles_of_rows = (rows + 127) / 128;
    const i64 first_row = (block % tiles_of_rows) * 128;
    [[maybe_unused]] const i64 tile = block / tiles_of_rows;
    const i64 first_column = (tile - 0) * 128;
    const Global<bf16> x = global<bf16>(args.scratch);
    const i32 columns = 128;
    const i32 used = 128;
    const i64 all_columns = 64;
    const Shared<bf16> stages = shared_at<bf16>(0, 40960);
    const Global<bf16> w0 = b1;
    const auto copy_x = [&](Shared<bf16> to, i32 index, i32 local, i32 k) {
      const i64 row = first_row + local;
      copy16_async(to, index, x, row < rows ? row * 64 + k : 0, row < rows && k < 64);
    }
    ;
    const auto copy_w = [&](Shared<bf16> to, i32 index, i32 column, i32 k) {
      const bool valid = first_column + column % columns < all_columns && column < used && k < 64;
      copy16_async(to, index, w0, valid ? (first_column + column % columns) * 64 + k : 0, valid);
    }
    ;
    mma_tile<MmaShape>(stages, out, 64, copy_x, copy_w);
  }
  {
    [[maybe_unused]] const i64 s0 = symbol(args, 0);
    const i64 rows = s0;
    const i64 tiles_of_rows = (rows + 127) / 128;
    const i64 first_row = (block % tiles_of_rows) * 128;
    [[maybe_unused]] const i64 tile = block / tiles_of_rows;
    const i64 first_column = (tile - 0) * 128;
    {
      for (i32 item = thread_index(); item < 2048; item += 256) {
        const i64 row = first_row + item / 16;
        const i32 local = (item % 16) * 8;
        const i64 at_column = first_column + local;
        if (row >= rows || at_column >= 64) continue;
        const i64 m0 = row;
        const i64 at0 = 64LL * m0;
        const Piece<8> r1_1 = load_piece<float, 8>(b2, at0 + at_column);
        const Piece<8> r0_2 = load_row_piece<8>(out, (item / 16) * 132 + 0 + local);
        const Piece<8> r2_3 = add_of(r1_1, r0_2);
        store_piece<float, 8>(b3, at0 + at_column, r2_3);
      }
    }
  }
}
WEFT_KERNEL(k5_matmul_add, 256, 2, 4)

// rms_norm_matmul_silu_matmul_mul
// of model.layers.*.post_attention_layernorm, model.layers.*.mlp.gate_proj, model.layers.*, model.layers.*.mlp.up_proj, model.layers.*.mlp.down_proj
// axes: rows seq $seq, columns 2 of intermediate 128, contracted hidden 64
// one kernel: the rows are computed where the products read them; the products read the same rows; what follows is done to the sums while they are at hand
// b0 read f32, b1 read bf16, b2 read bf16, b3 read bf16, b4 write bf16
// the rows that the products read
DEVICE i64 k6_rms_norm_matmul_silu_matmul_mul_x_blocks([[maybe_unused]] const Args<5>& args) {
  const i64 s0 = symbol(args, 0);
  return ((s0 + 3) / 4);
}
DEVICE void k6_rms_norm_matmul_silu_matmul_mul_x_body(const Args<5>& args, [[maybe_unused]] i64 block) {
  const Global<float> b0 = global<float>(args.slot[0]);
  const Global<bf16> b1 = global<bf16>(args.slot[1]);
  const i64 s0 = symbol(args, 0);
  let_next_start();
  wait_for_inputs();
  const i64 row = block * 4 + warp_index();
  if (row < s0) {
    const i64 i0 = row;
    float partial0 = Sum::identity();
    for (i64 c1 = lane_index() * 8; c1 < 64LL; c1 += 32 * 8) {
      const i64 at2 = 64LL * i0;
      const Piece<8> r0_3 = load_piece<float, 8>(b0, at2 + c1);
      const Piece<8> r1_4 = mul_of(r0_3, r0_3);
      partial0 = Sum::join(partial0, join_piece<Sum>(r1_4));
    }
    const float r2_5 = reduce_warp<Sum>(partial0);
    const float r3_6 = 0.015625f;
    const float r4_7 = mul_of(r2_5, r3_6);
    const float r5_8 = 9.999999974752427e-7f;
    const float r6_9 = add_of(r4_7, r5_8);
    const float r7_10 = rsqrt_of(r6_9);
    const Global<bf16> x = global<bf16>(args.scratch);
    for (i64 c11 = lane_index() * 8; c11 < 64; c11 += 32 * 8) {
      const i64 at12 = 64LL * i0;
      const Piece<8> r0_13 = load_piece<float, 8>(b0, at12 + c11);
      const Piece<8> r8_14 = mul_of(r0_13, r7_10);
      const i64 at15 = 0LL;
      const Piece<8> r9_16 = load_piece<bf16, 8>(b1, at15 + c11);
      const Piece<8> r10_17 = mul_of(r8_14, r9_16);
      const Piece<8> r11_18 = round_of<bf16>(r10_17);
      store_piece<bf16, 8>(x, row * 64 + c11, r11_18);
    }
  }
}
WEFT_KERNEL(k6_rms_norm_matmul_silu_matmul_mul_x, 128, 1, 5)

// rms_norm_matmul_silu_matmul_mul
// of model.layers.*.post_attention_layernorm, model.layers.*.mlp.gate_proj, model.layers.*, model.layers.*.mlp.up_proj, model.layers.*.mlp.down_proj
// axes: rows seq $seq, columns 2 of intermediate 128, contracted hidden 64
// one kernel: the rows are computed where the products read them; the products read the same rows; what follows is done to the sums while they are at hand
// b0 read f32, b1 read bf16, b2 read bf16, b3 read bf16, b4 write bf16
// tiles of 128 x 128, 32 deep
DEVICE i64 k6_rms_norm_matmul_silu_matmul_mul_blocks([[maybe_unused]] const Args<5>& args) {
  const i64 s0 = symbol(args, 0);
  return ((s0 + 127) / 128) * 2LL;
}
DEVICE void k6_rms_norm_matmul_silu_matmul_mul_body(const Args<5>& args, [[maybe_unused]] i64 block) {
  const Global<bf16> b2 = global<bf16>(args.slot[2]);
  const Global<bf16> b3 = global<bf16>(args.slot[3]);
  const Global<bf16> b4 = global<bf16>(args.slot[4]);
  const i64 s0 = symbol(args, 0);
  let_next_start();
  wait_for_inputs();
  const Shared<float> out = shared_at<float>(0, 16896);
  {
    const i64 rows = s0;
    const i64 tiles_of_rows = (rows + 127) / 128;
    const i64 first_row = (block % tiles_of_rows) * 128;
    [[maybe_unused]] const i64 tile = block / tiles_of_rows;
    const i64 first_column = (tile - 0) * 64;
    const Global<bf16> x = global<bf16>(args.scratch);
    const i32 columns = 64;
    const i32 used = 128;
    const i64 all_columns = 128;
    const Shared<bf16> stages = shared_at<bf16>(0, 40960);
    const Global<bf16> w0 = b2;
    const Global<bf16> w1 = b3;
    const auto copy_x = [&](Shared<bf16> to, i32 index, i32 local, i32 k) {
      const i64 row = first_row + local;
      copy16_async(to, index, x, row < rows ? row * 64 + k : 0, row < rows && k < 64);
    }
    ;
    const auto copy_w = [&](Shared<bf16> to, i32 index, i32 column, i32 k) {
      const bool valid = first_column + column % columns < all_columns && column < used && k < 64;
      if (column < columns * 1) {
        copy16_async(to, index, w0, valid ? (first_column + column % columns) * 64 + k : 0, valid);
      }
      else {
        copy16_async(to, index, w1, valid ? (first_column + column % columns) * 64 + k : 0, valid);
      }
    }
    ;
    mma_tile<MmaShape>(stages, out, 64, copy_x, copy_w);
  }
  {
    [[maybe_unused]] const i64 s0 = symbol(args, 0);
    const i64 rows = s0;
    const i64 tiles_of_rows = (rows + 127) / 128;
    const i64 first_row = (block % tiles_of_rows) * 128;
    [[maybe_unused]] const i64 tile = block / tiles_of_rows;
    const i64 first_column = (tile - 0) * 64;
    {
      for (i32 item = thread_index(); item < 1024; item += 256) {
        const i64 row = first_row + item / 8;
        const i32 local = (item % 8) * 8;
        const i64 at_column = first_column + local;
        if (row >= rows || at_column >= 128) continue;
        const i64 m0 = row;
        const Piece<8> r0_0 = load_row_piece<8>(out, (item / 8) * 132 + 0 + local);
        const Piece<8> r2_1 = sigmoid_of(r0_0);
        const Piece<8> r3_2 = mul_of(r0_0, r2_1);
        const Piece<8> r1_3 = load_row_piece<8>(out, (item / 8) * 132 + 64 + local);
        const Piece<8> r4_4 = mul_of(r3_2, r1_3);
        const Piece<8> r5_5 = round_of<bf16>(r4_4);
        const i64 at6 = 128LL * m0;
        store_piece<bf16, 8>(b4, at6 + at_column, r5_5);
      }
    }
  }
}
WEFT_KERNEL(k6_rms_norm_matmul_silu_matmul_mul, 256, 2, 5)

// matmul_add_2
// of model.layers.*.mlp.down_proj, model.layers.*
// axes: rows seq $seq, columns hidden 64, contracted intermediate 128
// one kernel: what follows is done to the sums while they are at hand
// b0 read bf16, b1 read bf16, b2 read f32, b3 write f32
// tiles of 128 x 128, 32 deep
DEVICE i64 k7_matmul_add_2_blocks([[maybe_unused]] const Args<4>& args) {
  const i64 s0 = symbol(args, 0);
  return ((s0 + 127) / 128) * 1LL;
}
DEVICE void k7_matmul_add_2_body(const Args<4>& args, [[maybe_unused]] i64 block) {
  const Global<bf16> b0 = global<bf16>(args.slot[0]);
  const Global<bf16> b1 = global<bf16>(args.slot[1]);
  const Global<float> b2 = global<float>(args.slot[2]);
  const Global<float> b3 = global<float>(args.slot[3]);
  const i64 s0 = symbol(args, 0);
  let_next_start();
  wait_for_inputs();
  const Shared<float> out = shared_at<float>(0, 16896);
  {
    const i64 rows = s0;
    const i64 tiles_of_rows = (rows + 127) / 128;
    const i64 first_row = (block % tiles_of_rows) * 128;
    [[maybe_unused]] const i64 tile = block / tiles_of_rows;
    const i64 first_column = (tile - 0) * 128;
    const i32 columns = 128;
    const i32 used = 128;
    const i64 all_columns = 64;
    const Shared<bf16> stages = shared_at<bf16>(0, 40960);
    const Global<bf16> w0 = b1;
    const auto copy_x = [&](Shared<bf16> to, i32 index, i32 local, i32 k) {
      const i64 row = first_row + local;
      copy16_async(to, index, b0, row < rows ? 128LL * row + 0LL + k : 0, row < rows && k < 128);
    }
    ;
    const auto copy_w = [&](Shared<bf16> to, i32 index, i32 column, i32 k) {
      const bool valid = first_column + column % columns < all_columns && column < used && k < 128;
      copy16_async(to, index, w0, valid ? (first_column + column % columns) * 128 + k : 0, valid);
    }
    ;
    mma_tile<MmaShape>(stages, out, 128, copy_x, copy_w);
  }
  {
    [[maybe_unused]] const i64 s0 = symbol(args, 0);
    const i64 rows = s0;
    const i64 tiles_of_rows = (rows + 127) / 128;
    const i64 first_row = (block % tiles_of_rows) * 128;
    [[maybe_unused]] const i64 tile = block / tiles_of_rows;
    const i64 first_column = (tile - 0) * 128;
    {
      for (i32 item = thread_index(); item < 2048; item += 256) {
        const i64 row = first_row + item / 16;
        const i32 local = (item % 16) * 8;
        const i64 at_column = first_column + local;
        if (row >= rows || at_column >= 64) continue;
        const i64 m0 = row;
        const i64 at0 = 64LL * m0;
        const Piece<8> r1_1 = load_piece<float, 8>(b2, at0 + at_column);
        const Piece<8> r0_2 = load_row_piece<8>(out, (item / 16) * 132 + 0 + local);
        const Piece<8> r2_3 = add_of(r1_1, r0_2);
        store_piece<float, 8>(b3, at0 + at_column, r2_3);
      }
    }
  }
}
WEFT_KERNEL(k7_matmul_add_2, 256, 2, 4)

// rms_norm
// of model.layers.*.input_layernorm
// axes: rows seq $seq, along hidden 64
// one kernel: its operations go over the same rows, and nothing between them is stored
// b0 read f32, b1 read bf16, b2 write f32
DEVICE i64 k8_rms_norm_blocks([[maybe_unused]] const Args<3>& args) {
  const i64 s0 = symbol(args, 0);
  return ((s0 + 3) / 4);
}
DEVICE void k8_rms_norm_body(const Args<3>& args, [[maybe_unused]] i64 block) {
  const Global<float> b0 = global<float>(args.slot[0]);
  const Global<bf16> b1 = global<bf16>(args.slot[1]);
  const Global<float> b2 = global<float>(args.slot[2]);
  const i64 s0 = symbol(args, 0);
  let_next_start();
  wait_for_inputs();
  const i64 row = block * 4 + warp_index();
  if (row < s0) {
    const i64 i0 = row;
    float partial0 = Sum::identity();
    for (i64 c1 = lane_index() * 8; c1 < 64LL; c1 += 32 * 8) {
      const i64 at2 = 64LL * i0;
      const Piece<8> r0_3 = load_piece<float, 8>(b0, at2 + c1);
      const Piece<8> r1_4 = mul_of(r0_3, r0_3);
      partial0 = Sum::join(partial0, join_piece<Sum>(r1_4));
    }
    const float r2_5 = reduce_warp<Sum>(partial0);
    const float r3_6 = 0.015625f;
    const float r4_7 = mul_of(r2_5, r3_6);
    const float r5_8 = 9.999999974752427e-7f;
    const float r6_9 = add_of(r4_7, r5_8);
    const float r7_10 = rsqrt_of(r6_9);
    for (i64 c11 = lane_index() * 8; c11 < 64LL; c11 += 32 * 8) {
      const i64 at12 = 64LL * i0;
      const Piece<8> r0_13 = load_piece<float, 8>(b0, at12 + c11);
      const Piece<8> r8_14 = mul_of(r0_13, r7_10);
      const i64 at15 = 0LL;
      const Piece<8> r9_16 = load_piece<bf16, 8>(b1, at15 + c11);
      const Piece<8> r10_17 = mul_of(r8_14, r9_16);
      store_piece<float, 8>(b2, at12 + c11, r10_17);
    }
  }
}
WEFT_KERNEL(k8_rms_norm, 128, 1, 3)

// matmul_rms_norm_rope
// of model.layers.*.self_attn.q_proj, model.layers.*.self_attn.q_norm, model.layers.*
// axes: rows seq 1, columns heads 4 x headDim 16, contracted hidden 64
// one kernel: what follows is done to the sums while they are at hand
// b0 read f32, b1 read bf16, b2 read bf16, b3 read f32, b4 read f32, b5 write f32
// 1 row: the weights are streamed
DEVICE i64 k9_matmul_rms_norm_rope_blocks([[maybe_unused]] const Args<6>& args) {
  return args.blocks;
}
DEVICE void k9_matmul_rms_norm_rope_body(const Args<6>& args, [[maybe_unused]] i64 block) {
  const Global<float> b0 = global<float>(args.slot[0]);
  const Global<bf16> b1 = global<bf16>(args.slot[1]);
  const Global<bf16> b2 = global<bf16>(args.slot[2]);
  const Global<float> b3 = global<float>(args.slot[3]);
  const Global<float> b4 = global<float>(args.slot[4]);
  const Global<float> b5 = global<float>(args.slot[5]);
  const i64 s0 = symbol(args, 0);
  let_next_start();
  const Range share = share_of(64, static_cast<i32>(block), static_cast<i32>(args.blocks));
  {
    const Range items = items_in(share, 0, 1, 64);
    prefetch_columns(b1, items.first, items.last - items.first, 64);
  }
  wait_for_inputs();
  const Shared<float> sums = shared_at<float>(144, 256);
  const Shared<bf16> x = shared_at<bf16>(1168, 64);
  {
    const i64 m0 = 0LL;
    for (i64 c0 = thread_index() * 8; c0 < 64; c0 += thread_count() * 8) {
      const i64 at1 = 64LL * m0 + (64LL * s0 + -64LL);
      const Piece<8> r0_2 = load_piece<float, 8>(b0, at1 + c0);
      const Piece<8> r1_3 = round_of<bf16>(r0_2);
      store_piece<bf16, 8>(x, static_cast<i32>(c0), r1_3);
    }
  }
  sync_block();
  const Global<float> unfinished = global<float>(args.scratch);
  {
    const Range items = items_in(share, 0, 1, 64);
    for (i32 begin = items.first; begin < items.last; begin += 256) {
      const i32 count = items.last - begin < 256 ? items.last - begin : 256;
      column_sums<Global<bf16>, bf16, 1, 8, 1, 256>(sums, 0, b1, begin, count, x, 64, 64);
      sync_block();
      for (i32 at = thread_index(); at < count * 1; at += thread_count()) {
        const i32 row = 0;
        const i32 local = at;
        const i32 item = begin + local;
        store(unfinished, 0 + row * 64LL + item, whole_sum<1, 256>(sums, 0, row, local));
      }
      sync_block();
    }
  }
  const Global<u32> tickets = global<u32>(args.tickets);
  const Shared<u32> flag = shared_at<u32>(128, 1);
  {
    const Range items = items_in(share, 0, 1, 64);
    for (i32 unit = items.first / 16; unit * 16 < items.last; ++unit) {
      const Range own = {items.first > unit * 16 ? items.first : unit * 16, clamped(items.last, (unit + 1) * 16)};
      if (own.first >= own.last) continue;
      if (!arrive_last(tickets, 0 + unit, static_cast<u32>(own.last - own.first), 16, flag)) continue;
      for (i32 row = warp_index(); row < 1; row += thread_count() / 32) {
        const i64 m0 = row;
        const i64 m1 = unit;
        float partial4 = Sum::identity();
        for (i64 c5 = lane_index() * 4; c5 < 16LL; c5 += 32 * 4) {
          const Piece<4> r0_6 = load_piece_fresh<4>(unfinished, 0 + row * 64LL + unit * 16 + c5);
          const Piece<4> r1_7 = mul_of(r0_6, r0_6);
          partial4 = Sum::join(partial4, join_piece<Sum>(r1_7));
        }
        const float r2_8 = reduce_warp<Sum>(partial4);
        const float r3_9 = 0.0625f;
        const float r4_10 = mul_of(r2_8, r3_9);
        const float r5_11 = 9.999999974752427e-7f;
        const float r6_12 = add_of(r4_10, r5_11);
        const float r7_13 = rsqrt_of(r6_12);
        for (i64 c14 = lane_index() * 4; c14 < 16LL; c14 += 32 * 4) {
          Piece<4> r21_15;
          if (c14 < 8) {
            const Piece<4> r0_16 = load_piece_fresh<4>(unfinished, 0 + row * 64LL + unit * 16 + c14);
            const Piece<4> r8_17 = mul_of(r0_16, r7_13);
            const i64 at18 = 0LL;
            const Piece<4> r9_19 = load_piece<bf16, 4>(b2, at18 + c14);
            const Piece<4> r10_20 = mul_of(r8_17, r9_19);
            const i64 at21 = 8LL * m0;
            const Piece<4> r13_22 = load_piece<float, 4>(b3, at21 + c14);
            const Piece<4> r14_23 = mul_of(r10_20, r13_22);
            const Piece<4> r0_24 = load_piece_fresh<4>(unfinished, 0 + row * 64LL + unit * 16 + (c14 + 8));
            const Piece<4> r8_25 = mul_of(r0_24, r7_13);
            const Piece<4> r9_26 = load_piece<bf16, 4>(b2, at18 + (c14 + 8));
            const Piece<4> r10_27 = mul_of(r8_25, r9_26);
            const Piece<4> r15_28 = load_piece<float, 4>(b4, at21 + c14);
            const Piece<4> r16_29 = mul_of(r10_27, r15_28);
            const Piece<4> r17_30 = sub_of(r14_23, r16_29);
            r21_15 = r17_30;
          }
          else {
            const Piece<4> r0_31 = load_piece_fresh<4>(unfinished, 0 + row * 64LL + unit * 16 + ((c14 - 8) + 8));
            const Piece<4> r8_32 = mul_of(r0_31, r7_13);
            const i64 at33 = 0LL;
            const Piece<4> r9_34 = load_piece<bf16, 4>(b2, at33 + ((c14 - 8) + 8));
            const Piece<4> r10_35 = mul_of(r8_32, r9_34);
            const i64 at36 = 8LL * m0;
            const Piece<4> r13_37 = load_piece<float, 4>(b3, at36 + (c14 - 8));
            const Piece<4> r18_38 = mul_of(r10_35, r13_37);
            const Piece<4> r0_39 = load_piece_fresh<4>(unfinished, 0 + row * 64LL + unit * 16 + (c14 - 8));
            const Piece<4> r8_40 = mul_of(r0_39, r7_13);
            const Piece<4> r9_41 = load_piece<bf16, 4>(b2, at33 + (c14 - 8));
            const Piece<4> r10_42 = mul_of(r8_40, r9_41);
            const Piece<4> r15_43 = load_piece<float, 4>(b4, at36 + (c14 - 8));
            const Piece<4> r19_44 = mul_of(r10_42, r15_43);
            const Piece<4> r20_45 = add_of(r18_38, r19_44);
            r21_15 = r20_45;
          }
          const i64 at46 = 64LL * m0 + 16LL * m1;
          store_piece<float, 4>(b5, at46 + c14, r21_15);
        }
      }
    }
  }
}
WEFT_KERNEL(k9_matmul_rms_norm_rope, 256, 2, 6)

// matmul_rms_norm_rope_matmul
// of model.layers.*.self_attn.k_proj, model.layers.*.self_attn.k_norm, model.layers.*, model.layers.*.self_attn.v_proj
// axes: rows seq $seq, columns kvHeads 2 x headDim 16 and kvHeads 2 x headDim 16, contracted hidden 64
// one kernel: the products read the same rows; what follows is done to the sums while they are at hand
// b0 read f32, b1 read bf16, b2 read bf16, b3 read f32, b4 read f32, b5 write bf16, b6 read bf16, b7 write bf16
// the rows that the products read
DEVICE i64 k10_matmul_rms_norm_rope_matmul_x_blocks([[maybe_unused]] const Args<8>& args) {
  const i64 s0 = symbol(args, 0);
  return ((s0 + 3) / 4);
}
DEVICE void k10_matmul_rms_norm_rope_matmul_x_body(const Args<8>& args, [[maybe_unused]] i64 block) {
  const Global<float> b0 = global<float>(args.slot[0]);
  const i64 s0 = symbol(args, 0);
  let_next_start();
  wait_for_inputs();
  const i64 row = block * 4 + warp_index();
  if (row < s0) {
    const i64 i0 = row;
    const Global<bf16> x = global<bf16>(args.scratch);
    for (i64 c0 = lane_index() * 8; c0 < 64; c0 += 32 * 8) {
      const i64 at1 = 64LL * i0;
      const Piece<8> r0_2 = load_piece<float, 8>(b0, at1 + c0);
      const Piece<8> r1_3 = round_of<bf16>(r0_2);
      store_piece<bf16, 8>(x, row * 64 + c0, r1_3);
    }
  }
}
WEFT_KERNEL(k10_matmul_rms_norm_rope_matmul_x, 128, 1, 8)

// matmul_rms_norm_rope_matmul
// of model.layers.*.self_attn.k_proj, model.layers.*.self_attn.k_norm, model.layers.*, model.layers.*.self_attn.v_proj
// axes: rows seq $seq, columns kvHeads 2 x headDim 16 and kvHeads 2 x headDim 16, contracted hidden 64
// one kernel: the products read the same rows; what follows is done to the sums while they are at hand
// b0 read f32, b1 read bf16, b2 read bf16, b3 read f32, b4 read f32, b5 write bf16, b6 read bf16, b7 write bf16
// tiles of 128 x 128, 32 deep
DEVICE i64 k10_matmul_rms_norm_rope_matmul_blocks([[maybe_unused]] const Args<8>& args) {
  const i64 s0 = symbol(args, 0);
  return ((s0 + 127) / 128) * 2LL;
}
DEVICE void k10_matmul_rms_norm_rope_matmul_body(const Args<8>& args, [[maybe_unused]] i64 block) {
  const Global<bf16> b1 = global<bf16>(args.slot[1]);
  const Global<bf16> b2 = global<bf16>(args.slot[2]);
  const Global<float> b3 = global<float>(args.slot[3]);
  const Global<float> b4 = global<float>(args.slot[4]);
  const Global<bf16> b5 = global<bf16>(args.slot[5]);
  const Global<bf16> b6 = global<bf16>(args.slot[6]);
  const Global<bf16> b7 = global<bf16>(args.slot[7]);
  const i64 s0 = symbol(args, 0);
  const i64 s1 = symbol(args, 1);
  let_next_start();
  wait_for_inputs();
  const Shared<float> out = shared_at<float>(0, 16896);
  {
    const i64 rows = s0;
    const i64 tiles_of_rows = (rows + 127) / 128;
    const i64 first_row = (block % tiles_of_rows) * 128;
    [[maybe_unused]] const i64 tile = block / tiles_of_rows;
    const i64 first_column = tile < 1 ? (tile - 0) * 128 : (tile - 1) * 128;
    const Global<bf16> x = global<bf16>(args.scratch);
    const i32 columns = 128;
    const i32 used = 128;
    const i64 all_columns = 32;
    const Shared<bf16> stages = shared_at<bf16>(0, 40960);
    const Global<bf16> w0 = tile < 1 ? b1 : b6;
    const auto copy_x = [&](Shared<bf16> to, i32 index, i32 local, i32 k) {
      const i64 row = first_row + local;
      copy16_async(to, index, x, row < rows ? row * 64 + k : 0, row < rows && k < 64);
    }
    ;
    const auto copy_w = [&](Shared<bf16> to, i32 index, i32 column, i32 k) {
      const bool valid = first_column + column % columns < all_columns && column < used && k < 64;
      copy16_async(to, index, w0, valid ? (first_column + column % columns) * 64 + k : 0, valid);
    }
    ;
    mma_tile<MmaShape>(stages, out, 64, copy_x, copy_w);
  }
  {
    [[maybe_unused]] const i64 s0 = symbol(args, 0);
    [[maybe_unused]] const i64 s1 = symbol(args, 1);
    const i64 rows = s0;
    const i64 tiles_of_rows = (rows + 127) / 128;
    const i64 first_row = (block % tiles_of_rows) * 128;
    [[maybe_unused]] const i64 tile = block / tiles_of_rows;
    const i64 first_column = tile < 1 ? (tile - 0) * 128 : (tile - 1) * 128;
    if (tile < 1) {
      for (i32 item = warp_index(); item < 1024; item += 8) {
        const i64 row = first_row + item / 8;
        const i64 unit = first_column / 16 + item % 8;
        if (row >= rows || unit >= 2) continue;
        const i64 m0 = row;
        const i64 m1 = unit;
        float partial0 = Sum::identity();
        for (i64 c1 = lane_index() * 4; c1 < 16LL; c1 += 32 * 4) {
          const Piece<4> r0_2 = load_row_piece<4>(out, (item / 8) * 132 + 0 + (item % 8) * 16 + static_cast<i32>(c1));
          const Piece<4> r1_3 = mul_of(r0_2, r0_2);
          partial0 = Sum::join(partial0, join_piece<Sum>(r1_3));
        }
        const float r2_4 = reduce_warp<Sum>(partial0);
        const float r3_5 = 0.0625f;
        const float r4_6 = mul_of(r2_4, r3_5);
        const float r5_7 = 9.999999974752427e-7f;
        const float r6_8 = add_of(r4_6, r5_7);
        const float r7_9 = rsqrt_of(r6_8);
        for (i64 c10 = lane_index() * 4; c10 < 16LL; c10 += 32 * 4) {
          Piece<4> r21_11;
          if (c10 < 8) {
            const Piece<4> r0_12 = load_row_piece<4>(out, (item / 8) * 132 + 0 + (item % 8) * 16 + static_cast<i32>(c10));
            const Piece<4> r8_13 = mul_of(r0_12, r7_9);
            const i64 at14 = 0LL;
            const Piece<4> r9_15 = load_piece<bf16, 4>(b2, at14 + c10);
            const Piece<4> r10_16 = mul_of(r8_13, r9_15);
            const i64 at17 = 8LL * m0;
            const Piece<4> r13_18 = load_piece<float, 4>(b3, at17 + c10);
            const Piece<4> r14_19 = mul_of(r10_16, r13_18);
            const Piece<4> r0_20 = load_row_piece<4>(out, (item / 8) * 132 + 0 + (item % 8) * 16 + static_cast<i32>((c10 + 8)));
            const Piece<4> r8_21 = mul_of(r0_20, r7_9);
            const Piece<4> r9_22 = load_piece<bf16, 4>(b2, at14 + (c10 + 8));
            const Piece<4> r10_23 = mul_of(r8_21, r9_22);
            const Piece<4> r15_24 = load_piece<float, 4>(b4, at17 + c10);
            const Piece<4> r16_25 = mul_of(r10_23, r15_24);
            const Piece<4> r17_26 = sub_of(r14_19, r16_25);
            r21_11 = r17_26;
          }
          else {
            const Piece<4> r0_27 = load_row_piece<4>(out, (item / 8) * 132 + 0 + (item % 8) * 16 + static_cast<i32>(((c10 - 8) + 8)));
            const Piece<4> r8_28 = mul_of(r0_27, r7_9);
            const i64 at29 = 0LL;
            const Piece<4> r9_30 = load_piece<bf16, 4>(b2, at29 + ((c10 - 8) + 8));
            const Piece<4> r10_31 = mul_of(r8_28, r9_30);
            const i64 at32 = 8LL * m0;
            const Piece<4> r13_33 = load_piece<float, 4>(b3, at32 + (c10 - 8));
            const Piece<4> r18_34 = mul_of(r10_31, r13_33);
            const Piece<4> r0_35 = load_row_piece<4>(out, (item / 8) * 132 + 0 + (item % 8) * 16 + static_cast<i32>((c10 - 8)));
            const Piece<4> r8_36 = mul_of(r0_35, r7_9);
            const Piece<4> r9_37 = load_piece<bf16, 4>(b2, at29 + (c10 - 8));
            const Piece<4> r10_38 = mul_of(r8_36, r9_37);
            const Piece<4> r15_39 = load_piece<float, 4>(b4, at32 + (c10 - 8));
            const Piece<4> r19_40 = mul_of(r10_38, r15_39);
            const Piece<4> r20_41 = add_of(r18_34, r19_40);
            r21_11 = r20_41;
          }
          const i64 at42 = 16LL * m0 + 2048LL * m1 + 16LL * s1;
          store_piece<bf16, 4>(b5, at42 + c10, r21_11);
        }
      }
    }
    else {
      for (i32 item = thread_index(); item < 2048; item += 256) {
        const i64 row = first_row + item / 16;
        const i32 local = (item % 16) * 8;
        const i64 at_column = first_column + local;
        if (row >= rows || at_column >= 32) continue;
        const i64 column = at_column % 16;
        const i64 m0 = row;
        const i64 m1 = (at_column / 16);
        const Piece<8> r0_43 = load_row_piece<8>(out, (item / 16) * 132 + 0 + local);
        const i64 at44 = 16LL * m0 + 2048LL * m1 + 16LL * s1;
        store_piece<bf16, 8>(b7, at44 + column, r0_43);
      }
    }
  }
}
WEFT_KERNEL(k10_matmul_rms_norm_rope_matmul, 256, 2, 8)

// attend_2
// of model.layers.*
// axes: queries 1, keys $keys
// one kernel: scores are weighed as they come, and never stored
// b0 read f32, b1 read bf16, b2 read bf16, b3 write f32
// 4 heads on 2 of 16; 2 heads a block, up to 32 blocks share the keys
DEVICE i64 k11_attend_2_blocks([[maybe_unused]] const Args<4>& args) {
  return 1LL * 64LL;
}
DEVICE void k11_attend_2_body(const Args<4>& args, [[maybe_unused]] i64 block) {
  const Global<float> b0 = global<float>(args.slot[0]);
  const Global<bf16> b1 = global<bf16>(args.slot[1]);
  const Global<bf16> b2 = global<bf16>(args.slot[2]);
  const Global<float> b3 = global<float>(args.slot[3]);
  const i64 s0 = symbol(args, 0);
  const i64 s1 = symbol(args, 1);
  const i64 s3 = symbol(args, 3);
  let_next_start();
  wait_for_inputs();
  const i32 split = static_cast<i32>(block % 32);
  const i32 head_group = static_cast<i32>((block / 32) % 2);
  const i64 query = block / 64;
  const i64 sight = query + (s0 + s1 + -1LL) + 1;
  const i32 seen = static_cast<i32>(sight < s3 ? sight : s3);
  const i32 splits = clamped((seen + 31) / 32 - 1, 31) + 1;
  if (split >= splits) return;
  const HeadsPlace query_place = {0LL, 64, 16};
  const HeadsPlace key_place = {0LL, 16, 2048};
  const HeadsPlace value_place = {0LL, 16, 2048};
  const HeadsPlace output_place = {0LL, 64, 16};
  attend_split<SplitShape<2, 16, 8, true, 4>, float, bf16, bf16, float>(b0, query_place, b1, key_place, b2, value_place, b3, output_place, query, head_group, head_group / 1, seen, 0.25f, split, splits, part_of(global<float>(args.scratch), (query * 2 + head_group) * 1152), global<u32>(args.tickets), query * 2 + head_group);
}
WEFT_KERNEL(k11_attend_2, 128, 1, 4)

// matmul_add_3
// of model.layers.*.self_attn.o_proj, model.layers.*
// axes: rows seq 1, columns hidden 64, contracted heads*headDim 64
// one kernel: what follows is done to the sums while they are at hand
// b0 read f32, b1 read bf16, b2 read f32, b3 write f32
// 1 row: the weights are streamed
DEVICE i64 k12_matmul_add_3_blocks([[maybe_unused]] const Args<4>& args) {
  return args.blocks;
}
DEVICE void k12_matmul_add_3_body(const Args<4>& args, [[maybe_unused]] i64 block) {
  const Global<float> b0 = global<float>(args.slot[0]);
  const Global<bf16> b1 = global<bf16>(args.slot[1]);
  const Global<float> b2 = global<float>(args.slot[2]);
  const Global<float> b3 = global<float>(args.slot[3]);
  const i64 s0 = symbol(args, 0);
  let_next_start();
  const Range share = share_of(64, static_cast<i32>(block), static_cast<i32>(args.blocks));
  {
    const Range items = items_in(share, 0, 1, 64);
    prefetch_columns(b1, items.first, items.last - items.first, 64);
  }
  wait_for_inputs();
  const Shared<float> sums = shared_at<float>(144, 256);
  const Shared<bf16> x = shared_at<bf16>(1168, 64);
  {
    const i64 m0 = 0LL;
    for (i64 c0 = thread_index() * 8; c0 < 64; c0 += thread_count() * 8) {
      const i64 at1 = 64LL * m0;
      const Piece<8> r0_2 = load_piece<float, 8>(b0, at1 + c0);
      const Piece<8> r1_3 = round_of<bf16>(r0_2);
      store_piece<bf16, 8>(x, static_cast<i32>(c0), r1_3);
    }
  }
  sync_block();
  {
    const Range items = items_in(share, 0, 1, 64);
    for (i32 begin = items.first; begin < items.last; begin += 256) {
      const i32 count = items.last - begin < 256 ? items.last - begin : 256;
      column_sums<Global<bf16>, bf16, 1, 8, 1, 256>(sums, 0, b1, begin, count, x, 64, 64);
      sync_block();
      for (i32 at = thread_index(); at < count * 1; at += thread_count()) {
        const i32 row = 0;
        const i32 local = at;
        const i32 item = begin + local;
        const i64 m0 = row;
        const i64 at4 = 64LL * m0 + (64LL * s0 + -64LL);
        const Piece<1> r1_5 = load_piece<float, 1>(b2, at4 + item);
        const Piece<1> r0_6 = Piece<1>{{whole_sum<1, 256>(sums, 0, row, local)}};
        const Piece<1> r2_7 = add_of(r1_5, r0_6);
        const i64 at8 = 64LL * m0;
        store_piece<float, 1>(b3, at8 + item, r2_7);
      }
      sync_block();
    }
  }
}
WEFT_KERNEL(k12_matmul_add_3, 256, 2, 4)

// rms_norm_matmul_silu_matmul_mul_2
// of model.layers.*.post_attention_layernorm, model.layers.*.mlp.gate_proj, model.layers.*, model.layers.*.mlp.up_proj, model.layers.*.mlp.down_proj
// axes: rows seq 1, columns 2 of intermediate 128, contracted hidden 64
// one kernel: the rows are computed where the products read them; the products read the same rows; what follows is done to the sums while they are at hand
// b0 read f32, b1 read bf16, b2 read bf16, b3 read bf16, b4 write bf16
// 1 row: the weights are streamed
DEVICE i64 k13_rms_norm_matmul_silu_matmul_mul_2_blocks([[maybe_unused]] const Args<5>& args) {
  return args.blocks;
}
DEVICE void k13_rms_norm_matmul_silu_matmul_mul_2_body(const Args<5>& args, [[maybe_unused]] i64 block) {
  const Global<float> b0 = global<float>(args.slot[0]);
  const Global<bf16> b1 = global<bf16>(args.slot[1]);
  const Global<bf16> b2 = global<bf16>(args.slot[2]);
  const Global<bf16> b3 = global<bf16>(args.slot[3]);
  const Global<bf16> b4 = global<bf16>(args.slot[4]);
  let_next_start();
  const Range share = share_of(256, static_cast<i32>(block), static_cast<i32>(args.blocks));
  {
    const Range items = items_in(share, 0, 2, 128);
    prefetch_columns(b2, items.first, items.last - items.first, 64);
    prefetch_columns(b3, items.first, items.last - items.first, 64);
  }
  wait_for_inputs();
  const Shared<float> sums = shared_at<float>(144, 512);
  const Shared<bf16> x = shared_at<bf16>(2192, 64);
  {
    const i64 m0 = 0LL;
    float partial0 = Sum::identity();
    for (i64 c1 = thread_index() * 8; c1 < 64LL; c1 += thread_count() * 8) {
      const i64 at2 = 64LL * m0;
      const Piece<8> r0_3 = load_piece<float, 8>(b0, at2 + c1);
      const Piece<8> r1_4 = mul_of(r0_3, r0_3);
      partial0 = Sum::join(partial0, join_piece<Sum>(r1_4));
    }
    const float r2_5 = reduce_block<Sum>(partial0, shared_at<float>(0, 32));
    const float r3_6 = 0.015625f;
    const float r4_7 = mul_of(r2_5, r3_6);
    const float r5_8 = 9.999999974752427e-7f;
    const float r6_9 = add_of(r4_7, r5_8);
    const float r7_10 = rsqrt_of(r6_9);
    for (i64 c11 = thread_index() * 8; c11 < 64; c11 += thread_count() * 8) {
      const i64 at12 = 64LL * m0;
      const Piece<8> r0_13 = load_piece<float, 8>(b0, at12 + c11);
      const Piece<8> r8_14 = mul_of(r0_13, r7_10);
      const i64 at15 = 0LL;
      const Piece<8> r9_16 = load_piece<bf16, 8>(b1, at15 + c11);
      const Piece<8> r10_17 = mul_of(r8_14, r9_16);
      const Piece<8> r11_18 = round_of<bf16>(r10_17);
      store_piece<bf16, 8>(x, static_cast<i32>(c11), r11_18);
    }
  }
  sync_block();
  {
    const Range items = items_in(share, 0, 2, 128);
    for (i32 begin = items.first; begin < items.last; begin += 256) {
      const i32 count = items.last - begin < 256 ? items.last - begin : 256;
      column_sums<Global<bf16>, bf16, 1, 8, 1, 256>(sums, 0, b2, begin, count, x, 64, 64);
      column_sums<Global<bf16>, bf16, 1, 8, 1, 256>(sums, 256, b3, begin, count, x, 64, 64);
      sync_block();
      for (i32 at = thread_index(); at < count * 1; at += thread_count()) {
        const i32 row = 0;
        const i32 local = at;
        const i32 item = begin + local;
        const i64 m0 = row;
        const Piece<1> r0_19 = Piece<1>{{whole_sum<1, 256>(sums, 0, row, local)}};
        const Piece<1> r2_20 = sigmoid_of(r0_19);
        const Piece<1> r3_21 = mul_of(r0_19, r2_20);
        const Piece<1> r1_22 = Piece<1>{{whole_sum<1, 256>(sums, 256, row, local)}};
        const Piece<1> r4_23 = mul_of(r3_21, r1_22);
        const Piece<1> r5_24 = round_of<bf16>(r4_23);
        const i64 at25 = 128LL * m0;
        store_piece<bf16, 1>(b4, at25 + item, r5_24);
      }
      sync_block();
    }
  }
}
WEFT_KERNEL(k13_rms_norm_matmul_silu_matmul_mul_2, 256, 2, 5)

// matmul_add_4
// of model.layers.*.mlp.down_proj, model.layers.*
// axes: rows seq 1, columns hidden 64, contracted intermediate 128
// one kernel: what follows is done to the sums while they are at hand
// b0 read bf16, b1 read bf16, b2 read f32, b3 write f32
// 1 row: the weights are streamed
DEVICE i64 k14_matmul_add_4_blocks([[maybe_unused]] const Args<4>& args) {
  return args.blocks;
}
DEVICE void k14_matmul_add_4_body(const Args<4>& args, [[maybe_unused]] i64 block) {
  const Global<bf16> b0 = global<bf16>(args.slot[0]);
  const Global<bf16> b1 = global<bf16>(args.slot[1]);
  const Global<float> b2 = global<float>(args.slot[2]);
  const Global<float> b3 = global<float>(args.slot[3]);
  let_next_start();
  const Range share = share_of(64, static_cast<i32>(block), static_cast<i32>(args.blocks));
  {
    const Range items = items_in(share, 0, 1, 64);
    prefetch_columns(b1, items.first, items.last - items.first, 128);
  }
  wait_for_inputs();
  const Shared<float> sums = shared_at<float>(144, 256);
  const Shared<bf16> x = shared_at<bf16>(1168, 128);
  {
    const i64 m0 = 0LL;
    for (i64 c0 = thread_index() * 8; c0 < 128; c0 += thread_count() * 8) {
      const i64 at1 = 128LL * m0;
      const Piece<8> r0_2 = load_piece<bf16, 8>(b0, at1 + c0);
      store_piece<bf16, 8>(x, static_cast<i32>(c0), r0_2);
    }
  }
  sync_block();
  {
    const Range items = items_in(share, 0, 1, 64);
    for (i32 begin = items.first; begin < items.last; begin += 256) {
      const i32 count = items.last - begin < 256 ? items.last - begin : 256;
      column_sums<Global<bf16>, bf16, 1, 8, 1, 256>(sums, 0, b1, begin, count, x, 128, 128);
      sync_block();
      for (i32 at = thread_index(); at < count * 1; at += thread_count()) {
        const i32 row = 0;
        const i32 local = at;
        const i32 item = begin + local;
        const i64 m0 = row;
        const i64 at3 = 64LL * m0;
        const Piece<1> r1_4 = load_piece<float, 1>(b2, at3 + item);
        const Piece<1> r0_5 = Piece<1>{{whole_sum<1, 256>(sums, 0, row, local)}};
        const Piece<1> r2_6 = add_of(r1_4, r0_5);
        store_piece<float, 1>(b3, at3 + item, r2_6);
      }
      sync_block();
    }
  }
}
WEFT_KERNEL(k14_matmul_add_4, 256, 2, 4)

// rms_norm_matmul
// of model.norm, lm_head
// axes: rows seq 1, columns vocab 320, contracted hidden 64
// one kernel: the rows are computed where the products read them
// b0 read f32, b1 read bf16, b2 read bf16, b3 write f32
// 1 row: the weights are streamed
DEVICE i64 k15_rms_norm_matmul_blocks([[maybe_unused]] const Args<4>& args) {
  return args.blocks;
}
DEVICE void k15_rms_norm_matmul_body(const Args<4>& args, [[maybe_unused]] i64 block) {
  const Global<float> b0 = global<float>(args.slot[0]);
  const Global<bf16> b1 = global<bf16>(args.slot[1]);
  const Global<bf16> b2 = global<bf16>(args.slot[2]);
  const Global<float> b3 = global<float>(args.slot[3]);
  let_next_start();
  const Range share = share_of(320, static_cast<i32>(block), static_cast<i32>(args.blocks));
  {
    const Range items = items_in(share, 0, 1, 320);
    prefetch_columns(b2, items.first, items.last - items.first, 64);
  }
  wait_for_inputs();
  const Shared<float> sums = shared_at<float>(144, 256);
  const Shared<bf16> x = shared_at<bf16>(1168, 64);
  {
    const i64 m0 = 0LL;
    float partial0 = Sum::identity();
    for (i64 c1 = thread_index() * 8; c1 < 64LL; c1 += thread_count() * 8) {
      const i64 at2 = 64LL * m0;
      const Piece<8> r0_3 = load_piece<float, 8>(b0, at2 + c1);
      const Piece<8> r1_4 = mul_of(r0_3, r0_3);
      partial0 = Sum::join(partial0, join_piece<Sum>(r1_4));
    }
    const float r2_5 = reduce_block<Sum>(partial0, shared_at<float>(0, 32));
    const float r3_6 = 0.015625f;
    const float r4_7 = mul_of(r2_5, r3_6);
    const float r5_8 = 9.999999974752427e-7f;
    const float r6_9 = add_of(r4_7, r5_8);
    const float r7_10 = rsqrt_of(r6_9);
    for (i64 c11 = thread_index() * 8; c11 < 64; c11 += thread_count() * 8) {
      const i64 at12 = 64LL * m0;
      const Piece<8> r0_13 = load_piece<float, 8>(b0, at12 + c11);
      const Piece<8> r8_14 = mul_of(r0_13, r7_10);
      const i64 at15 = 0LL;
      const Piece<8> r9_16 = load_piece<bf16, 8>(b1, at15 + c11);
      const Piece<8> r10_17 = mul_of(r8_14, r9_16);
      const Piece<8> r11_18 = round_of<bf16>(r10_17);
      store_piece<bf16, 8>(x, static_cast<i32>(c11), r11_18);
    }
  }
  sync_block();
  {
    const Range items = items_in(share, 0, 1, 320);
    for (i32 begin = items.first; begin < items.last; begin += 256) {
      const i32 count = items.last - begin < 256 ? items.last - begin : 256;
      column_sums<Global<bf16>, bf16, 1, 8, 1, 256>(sums, 0, b2, begin, count, x, 64, 64);
      sync_block();
      for (i32 at = thread_index(); at < count * 1; at += thread_count()) {
        const i32 row = 0;
        const i32 local = at;
        const i32 item = begin + local;
        const i64 m0 = row;
        const Piece<1> r0_19 = Piece<1>{{whole_sum<1, 256>(sums, 0, row, local)}};
        const i64 at20 = 320LL * m0;
        store_piece<float, 1>(b3, at20 + item, r0_19);
      }
      sync_block();
    }
  }
}
WEFT_KERNEL(k15_rms_norm_matmul, 256, 2, 4)

// top_k
// of lm_head
// axes: rows seq 1, 32 of 320
// b0 read f32, b1 write f32
// the 32 largest of 320, 1 block a row
DEVICE i64 k16_top_k_blocks([[maybe_unused]] const Args<2>& args) {
  return 1LL * 1LL;
}
DEVICE void k16_top_k_body(const Args<2>& args, [[maybe_unused]] i64 block) {
  const Global<float> b0 = global<float>(args.slot[0]);
  const Global<float> b1 = global<float>(args.slot[1]);
  let_next_start();
  wait_for_inputs();
  const i64 row = block / 1;
  const i64 i0 = row;
  select_top<32, 1, 8>(b0, 0LL + 320LL * i0, 1LL, 320, b1, 0LL + 64LL * i0, static_cast<i32>(block % 1), global<u64>(args.scratch), global<u32>(args.tickets), row);
}
WEFT_KERNEL(k16_top_k, 256, 1, 2)

// reduce_max_sub_mul_less_exp_select_reduce_sum
// of lm_head
// axes: one row, along candidate 32
// one kernel: its operations go over the same rows, and nothing between them is stored
// b0 write f32, b1 read f32, b2 read f32, b3 write f32, b4 write f32
DEVICE i64 k17_reduce_max_sub_mul_less_exp_select_reduce_sum_blocks([[maybe_unused]] const Args<5>& args) {
  return ((1LL + 3) / 4);
}
DEVICE void k17_reduce_max_sub_mul_less_exp_select_reduce_sum_body(const Args<5>& args, [[maybe_unused]] i64 block) {
  const Global<float> b0 = global<float>(args.slot[0]);
  const Global<float> b1 = global<float>(args.slot[1]);
  const Global<float> b2 = global<float>(args.slot[2]);
  const Global<float> b3 = global<float>(args.slot[3]);
  const Global<float> b4 = global<float>(args.slot[4]);
  let_next_start();
  wait_for_inputs();
  const i64 row = block * 4 + warp_index();
  if (row < 1LL) {
    float partial0 = Max::identity();
    for (i64 c1 = lane_index() * 8; c1 < 32LL; c1 += 32 * 8) {
      const i64 at2 = 0LL;
      const Piece<8> r2_3 = load_strided<float, 8>(b1, at2 + 2LL * (c1), 2LL);
      partial0 = Max::join(partial0, join_piece<Max>(r2_3));
    }
    const float r3_4 = reduce_warp<Max>(partial0);
    const i64 at5 = 0LL;
    const float r5_6 = widen(load(b2, at5));
    const i64 at7 = 1LL;
    const float r7_8 = widen(load(b2, at7));
    const float r10_9 = 0.0f;
    float partial10 = Sum::identity();
    for (i64 c11 = lane_index() * 8; c11 < 32LL; c11 += 32 * 8) {
      const Piece<8> r0_12 = counting<8>(c11 + 0LL);
      const Piece<8> r8_13 = less_of(r0_12, r7_8);
      const Piece<8> r2_14 = load_strided<float, 8>(b1, at5 + 2LL * (c11), 2LL);
      const Piece<8> r4_15 = sub_of(r2_14, r3_4);
      const Piece<8> r6_16 = mul_of(r4_15, r5_6);
      const Piece<8> r9_17 = exp_of(r6_16);
      const Piece<8> r11_18 = select_of<8>(r8_13, r9_17, r10_9);
      partial10 = Sum::join(partial10, join_piece<Sum>(r11_18));
    }
    const float r13_19 = reduce_warp<Sum>(partial10);
    const i64 at20 = 2LL;
    const float r14_21 = widen(load(b2, at20));
    const float r15_22 = mul_of(r13_19, r14_21);
    sync_warp();
    if (lane_index() == 0) {
      store(b4, at5, Narrow<float>::of(r15_22));
    }
    for (i64 c23 = lane_index() * 8; c23 < 32LL; c23 += 32 * 8) {
      const Piece<8> r0_24 = counting<8>(c23 + 0LL);
      const Piece<8> r8_25 = less_of(r0_24, r7_8);
      const Piece<8> r2_26 = load_strided<float, 8>(b1, at5 + 2LL * (c23), 2LL);
      const Piece<8> r4_27 = sub_of(r2_26, r3_4);
      const Piece<8> r6_28 = mul_of(r4_27, r5_6);
      const Piece<8> r9_29 = exp_of(r6_28);
      const Piece<8> r11_30 = select_of<8>(r8_25, r9_29, r10_9);
      store_piece<float, 8>(b0, at5 + c23, r0_24);
      store_piece<float, 8>(b3, at5 + c23, r11_30);
    }
  }
}
WEFT_KERNEL(k17_reduce_max_sub_mul_less_exp_select_reduce_sum, 128, 1, 5)

// less_equal_select_reduce_sum_less
// of lm_head
// axes: rows candidate 32, along other_candidate 32
// one kernel: its operations go over the same rows, and nothing between them is stored
// b0 read f32, b1 read f32, b2 read f32, b3 read f32, b4 write f32
DEVICE i64 k18_less_equal_select_reduce_sum_less_blocks([[maybe_unused]] const Args<5>& args) {
  return ((32LL + 3) / 4);
}
DEVICE void k18_less_equal_select_reduce_sum_less_body(const Args<5>& args, [[maybe_unused]] i64 block) {
  const Global<float> b0 = global<float>(args.slot[0]);
  const Global<float> b1 = global<float>(args.slot[1]);
  const Global<float> b2 = global<float>(args.slot[2]);
  const Global<float> b3 = global<float>(args.slot[3]);
  const Global<float> b4 = global<float>(args.slot[4]);
  let_next_start();
  wait_for_inputs();
  const i64 row = block * 4 + warp_index();
  if (row < 32LL) {
    const i64 i0 = row;
    const i64 at0 = i0;
    const float r0_1 = widen(load(b0, at0));
    const float r3_2 = 0.0f;
    float partial3 = Sum::identity();
    for (i64 c4 = lane_index() * 8; c4 < 32LL; c4 += 32 * 8) {
      const i64 at5 = 0LL;
      const Piece<8> r1_6 = load_piece<float, 8>(b0, at5 + c4);
      const Piece<8> r2_7 = less_equal_of(r0_1, r1_6);
      const Piece<8> r4_8 = load_piece<float, 8>(b1, at5 + c4);
      const Piece<8> r5_9 = select_of<8>(r2_7, r3_2, r4_8);
      partial3 = Sum::join(partial3, join_piece<Sum>(r5_9));
    }
    const float r6_10 = reduce_warp<Sum>(partial3);
    const i64 at11 = 0LL;
    const float r7_12 = widen(load(b2, at11));
    const float r8_13 = less_of(r6_10, r7_12);
    const float r9_14 = 1.0f;
    const float r10_15 = less_of(r0_1, r9_14);
    const float r11_16 = widen(load(b1, at0));
    const float r12_17 = select_of(r8_13, r11_16, r3_2);
    const float r13_18 = select_of(r10_15, r11_16, r12_17);
    const i64 at19 = 3LL;
    const float r14_20 = widen(load(b3, at19));
    const float r15_21 = less_equal_of(r14_20, r11_16);
    const float r16_22 = select_of(r15_21, r13_18, r3_2);
    sync_warp();
    if (lane_index() == 0) {
      store(b4, at0, Narrow<float>::of(r16_22));
    }
  }
}
WEFT_KERNEL(k18_less_equal_select_reduce_sum_less, 128, 1, 5)

// less_select_reduce_sum
// of lm_head
// axes: rows seq 1 x candidate 32, along other_candidate 32
// one kernel: its operations go over the same rows, and nothing between them is stored
// b0 read f32, b1 read f32, b2 write f32
DEVICE i64 k19_less_select_reduce_sum_blocks([[maybe_unused]] const Args<3>& args) {
  return ((32LL + 3) / 4);
}
DEVICE void k19_less_select_reduce_sum_body(const Args<3>& args, [[maybe_unused]] i64 block) {
  const Global<float> b0 = global<float>(args.slot[0]);
  const Global<float> b1 = global<float>(args.slot[1]);
  const Global<float> b2 = global<float>(args.slot[2]);
  let_next_start();
  wait_for_inputs();
  const i64 row = block * 4 + warp_index();
  if (row < 32LL) {
    const i64 i1 = row % 32LL;
    const i64 rest0 = row / 32LL;
    const i64 i0 = rest0;
    const i64 at1 = 64LL * i0 + 2LL * i1 + 1LL;
    const float r0_2 = widen(load(b0, at1));
    const float r3_3 = 0.0f;
    float partial4 = Sum::identity();
    for (i64 c5 = lane_index(); c5 < 32LL; c5 += 32) {
      const i64 at6 = 64LL * i0 + 1LL;
      const Piece<1> r1_7 = load_strided<float, 1>(b0, at6 + 2LL * (c5), 2LL);
      const Piece<1> r2_8 = less_of(r0_2, r1_7);
      const i64 at9 = i0;
      const Piece<1> r4_10 = load_piece<float, 1>(b1, at9 + c5);
      const Piece<1> r5_11 = select_of<1>(r2_8, r3_3, r4_10);
      partial4 = Sum::join(partial4, join_piece<Sum>(r5_11));
    }
    const float r6_12 = reduce_warp<Sum>(partial4);
    sync_warp();
    if (lane_index() == 0) {
      const i64 at13 = 32LL * i0 + i1;
      store(b2, at13, Narrow<float>::of(r6_12));
    }
  }
}
WEFT_KERNEL(k19_less_select_reduce_sum, 128, 1, 3)

// reduce_sum_mul_less_select_neg_reduce_max
// of lm_head
// axes: rows seq 1, along candidate 32
// one kernel: its operations go over the same rows, and nothing between them is stored
// b0 read f32, b1 read f32, b2 read f32, b3 read f32, b4 write i32
DEVICE i64 k20_reduce_sum_mul_less_select_neg_reduce_max_blocks([[maybe_unused]] const Args<5>& args) {
  return ((1LL + 3) / 4);
}
DEVICE void k20_reduce_sum_mul_less_select_neg_reduce_max_body(const Args<5>& args, [[maybe_unused]] i64 block) {
  const Global<float> b0 = global<float>(args.slot[0]);
  const Global<float> b1 = global<float>(args.slot[1]);
  const Global<float> b2 = global<float>(args.slot[2]);
  const Global<float> b3 = global<float>(args.slot[3]);
  const Global<i32> b4 = global<i32>(args.slot[4]);
  let_next_start();
  wait_for_inputs();
  const i64 row = block * 4 + warp_index();
  if (row < 1LL) {
    const i64 i0 = row;
    float partial0 = Sum::identity();
    for (i64 c1 = lane_index(); c1 < 32LL; c1 += 32) {
      const i64 at2 = i0;
      const Piece<1> r0_3 = load_piece<float, 1>(b0, at2 + c1);
      partial0 = Sum::join(partial0, join_piece<Sum>(r0_3));
    }
    const float r1_4 = reduce_warp<Sum>(partial0);
    const i64 at5 = i0 + 4LL;
    const float r2_6 = widen(load(b1, at5));
    const float r3_7 = mul_of(r1_4, r2_6);
    const float r6_8 = 0.0f;
    const float r9_9 = 16777216.0f;
    float partial10 = Max::identity();
    for (i64 c11 = lane_index(); c11 < 32LL; c11 += 32) {
      const i64 at12 = i0;
      const Piece<1> r0_13 = load_piece<float, 1>(b0, at12 + c11);
      const Piece<1> r7_14 = less_of(r6_8, r0_13);
      const i64 at15 = 32LL * i0;
      const Piece<1> r4_16 = load_piece<float, 1>(b2, at15 + c11);
      const Piece<1> r5_17 = less_of(r3_7, r4_16);
      const i64 at18 = 64LL * i0 + 1LL;
      const Piece<1> r8_19 = load_strided<float, 1>(b3, at18 + 2LL * (c11), 2LL);
      const Piece<1> r10_20 = select_of<1>(r5_17, r8_19, r9_9);
      const Piece<1> r11_21 = select_of<1>(r7_14, r10_20, r9_9);
      const Piece<1> r12_22 = neg_of(r11_21);
      partial10 = Max::join(partial10, join_piece<Max>(r12_22));
    }
    const float r13_23 = reduce_warp<Max>(partial10);
    const float r14_24 = neg_of(r13_23);
    const float r15_25 = less_of(r14_24, r9_9);
    const i64 at26 = 2LL * i0 + 1LL;
    const float r16_27 = widen(load(b3, at26));
    const float r17_28 = select_of(r15_25, r14_24, r16_27);
    const float r18_29 = round_of<i32>(r17_28);
    sync_warp();
    if (lane_index() == 0) {
      const i64 at30 = i0;
      store(b4, at30, Narrow<i32>::of(r18_29));
    }
  }
}
WEFT_KERNEL(k20_reduce_sum_mul_less_select_neg_reduce_max, 128, 1, 5)

// write
// of lm_head
// axes: one row, along seq 1
// b0 write i32, b1 read i32
DEVICE i64 k21_write_blocks([[maybe_unused]] const Args<2>& args) {
  return ((1LL + 3) / 4);
}
DEVICE void k21_write_body(const Args<2>& args, [[maybe_unused]] i64 block) {
  const Global<i32> b0 = global<i32>(args.slot[0]);
  const Global<i32> b1 = global<i32>(args.slot[1]);
  let_next_start();
  wait_for_inputs();
  const i64 row = block * 4 + warp_index();
  if (row < 1LL) {
    const i64 at0 = 0LL;
    const float r0_1 = widen(load(b1, at0));
    sync_warp();
    if (lane_index() == 0) {
      store(b0, at0, Narrow<i32>::of(r0_1));
    }
  }
}
WEFT_KERNEL(k21_write, 128, 1, 2)

// less_select
// axes: one row, along seq 1
// one kernel: its operations go over the same rows, and nothing between them is stored
// b0 read i32, b1 read i32, b2 write i32
DEVICE i64 k22_less_select_blocks([[maybe_unused]] const Args<3>& args) {
  return ((1LL + 3) / 4);
}
DEVICE void k22_less_select_body(const Args<3>& args, [[maybe_unused]] i64 block) {
  const Global<i32> b0 = global<i32>(args.slot[0]);
  const Global<i32> b1 = global<i32>(args.slot[1]);
  const Global<i32> b2 = global<i32>(args.slot[2]);
  let_next_start();
  wait_for_inputs();
  const i64 row = block * 4 + warp_index();
  if (row < 1LL) {
    const i64 at0 = 0LL;
    const float r0_1 = widen(load(b0, at0));
    const float r1_2 = 0.0f;
    const float r2_3 = less_of(r0_1, r1_2);
    const float r3_4 = widen(load(b1, at0));
    const float r4_5 = select_of(r2_3, r3_4, r0_1);
    sync_warp();
    if (lane_index() == 0) {
      store(b2, at0, Narrow<i32>::of(r4_5));
    }
  }
}
WEFT_KERNEL(k22_less_select, 128, 1, 3)

// embedding_2
// of model.embed_tokens
// axes: rows seq 1, along hidden 64
// b0 read i32, b1 read bf16, b2 write f32
DEVICE i64 k23_embedding_2_blocks([[maybe_unused]] const Args<3>& args) {
  return ((1LL + 3) / 4);
}
DEVICE void k23_embedding_2_body(const Args<3>& args, [[maybe_unused]] i64 block) {
  const Global<i32> b0 = global<i32>(args.slot[0]);
  const Global<bf16> b1 = global<bf16>(args.slot[1]);
  const Global<float> b2 = global<float>(args.slot[2]);
  let_next_start();
  wait_for_inputs();
  const i64 row = block * 4 + warp_index();
  if (row < 1LL) {
    const i64 i0 = row;
    const i64 at0 = i0;
    const float r0_1 = widen(load(b0, at0));
    for (i64 c2 = lane_index() * 8; c2 < 64LL; c2 += 32 * 8) {
      const i64 at3 = 0LL;
      const Piece<8> r1_4 = load_piece<bf16, 8>(b1, at3 + 64LL * checked_index(args, r0_1, 320LL) + c2);
      const i64 at5 = 64LL * i0;
      store_piece<float, 8>(b2, at5 + c2, r1_4);
    }
  }
}
WEFT_KERNEL(k23_embedding_2, 128, 1, 3)

// rope_3
// of model.layers.*
// axes: one row, along headDim 8
// one kernel: its operations go over the same rows, and nothing between them is stored
// b0 write f32, b1 write f32
DEVICE i64 k24_rope_3_blocks([[maybe_unused]] const Args<2>& args) {
  return ((1LL + 3) / 4);
}
DEVICE void k24_rope_3_body(const Args<2>& args, [[maybe_unused]] i64 block) {
  const Global<float> b0 = global<float>(args.slot[0]);
  const Global<float> b1 = global<float>(args.slot[1]);
  const i64 s1 = symbol(args, 1);
  const i64 s2 = symbol(args, 2);
  let_next_start();
  wait_for_inputs();
  const i64 row = block * 4 + warp_index();
  if (row < 1LL) {
    const float r1_0 = 0.125f;
    const float r3_1 = 1000000.0f;
    const float r6_2 = static_cast<float>((s1 + s2));
    for (i64 c3 = lane_index() * 8; c3 < 8LL; c3 += 32 * 8) {
      const Piece<8> r0_4 = counting<8>(c3 + 0LL);
      const Piece<8> r2_5 = mul_of(r0_4, r1_0);
      const Piece<8> r4_6 = pow_of(r3_1, r2_5);
      const Piece<8> r5_7 = reciprocal_of(r4_6);
      const Piece<8> r7_8 = mul_of(r6_2, r5_7);
      const Piece<8> r8_9 = cos_of(r7_8);
      const Piece<8> r10_10 = sin_of(r7_8);
      const i64 at11 = 0LL;
      store_piece<float, 8>(b0, at11 + c3, r8_9);
      store_piece<float, 8>(b1, at11 + c3, r10_10);
    }
  }
}
WEFT_KERNEL(k24_rope_3, 128, 1, 2)

// rms_norm_matmul_rms_norm_rope_matmul_rms_norm_matmul_2
// of model.layers.*.input_layernorm, model.layers.*.self_attn.q_proj, model.layers.*.self_attn.q_norm, model.layers.*, model.layers.*.self_attn.k_proj, model.layers.*.self_attn.k_norm, model.layers.*.self_attn.v_proj
// axes: rows seq 1, columns heads 4 x headDim 16 and kvHeads 2 x headDim 16 and kvHeads 2 x headDim 16, contracted hidden 64
// one kernel: the rows are computed where the products read them; the products read the same rows; what follows is done to the sums while they are at hand
// b0 read f32, b1 read bf16, b2 read bf16, b3 read bf16, b4 read f32, b5 read f32, b6 write f32, b7 read bf16, b8 read bf16, b9 write bf16, b10 read bf16, b11 write bf16
// 1 row: the weights are streamed
DEVICE i64 k25_rms_norm_matmul_rms_norm_rope_matmul_rms_norm_matmul_2_blocks([[maybe_unused]] const Args<12>& args) {
  return args.blocks;
}
DEVICE void k25_rms_norm_matmul_rms_norm_rope_matmul_rms_norm_matmul_2_body(const Args<12>& args, [[maybe_unused]] i64 block) {
  const Global<float> b0 = global<float>(args.slot[0]);
  const Global<bf16> b1 = global<bf16>(args.slot[1]);
  const Global<bf16> b2 = global<bf16>(args.slot[2]);
  const Global<bf16> b3 = global<bf16>(args.slot[3]);
  const Global<float> b4 = global<float>(args.slot[4]);
  const Global<float> b5 = global<float>(args.slot[5]);
  const Global<float> b6 = global<float>(args.slot[6]);
  const Global<bf16> b7 = global<bf16>(args.slot[7]);
  const Global<bf16> b8 = global<bf16>(args.slot[8]);
  const Global<bf16> b9 = global<bf16>(args.slot[9]);
  const Global<bf16> b10 = global<bf16>(args.slot[10]);
  const Global<bf16> b11 = global<bf16>(args.slot[11]);
  const i64 s1 = symbol(args, 1);
  let_next_start();
  const Range share = share_of(128, static_cast<i32>(block), static_cast<i32>(args.blocks));
  {
    const Range items = items_in(share, 0, 1, 64);
    prefetch_columns(b2, items.first, items.last - items.first, 64);
  }
  {
    const Range items = items_in(share, 64, 1, 32);
    prefetch_columns(b7, items.first, items.last - items.first, 64);
  }
  {
    const Range items = items_in(share, 96, 1, 32);
    prefetch_columns(b10, items.first, items.last - items.first, 64);
  }
  wait_for_inputs();
  const Shared<float> sums = shared_at<float>(144, 256);
  const Shared<bf16> x = shared_at<bf16>(1168, 64);
  {
    const i64 m0 = 0LL;
    float partial0 = Sum::identity();
    for (i64 c1 = thread_index() * 8; c1 < 64LL; c1 += thread_count() * 8) {
      const i64 at2 = 64LL * m0;
      const Piece<8> r0_3 = load_piece<float, 8>(b0, at2 + c1);
      const Piece<8> r1_4 = mul_of(r0_3, r0_3);
      partial0 = Sum::join(partial0, join_piece<Sum>(r1_4));
    }
    const float r2_5 = reduce_block<Sum>(partial0, shared_at<float>(0, 32));
    const float r3_6 = 0.015625f;
    const float r4_7 = mul_of(r2_5, r3_6);
    const float r5_8 = 9.999999974752427e-7f;
    const float r6_9 = add_of(r4_7, r5_8);
    const float r7_10 = rsqrt_of(r6_9);
    for (i64 c11 = thread_index() * 8; c11 < 64; c11 += thread_count() * 8) {
      const i64 at12 = 64LL * m0;
      const Piece<8> r0_13 = load_piece<float, 8>(b0, at12 + c11);
      const Piece<8> r8_14 = mul_of(r0_13, r7_10);
      const i64 at15 = 0LL;
      const Piece<8> r9_16 = load_piece<bf16, 8>(b1, at15 + c11);
      const Piece<8> r10_17 = mul_of(r8_14, r9_16);
      const Piece<8> r11_18 = round_of<bf16>(r10_17);
      store_piece<bf16, 8>(x, static_cast<i32>(c11), r11_18);
    }
  }
  sync_block();
  const Global<float> unfinished = global<float>(args.scratch);
  {
    const Range items = items_in(share, 0, 1, 64);
    for (i32 begin = items.first; begin < items.last; begin += 256) {
      const i32 count = items.last - begin < 256 ? items.last - begin : 256;
      column_sums<Global<bf16>, bf16, 1, 8, 1, 256>(sums, 0, b2, begin, count, x, 64, 64);
      sync_block();
      for (i32 at = thread_index(); at < count * 1; at += thread_count()) {
        const i32 row = 0;
        const i32 local = at;
        const i32 item = begin + local;
        store(unfinished, 0 + row * 64LL + item, whole_sum<1, 256>(sums, 0, row, local));
      }
      sync_block();
    }
  }
  {
    const Range items = items_in(share, 64, 1, 32);
    for (i32 begin = items.first; begin < items.last; begin += 256) {
      const i32 count = items.last - begin < 256 ? items.last - begin : 256;
      column_sums<Global<bf16>, bf16, 1, 8, 1, 256>(sums, 0, b7, begin, count, x, 64, 64);
      sync_block();
      for (i32 at = thread_index(); at < count * 1; at += thread_count()) {
        const i32 row = 0;
        const i32 local = at;
        const i32 item = begin + local;
        store(unfinished, 64 + row * 32LL + item, whole_sum<1, 256>(sums, 0, row, local));
      }
      sync_block();
    }
  }
  {
    const Range items = items_in(share, 96, 1, 32);
    for (i32 begin = items.first; begin < items.last; begin += 256) {
      const i32 count = items.last - begin < 256 ? items.last - begin : 256;
      column_sums<Global<bf16>, bf16, 1, 8, 1, 256>(sums, 0, b10, begin, count, x, 64, 64);
      sync_block();
      for (i32 at = thread_index(); at < count * 1; at += thread_count()) {
        const i32 row = 0;
        const i32 local = at;
        const i32 item = begin + local;
        const i64 m0 = row;
        const i64 column = item % 16;
        const i64 m1 = (item / 16);
        const Piece<1> r0_19 = Piece<1>{{whole_sum<1, 256>(sums, 0, row, local)}};
        const i64 at20 = 16LL * m0 + 2048LL * m1 + 16LL * s1;
        store_piece<bf16, 1>(b11, at20 + column, r0_19);
      }
      sync_block();
    }
  }
  const Global<u32> tickets = global<u32>(args.tickets);
  const Shared<u32> flag = shared_at<u32>(128, 1);
  {
    const Range items = items_in(share, 0, 1, 64);
    for (i32 unit = items.first / 16; unit * 16 < items.last; ++unit) {
      const Range own = {items.first > unit * 16 ? items.first : unit * 16, clamped(items.last, (unit + 1) * 16)};
      if (own.first >= own.last) continue;
      if (!arrive_last(tickets, 0 + unit, static_cast<u32>(own.last - own.first), 16, flag)) continue;
      for (i32 row = warp_index(); row < 1; row += thread_count() / 32) {
        const i64 m0 = row;
        const i64 m1 = unit;
        float partial21 = Sum::identity();
        for (i64 c22 = lane_index() * 4; c22 < 16LL; c22 += 32 * 4) {
          const Piece<4> r0_23 = load_piece_fresh<4>(unfinished, 0 + row * 64LL + unit * 16 + c22);
          const Piece<4> r1_24 = mul_of(r0_23, r0_23);
          partial21 = Sum::join(partial21, join_piece<Sum>(r1_24));
        }
        const float r2_25 = reduce_warp<Sum>(partial21);
        const float r3_26 = 0.0625f;
        const float r4_27 = mul_of(r2_25, r3_26);
        const float r5_28 = 9.999999974752427e-7f;
        const float r6_29 = add_of(r4_27, r5_28);
        const float r7_30 = rsqrt_of(r6_29);
        for (i64 c31 = lane_index() * 4; c31 < 16LL; c31 += 32 * 4) {
          Piece<4> r21_32;
          if (c31 < 8) {
            const Piece<4> r0_33 = load_piece_fresh<4>(unfinished, 0 + row * 64LL + unit * 16 + c31);
            const Piece<4> r8_34 = mul_of(r0_33, r7_30);
            const i64 at35 = 0LL;
            const Piece<4> r9_36 = load_piece<bf16, 4>(b3, at35 + c31);
            const Piece<4> r10_37 = mul_of(r8_34, r9_36);
            const i64 at38 = 8LL * m0;
            const Piece<4> r13_39 = load_piece<float, 4>(b4, at38 + c31);
            const Piece<4> r14_40 = mul_of(r10_37, r13_39);
            const Piece<4> r0_41 = load_piece_fresh<4>(unfinished, 0 + row * 64LL + unit * 16 + (c31 + 8));
            const Piece<4> r8_42 = mul_of(r0_41, r7_30);
            const Piece<4> r9_43 = load_piece<bf16, 4>(b3, at35 + (c31 + 8));
            const Piece<4> r10_44 = mul_of(r8_42, r9_43);
            const Piece<4> r15_45 = load_piece<float, 4>(b5, at38 + c31);
            const Piece<4> r16_46 = mul_of(r10_44, r15_45);
            const Piece<4> r17_47 = sub_of(r14_40, r16_46);
            r21_32 = r17_47;
          }
          else {
            const Piece<4> r0_48 = load_piece_fresh<4>(unfinished, 0 + row * 64LL + unit * 16 + ((c31 - 8) + 8));
            const Piece<4> r8_49 = mul_of(r0_48, r7_30);
            const i64 at50 = 0LL;
            const Piece<4> r9_51 = load_piece<bf16, 4>(b3, at50 + ((c31 - 8) + 8));
            const Piece<4> r10_52 = mul_of(r8_49, r9_51);
            const i64 at53 = 8LL * m0;
            const Piece<4> r13_54 = load_piece<float, 4>(b4, at53 + (c31 - 8));
            const Piece<4> r18_55 = mul_of(r10_52, r13_54);
            const Piece<4> r0_56 = load_piece_fresh<4>(unfinished, 0 + row * 64LL + unit * 16 + (c31 - 8));
            const Piece<4> r8_57 = mul_of(r0_56, r7_30);
            const Piece<4> r9_58 = load_piece<bf16, 4>(b3, at50 + (c31 - 8));
            const Piece<4> r10_59 = mul_of(r8_57, r9_58);
            const Piece<4> r15_60 = load_piece<float, 4>(b5, at53 + (c31 - 8));
            const Piece<4> r19_61 = mul_of(r10_59, r15_60);
            const Piece<4> r20_62 = add_of(r18_55, r19_61);
            r21_32 = r20_62;
          }
          const i64 at63 = 64LL * m0 + 16LL * m1;
          store_piece<float, 4>(b6, at63 + c31, r21_32);
        }
      }
    }
  }
  {
    const Range items = items_in(share, 64, 1, 32);
    for (i32 unit = items.first / 16; unit * 16 < items.last; ++unit) {
      const Range own = {items.first > unit * 16 ? items.first : unit * 16, clamped(items.last, (unit + 1) * 16)};
      if (own.first >= own.last) continue;
      if (!arrive_last(tickets, 4 + unit, static_cast<u32>(own.last - own.first), 16, flag)) continue;
      for (i32 row = warp_index(); row < 1; row += thread_count() / 32) {
        const i64 m0 = row;
        const i64 m1 = unit;
        float partial64 = Sum::identity();
        for (i64 c65 = lane_index() * 4; c65 < 16LL; c65 += 32 * 4) {
          const Piece<4> r0_66 = load_piece_fresh<4>(unfinished, 64 + row * 32LL + unit * 16 + c65);
          const Piece<4> r1_67 = mul_of(r0_66, r0_66);
          partial64 = Sum::join(partial64, join_piece<Sum>(r1_67));
        }
        const float r2_68 = reduce_warp<Sum>(partial64);
        const float r3_69 = 0.0625f;
        const float r4_70 = mul_of(r2_68, r3_69);
        const float r5_71 = 9.999999974752427e-7f;
        const float r6_72 = add_of(r4_70, r5_71);
        const float r7_73 = rsqrt_of(r6_72);
        for (i64 c74 = lane_index() * 4; c74 < 16LL; c74 += 32 * 4) {
          Piece<4> r21_75;
          if (c74 < 8) {
            const Piece<4> r0_76 = load_piece_fresh<4>(unfinished, 64 + row * 32LL + unit * 16 + c74);
            const Piece<4> r8_77 = mul_of(r0_76, r7_73);
            const i64 at78 = 0LL;
            const Piece<4> r9_79 = load_piece<bf16, 4>(b8, at78 + c74);
            const Piece<4> r10_80 = mul_of(r8_77, r9_79);
            const i64 at81 = 8LL * m0;
            const Piece<4> r13_82 = load_piece<float, 4>(b4, at81 + c74);
            const Piece<4> r14_83 = mul_of(r10_80, r13_82);
            const Piece<4> r0_84 = load_piece_fresh<4>(unfinished, 64 + row * 32LL + unit * 16 + (c74 + 8));
            const Piece<4> r8_85 = mul_of(r0_84, r7_73);
            const Piece<4> r9_86 = load_piece<bf16, 4>(b8, at78 + (c74 + 8));
            const Piece<4> r10_87 = mul_of(r8_85, r9_86);
            const Piece<4> r15_88 = load_piece<float, 4>(b5, at81 + c74);
            const Piece<4> r16_89 = mul_of(r10_87, r15_88);
            const Piece<4> r17_90 = sub_of(r14_83, r16_89);
            r21_75 = r17_90;
          }
          else {
            const Piece<4> r0_91 = load_piece_fresh<4>(unfinished, 64 + row * 32LL + unit * 16 + ((c74 - 8) + 8));
            const Piece<4> r8_92 = mul_of(r0_91, r7_73);
            const i64 at93 = 0LL;
            const Piece<4> r9_94 = load_piece<bf16, 4>(b8, at93 + ((c74 - 8) + 8));
            const Piece<4> r10_95 = mul_of(r8_92, r9_94);
            const i64 at96 = 8LL * m0;
            const Piece<4> r13_97 = load_piece<float, 4>(b4, at96 + (c74 - 8));
            const Piece<4> r18_98 = mul_of(r10_95, r13_97);
            const Piece<4> r0_99 = load_piece_fresh<4>(unfinished, 64 + row * 32LL + unit * 16 + (c74 - 8));
            const Piece<4> r8_100 = mul_of(r0_99, r7_73);
            const Piece<4> r9_101 = load_piece<bf16, 4>(b8, at93 + (c74 - 8));
            const Piece<4> r10_102 = mul_of(r8_100, r9_101);
            const Piece<4> r15_103 = load_piece<float, 4>(b5, at96 + (c74 - 8));
            const Piece<4> r19_104 = mul_of(r10_102, r15_103);
            const Piece<4> r20_105 = add_of(r18_98, r19_104);
            r21_75 = r20_105;
          }
          const i64 at106 = 16LL * m0 + 2048LL * m1 + 16LL * s1;
          store_piece<bf16, 4>(b9, at106 + c74, r21_75);
        }
      }
    }
  }
}
WEFT_KERNEL(k25_rms_norm_matmul_rms_norm_rope_matmul_rms_norm_matmul_2, 256, 2, 12)

// attend_3
// of model.layers.*
// axes: queries 1, keys $keys
// one kernel: scores are weighed as they come, and never stored
// b0 read f32, b1 read bf16, b2 read bf16, b3 write f32
// 4 heads on 2 of 16; 2 heads a block, up to 32 blocks share the keys
DEVICE i64 k26_attend_3_blocks([[maybe_unused]] const Args<4>& args) {
  return 1LL * 64LL;
}
DEVICE void k26_attend_3_body(const Args<4>& args, [[maybe_unused]] i64 block) {
  const Global<float> b0 = global<float>(args.slot[0]);
  const Global<bf16> b1 = global<bf16>(args.slot[1]);
  const Global<bf16> b2 = global<bf16>(args.slot[2]);
  const Global<float> b3 = global<float>(args.slot[3]);
  const i64 s1 = symbol(args, 1);
  const i64 s3 = symbol(args, 3);
  let_next_start();
  wait_for_inputs();
  const i32 split = static_cast<i32>(block % 32);
  const i32 head_group = static_cast<i32>((block / 32) % 2);
  const i64 query = block / 64;
  const i64 sight = query + s1 + 1;
  const i32 seen = static_cast<i32>(sight < s3 ? sight : s3);
  const i32 splits = clamped((seen + 31) / 32 - 1, 31) + 1;
  if (split >= splits) return;
  const HeadsPlace query_place = {0LL, 64, 16};
  const HeadsPlace key_place = {0LL, 16, 2048};
  const HeadsPlace value_place = {0LL, 16, 2048};
  const HeadsPlace output_place = {0LL, 64, 16};
  attend_split<SplitShape<2, 16, 8, true, 4>, float, bf16, bf16, float>(b0, query_place, b1, key_place, b2, value_place, b3, output_place, query, head_group, head_group / 1, seen, 0.25f, split, splits, part_of(global<float>(args.scratch), (query * 2 + head_group) * 1152), global<u32>(args.tickets), query * 2 + head_group);
}
WEFT_KERNEL(k26_attend_3, 128, 1, 4)

// matmul_add_5
// of model.layers.*.self_attn.o_proj, model.layers.*
// axes: rows seq 1, columns hidden 64, contracted heads*headDim 64
// one kernel: what follows is done to the sums while they are at hand
// b0 read f32, b1 read bf16, b2 read f32, b3 write f32
// 1 row: the weights are streamed
DEVICE i64 k27_matmul_add_5_blocks([[maybe_unused]] const Args<4>& args) {
  return args.blocks;
}
DEVICE void k27_matmul_add_5_body(const Args<4>& args, [[maybe_unused]] i64 block) {
  const Global<float> b0 = global<float>(args.slot[0]);
  const Global<bf16> b1 = global<bf16>(args.slot[1]);
  const Global<float> b2 = global<float>(args.slot[2]);
  const Global<float> b3 = global<float>(args.slot[3]);
  let_next_start();
  const Range share = share_of(64, static_cast<i32>(block), static_cast<i32>(args.blocks));
  {
    const Range items = items_in(share, 0, 1, 64);
    prefetch_columns(b1, items.first, items.last - items.first, 64);
  }
  wait_for_inputs();
  const Shared<float> sums = shared_at<float>(144, 256);
  const Shared<bf16> x = shared_at<bf16>(1168, 64);
  {
    const i64 m0 = 0LL;
    for (i64 c0 = thread_index() * 8; c0 < 64; c0 += thread_count() * 8) {
      const i64 at1 = 64LL * m0;
      const Piece<8> r0_2 = load_piece<float, 8>(b0, at1 + c0);
      const Piece<8> r1_3 = round_of<bf16>(r0_2);
      store_piece<bf16, 8>(x, static_cast<i32>(c0), r1_3);
    }
  }
  sync_block();
  {
    const Range items = items_in(share, 0, 1, 64);
    for (i32 begin = items.first; begin < items.last; begin += 256) {
      const i32 count = items.last - begin < 256 ? items.last - begin : 256;
      column_sums<Global<bf16>, bf16, 1, 8, 1, 256>(sums, 0, b1, begin, count, x, 64, 64);
      sync_block();
      for (i32 at = thread_index(); at < count * 1; at += thread_count()) {
        const i32 row = 0;
        const i32 local = at;
        const i32 item = begin + local;
        const i64 m0 = row;
        const i64 at4 = 64LL * m0;
        const Piece<1> r1_5 = load_piece<float, 1>(b2, at4 + item);
        const Piece<1> r0_6 = Piece<1>{{whole_sum<1, 256>(sums, 0, row, local)}};
        const Piece<1> r2_7 = add_of(r1_5, r0_6);
        store_piece<float, 1>(b3, at4 + item, r2_7);
      }
      sync_block();
    }
  }
}
WEFT_KERNEL(k27_matmul_add_5, 256, 2, 4)
