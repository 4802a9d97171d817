#include "exec/contract_shape.h"

namespace weft::cpu {

void ContractAxes::add(const ContractAxis& axis) {
  if (axis.extent == 1) return;
  if (count > 0) {
    ContractAxis& outer = at[count - 1];
    if (outer.a == axis.a * axis.extent && outer.b == axis.b * axis.extent && outer.out == axis.out * axis.extent) {
      outer = {outer.extent * axis.extent, axis.a, axis.b, axis.out};
      return;
    }
  }
  at[count++] = axis;
}

ContractAxis ContractAxes::take_longest() {
  if (count == 0) return {};
  size_t longest = 0;
  // Of equal ones the innermost.
  for (size_t i = 1; i < count; ++i)
    if (at[i].extent >= at[longest].extent) longest = i;
  const ContractAxis taken = at[longest];
  for (size_t i = longest + 1; i < count; ++i) at[i - 1] = at[i];
  --count;
  return taken;
}

int64_t ContractAxes::extent() const {
  int64_t product = 1;
  for (size_t i = 0; i < count; ++i) product *= at[i].extent;
  return product;
}

ContractAxis ContractAxes::offsets(int64_t item) const {
  ContractAxis sum;
  for (size_t i = count; i-- > 0;) {
    const int64_t index = item % at[i].extent;
    item /= at[i].extent;
    sum.a += at[i].a * index;
    sum.b += at[i].b * index;
    sum.out += at[i].out * index;
  }
  return sum;
}

ContractShape::ContractShape(const plan::ContractKernel& kernel, const int64_t* symbols) {
  build(kernel, [&](const plan::Affine& extent) { return plan::evaluate(extent, symbols); });
}

ContractShape::ContractShape(const plan::ContractKernel& kernel, const plan::SymbolBounds& bounds) {
  build(kernel, [&](const plan::Affine& extent) { return plan::highest_value(bounds, extent); });
}

template <class ExtentOf>
void ContractShape::build(const plan::ContractKernel& kernel, ExtentOf&& extent_of) {
  ContractAxes of_a, of_b;
  for (size_t i = 0; i < kernel.loops.size() + kernel.contracted.size(); ++i) {
    const bool is_kept = i < kernel.loops.size();
    const plan::Loop& loop = is_kept ? kernel.loops[i] : kernel.contracted[i - kernel.loops.size()];
    const ContractAxis axis{extent_of(loop.extent), kernel.a.strides[i], kernel.b.strides[i],
                            is_kept ? kernel.out.strides[i] : 0};
    if (!is_kept) terms.add(axis);
    else if (axis.a != 0 && axis.b == 0) of_a.add(axis);
    else if (axis.b != 0 && axis.a == 0) of_b.add(axis);
    else batch.add(axis);
  }
  rows = of_a.take_longest();
  columns = of_b.take_longest();
  depth = terms.take_longest();
  // Not merged: these axes may stand in any order between the others.
  for (const ContractAxes* rest : {&of_a, &of_b})
    for (size_t i = 0; i < rest->count; ++i) batch.at[batch.count++] = rest->at[i];
}

}  // namespace weft::cpu
