#include "affine_bounds.h"

#include <algorithm>
#include <string>

#include "error.h"

namespace weft::plan {
namespace {

constexpr Wide largest_value = Wide{1} << 53;

Wide absolute(Wide value) { return value < 0 ? -value : value; }

}  // namespace

Linear& Linear::add(const Linear& other, Wide factor) {
  constant += other.constant * factor;
  for (const Term& term : other.terms) {
    const auto place = std::lower_bound(terms.begin(), terms.end(), term.symbol,
                                        [](const Term& mine, int64_t symbol) { return mine.symbol < symbol; });
    if (place == terms.end() || place->symbol != term.symbol) {
      if (factor != 0) terms.insert(place, {term.symbol, term.factor * factor});
    } else if ((place->factor += term.factor * factor) == 0) {
      terms.erase(place);
    }
  }
  return *this;
}

Linear operator+(Linear left, const Linear& right) { return left.add(right, 1); }
Linear operator-(Linear left, const Linear& right) { return left.add(right, -1); }
Linear operator*(Linear left, Wide factor) {
  Linear product;
  return product.add(left, factor);
}
Linear constant_of(Wide value) { return Linear{value, {}}; }

SymbolBounds::SymbolBounds(const std::vector<PlanSymbol>& symbols) {
  expanded_.resize(symbols.size());
  for (const PlanSymbol& symbol : symbols) max_.push_back(symbol.max);
  // Sums may name later symbols, so expand until nothing is left; each round settles at least one.
  std::vector<bool> settled(symbols.size(), false);
  for (size_t round = 0; round < symbols.size(); ++round) {
    for (size_t i = 0; i < symbols.size(); ++i) {
      if (settled[i]) continue;
      Linear parts;
      if (symbols[i].sum.empty()) parts.terms.push_back({static_cast<int64_t>(i), 1});
      bool ready = true;
      for (const int64_t part : symbols[i].sum) {
        ready = ready && settled[static_cast<size_t>(part)];
        if (ready) parts.add(expanded_[static_cast<size_t>(part)], 1);
        if (!is_moderate(parts)) throw Error("plan.symbols[" + std::to_string(i) + "].sum: can pass 2^53");
      }
      if (!ready) continue;
      settled[i] = true;
      expanded_[i] = parts;
      if (!symbols[i].sum.empty()) sums_.push_back({parts, symbols[i].max});
    }
  }
}

std::optional<Linear> SymbolBounds::linear(const Affine& affine) const {
  Linear result = constant_of(affine.constant);
  for (const AffineTerm& term : affine.terms) {
    if (term.symbol < 0 || static_cast<size_t>(term.symbol) >= expanded_.size()) return std::nullopt;
    result.add(expanded_[static_cast<size_t>(term.symbol)], term.factor);
    if (!is_moderate(result)) return std::nullopt;
  }
  if (!is_moderate(result)) return std::nullopt;
  return result;
}

bool SymbolBounds::is_moderate(const Linear& linear) const {
  Wide size = absolute(linear.constant);
  for (const Linear::Term& term : linear.terms) {
    // Factors first: a product of two values below 2^64 cannot overflow.
    if (absolute(term.factor) > largest_value) return false;
    size += absolute(term.factor) * std::max<Wide>(max_[static_cast<size_t>(term.symbol)], 1);
    if (size > largest_value) return false;
  }
  return size <= largest_value;
}

Wide SymbolBounds::highest(const Linear& linear, int64_t floor) const {
  // In y = value - floor, from 0 to its room. A symbol whose max is below the floor stays at its max.
  const auto low = [&](int64_t symbol) { return std::min<Wide>(floor, max_[static_cast<size_t>(symbol)]); };
  const auto room = [&](int64_t symbol) { return max_[static_cast<size_t>(symbol)] - low(symbol); };
  Wide base = linear.constant;
  Wide gain = 0;
  for (const Linear::Term& term : linear.terms) {
    base += term.factor * low(term.symbol);
    if (term.factor > 0) gain += term.factor * room(term.symbol);
  }
  Wide best = gain;
  for (const Sum& sum : sums_) {
    // The sum's budget goes to the symbols worth most per unit of it (a fractional knapsack); the rest are free.
    struct Item {
      Wide worth, weight, room;
    };
    std::vector<Item> items;
    Wide budget = sum.max - sum.parts.constant;
    Wide total = gain;
    for (const Linear::Term& part : sum.parts.terms) {
      budget -= part.factor * low(part.symbol);
      const auto term = std::find_if(linear.terms.begin(), linear.terms.end(),
                                     [&](const Linear::Term& mine) { return mine.symbol == part.symbol; });
      if (term == linear.terms.end() || term->factor <= 0) continue;
      total -= term->factor * room(part.symbol);
      items.push_back({term->factor, part.factor, room(part.symbol)});
    }
    std::sort(items.begin(), items.end(),
              [](const Item& a, const Item& b) { return a.worth * b.weight > b.worth * a.weight; });
    for (const Item& item : items) {
      if (budget <= 0) break;
      const Wide whole = item.weight * item.room;
      total += whole <= budget ? item.worth * item.room : (item.worth * budget + item.weight - 1) / item.weight;
      budget -= std::min(whole, budget);
    }
    best = std::min(best, total);
  }
  return base + best;
}

Wide SymbolBounds::lowest(const Linear& linear, int64_t floor) const { return -highest(linear * -1, floor); }

}  // namespace weft::plan
