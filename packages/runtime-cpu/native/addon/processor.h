// What this process may use of the machine.
#pragma once

namespace weft::cpu {

struct Processor {
  int logical = 1;   // processors that this process may run on
  int physical = 1;  // distinct cores among them
};

Processor describe_processor();

}  // namespace weft::cpu
