# SPDX-License-Identifier: Apache-2.0
#
# fl_module(), fl_program(), fl_plugin(), fl_test(), fl_fuzz(): one folder = one target, one layer.
#
# Every target carries the number of its layer (docs/architecture.md). DEPS may only name targets of a
# lower number: a link that points up, or sideways, stops the configuration.

option(FL_WERROR "Treat warnings as errors" OFF)
option(FL_COVERAGE "Instrument for gcov" OFF)
option(FL_FUZZ "Build the libFuzzer targets" OFF)
option(FL_TIDY "Run clang-tidy while compiling" OFF)
option(FL_TESTS "Build the tests" ON)
set(FL_SANITIZE "" CACHE STRING "Sanitizers, as -fsanitize takes them")

add_library(fl_flags INTERFACE)
target_compile_definitions(fl_flags INTERFACE _GNU_SOURCE _FILE_OFFSET_BITS=64)
target_compile_options(fl_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes
  -Wcast-align -Wformat=2 -Wundef -Wvla -Wswitch-enum -Wimplicit-fallthrough -Wwrite-strings
  -Wnull-dereference -fno-common -fvisibility=hidden -fstack-protector-strong -fPIC
  # Messages are cut on purpose (fairlead/base/err.h); clang does not know this warning.
  $<$<C_COMPILER_ID:GNU>:-Wno-format-truncation>
  # The libraries of a fuzz build are instrumented too, or libFuzzer would see no coverage.
  $<$<BOOL:${FL_FUZZ}>:-fsanitize=fuzzer-no-link>
  $<$<BOOL:${FL_WERROR}>:-Werror>)

if(CMAKE_BUILD_TYPE STREQUAL "Release")
  target_compile_options(fl_flags INTERFACE -O2 -g -fstack-clash-protection -fcf-protection)
  target_compile_definitions(fl_flags INTERFACE _FORTIFY_SOURCE=2)
  target_link_options(fl_flags INTERFACE -Wl,-z,relro,-z,now)
endif()
target_link_options(fl_flags INTERFACE -Wl,--as-needed)

if(FL_SANITIZE)
  target_compile_options(fl_flags INTERFACE -fsanitize=${FL_SANITIZE} -fno-sanitize-recover=all
    -fno-omit-frame-pointer)
  target_link_options(fl_flags INTERFACE -fsanitize=${FL_SANITIZE})
  target_compile_definitions(fl_flags INTERFACE FL_SANITIZED=1)
endif()
if(FL_COVERAGE)
  target_compile_options(fl_flags INTERFACE --coverage)
  target_link_options(fl_flags INTERFACE --coverage)
endif()
if(FL_TIDY)
  set(CMAKE_C_CLANG_TIDY clang-tidy)
endif()

# _fl_link(TARGET layer DEPS...): link, and refuse what does not point down.
function(_fl_link target layer)
  set_target_properties(${target} PROPERTIES FL_LAYER ${layer})
  foreach(dep IN LISTS ARGN)
    if(NOT TARGET ${dep})
      message(FATAL_ERROR "${target}: no target '${dep}' (is its folder added before this one?)")
    endif()
    get_target_property(below ${dep} FL_LAYER)
    if(NOT below STREQUAL "below-NOTFOUND" AND NOT below LESS layer)
      message(FATAL_ERROR "${target} (layer ${layer}) must not use ${dep} (layer ${below})")
    endif()
    target_link_libraries(${target} PUBLIC ${dep})
  endforeach()
  target_link_libraries(${target} PRIVATE fl_flags)
endfunction()

# fl_module(NAME LAYER n SOURCES ... [DEPS fl_x ...] [LIBS system libraries, PRIVATE])
function(fl_module name)
  cmake_parse_arguments(A "" "LAYER" "SOURCES;DEPS;LIBS" ${ARGN})
  add_library(${name} STATIC ${A_SOURCES})
  target_include_directories(${name} PRIVATE src PUBLIC include)
  _fl_link(${name} ${A_LAYER} ${A_DEPS})
  target_link_libraries(${name} PRIVATE ${A_LIBS})
endfunction()

# fl_program(NAME LAYER n SOURCES ... DEPS ... LIBS ...): an executable in build/<preset>/bin
function(fl_program name)
  cmake_parse_arguments(A "" "LAYER" "SOURCES;DEPS;LIBS" ${ARGN})
  add_executable(${name} ${A_SOURCES})
  target_include_directories(${name} PRIVATE src)
  _fl_link(${name} ${A_LAYER} ${A_DEPS})
  target_link_libraries(${name} PRIVATE ${A_LIBS})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin
    POSITION_INDEPENDENT_CODE ON)
  if(NOT FL_SANITIZE)
    target_link_options(${name} PRIVATE -pie)
  endif()
endfunction()

# fl_plugin(NAME SOURCES ... LIBS ...): build/<preset>/plugins/<name>.so, against the SDK alone
function(fl_plugin name)
  cmake_parse_arguments(A "" "" "SOURCES;LIBS" ${ARGN})
  add_library(plugin_${name} MODULE ${A_SOURCES})
  _fl_link(plugin_${name} 3 fl_sdk)
  target_link_libraries(plugin_${name} PRIVATE ${A_LIBS})
  set_target_properties(plugin_${name} PROPERTIES PREFIX "" OUTPUT_NAME ${name}
    LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/plugins)
  set_property(GLOBAL APPEND PROPERTY FL_PLUGINS ${name}) # for packaging/
endfunction()

# fl_test(NAME SOURCES ... DEPS ... LIBS ...): a Criterion binary in build/<preset>/tests, found by script/test
function(fl_test name)
  cmake_parse_arguments(A "" "" "SOURCES;DEPS;LIBS" ${ARGN})
  add_executable(${name} ${A_SOURCES})
  target_link_libraries(${name} PRIVATE ${A_DEPS} ${A_LIBS} fl_flags criterion)
  # Criterion's macros declare what these three warn of.
  target_compile_options(${name} PRIVATE -Wno-missing-prototypes -Wno-pedantic -Wno-conversion)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
endfunction()

# fl_fuzz(NAME SOURCES ... DEPS ...): the same LLVMFuzzerTestOneInput twice: under libFuzzer (preset fuzz),
# and, everywhere, as <name>_replay, which runs the files it is given as an ordinary test.
function(fl_fuzz name)
  cmake_parse_arguments(A "" "" "SOURCES;DEPS;LIBS" ${ARGN})
  add_executable(${name}_replay ${A_SOURCES} ${CMAKE_SOURCE_DIR}/tests/fuzz/replay.c)
  target_link_libraries(${name}_replay PRIVATE ${A_DEPS} ${A_LIBS} fl_flags)
  target_compile_options(${name}_replay PRIVATE -Wno-missing-prototypes)
  set_target_properties(${name}_replay PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  if(FL_FUZZ)
    add_executable(${name} ${A_SOURCES})
    target_link_libraries(${name} PRIVATE ${A_DEPS} ${A_LIBS} fl_flags)
    target_compile_options(${name} PRIVATE -Wno-missing-prototypes)
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
  endif()
endfunction()
