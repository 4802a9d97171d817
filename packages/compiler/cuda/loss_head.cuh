// Softmax and cross entropy of a row of scores, and the slopes of the scores in their place.
#pragma once

struct LossRow {
  // Below 0: the position counts for nothing.
  i32 target;
  float cotangent;
};

// Largest score and the sum of exp(score - largest), for all threads of the block.
struct RowStatistics {
  float largest;
  float sum;
};

DEVICE RowStatistics score_statistics(Global<float> scores, i64 first, i32 classes, Shared<float> parts) {
  float largest = float_of(0xff800000u);
  float sum = 0.0f;
  for (i32 i = thread_index(); i < classes; i += thread_count()) {
    const float score = load(scores, first + i);
    if (score == float_of(0xff800000u)) continue;
    if (score > largest) {
      sum *= expf(largest - score);
      largest = score;
    }
    // NaN is no larger than anything; here it goes through.
    sum += expf(score - largest);
  }
  const float top = reduce_block<Max>(largest, parts);
  const float part = largest == float_of(0xff800000u) && sum == 0.0f ? 0.0f : sum * expf(largest - top);
  return {top, reduce_block<Sum>(part, parts)};
}

DEVICE float cross_entropy(Global<float> scores, i64 first, i32 classes, i32 target, RowStatistics row) {
  if (target < 0) return 0.0f;
  // The largest is taken off first: the difference of two large numbers would lose digits.
  const float of_target = (target < classes ? load(scores, first + target) : 0.0f) - row.largest;
  return logf(row.sum) - of_target;
}

// slopes = (softmax(scores) - 1 at the target) * cotangent, rounded to T's values and stored as Stored. A row of narrower
// slopes lies in the first half of its row of scores: all threads have read what they write over, piece by piece.
template <typename Rounded, typename Stored>
DEVICE void store_slopes(Global<float> scores, Global<Stored> slopes, i64 row, i32 classes, LossRow loss,
                         RowStatistics statistics) {
  constexpr i32 narrower = static_cast<i32>(sizeof(float) / sizeof(Stored));
  const float factor = loss.target < 0 ? 0.0f : loss.cotangent / statistics.sum;
  for (i32 from = 0; from < classes; from += thread_count()) {
    const i32 i = from + thread_index();
    float slope = 0.0f;
    if (i < classes && loss.target >= 0) {
      slope = expf(load(scores, row * classes + i) - statistics.largest) * factor;
      if (i == loss.target) slope -= loss.cotangent;
    }
    if (narrower > 1) sync_block();
    if (i < classes) store(slopes, narrower * row * classes + i, Narrow<Stored>::of(round_of<Rounded>(slope)));
  }
}
