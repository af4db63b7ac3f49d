# Arrow C++ and its Parquet reader from an unpacked pyarrow wheel (headers and two libraries; no
# Python). Looks in FCC_ARROW_ROOT (the folder that holds include/ and libparquet.so.2600), else,
# in an installed package, in the copy that was installed with it, else in the cache that
# scripts/setup.sh fills.
#
# Target: ArrowParquet::parquet. ArrowParquet_RUN_PATH: the folder that programs must find it in.

set(FCC_ARROW_ROOT "" CACHE PATH "The folder `pyarrow` of an unpacked pyarrow 26.0.1 wheel")
if(NOT FCC_ARROW_ROOT AND EXISTS ${CMAKE_CURRENT_LIST_DIR}/../../fcc/pyarrow)
  set(_fcc_arrow_hint ${CMAKE_CURRENT_LIST_DIR}/../../fcc/pyarrow)
elseif(NOT FCC_ARROW_ROOT)
  if(DEFINED ENV{FCC_CACHE})
    set(_fcc_cache $ENV{FCC_CACHE})
  else()
    set(_fcc_cache $ENV{HOME}/.cache/libfcc)
  endif()
  set(_fcc_arrow_hint ${_fcc_cache}/pyarrow-26.0.1/pyarrow)
endif()
find_path(ArrowParquet_INCLUDE_DIR parquet/api/reader.h
  HINTS ${FCC_ARROW_ROOT}/include ${_fcc_arrow_hint}/include NO_DEFAULT_PATH)
foreach(_part arrow parquet)
  # The wheel ships the versioned name alone, which find_library would pass over.
  find_file(ArrowParquet_${_part}_LIBRARY lib${_part}.so.2600
    HINTS ${FCC_ARROW_ROOT} ${_fcc_arrow_hint} NO_DEFAULT_PATH)
endforeach()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(ArrowParquet
  REQUIRED_VARS ArrowParquet_parquet_LIBRARY ArrowParquet_arrow_LIBRARY ArrowParquet_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "run scripts/setup.sh first, or set FCC_ARROW_ROOT to the folder `pyarrow` of an unpacked pyarrow 26.0.1 wheel")

if(ArrowParquet_FOUND AND NOT TARGET ArrowParquet::parquet)
  foreach(_part arrow parquet)
    add_library(ArrowParquet::${_part} SHARED IMPORTED)
    set_target_properties(ArrowParquet::${_part} PROPERTIES
      IMPORTED_LOCATION ${ArrowParquet_${_part}_LIBRARY}
      INTERFACE_INCLUDE_DIRECTORIES ${ArrowParquet_INCLUDE_DIR})
  endforeach()
  target_link_libraries(ArrowParquet::parquet INTERFACE ArrowParquet::arrow)
  get_filename_component(ArrowParquet_RUN_PATH ${ArrowParquet_parquet_LIBRARY} DIRECTORY)
endif()
