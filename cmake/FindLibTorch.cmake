# LibTorch from an unpacked PyPI wheel, as imported targets and nothing else.
#
# torch's own package file wants a CUDA toolkit, sets global flags and puts its headers on the path
# of everything; this module does none of it. It looks in FCC_TORCH_ROOT (the folder that holds
# include/ and lib/), else, in an installed package, in the copy that was installed with it, else in
# the cache that scripts/setup.sh fills.
#
# Targets: LibTorch::torch (headers; CPU libraries, and the CUDA ones where FCC_HAVE_CUDA),
# LibTorch::cudart (the CUDA runtime that torch brings; its libraries need it in any build).
# LibTorch_RUN_PATH: the folders that programs must find these in.

set(FCC_TORCH_ROOT "" CACHE PATH "The folder `torch` of an unpacked torch 2.11.0 wheel")
if(FCC_TORCH_ROOT)
  set(_fcc_torch ${FCC_TORCH_ROOT})
elseif(EXISTS ${CMAKE_CURRENT_LIST_DIR}/../../fcc/torch/lib)
  set(_fcc_torch ${CMAKE_CURRENT_LIST_DIR}/../../fcc/torch)
elseif(DEFINED ENV{FCC_CACHE})
  set(_fcc_torch $ENV{FCC_CACHE}/torch-2.11.0/torch)
else()
  set(_fcc_torch $ENV{HOME}/.cache/libfcc/torch-2.11.0/torch)
endif()
find_path(LibTorch_INCLUDE_DIR ATen/ATen.h HINTS ${_fcc_torch}/include NO_DEFAULT_PATH)
find_library(LibTorch_CPU_LIBRARY torch_cpu HINTS ${_fcc_torch}/lib NO_DEFAULT_PATH)
find_library(LibTorch_C10_LIBRARY c10 HINTS ${_fcc_torch}/lib NO_DEFAULT_PATH)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LibTorch
  REQUIRED_VARS LibTorch_CPU_LIBRARY LibTorch_C10_LIBRARY LibTorch_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "run scripts/setup.sh first, or set FCC_TORCH_ROOT")

if(LibTorch_FOUND AND NOT TARGET LibTorch::torch)
  get_filename_component(_fcc_torch_lib ${LibTorch_CPU_LIBRARY} DIRECTORY)
  get_filename_component(_fcc_cudart ${_fcc_torch_lib}/../../nvidia/cu13/lib ABSOLUTE)
  set(LibTorch_RUN_PATH ${_fcc_torch_lib} ${_fcc_cudart})
  if(TARGET CUDA::cudart) # the same library, where the toolkit is
    add_library(LibTorch::cudart INTERFACE IMPORTED)
    target_link_libraries(LibTorch::cudart INTERFACE CUDA::cudart)
  else()
    add_library(LibTorch::cudart SHARED IMPORTED)
    set_target_properties(LibTorch::cudart PROPERTIES
      IMPORTED_LOCATION ${_fcc_cudart}/libcudart.so.13)
  endif()
  foreach(_part c10 torch_cpu c10_cuda torch_cuda)
    add_library(LibTorch::${_part} SHARED IMPORTED)
    set_target_properties(LibTorch::${_part} PROPERTIES
      IMPORTED_LOCATION ${_fcc_torch_lib}/lib${_part}.so
      INTERFACE_INCLUDE_DIRECTORIES
        "${LibTorch_INCLUDE_DIR};${LibTorch_INCLUDE_DIR}/torch/csrc/api/include")
  endforeach()
  add_library(LibTorch::torch INTERFACE IMPORTED)
  # torch's libraries find their own needs by their own run paths: no need to resolve them here.
  target_link_options(LibTorch::torch INTERFACE -Wl,--allow-shlib-undefined)
  target_link_libraries(LibTorch::torch INTERFACE LibTorch::torch_cpu LibTorch::c10)
  if(FCC_HAVE_CUDA)
    # Nothing of ours need name a symbol of torch_cuda for its operators to be registered.
    target_link_libraries(LibTorch::torch INTERFACE
      -Wl,--no-as-needed LibTorch::torch_cuda LibTorch::c10_cuda -Wl,--as-needed LibTorch::cudart)
  endif()
endif()
