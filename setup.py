from setuptools import setup

setup(cffi_modules=["nnr/_core_build.py:ffibuilder"])
