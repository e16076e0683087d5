# Installs the engine for find_package(hashcore): headers, the static library and its target
# hashcore::engine. A component of its own, which Python wheels leave out:
#   cmake --install BUILD --component hashcore_development --prefix PREFIX
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_folder "${CMAKE_INSTALL_LIBDIR}/cmake/hashcore")
set_target_properties(hashcore_engine PROPERTIES EXPORT_NAME engine)
install(TARGETS hashcore_engine EXPORT hashcore_targets
    ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT hashcore_development
    INCLUDES DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(DIRECTORY "${PROJECT_SOURCE_DIR}/csrc/include/hashcore"
    DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" COMPONENT hashcore_development
    FILES_MATCHING PATTERN "*.h")
install(EXPORT hashcore_targets
    NAMESPACE hashcore:: FILE hashcore-targets.cmake
    DESTINATION "${package_folder}" COMPONENT hashcore_development)

configure_package_config_file(csrc/hashcore-config.cmake.in
    "${CMAKE_CURRENT_BINARY_DIR}/hashcore-config.cmake" INSTALL_DESTINATION "${package_folder}")
# Before 1.0, a minor version may change the API.
write_basic_package_version_file("${CMAKE_CURRENT_BINARY_DIR}/hashcore-config-version.cmake"
    COMPATIBILITY SameMinorVersion)
install(FILES
    "${CMAKE_CURRENT_BINARY_DIR}/hashcore-config.cmake"
    "${CMAKE_CURRENT_BINARY_DIR}/hashcore-config-version.cmake"
    DESTINATION "${package_folder}" COMPONENT hashcore_development)
