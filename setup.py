import copy
import runpy
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext


class BuildEach(build_ext):
    """Objects of each extension in a folder of their own: several are built of the same sources."""

    def build_extension(self, ext: Extension) -> None:
        command = copy.copy(self)
        command.build_temp = str(Path(self.build_temp) / ext.name)
        super(BuildEach, command).build_extension(ext)


recipe = runpy.run_path("nnr/_core_build.py")
builders = ["ffibuilder", "ffibuilder_bmi2"] if recipe["has_bmi2_build"]() else ["ffibuilder"]
options: dict[str, dict[str, object]] = {"build_ext": {"parallel": len(builders)}}
# One wheel for every CPython from 3.10 on; free-threaded ones have no limited API, and asking for it fails.
if not sysconfig.get_config_var("Py_GIL_DISABLED"):
    options["bdist_wheel"] = {"py_limited_api": "cp310"}
setup(
    cffi_modules=[f"nnr/_core_build.py:{name}" for name in builders],
    cmdclass={"build_ext": BuildEach},
    options=options,
)
