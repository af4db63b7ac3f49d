# What `cmake --install` puts where. Everything finds its neighbours by paths relative to itself, so
# that the prefix can be moved, or mounted elsewhere:
#
#   bin/fcc-…                      look for LibTorch in ../lib/fcc/torch/lib
#   lib/libfcc.a, or .so.0.1       the same, in fcc/torch/lib
#   lib/fcc/torch, lib/fcc/nvidia  the copy of LibTorch (FCC_INSTALL_LIBTORCH), as in its wheels,
#                                  whose libraries find each other
#   lib/cmake/fcc, lib/pkgconfig   for programs that link the library
#
# Without the copy the place that LibTorch was found in at build time is looked in last.

file(RELATIVE_PATH fcc_bin_to_lib
  ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR})

# fcc_set_run_path(TARGET PATH): PATH leads from the target's folder to the libraries'.
function(fcc_set_run_path target path)
  set(paths ${path} ${path}/fcc/torch/lib ${path}/fcc/nvidia/cu13/lib ${path}/fcc/pyarrow)
  if(NOT FCC_INSTALL_LIBTORCH)
    list(APPEND paths ${LibTorch_RUN_PATH})
    if(FCC_HAVE_PARQUET)
      list(APPEND paths ${ArrowParquet_RUN_PATH})
    endif()
  endif()
  set_target_properties(${target} PROPERTIES INSTALL_RPATH "${paths}")
endfunction()

# A copy of what the programs load and of the headers that fcc's own include. The component has a
# name of its own: `cmake --install BUILD --component Unspecified` leaves it out.
function(_fcc_install_libtorch)
  list(GET LibTorch_RUN_PATH 0 lib)
  set(target ${CMAKE_INSTALL_LIBDIR}/fcc)
  get_filename_component(root ${lib}/../.. ABSOLUTE)
  set(torch c10 torch_cpu)
  if(FCC_HAVE_CUDA)
    list(APPEND torch c10_cuda torch_cuda torch_cuda_linalg torch_nvshmem caffe2_nvrtc)
    install(DIRECTORY ${root}/nvidia DESTINATION ${target} COMPONENT libtorch
      FILES_MATCHING PATTERN "*.so*")
  else()
    install(FILES ${root}/nvidia/cu13/lib/libcudart.so.13 ${root}/nvidia/cu13/lib/libcupti.so.13
      DESTINATION ${target}/nvidia/cu13/lib COMPONENT libtorch OPTIONAL)
  endif()
  list(TRANSFORM torch PREPEND ${lib}/lib)
  list(TRANSFORM torch APPEND .so)
  install(FILES ${torch} ${lib}/libgomp.so.1 DESTINATION ${target}/torch/lib COMPONENT libtorch)
  install(DIRECTORY ${LibTorch_INCLUDE_DIR}/ DESTINATION ${target}/torch/include COMPONENT libtorch)
  if(FCC_HAVE_PARQUET)
    install(FILES ${ArrowParquet_arrow_LIBRARY} ${ArrowParquet_parquet_LIBRARY}
      DESTINATION ${target}/pyarrow COMPONENT libtorch)
    install(DIRECTORY ${ArrowParquet_INCLUDE_DIR}/ DESTINATION ${target}/pyarrow/include
      COMPONENT libtorch)
  endif()
endfunction()

# fcc.pc, for builds without CMake.
function(_fcc_install_pkg_config)
  file(RELATIVE_PATH to_prefix ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
  string(REGEX REPLACE "/$" "" to_prefix ${to_prefix})
  set(torch_root "\${libdir}/fcc")
  if(NOT FCC_INSTALL_LIBTORCH)
    list(GET LibTorch_RUN_PATH 0 lib)
    get_filename_component(torch_root ${lib}/../.. ABSOLUTE)
  endif()
  set(pc_torch "-L\${torch_root}/torch/lib -Wl,-rpath,\${torch_root}/torch/lib")
  string(APPEND pc_torch " -ltorch_cpu -lc10 -Wl,--allow-shlib-undefined")
  if(FCC_HAVE_CUDA)
    string(APPEND pc_torch " -Wl,--no-as-needed -ltorch_cuda -lc10_cuda -Wl,--as-needed"
      " -L\${torch_root}/nvidia/cu13/lib -Wl,-rpath,\${torch_root}/nvidia/cu13/lib -l:libcudart.so.13")
  endif()
  # A shared libfcc brings what it needs itself; with a static one its user links that too.
  set(pc_own -lfcc)
  set(pc_requires "")
  if(BUILD_SHARED_LIBS)
    string(APPEND pc_own " -Wl,-rpath,\${libdir}")
  else()
    if(TARGET fcc_kernels)
      string(APPEND pc_own " -lfcc_kernels")
    endif()
    set(pc_requires "libcrypto libpcre2-8 libzstd sentencepiece spdlog zlib")
    if(FCC_HAVE_PARQUET)
      string(APPEND pc_torch " -L\${torch_root}/pyarrow -Wl,-rpath,\${torch_root}/pyarrow"
        " -l:libparquet.so.2600 -l:libarrow.so.2600")
    endif()
  endif()
  configure_file(${PROJECT_SOURCE_DIR}/cmake/fcc.pc.in ${CMAKE_CURRENT_BINARY_DIR}/fcc.pc @ONLY)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/fcc.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endfunction()

# The library with its headers and package files, LibTorch, and the licence.
function(fcc_install_library)
  include(CMakePackageConfigHelpers)
  set(package ${CMAKE_INSTALL_LIBDIR}/cmake/fcc)
  fcc_set_run_path(fcc "\$ORIGIN")
  install(TARGETS fcc EXPORT fccTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
  if(TARGET fcc_kernels)
    install(TARGETS fcc_kernels EXPORT fccTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  endif()
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/fcc ${PROJECT_BINARY_DIR}/include/fcc
    DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  install(EXPORT fccTargets NAMESPACE fcc:: DESTINATION ${package})
  configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/fccConfig.cmake.in
    ${CMAKE_CURRENT_BINARY_DIR}/fccConfig.cmake INSTALL_DESTINATION ${package})
  write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/fccConfigVersion.cmake
    COMPATIBILITY SameMinorVersion)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/fccConfig.cmake
    ${CMAKE_CURRENT_BINARY_DIR}/fccConfigVersion.cmake
    ${PROJECT_SOURCE_DIR}/cmake/FindLibTorch.cmake
    ${PROJECT_SOURCE_DIR}/cmake/FindArrowParquet.cmake DESTINATION ${package})
  install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
  _fcc_install_pkg_config()
  if(FCC_INSTALL_LIBTORCH)
    _fcc_install_libtorch()
  endif()
endfunction()
