# Read by ctest: one test for each suite of `program`, with `labels`.
get_filename_component(name "${program}" NAME)
if(NOT EXISTS "${program}")
  add_test(${name}_NOT_BUILT ${name}_NOT_BUILT)
  return()
endif()
execute_process(COMMAND "${program}" --gtest_list_tests OUTPUT_VARIABLE listed RESULT_VARIABLE result)
if(NOT result EQUAL 0)
  message(FATAL_ERROR "${program} --gtest_list_tests ended with ${result}")
endif()
string(REPLACE ";" "," listed "${listed}")
string(REPLACE "\n" ";" listed "${listed}")
foreach(line IN LISTS listed)
  # Cases are indented; a suite's line ends in a dot, behind which its type parameter may stand.
  if(line MATCHES "^([A-Za-z0-9_/]+)\\.")
    set(suite ${CMAKE_MATCH_1})
    add_test("${name}.${suite}" "${program}" "--gtest_filter=${suite}.*")
    set_tests_properties("${name}.${suite}" PROPERTIES
      LABELS "${labels}" TIMEOUT 1200
      # A suite of which nothing could run says so.
      SKIP_REGULAR_EXPRESSION "PASSED  \\] 0 tests")
  endif()
endforeach()
