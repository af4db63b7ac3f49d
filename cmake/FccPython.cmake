# Whether the Python package can be built: FCC_HAVE_PYTHON, and nanobind's functions with it. What is
# needed is a Python with its headers and nanobind, either in that Python or in the cache that
# scripts/setup.sh fills.

set(FCC_PYTHON_TOOLS "" CACHE PATH "The folder of nanobind, numpy and pytest, as scripts/setup.sh --python makes it")
if(NOT FCC_PYTHON_TOOLS)
  if(DEFINED ENV{FCC_CACHE})
    set(FCC_PYTHON_TOOLS $ENV{FCC_CACHE}/python-1)
  else()
    set(FCC_PYTHON_TOOLS $ENV{HOME}/.cache/libfcc/python-1)
  endif()
endif()

set(FCC_HAVE_PYTHON FALSE)
set(FCC_PYTHON_LACKS "")
if(FCC_BUILD_PYTHON STREQUAL "AUTO" AND NOT FCC_BUILD_TESTS)
  set(FCC_PYTHON_LACKS "FCC_BUILD_TESTS or FCC_BUILD_PYTHON")
elseif(FCC_BUILD_PYTHON STREQUAL "AUTO" AND CMAKE_CXX_FLAGS MATCHES "-fsanitize")
  set(FCC_PYTHON_LACKS "a build without sanitizers, which Python itself would have to be built with")
elseif(FCC_BUILD_PYTHON)
  if(NOT Python_EXECUTABLE)
    find_program(FCC_PYTHON3 python3) # the one that scripts/setup.sh fetched the tools for
    set(Python_EXECUTABLE ${FCC_PYTHON3})
  endif()
  find_package(Python 3.11 QUIET COMPONENTS Interpreter Development.Module)
  if(NOT Python_Development.Module_FOUND)
    set(FCC_PYTHON_LACKS "Python's headers (python3-dev)")
  else()
    # pip's build has tools of its own, found by its PYTHONPATH; the cache's may be another Python's.
    set(FCC_PYTHON_PATH ${FCC_PYTHON_TOOLS})
    if(SKBUILD)
      set(FCC_PYTHON_PATH "")
    endif()
    execute_process(
      COMMAND ${CMAKE_COMMAND} -E env PYTHONPATH=${FCC_PYTHON_PATH}:$ENV{PYTHONPATH}
        ${Python_EXECUTABLE} -m nanobind --cmake_dir
      OUTPUT_VARIABLE _fcc_nanobind OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    if(_fcc_nanobind)
      find_package(nanobind 3.1 CONFIG QUIET HINTS ${_fcc_nanobind} NO_DEFAULT_PATH)
    endif()
    if(nanobind_FOUND)
      set(FCC_HAVE_PYTHON TRUE)
    else()
      set(FCC_PYTHON_LACKS "nanobind (scripts/setup.sh --python)")
    endif()
  endif()
  if(NOT FCC_HAVE_PYTHON AND NOT FCC_BUILD_PYTHON STREQUAL "AUTO")
    message(FATAL_ERROR "the Python package needs ${FCC_PYTHON_LACKS}")
  endif()
else()
  set(FCC_PYTHON_LACKS "FCC_BUILD_PYTHON")
endif()
message(STATUS "Python package: ${FCC_HAVE_PYTHON}")

# `pip install` takes the PyTorch of the Python that it installs for, where that has the version that the
# library is written for; FindLibTorch says where it looks otherwise.
if(SKBUILD AND FCC_HAVE_PYTHON AND NOT FCC_TORCH_ROOT)
  execute_process(
    COMMAND ${Python_EXECUTABLE} -c "import sysconfig; print(sysconfig.get_path('purelib'))"
    OUTPUT_VARIABLE _fcc_packages OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  if(EXISTS ${_fcc_packages}/torch/version.py)
    file(STRINGS ${_fcc_packages}/torch/version.py _fcc_version REGEX "^__version__ = '2\\.11\\.0")
    if(_fcc_version)
      set(FCC_TORCH_ROOT ${_fcc_packages}/torch)
      message(STATUS "LibTorch: of the installed PyTorch, ${FCC_TORCH_ROOT}")
    endif()
  endif()
endif()

# The one test of the package: python/tests, skipped with the reason where it cannot be built.
function(fcc_add_python_test)
  if(FCC_HAVE_PYTHON)
    # PyTorch beside the same LibTorch, where `scripts/setup.sh --transformers` has put it.
    cmake_path(GET FCC_PYTHON_TOOLS PARENT_PATH cache)
    add_test(NAME Python.PackageDoesWhatItsTestsSay
      COMMAND ${CMAKE_COMMAND} -E env --unset=PYTHONHOME
        PYTHONPATH=${PROJECT_BINARY_DIR}/python:${FCC_PYTHON_TOOLS}:${cache}/torch-2.11.0:${cache}/transformers-1
        OMP_NUM_THREADS=1
        FCC_GENERATE=${PROJECT_BINARY_DIR}/bin/fcc-generate
        ${Python_EXECUTABLE} -m pytest -q -p no:cacheprovider ${PROJECT_SOURCE_DIR}/python/tests)
  else()
    add_test(NAME Python.PackageDoesWhatItsTestsSay
      COMMAND ${CMAKE_COMMAND} -E echo "skipped: the Python package needs ${FCC_PYTHON_LACKS}")
    set_tests_properties(Python.PackageDoesWhatItsTestsSay PROPERTIES SKIP_REGULAR_EXPRESSION "skipped:")
  endif()
  set_tests_properties(Python.PackageDoesWhatItsTestsSay PROPERTIES LABELS python TIMEOUT 600)
endfunction()
