# ferry_add_transport(NAME SOURCE...): build libferry-transport-NAME.so, which exports one symbol and links
# without libferry.  Used by our own transports and, installed, by everybody else's.
set(FERRY_TRANSPORT_SYMBOLS "${CMAKE_CURRENT_LIST_DIR}/transport.sym")

function(ferry_add_transport name)
  set(target ferry-transport-${name})
  add_library(${target} MODULE ${ARGN})
  if(TARGET ferry::ferry)
    target_include_directories(${target} PRIVATE
      $<TARGET_PROPERTY:ferry::ferry,INTERFACE_INCLUDE_DIRECTORIES>)
  else()
    target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/include)
  endif()
  set_target_properties(${target} PROPERTIES C_VISIBILITY_PRESET hidden POSITION_INDEPENDENT_CODE ON)
  target_link_options(${target} PRIVATE -Wl,-z,nodelete
    "-Wl,--version-script=${FERRY_TRANSPORT_SYMBOLS}")
  set_property(TARGET ${target} APPEND PROPERTY LINK_DEPENDS "${FERRY_TRANSPORT_SYMBOLS}")
endfunction()
