/*
 * A libcublasLt.so.13 that multiplies nothing: every call is a line of the file that WEFT_FAKE_LOG names.
 * Descriptors without scales are those of products in bf16; the modes of others, and where their scales are, are logged.
 * WEFT_FAKE_CUDART is the CUDA that it says it was built with, WEFT_FAKE_CREATE the status of cublasLtCreate,
 * WEFT_FAKE_REFUSED the columns of a product that it finds no way for, WEFT_FAKE_WORKSPACE what each way wants,
 * WEFT_FAKE_MATMUL the status of products.
 */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct Desc {
  int compute, scale;
  int32_t transpose_a, transpose_b;
  int32_t a_scale_mode, b_scale_mode;
  const void *a_scales, *b_scales;
};
struct Layout {
  int type;
  uint64_t rows, columns;
  int64_t leading;
};
struct Preference {
  uint64_t workspace;
  uint32_t schemes, alignment[4];
};
struct Algo {
  uint64_t data[8];
};
struct Heuristic {
  struct Algo algo;
  size_t workspace;
  int state;
  float waves;
  int reserved[4];
};

static void note(const char* format, ...) {
  const char* path = getenv("WEFT_FAKE_LOG");
  FILE* file = path ? fopen(path, "a") : NULL;
  if (!file) return;
  va_list list;
  va_start(list, format);
  vfprintf(file, format, list);
  va_end(list);
  fputc('\n', file);
  fclose(file);
}
static long setting(const char* name, long usual) {
  const char* value = getenv(name);
  return value && *value ? atol(value) : usual;
}
static const char* text(const struct Layout* layout) {
  static char texts[4][96];
  static int next = 0;
  char* to = texts[next++ % 4];
  snprintf(to, sizeof texts[0], "%d %llux%llu/%lld", layout->type, (unsigned long long)layout->rows,
           (unsigned long long)layout->columns, (long long)layout->leading);
  return to;
}

size_t cublasLtGetVersion(void) { return 130203; }
size_t cublasLtGetCudartVersion(void) { return (size_t)setting("WEFT_FAKE_CUDART", 13000); }
const char* cublasLtGetStatusName(int status) { return status == 15 ? "CUBLAS_STATUS_NOT_SUPPORTED" : "CUBLAS_STATUS_FAKE"; }
const char* cublasLtGetStatusString(int status) { return status == 15 ? "not supported" : "a fake"; }

int cublasLtCreate(void** handle) {
  note("cublasLtCreate");
  *handle = malloc(1);
  return (int)setting("WEFT_FAKE_CREATE", 0);
}
int cublasLtDestroy(void* handle) {
  note("cublasLtDestroy");
  free(handle);
  return 0;
}
int cublasLtMatmulDescCreate(struct Desc** desc, int compute, int scale) {
  note("cublasLtMatmulDescCreate");
  *desc = calloc(1, sizeof **desc);
  (*desc)->compute = compute;
  (*desc)->scale = scale;
  return 0;
}
int cublasLtMatmulDescDestroy(struct Desc* desc) {
  note("cublasLtMatmulDescDestroy");
  free(desc);
  return 0;
}
/* Of block scales: their modes, and where they lie. */
static const char* scales(const struct Desc* desc) {
  static char text[96];
  text[0] = 0;
  if (desc->a_scale_mode || desc->b_scale_mode)
    snprintf(text, sizeof text, " scales %d %p %d %p", desc->a_scale_mode, desc->a_scales, desc->b_scale_mode, desc->b_scales);
  return text;
}
int cublasLtMatmulDescSetAttribute(struct Desc* desc, int attribute, const void* value, size_t bytes) {
  if (attribute == 17 || attribute == 18) {
    if (bytes != sizeof(void*)) return 7;
    memcpy(attribute == 17 ? &desc->a_scales : &desc->b_scales, value, bytes);
    return 0;
  }
  if (attribute == 31 || attribute == 32) {
    if (bytes != 4 || setting("WEFT_FAKE_CUDART", 13000) < 12080) return 7;
    memcpy(attribute == 31 ? &desc->a_scale_mode : &desc->b_scale_mode, value, 4);
    return 0;
  }
  if (bytes != 4 || (attribute != 3 && attribute != 4)) return 7;
  memcpy(attribute == 3 ? &desc->transpose_a : &desc->transpose_b, value, 4);
  return 0;
}
int cublasLtMatrixLayoutCreate(struct Layout** layout, int type, uint64_t rows, uint64_t columns, int64_t leading) {
  note("cublasLtMatrixLayoutCreate");
  *layout = malloc(sizeof **layout);
  **layout = (struct Layout){type, rows, columns, leading};
  return 0;
}
int cublasLtMatrixLayoutDestroy(struct Layout* layout) {
  note("cublasLtMatrixLayoutDestroy");
  free(layout);
  return 0;
}
int cublasLtMatmulPreferenceCreate(struct Preference** preference) {
  note("cublasLtMatmulPreferenceCreate");
  *preference = calloc(1, sizeof **preference);
  return 0;
}
int cublasLtMatmulPreferenceDestroy(struct Preference* preference) {
  note("cublasLtMatmulPreferenceDestroy");
  free(preference);
  return 0;
}
int cublasLtMatmulPreferenceSetAttribute(struct Preference* preference, int attribute, const void* value, size_t bytes) {
  if (attribute == 1 && bytes == 8) memcpy(&preference->workspace, value, 8);
  else if (attribute == 3 && bytes == 4) memcpy(&preference->schemes, value, 4);
  else if (attribute >= 5 && attribute <= 8 && bytes == 4) memcpy(&preference->alignment[attribute - 5], value, 4);
  else return 7;
  return 0;
}
int cublasLtMatmulAlgoGetHeuristic(void* handle, const struct Desc* desc, const struct Layout* a, const struct Layout* b,
                                   const struct Layout* c, const struct Layout* d, const struct Preference* preference,
                                   int requested, struct Heuristic* results, int* returned) {
  (void)handle;
  /* Without scales there is no product of such types, and with them of no others. */
  if ((a->type == 33) != (desc->a_scale_mode == 1 && desc->a_scales != NULL) || (b->type == 33) != (desc->b_scale_mode == 1 && desc->b_scales != NULL)) return 15;
  note("cublasLtMatmulAlgoGetHeuristic a %s b %s c %s d %s workspace %llu schemes %u alignment %u %u %u %u requested %d", text(a), text(b),
       text(c), text(d), (unsigned long long)preference->workspace, preference->schemes, preference->alignment[0], preference->alignment[1],
       preference->alignment[2], preference->alignment[3], requested);
  *returned = 0;
  if ((long)d->rows == setting("WEFT_FAKE_REFUSED", -1)) return 15;
  memset(results, 0, sizeof *results);
  /* The way knows its product again. */
  results->algo.data[0] = d->rows;
  results->algo.data[7] = d->columns;
  results->workspace = (size_t)setting("WEFT_FAKE_WORKSPACE", 4096);
  *returned = 1;
  return 0;
}
int cublasLtMatmul(void* handle, const struct Desc* desc, const float* alpha, const void* a, const struct Layout* a_layout,
                   const void* b, const struct Layout* b_layout, const float* beta, const void* c, const struct Layout* c_layout,
                   void* d, const struct Layout* d_layout, const struct Algo* algo, void* workspace, size_t bytes, void* stream) {
  (void)handle;
  const int known = algo->data[0] == d_layout->rows && algo->data[7] == d_layout->columns;
  note("cublasLtMatmul compute %d scale %d transposed %d %d alpha %g beta %g a %p %s b %p %s c %p %s d %p %s known %d "
       "workspace %d %zu stream %p%s",
       desc->compute, desc->scale, desc->transpose_a, desc->transpose_b, *alpha, *beta, a, text(a_layout), b, text(b_layout), c,
       text(c_layout), d, text(d_layout), known, workspace != NULL, bytes, stream, scales(desc));
  return (int)setting("WEFT_FAKE_MATMUL", 0);
}
