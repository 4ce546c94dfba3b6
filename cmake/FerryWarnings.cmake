# ferry_warnings(TARGET): the warnings that every one of our targets is built with.
option(FERRY_WERROR "Turn warnings into errors" OFF)

function(ferry_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes
    -Wmissing-prototypes -Wpointer-arith -Wwrite-strings -Wvla
    # clang counts !"a reason", by which a check that must fail says why, as a conversion
    $<$<C_COMPILER_ID:Clang>:-Wno-string-conversion>)
  if(FERRY_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
endfunction()
