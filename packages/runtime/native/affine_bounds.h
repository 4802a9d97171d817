// Bounds of affine expressions over all symbol values that `run` accepts: every symbol from a floor to its `max`, and
// the symbols that are sums of others within their own `max`. `past + seq <= capacity` is what makes an append to a
// cache provably in range, so bounds know about sums.
//
// Everything here is exact: coefficients are 128 bits wide and expressions whose value could pass 2^53 are refused.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "plan_generated.h"

namespace weft::plan {

__extension__ typedef __int128 Wide;

// An affine expression in the symbols that are no sums, its terms sorted and merged: equal if and only if identical.
struct Linear {
  struct Term {
    int64_t symbol;
    Wide factor;
    bool operator==(const Term&) const = default;
  };
  Wide constant = 0;
  std::vector<Term> terms;

  bool operator==(const Linear&) const = default;
  bool is_constant() const { return terms.empty(); }
  Linear& add(const Linear& other, Wide factor);
};

Linear operator+(Linear left, const Linear& right);
Linear operator-(Linear left, const Linear& right);
Linear operator*(Linear left, Wide factor);
Linear constant_of(Wide value);

class SymbolBounds {
 public:
  // Sums must be acyclic, with indices in range. Throws Error if one could pass 2^53.
  explicit SymbolBounds(const std::vector<PlanSymbol>& symbols);

  // Nothing when a symbol index is out of range or the value could leave +-2^53.
  std::optional<Linear> linear(const Affine& affine) const;
  // True if the value stays within +-2^53 for all symbol values.
  bool is_moderate(const Linear& linear) const;

  // A value that the expression never passes; exact with at most one sum over the symbols involved. `floor`: the
  // least value of each symbol that can reach it, 0 or 1.
  Wide highest(const Linear& linear, int64_t floor = 0) const;
  Wide lowest(const Linear& linear, int64_t floor = 0) const;

 private:
  struct Sum {
    Linear parts;
    Wide max;
  };
  std::vector<Linear> expanded_;
  std::vector<Wide> max_;
  std::vector<Sum> sums_;
};

}  // namespace weft::plan
