# Included by each interface package here: where the ROS wheels lie, and a mend of their exports.

find_package(Python3 REQUIRED COMPONENTS Interpreter Development NumPy)

# The ROS wheels unpack into the Python environment's own prefix.
execute_process(
  COMMAND ${Python3_EXECUTABLE} -c "import sys; print(sys.prefix)"
  OUTPUT_VARIABLE ros_prefix OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
list(APPEND CMAKE_PREFIX_PATH ${ros_prefix})
set(ENV{AMENT_PREFIX_PATH} ${ros_prefix})  # how rosidl finds its type supports

# The exported targets of the wheels name include folders of the machine they were built on;
# CMake refuses to generate with those. Runs at the end of the directory, when all are known.
function(drop_missing_include_folders)
  get_property(targets DIRECTORY PROPERTY IMPORTED_TARGETS)
  foreach(target IN LISTS targets)
    get_target_property(folders ${target} INTERFACE_INCLUDE_DIRECTORIES)
    if(NOT folders)
      continue()
    endif()
    set(present "")
    foreach(folder IN LISTS folders)
      if(folder MATCHES "[$]<" OR EXISTS "${folder}")
        list(APPEND present "${folder}")
      endif()
    endforeach()
    set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${present}")
  endforeach()
endfunction()
cmake_language(DEFER CALL drop_missing_include_folders)
