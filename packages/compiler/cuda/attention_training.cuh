// Attention of a training step, forward and backward: a warp for each query and head, or for each key and head, which goes
// through what it sees in order. Nothing of the size queries x keys is stored, and nothing is added with atomics. The
// plain form: one key at a time, without tensor cores.
#pragma once

// A head's elements, element 32 i + lane in `at[i]`.
template <i32 dim>
struct HeadRow {
  float at[(dim + 31) / 32];
};

template <i32 dim, typename T>
DEVICE HeadRow<dim> load_head(Global<T> view, i64 first) {
  HeadRow<dim> row;
#pragma unroll
  for (i32 i = 0; i < (dim + 31) / 32; ++i) {
    const i32 element = 32 * i + lane_index();
    row.at[i] = element < dim ? widen(load(view, first + element)) : 0.0f;
  }
  return row;
}

template <i32 dim>
DEVICE void store_head(Global<float> view, i64 first, const HeadRow<dim>& row, float factor) {
#pragma unroll
  for (i32 i = 0; i < (dim + 31) / 32; ++i) {
    const i32 element = 32 * i + lane_index();
    if (element < dim) store(view, first + element, row.at[i] * factor);
  }
}

template <i32 dim>
DEVICE HeadRow<dim> zero_head() {
  HeadRow<dim> row;
#pragma unroll
  for (i32 i = 0; i < (dim + 31) / 32; ++i) row.at[i] = 0.0f;
  return row;
}

// Over all lanes; every lane gets the product.
template <i32 dim>
DEVICE float dot_heads(const HeadRow<dim>& a, const HeadRow<dim>& b) {
  float sum = 0.0f;
#pragma unroll
  for (i32 i = 0; i < (dim + 31) / 32; ++i) sum = fmaf(a.at[i], b.at[i], sum);
#pragma unroll
  for (i32 mask = 16; mask > 0; mask >>= 1) sum += shuffle_xor(sum, mask);
  return sum;
}

template <i32 dim>
DEVICE void add_scaled(HeadRow<dim>& sum, float factor, const HeadRow<dim>& row) {
#pragma unroll
  for (i32 i = 0; i < (dim + 31) / 32; ++i) sum.at[i] = fmaf(factor, row.at[i], sum.at[i]);
}

// The keys that a query sees: [first, last).
struct SeenKeys {
  i64 first;
  i64 last;
};

template <typename T>
struct HeadsOf {
  Global<T> view;
  HeadsPlace place;
};

template <i32 dim, typename T>
DEVICE HeadRow<dim> load_head(const HeadsOf<T>& from, i64 position, i32 head) {
  return load_head<dim>(from.view, index_of(from.place, position, head));
}

// What one query's head attends to, by an online softmax. `finish(values, 1 / sum, log of the sum of exponentials)`.
template <i32 dim, typename Q, typename K, typename V, typename Finish>
DEVICE void attend_forward(const HeadsOf<Q>& queries, const HeadsOf<K>& keys, const HeadsOf<V>& values, i64 query, i32 head,
                           i32 group, SeenKeys seen, float scale, Finish finish) {
  const HeadRow<dim> own = load_head<dim>(queries, query, head);
  HeadRow<dim> mixed = zero_head<dim>();
  float largest = float_of(0xff800000u);
  float sum = 0.0f;
  for (i64 key = seen.first; key < seen.last; ++key) {
    const float score = scale * dot_heads<dim>(own, load_head<dim>(keys, key, head / group));
    const float top = max_of(largest, score);
    const float kept = sum == 0.0f ? 0.0f : expf(largest - top);
    const float weight = expf(score - top);
    sum = fmaf(sum, kept, weight);
#pragma unroll
    for (i32 i = 0; i < (dim + 31) / 32; ++i) mixed.at[i] *= kept;
    add_scaled<dim>(mixed, weight, load_head<dim>(values, key, head / group));
    largest = top;
  }
  finish(mixed, sum == 0.0f ? 0.0f : 1.0f / sum, largest + logf(sum));
}

// What the backward direction reads of one query and head.
template <i32 dim>
struct QuerySide {
  HeadRow<dim> query;
  HeadRow<dim> cotangent;
  // Sum of dO O, and the logarithm that forward gave.
  float correction;
  float log_sum;
};

// Weight and slope of the score of a query and a key: P, and dS = P (dO v - sum(dO O)) scale.
template <i32 dim>
DEVICE void weigh_score(const QuerySide<dim>& side, const HeadRow<dim>& key, const HeadRow<dim>& value, float scale,
                        float& weight, float& slope) {
  weight = expf(scale * dot_heads<dim>(side.query, key) - side.log_sum);
  slope = weight * (dot_heads<dim>(side.cotangent, value) - side.correction) * scale;
}

template <i32 dim, typename K, typename V>
DEVICE HeadRow<dim> query_gradient(const QuerySide<dim>& side, const HeadsOf<K>& keys, const HeadsOf<V>& values,
                                   i32 kv_head, SeenKeys seen, float scale) {
  HeadRow<dim> sum = zero_head<dim>();
  for (i64 key = seen.first; key < seen.last; ++key) {
    const HeadRow<dim> own = load_head<dim>(keys, key, kv_head);
    float weight, slope;
    weigh_score<dim>(side, own, load_head<dim>(values, key, kv_head), scale, weight, slope);
    add_scaled<dim>(sum, slope, own);
  }
  return sum;
}

// `side(query, head)` and `seen(query)` give what is known of a query from `first` on.
template <i32 dim, typename K, typename V, typename Side, typename Seen>
DEVICE void key_gradients(const HeadsOf<K>& keys, const HeadsOf<V>& values, i64 key, i32 kv_head, i32 group, i64 first,
                          i64 queries, float scale, Side side, Seen seen, HeadRow<dim>& of_key, HeadRow<dim>& of_value) {
  const HeadRow<dim> own = load_head<dim>(keys, key, kv_head);
  const HeadRow<dim> value = load_head<dim>(values, key, kv_head);
  of_key = zero_head<dim>();
  of_value = zero_head<dim>();
  for (i64 query = first; query < queries; ++query) {
    const SeenKeys range = seen(query);
    if (key < range.first || key >= range.last) continue;
    for (i32 head = kv_head * group; head < (kv_head + 1) * group; ++head) {
      const QuerySide<dim> from = side(query, head);
      float weight, slope;
      weigh_score<dim>(from, own, value, scale, weight, slope);
      add_scaled<dim>(of_key, slope, from.query);
      add_scaled<dim>(of_value, weight, from.cotangent);
    }
  }
}
