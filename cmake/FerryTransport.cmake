# ferry_add_transport(NAME SOURCE...): build libferry-transport-NAME.so, which exports one symbol and links
# without libferry.  Used by our own transports and, installed, by everybody else's.  The target is called
# ferry-transport-NAME: link it to the broker's client library as any other.
set(FERRY_TRANSPORT_SYMBOLS "${CMAKE_CURRENT_LIST_DIR}/transport.sym")

function(ferry_add_transport name)
  if(NOT name MATCHES "^[a-z0-9-]+$")
    message(FATAL_ERROR "ferry_add_transport: the name '${name}' is not of the form [a-z0-9-]+")
  endif()
  set(target ferry-transport-${name})
  add_library(${target} MODULE ${ARGN})
  target_include_directories(${target} PRIVATE $<TARGET_PROPERTY:ferry::ferry,INTERFACE_INCLUDE_DIRECTORIES>)
  set_target_properties(${target} PROPERTIES C_VISIBILITY_PRESET hidden POSITION_INDEPENDENT_CODE ON)
  target_link_options(${target} PRIVATE LINKER:-z,nodelete
    "LINKER:--version-script=${FERRY_TRANSPORT_SYMBOLS}")
  set_property(TARGET ${target} APPEND PROPERTY LINK_DEPENDS "${FERRY_TRANSPORT_SYMBOLS}")
endfunction()
