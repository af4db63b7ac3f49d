# cuDNN's headers and its C++ frontend (headers alone), which scripts/setup.sh --cuda unpacks beside
# torch. Nothing is linked: the frontend looks cuDNN's functions up in the library that torch_cuda
# has loaded, so what is built against it needs neither at link time nor when installed.
#
# Target: CudnnFrontend::headers.

set(FCC_CUDNN_ROOT "" CACHE PATH
  "A folder that holds include/cudnn_frontend.h and nvidia/cudnn/include/cudnn.h")
if(FCC_CUDNN_ROOT)
  set(_fcc_cudnn ${FCC_CUDNN_ROOT})
elseif(DEFINED ENV{FCC_CACHE})
  set(_fcc_cudnn $ENV{FCC_CACHE}/torch-2.11.0)
else()
  set(_fcc_cudnn $ENV{HOME}/.cache/libfcc/torch-2.11.0)
endif()
find_path(CudnnFrontend_INCLUDE_DIR cudnn_frontend.h
  HINTS ${_fcc_cudnn}/include NO_DEFAULT_PATH)
find_path(CudnnFrontend_CUDNN_INCLUDE_DIR cudnn.h
  HINTS ${_fcc_cudnn}/nvidia/cudnn/include NO_DEFAULT_PATH)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(CudnnFrontend
  REQUIRED_VARS CudnnFrontend_INCLUDE_DIR CudnnFrontend_CUDNN_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "run scripts/setup.sh --cuda again, or set FCC_CUDNN_ROOT")

if(CudnnFrontend_FOUND AND NOT TARGET CudnnFrontend::headers)
  add_library(CudnnFrontend::headers INTERFACE IMPORTED)
  target_include_directories(CudnnFrontend::headers SYSTEM INTERFACE
    ${CudnnFrontend_INCLUDE_DIR} ${CudnnFrontend_CUDNN_INCLUDE_DIR})
  target_compile_definitions(CudnnFrontend::headers INTERFACE
    NV_CUDNN_FRONTEND_USE_DYNAMIC_LOADING
    CUDNN_FRONTEND_SKIP_JSON_LIB) # its copy of nlohmann/json would stand beside the project's own
endif()
