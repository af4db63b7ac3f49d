# In a build, python/tests run the same blocks against the package that was just made.
"${FCC_PYTHON:-python3}" -c 'import fcc' || exit 77 # not installed
