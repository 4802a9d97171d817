#include "fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>

#if defined(__SANITIZE_ADDRESS__)
#define WEFT_ADDRESS_SANITIZER
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEFT_ADDRESS_SANITIZER
#endif
#endif
#ifdef WEFT_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

// weft_sim_switch(save, load): pushes what the calling convention lets a function keep, stores the stack pointer in
// *save, takes `load` for it and pops the same. A new fiber's stack holds the registers with which weft_sim_start calls
// `function(fiber)`.
extern "C" {
void weft_sim_switch(void** save, void* load);
void weft_sim_start();
}

#ifdef __APPLE__
#define WEFT_SYMBOL(name) "_" name
#define WEFT_HIDDEN(name) ".private_extern _" name "\n"
#else
#define WEFT_SYMBOL(name) name
#define WEFT_HIDDEN(name) ".hidden " name "\n"
#endif

#if defined(__x86_64__)
asm(".text\n.globl " WEFT_SYMBOL("weft_sim_switch") "\n" WEFT_HIDDEN("weft_sim_switch")
    WEFT_SYMBOL("weft_sim_switch") ":\n"
    "  pushq %rbp\n  pushq %rbx\n  pushq %r12\n  pushq %r13\n  pushq %r14\n  pushq %r15\n"
    "  movq %rsp, (%rdi)\n"
    "  movq %rsi, %rsp\n"
    "  popq %r15\n  popq %r14\n  popq %r13\n  popq %r12\n  popq %rbx\n  popq %rbp\n"
    "  ret\n"
    ".globl " WEFT_SYMBOL("weft_sim_start") "\n" WEFT_HIDDEN("weft_sim_start")
    WEFT_SYMBOL("weft_sim_start") ":\n"
    "  movq %r12, %rdi\n"
    "  callq *%r13\n"
    "  ud2\n");
namespace {
// Registers in the order in which they are popped, then where to return to, then what aligns the stack for a call.
constexpr size_t fiber_register = 3, function_register = 2, return_register = 6, registers = 9;
}  // namespace
#elif defined(__aarch64__)
asm(".text\n.globl " WEFT_SYMBOL("weft_sim_switch") "\n" WEFT_HIDDEN("weft_sim_switch") ".p2align 2\n"
    WEFT_SYMBOL("weft_sim_switch") ":\n"
    "  stp x19, x20, [sp, #-160]!\n"
    "  stp x21, x22, [sp, #16]\n  stp x23, x24, [sp, #32]\n  stp x25, x26, [sp, #48]\n"
    "  stp x27, x28, [sp, #64]\n  stp x29, x30, [sp, #80]\n"
    "  stp d8, d9, [sp, #96]\n  stp d10, d11, [sp, #112]\n"
    "  stp d12, d13, [sp, #128]\n  stp d14, d15, [sp, #144]\n"
    "  mov x9, sp\n  str x9, [x0]\n"
    "  mov sp, x1\n"
    "  ldp x21, x22, [sp, #16]\n  ldp x23, x24, [sp, #32]\n  ldp x25, x26, [sp, #48]\n"
    "  ldp x27, x28, [sp, #64]\n  ldp x29, x30, [sp, #80]\n"
    "  ldp d8, d9, [sp, #96]\n  ldp d10, d11, [sp, #112]\n"
    "  ldp d12, d13, [sp, #128]\n  ldp d14, d15, [sp, #144]\n"
    "  ldp x19, x20, [sp], #160\n"
    "  ret\n"
    ".globl " WEFT_SYMBOL("weft_sim_start") "\n" WEFT_HIDDEN("weft_sim_start") ".p2align 2\n"
    WEFT_SYMBOL("weft_sim_start") ":\n"
    "  mov x0, x19\n"
    "  blr x20\n"
    "  brk #1\n");
namespace {
constexpr size_t fiber_register = 0, function_register = 1, return_register = 11, registers = 20;
}  // namespace
#else
#error "The simulator has no context switch for this processor: add one above."
#endif

namespace weft::cuda::sim {

namespace {

constexpr size_t page = 64 << 10;  // A multiple of the page size of every system.
constexpr size_t stacks_per_slab = 64;

}  // namespace

FiberStacks::~FiberStacks() {
  for (const Slab& slab : slabs_) munmap(slab.base, slab.bytes);
}

void* FiberStacks::take() {
  if (free_.empty()) {
    const size_t stride = bytes + page;
    void* base = mmap(nullptr, stride * stacks_per_slab, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);
    if (base == MAP_FAILED) return nullptr;
    slabs_.push_back({base, stride * stacks_per_slab});
    for (size_t i = 0; i < stacks_per_slab; ++i) {
      char* low = static_cast<char*>(base) + i * stride;
      mprotect(low, page, PROT_NONE);
      free_.push_back(low + page);
    }
  }
  void* stack = free_.back();
  free_.pop_back();
  return stack;
}

bool Fiber::start(FiberStacks& stacks, Entry entry, void* argument) {
  if (stack_ == nullptr) stack_ = stacks.take();
  if (stack_ == nullptr) return false;
#ifdef WEFT_ADDRESS_SANITIZER
  // Frames of a dropped fiber left their red zones behind.
  __asan_unpoison_memory_region(stack_, FiberStacks::bytes);
#endif
  entry_ = entry;
  argument_ = argument;
  // Without an offset the hot ends of all stacks would compete for the same few sets of the cache.
  const size_t colour = (reinterpret_cast<uintptr_t>(stack_) / (FiberStacks::bytes + page)) % 61 * 192;
  void** top = reinterpret_cast<void**>(static_cast<char*>(stack_) + FiberStacks::bytes - colour / 16 * 16);
  // The start routine calls, so the stack pointer it sees is a multiple of 16.
  void** pointer = top - registers;
  for (size_t i = 0; i < registers; ++i) pointer[i] = nullptr;
  pointer[fiber_register] = this;
  pointer[function_register] = reinterpret_cast<void*>(&Fiber::run);
  pointer[return_register] = reinterpret_cast<void*>(&weft_sim_start);
  own_pointer_ = pointer;
  own_fake_ = nullptr;
  return true;
}

void Fiber::resume() {
#ifdef WEFT_ADDRESS_SANITIZER
  void* fake = nullptr;
  __sanitizer_start_switch_fiber(&fake, stack_, FiberStacks::bytes);
#endif
  weft_sim_switch(&scheduler_pointer_, own_pointer_);
#ifdef WEFT_ADDRESS_SANITIZER
  __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#endif
}

void Fiber::suspend() {
#ifdef WEFT_ADDRESS_SANITIZER
  __sanitizer_start_switch_fiber(&own_fake_, scheduler_bottom_, scheduler_size_);
#endif
  weft_sim_switch(&own_pointer_, scheduler_pointer_);
#ifdef WEFT_ADDRESS_SANITIZER
  __sanitizer_finish_switch_fiber(own_fake_, &scheduler_bottom_, &scheduler_size_);
#endif
}

void Fiber::leave() {
#ifdef WEFT_ADDRESS_SANITIZER
  __sanitizer_start_switch_fiber(nullptr, scheduler_bottom_, scheduler_size_);
#endif
  weft_sim_switch(&own_pointer_, scheduler_pointer_);
  std::abort();  // Nobody resumes a fiber that left.
}

void Fiber::run(Fiber* fiber) {
#ifdef WEFT_ADDRESS_SANITIZER
  __sanitizer_finish_switch_fiber(nullptr, &fiber->scheduler_bottom_, &fiber->scheduler_size_);
#endif
  fiber->entry_(fiber->argument_);
  fiber->leave();
}

}  // namespace weft::cuda::sim
