"""The workflows' examples with `--quick`, as a newcomer runs them; a second time they have nothing left to train."""

import os
import pathlib
import subprocess
import sys

import pytest

EXAMPLES = pathlib.Path(__file__).parent.parent.parent / "examples"
ARMS = {
    "gan_augmented.py": ["no augmentation", "GAN, ratio 0.5", "GAN, ratio 2"],
    "meta_gan_transfer.py": ["real images", "GAN fine-tuned", "MetaGAN"],
    "daml.py": ["fine-tuning", "CORAL", "MAML, DAML", "ensemble, DAML"],
}
OPTIONS = {
    "gan_augmented.py": ["--classes", "40"],
    "meta_gan_transfer.py": ["--target", "usps", "--sources", "omniglot", "glyphs", "--shots", "5"],
    "daml.py": ["--target", "usps", "--sources", "omniglot", "glyphs"],
}


def run(script, *arguments, folder):
    command = [sys.executable, str(EXAMPLES / script), *map(str, arguments)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


@pytest.mark.slow
@pytest.mark.parametrize("script", ARMS)
def test_quick_runs_print_every_arm_and_resume(script, tfds_data_dir, usps_data_dir, tmp_path):
    options = ["--quick", "--data_dir", tfds_data_dir, *OPTIONS[script]]
    options += [] if script == "gan_augmented.py" else ["--usps_dir", usps_data_dir]
    first = run(script, *options, folder=tmp_path)
    assert all(f"\n| {arm} | " in first for arm in ARMS[script])
    again = run(script, *options, folder=tmp_path)
    assert again[again.index("| arm |") :] == first[first.index("| arm |") :]
    assert len(list(tmp_path.glob("runs/*/**/report.png"))) == 1
