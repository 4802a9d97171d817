/* An NVRTC that compiles nothing: its image lists its version and the options, or is an empty cubin where
   WEFT_FAKE_CUBIN is set; a text with "error" in it has one. MAJOR and MINOR are its version, ARCHITECTURES what it
   compiles for. */
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef MAJOR
#define MAJOR 13
#define MINOR 1
#endif
#ifndef ARCHITECTURES
#define ARCHITECTURES 80, 89, 90, 100, 120, 121
#endif
static const int architectures[] = {ARCHITECTURES};

struct Program {
  char text[256];
  char log[1024];
};

int nvrtcVersion(int* major, int* minor) {
  *major = MAJOR;
  *minor = MINOR;
  return 0;
}
int nvrtcGetNumSupportedArchs(int* count) {
  *count = sizeof architectures / sizeof architectures[0];
  return 0;
}
int nvrtcGetSupportedArchs(int* list) {
  memcpy(list, architectures, sizeof architectures);
  return 0;
}
const char* nvrtcGetErrorString(int status) { return status == 6 ? "NVRTC_ERROR_COMPILATION" : "NVRTC_ERROR"; }
int nvrtcCreateProgram(struct Program** program, const char* text, const char* name, int headers, const char* const* a,
                       const char* const* b) {
  (void)a;
  (void)b;
  *program = calloc(1, sizeof **program);
  snprintf((*program)->text, sizeof (*program)->text, "%s", text);
  snprintf((*program)->log, sizeof (*program)->log, "%s(2): error: identifier \"x\" is undefined\n\n1 error detected in the compilation of \"%s\".\n", name, name);
  return headers;
}
int nvrtcCompileProgram(struct Program* program, int count, const char* const* options) {
  if (!getenv("WEFT_FAKE_CUBIN") && strstr(program->text, "error")) return 6;
  program->log[0] = 0;
  snprintf(program->text, sizeof program->text, "%d.%d ", MAJOR, MINOR);
  for (int i = 0; i < count; ++i) {
    strncat(program->text, options[i], sizeof program->text - strlen(program->text) - 2);
    strcat(program->text, " ");
  }
  return 0;
}
int nvrtcGetCUBINSize(struct Program* program, size_t* bytes) {
  *bytes = getenv("WEFT_FAKE_CUBIN") ? sizeof(Elf64_Ehdr) : strlen(program->text);
  return 0;
}
int nvrtcGetCUBIN(struct Program* program, char* image) {
  if (getenv("WEFT_FAKE_CUBIN")) {
    // A header that lists nothing.
    Elf64_Ehdr header = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT}};
    memcpy(image, &header, sizeof header);
  } else {
    memcpy(image, program->text, strlen(program->text));
  }
  return 0;
}
int nvrtcGetProgramLogSize(struct Program* program, size_t* bytes) {
  *bytes = strlen(program->log) + 1;
  return 0;
}
int nvrtcGetProgramLog(struct Program* program, char* log) {
  strcpy(log, program->log);
  return 0;
}
int nvrtcDestroyProgram(struct Program** program) {
  free(*program);
  *program = NULL;
  return 0;
}
