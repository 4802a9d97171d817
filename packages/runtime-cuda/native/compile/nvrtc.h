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
};

// Both throw Error when there is no NVRTC, with the places tried.
NvrtcDescription describe_nvrtc();
// `arch`: sm_90a; `name`: what the text is called in messages.
CompiledText compile_with_nvrtc(const std::string& text, const std::string& name, const std::string& arch,
                                const std::vector<std::string>& options);

}  // namespace weft::cuda
