# python/tests run the same blocks, and others.
"$FCC_PYTHON" -c 'import fcc' || { echo "$FCC_PYTHON cannot import fcc and numpy: no package in the build, and none installed"; exit 77; }
