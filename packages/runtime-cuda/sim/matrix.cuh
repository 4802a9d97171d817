// ldmatrix and mma, by the fragment layouts that the twin of device.cuh documents.
#pragma once

// Every lane reads the row that it gives the place of; all 32 rows are then known to all lanes.
template <typename T>
DEVICE const unsigned char* weft_sim_rows(const char* what, Shared<T> view, i32 index, Here here) {
  static_assert(sizeof(T) == 2, "ldmatrix is for elements of 16 bits");
  const Bytes16 row = weft_sim_load<Bytes16>(view, index, here);
  return weft_sim_table->exchange(weft_sim_thread(), what, &row, sizeof(row), place_of(here));
}

// Element `column` of row `row` of matrix `matrix`.
DEVICE u32 weft_sim_element(const unsigned char* rows, i32 matrix, i32 row, i32 column) {
  u16 value;
  __builtin_memcpy(&value, rows + static_cast<u32>(8 * matrix + row) * weft_sim::exchange_bytes + 2 * column, 2);
  return value;
}

template <typename T>
DEVICE void load_matrix4(u32 (&r)[4], Shared<T> view, i32 index, Here here = Here::current()) {
  const unsigned char* rows = weft_sim_rows("load_matrix4", view, index, here);
  const i32 row = lane_index() / 4, column = 2 * (lane_index() % 4);
  for (i32 j = 0; j < 4; ++j)
    r[j] = weft_sim_element(rows, j, row, column) | (weft_sim_element(rows, j, row, column + 1) << 16);
}
template <typename T>
DEVICE void load_matrix4_transposed(u32 (&r)[4], Shared<T> view, i32 index, Here here = Here::current()) {
  const unsigned char* rows = weft_sim_rows("load_matrix4_transposed", view, index, here);
  const i32 row = lane_index() / 4, column = 2 * (lane_index() % 4);
  for (i32 j = 0; j < 4; ++j)
    r[j] = weft_sim_element(rows, j, column, row) | (weft_sim_element(rows, j, column + 1, row) << 16);
}

DEVICE void mma_16816(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2], Here here = Here::current()) {
  weft_sim_table->mma_16816(weft_sim_thread(), d, a, b, place_of(here));
}
