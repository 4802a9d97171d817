// NVRTC, NVIDIA's compiler as a library: CUDA C++ text to a cubin.
#pragma once

#include <string>
#include <vector>

namespace weft::cuda {

struct CompiledText {
  // Empty when the text does not compile.
  std::vector<char> image;
  // What the compiler said, warnings included.
  std::string log;
};

struct NvrtcDescription {
  std::string path;
  int major = 0;
  int minor = 0;
  // Compute capabilities that it compiles for, 9.0 as 90; ascending.
  std::vector<int> architectures;
};

// Every NVRTC of this machine, in the order of the places. Throws Error when there is none, with the places tried.
std::vector<NvrtcDescription> list_nvrtcs();
// By the one at `path`. `arch`: sm_90a; `name`: what the text is called in messages. Throws Error when it does not open.
CompiledText compile_with_nvrtc(const std::string& path, const std::string& text, const std::string& name, const std::string& arch,
                                const std::vector<std::string>& options);

}  // namespace weft::cuda
