import sysconfig

from setuptools import setup

# One wheel for every CPython from 3.10 on; free-threaded ones have no limited API, and asking for it fails.
FREE_THREADED = sysconfig.get_config_var("Py_GIL_DISABLED")
setup(
    cffi_modules=["nnr/_core_build.py:ffibuilder"],
    options={} if FREE_THREADED else {"bdist_wheel": {"py_limited_api": "cp310"}},
)
