# Warnings that every target of the project compiles with, and the two kinds of target.

add_library(fcc_options INTERFACE)
target_compile_features(fcc_options INTERFACE cxx_std_20)
# ATen's headers then bring the operators that a file names, not all of them: half the compile time.
target_compile_definitions(fcc_options INTERFACE AT_PER_OPERATOR_HEADERS)
target_compile_options(fcc_options INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wshadow;-Wconversion;-Wno-sign-conversion;-Werror>
  # What the optimiser believes to see is shown, but ends no build: GCC 12 is wrong about
  # `"-" + text` (its bug 105329), and every version is wrong elsewhere.
  $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-error=restrict;-Wno-error=maybe-uninitialized;-Wno-error=array-bounds;-Wno-error=stringop-overflow>
  # Messages name a source file by its place in the project, wherever the clone lies.
  $<$<COMPILE_LANGUAGE:CXX>:-ffile-prefix-map=${PROJECT_SOURCE_DIR}/=>)

# What nearly every file that sees torch reads, read once: less than half the compile time of a build from
# nothing, as pip's is. A compiler cache would keep nothing that was compiled so: beside one it is left out.
option(FCC_PRECOMPILED_HEADERS "Precompile ATen's headers, where no compiler launcher is set" OFF)
set(FCC_TORCH_HEADERS
  <ATen/core/Tensor.h> <ATen/core/grad_mode.h> <ATen/Context.h> <ATen/Parallel.h> <ATen/TensorOperators.h>
  <ATen/ops/cat.h> <ATen/ops/empty.h> <ATen/ops/zeros.h>
  <algorithm> <filesystem> <functional> <map> <memory> <optional> <sstream> <string> <vector>)

# fcc_module(NAME [TORCH] [LINK target...]): src/NAME/*.cpp as an object library that becomes part
# of the library `fcc`. Modules without TORCH never see torch's headers (nor its fmt), and together
# they are `fcc_torch_free` too, for programs that need no more.
function(fcc_module name)
  cmake_parse_arguments(arg "TORCH" "" "LINK" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${name}/*.cpp)
  # What a build lacks is a folder, not an #ifdef.
  if(FCC_HAVE_CUDA)
    file(GLOB variants CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${name}/cuda/*.cpp)
  else()
    file(GLOB variants CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${name}/no_cuda/*.cpp)
  endif()
  list(APPEND sources ${variants})
  if(NOT sources)
    return()
  endif()
  add_library(fcc_${name} OBJECT ${sources})
  set_target_properties(fcc_${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  target_include_directories(fcc_${name} PUBLIC ${PROJECT_SOURCE_DIR}/include PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(fcc_${name} PRIVATE fcc_options ${arg_LINK})
  if(arg_TORCH)
    target_link_libraries(fcc_${name} PRIVATE LibTorch::torch)
    if(FCC_PRECOMPILED_HEADERS AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
      if(name STREQUAL ops)
        target_precompile_headers(fcc_ops PRIVATE ${FCC_TORCH_HEADERS})
      else()
        target_precompile_headers(fcc_${name} REUSE_FROM fcc_ops)
      endif()
    endif()
  else()
    target_sources(fcc_torch_free PRIVATE $<TARGET_OBJECTS:fcc_${name}>)
    target_link_libraries(fcc_torch_free PRIVATE ${arg_LINK})
  endif()
  target_sources(fcc PRIVATE $<TARGET_OBJECTS:fcc_${name}>)
  target_link_libraries(fcc PRIVATE ${arg_LINK})
endfunction()
