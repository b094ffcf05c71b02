#!/usr/bin/env bash
# Prints the Python to build .venv with, or says on stderr all that this machine lacks for it.
set -u
missing=()

[[ "$(uname -s)" == Linux && "$(uname -m)" == x86_64 ]] || missing+=(
  "Linux on x86-64 (this is $(uname -s) on $(uname -m)): the ROS 2 wheels exist for no other.
     Elsewhere install ROS 2 itself and build this package with colcon: see README.md.")

supported='import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))'
python=""
for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.10}; do
  if "$candidate" -c "$supported" 2>/dev/null; then
    python=$("$candidate" -c 'import sys; print(sys.executable)')
    break
  fi
done

if [[ -z "$python" ]]; then
  found=$("${PYTHON:-python3}" --version 2> /dev/null)
  missing+=("Python 3.10, 3.11, 3.12 or 3.13 (found: ${found:-none}).
     Install one (Debian, Ubuntu: sudo apt install python3 python3-venv python3-dev)
     or name one: make setup PYTHON=/path/to/python3.12")
else
  version=$("$python" -c 'import sys; print("{}.{}".format(*sys.version_info))')
  "$python" -c 'import ensurepip, venv' 2>/dev/null || missing+=(
    "Python's venv module for $python.
     Debian, Ubuntu: sudo apt install python$version-venv")
  headers=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
  [[ -e "$headers/Python.h" ]] || missing+=(
    "Python's C headers ($headers/Python.h).
     Debian, Ubuntu: sudo apt install python$version-dev")
fi

for compiler in "${CC:-cc}" "${CXX:-c++}"; do  # the names CMake looks for
  command -v "$compiler" > /dev/null && continue
  missing+=("a C and C++ compiler ('$compiler' is not on the PATH).
     Debian, Ubuntu: sudo apt install build-essential")
  break
done

free_mib=$(df --output=avail -m . | tail -n 1)
(( free_mib >= 3000 )) || missing+=("3 GB of free disk here (free: $free_mib MB).")

if (( ${#missing[@]} )); then
  echo "This machine lacks what stn_ros needs to set itself up:" >&2
  printf '  -  %s\n' "${missing[@]}" >&2
  exit 1
fi
echo "$python"
