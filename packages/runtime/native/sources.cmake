# What the native addons of all devices share, compiled into each of them.
set(weft_runtime_folder ${CMAKE_CURRENT_LIST_DIR})
set(weft_runtime_sources
  ${weft_runtime_folder}/affine_bounds.cc
  ${weft_runtime_folder}/formats/nvfp4.cc
  ${weft_runtime_folder}/loaded/cached_states.cc
  ${weft_runtime_folder}/loaded/index_checks.cc
  ${weft_runtime_folder}/loaded/memory_table.cc
  ${weft_runtime_folder}/node/dispatcher.cc
  ${weft_runtime_folder}/node/entries.cc
  ${weft_runtime_folder}/node/run_job.cc
  ${weft_runtime_folder}/node/start_run.cc
  ${weft_runtime_folder}/node/values.cc
  ${weft_runtime_folder}/plan_generated.cc
  ${weft_runtime_folder}/plan_reader.cc
  ${weft_runtime_folder}/resolve_symbols.cc
  ${weft_runtime_folder}/validate.cc
  ${weft_runtime_folder}/validate_checker.cc
  ${weft_runtime_folder}/validate_kernels.cc
  ${weft_runtime_folder}/validate_rows.cc
  ${weft_runtime_folder}/weights/convert_elements.cc
  ${weft_runtime_folder}/weights/finite.cc
  ${weft_runtime_folder}/weights/mapped_file.cc
  ${weft_runtime_folder}/weights/weight_origin.cc
)
