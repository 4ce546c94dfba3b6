# What `cmake --install` puts where, for programs (pkg-config ferry, CMake ferry::ferry) and for the authors
# of transports (ferry_add_transport, ${transportdir}).
include(CMakePackageConfigHelpers)

set(ferry_transport_dir ${CMAKE_INSTALL_LIBDIR}/ferry)
set(ferry_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/ferry)

install(DIRECTORY include/ferry DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(TARGETS ferry EXPORT ferry
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
  INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
if(TARGET ferry-program)
  set_target_properties(ferry-program PROPERTIES INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")
  install(TARGETS ferry-program RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()

# Every plugin under transports/; those of the tests are not installed.  Ours are asked at link time to
# define all that they call, which a sanitizer's runtime, being in the program, would spoil.
get_property(ferry_folders DIRECTORY PROPERTY SUBDIRECTORIES)
foreach(folder IN LISTS ferry_folders)
  if(NOT folder MATCHES "/transports/[^/]+$")
    continue()
  endif()
  get_property(targets DIRECTORY ${folder} PROPERTY BUILDSYSTEM_TARGETS)
  list(FILTER targets INCLUDE REGEX "^ferry-transport-")
  foreach(target IN LISTS targets)
    if(NOT CMAKE_C_FLAGS MATCHES "-fsanitize")
      target_link_options(${target} PRIVATE LINKER:-z,defs)
    endif()
  endforeach()
  install(TARGETS ${targets} LIBRARY DESTINATION ${ferry_transport_dir})
  get_filename_component(name ${folder} NAME)
  install(FILES ${folder}/README.md DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME transport-${name}.md)
endforeach()

configure_package_config_file(cmake/ferry-config.cmake.in ferry-config.cmake
  INSTALL_DESTINATION ${ferry_package_dir} PATH_VARS ferry_transport_dir)
write_basic_package_version_file(ferry-config-version.cmake COMPATIBILITY SameMajorVersion)
install(EXPORT ferry NAMESPACE ferry:: DESTINATION ${ferry_package_dir} FILE ferry-targets.cmake)
install(FILES
  ${CMAKE_CURRENT_BINARY_DIR}/ferry-config.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/ferry-config-version.cmake
  cmake/FerryTransport.cmake
  cmake/transport.sym
  DESTINATION ${ferry_package_dir})

# ferry.pc finds its prefix from its own place, so that an installed tree may be moved.
set(ferry_pc_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH ferry_pc_to_prefix ${CMAKE_INSTALL_PREFIX}/${ferry_pc_dir} ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" ferry_pc_to_prefix ${ferry_pc_to_prefix})
configure_file(cmake/ferry.pc.in ferry.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/ferry.pc DESTINATION ${ferry_pc_dir})

install(FILES LICENSE README.md CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
