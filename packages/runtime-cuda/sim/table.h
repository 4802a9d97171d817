// What a compiled module and the simulator that runs it know of each other. The module exports `weft_sim_attach`, which
// gets the table once after loading; all checking lies behind its pointers, so that modules stay small and quick to
// compile. No standard header is included, for the same reason.
#pragma once

namespace weft_sim {

// Raised with every change of this file: a module of another version is refused.
inline constexpr unsigned version = 1;

// A place in the source, in the layout that compilers give what std::source_location points to.
struct Place {
  const char* file;
  const char* function;
  unsigned line;
  unsigned column;
};

// An allocation of device memory, or the shared memory of one block; the simulator knows more about it.
struct Buffer {
  unsigned char* base;
  unsigned long long bytes;
};

// The thread that runs; the simulator knows more about it.
struct Thread {
  int index;
  int count;
  long long block;
  long long blocks;
  Buffer* shared;
};

// How a kernel may be launched; the module exports one as `weft_sim_kernel_<name>`.
struct Kernel {
  int threads;
  unsigned long long args_bytes;
  void (*run)(const void* args);
};

enum class Access : unsigned { read, write };

// One access as the source wrote it, for messages.
struct Attempt {
  // Byte offset of the view in its buffer, and its size.
  unsigned long long view_offset, view_bytes;
  long long index;
  unsigned element_bytes, bytes;
  Access access;
};

// Functions that find a mistake do not return: the launch ends with an error.
struct Table {
  unsigned version;
  Thread* current;

  Buffer* (*find_buffer)(Thread*, const void* data, unsigned long long bytes, const Place*);
  // Outside of a view, or not aligned: finds the words for it.
  void (*refuse_access)(Thread*, Buffer*, const Attempt*, const Place*);
  void (*refuse_shared)(Thread*, int offset, unsigned long long bytes, const Place*);

  // Checks of an access whose bounds and alignment are good; the module moves the bytes itself.
  void (*read)(Thread*, Buffer*, unsigned long long offset, unsigned bytes, const Place*);
  // A read that may see what other blocks of this launch wrote.
  void (*read_fresh)(Thread*, Buffer*, unsigned long long offset, unsigned bytes, const Place*);
  void (*write)(Thread*, Buffer*, unsigned long long offset, unsigned bytes, const Place*);
  unsigned (*atomic_add)(Thread*, Buffer*, unsigned long long offset, unsigned value, const Place*);
  void (*fence_device)(Thread*, const Place*);

  void (*sync_block)(Thread*, const Place*);
  void (*sync_warp)(Thread*, const Place*);
  // Gives the values of all 32 lanes, `exchange_bytes` apart, valid until the lane's next call.
  const unsigned char* (*exchange)(Thread*, const char* what, const void* value, unsigned bytes, const Place*);
  void (*mma_16816)(Thread*, float* d, const unsigned* a, const unsigned* b, const Place*);

  // `from` is null where zeros are to be written.
  void (*copy16_async)(Thread*, unsigned long long to_offset, Buffer* from, unsigned long long from_offset,
                       const Place*);
  void (*commit_copies)(Thread*, const Place*);
  void (*wait_copies)(Thread*, int pending, const Place*);

  void (*wait_for_inputs)(Thread*, const Place*);
};

inline constexpr unsigned exchange_bytes = 64;

}  // namespace weft_sim
