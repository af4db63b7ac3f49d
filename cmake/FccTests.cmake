# A test of ctest is one suite of a GoogleTest program: a process for each single case would spend most
# of its time on loading torch, a process for each program would leave one core idle.
set(FCC_SUITES_SCRIPT ${CMAKE_CURRENT_LIST_DIR}/suites_of_program.cmake)

# fcc_discover_suites(TARGET LABELS): asked of the program when ctest starts, not while building.
function(fcc_discover_suites target labels)
  set(file ${CMAKE_CURRENT_BINARY_DIR}/${target}_suites.cmake)
  file(GENERATE OUTPUT ${file} CONTENT
    "set(program \"$<TARGET_FILE:${target}>\")\nset(labels \"${labels}\")\ninclude(\"${FCC_SUITES_SCRIPT}\")\n")
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES ${file})
endfunction()
