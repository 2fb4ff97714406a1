"""What import-linter cannot see: that the halves stay apart at run time too."""

import subprocess
import sys
import tomllib

import pytest
from django.apps import apps

from tests.house.checkout import ROOT


@pytest.mark.parametrize("module", ["sdm", "sdm.contract.address", "sdm.contract.ids", "sdm.pki.chain"])
def test_what_runs_elsewhere_does_not_load_django(module: str):
    script = f"import sys, {module}; sys.exit('django' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


def test_dev_and_what_it_imports_need_the_standard_library_only():
    """-I -S: no environment, no site-packages."""
    script = f"import runpy, sys; sys.path.insert(0, {str(ROOT)!r}); runpy.run_path('dev', run_name='dev')"
    subprocess.run([sys.executable, "-I", "-S", "-c", script], cwd=ROOT, capture_output=True, check=True)


def test_every_app_of_ours_is_held_to_the_import_contracts():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    ours = {config.name for config in apps.get_app_configs() if (ROOT / config.name).is_dir()}
    assert ours <= set(contracts["root_packages"])
