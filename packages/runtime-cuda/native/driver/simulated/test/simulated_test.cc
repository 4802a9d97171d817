// The tests of the simulated driver. The argument is the folder of the modules made from test/kernels.
#include "simulation.h"

int main(int count, char** arguments) {
  using namespace weft::cuda::test;
  if (count != 2) {
    std::printf("usage: simulated_test FOLDER_OF_MODULES\n");
    return 2;
  }
  module_folder = arguments[1];
  test_primitives();
  test_conversions();
  test_programs();
  test_faults();
  test_driver();
  std::printf("%ld checks passed, %ld failed\n", counts.passed, counts.failed);
  return counts.failed == 0 && counts.passed > 0 ? 0 : 1;
}
