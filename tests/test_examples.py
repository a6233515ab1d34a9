"""The examples run as a newcomer runs them: in a process of their own, from the command line."""

import os
import pathlib
import subprocess
import sys

import pytest

EXAMPLES = pathlib.Path(__file__).parent.parent / "examples"


def run(script, *arguments, folder):
    """The output of an example, run in an empty folder."""
    command = [sys.executable, str(EXAMPLES / script), *map(str, arguments)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


def test_quickstart_then_your_own_images(tmp_path):
    output = run("quickstart.py", "--steps", 30, "--test_episodes", 40, folder=tmp_path)
    assert "5-way 1-shot" in output
    assert float(output.split("differs by at most ")[1].split()[0]) < 1e-5
    assert (tmp_path / "runs/quickstart/task.png").stat().st_size > 5000
    assert (tmp_path / "runs/quickstart/served/1/model_card.md").exists()

    images = tmp_path / "runs/quickstart/images"
    query = next(images.iterdir()) / "00.png"
    output = run("your_own_images.py", images, "--model", "runs/quickstart/served/1", "--query", query, folder=tmp_path)
    assert "5 classes from 5 images each" in output
    assert query.parent.name in output.split(f"{query}: ")[1]
    assert (tmp_path / "runs/your_own_images/task.png").exists()


def test_sinusoid_regression(tmp_path):
    output = run("sinusoid_regression.py", "--steps", 250, folder=tmp_path)
    errors = [float(line.split(": ")[1].split(" ±")[0]) for line in output.splitlines() if "squared error" in line]
    assert len(errors) == 4
    assert errors[3] < errors[0]
    assert (tmp_path / "runs/sinusoid_regression/sinusoid.png").stat().st_size > 5000


@pytest.mark.slow
def test_preference_learning(tmp_path):
    output = run("preference_learning.py", "--steps", 200, "--test_users", 50, folder=tmp_path)
    errors = dict(line.strip().split(": squared error ") for line in output.splitlines() if "squared error" in line)
    assert len(errors) == 6 * 4
    value = {name: float(error.split(" ±")[0]) for name, error in errors.items()}
    assert value["40 ratings, MAML"] < value["40 ratings, one network for all"]
    assert value["1 ratings, one network for all"] == value["40 ratings, one network for all"]
    assert (tmp_path / "runs/preference_learning/preferences.png").stat().st_size > 5000


@pytest.mark.slow
def test_text_few_shot(sklearn_data_home, tmp_path):
    options = ["--steps", 10, "--test_episodes", 8, "--vocabulary_size", 2000, "--export", "served/1"]
    output = run("text_few_shot.py", "--data_home", sklearn_data_home, *options, folder=tmp_path)
    assert output.count("| 20newsgroups | 5-way 1-shot, 15 queries | none |") == 4
    assert output.count("| 20newsgroups | 5-way 5-shot, 15 queries | none |") == 4
    assert (tmp_path / "served/1/saved_model.pb").exists()


@pytest.mark.slow
def test_tune_text_goes_on_where_it_stopped(sklearn_data_home, tmp_path):
    pytest.importorskip("ray", reason='the search needs `pip install "metalearn_tf[ray]"`')
    options = ["--quick", "--data_home", sklearn_data_home]
    first = run("tune_text.py", *options, folder=tmp_path).splitlines()
    again = run("tune_text.py", *options, folder=tmp_path).splitlines()
    assert again[-5:] == first[-5:]
    assert sum("**best**" in line for line in first) == 1 and "gain of the best over the defaults" in first[-3]
    assert (tmp_path / "runs/tune_text/report.png").stat().st_size > 5000
    assert (tmp_path / "runs/tune_text/export/1/saved_model.pb").exists()


@pytest.mark.parametrize(
    "script", ["omniglot_prototypical.py", pytest.param("omniglot_maml.py", marks=pytest.mark.slow)]
)
def test_omniglot(script, tfds_data_dir, tmp_path):
    lengths = {
        "omniglot_prototypical.py": ["--steps", 10],
        "omniglot_maml.py": ["--epochs", 1, "--steps_per_epoch", 4, "--downsampling", "stride"],
    }
    common = ["--data_dir", tfds_data_dir, "--test_episodes", 8, "--precision", "float32", "--export", "served/1"]
    output = run(script, *lengths[script], *common, folder=tmp_path)
    assert "| omniglot | 5-way 1-shot, 15 queries | transductive |" in output
    assert "| omniglot | 5-way 1-shot, 15 queries | support |" in output
    assert (tmp_path / "served/1/saved_model.pb").exists()


@pytest.mark.slow
def test_omniglot_compare_goes_on_where_it_stopped(tfds_data_dir, tmp_path):
    methods = ["untrained embedding, prototypes", "MANN", "Baseline++"]
    options = ["--data_dir", tfds_data_dir, "--episodes", 8, "--steps", 3, "--settings", "5x1"]
    first = run("omniglot_compare.py", *options, "--only", *methods[:2], folder=tmp_path).splitlines()
    again = run("omniglot_compare.py", *options, "--only", *methods, folder=tmp_path).splitlines()
    table = (tmp_path / "runs/omniglot_compare/table.md").read_text().splitlines()
    assert [line.split(" | ")[0].strip("| ") for line in table[2:]] == methods
    assert table[:4] == first[-4:] and table == again[-5:]
    assert all(line.count("|") == 9 and "5-way 1-shot" in line for line in table[2:])


@pytest.mark.slow
def test_train_feature_networks(tfds_data_dir, tmp_path):
    output = run(
        "train_feature_networks.py", "--only", "omniglot", "--epochs", 4, "--data_dir", tfds_data_dir, folder=tmp_path
    )
    assert float(output.split("test accuracy ")[1].split("%")[0]) > 30
    assert (tmp_path / "runs/feature_networks/omniglot.weights.h5").stat().st_size < 500_000


@pytest.mark.slow
def test_mnist_gan(tfds_data_dir, tmp_path):
    options = ["--epochs", 1, "--steps_per_epoch", 3, "--samples", 64, "--export", "served/1"]
    output = run("mnist_gan.py", "--data_dir", tfds_data_dir, *options, folder=tmp_path)
    assert "64 generated against 10000 real images" in output
    assert (tmp_path / "runs/mnist_gan/curves.png").stat().st_size > 5000
    assert (tmp_path / "runs/mnist_gan/grids/epoch_0001.png").exists()
    assert (tmp_path / "served/1/model_card.md").exists()


@pytest.mark.slow
def test_conditional_gan(tfds_data_dir, tmp_path):
    options = ["--epochs", 1, "--steps_per_epoch", 3, "--samples", 64]
    output = run("conditional_gan.py", "--data_dir", tfds_data_dir, *options, folder=tmp_path)
    assert "the classifier is right about 99." in output
    assert (tmp_path / "runs/conditional_mnist_gan/curves.png").exists()


@pytest.mark.slow
def test_gan_losses_compare_goes_on_where_it_stopped(tfds_data_dir, tmp_path):
    options = ["--datasets", "mnist", "--minutes", 0.02, "--steps_per_epoch", 2, "--samples", 64]
    options += ["--data_dir", tfds_data_dir, "--only", "hinge", "wasserstein+gradient"]
    first = run("gan_losses_compare.py", *options, folder=tmp_path).splitlines()
    assert run("gan_losses_compare.py", *options, folder=tmp_path).splitlines() == first
    assert [line.split(" | ")[1] for line in first[-2:]] == ["hinge", "wasserstein+gradient"]
    assert (tmp_path / "runs/gan_losses/mnist/hinge/grid.png").exists()


@pytest.mark.slow
def test_few_shot_gan(tfds_data_dir, tmp_path):
    options = ["--dataset", "mnist", "--minutes", 0.05, "--test_tasks", 2, "--steps", 2, "--shots", 4]
    output = run("few_shot_gan.py", "--data_dir", tfds_data_dir, *options, "--export", "served/1", folder=tmp_path)
    arms = [line.split(" | ")[2] for line in output.splitlines() if line.startswith("| mnist 8, 9 | 4")]
    assert len(set(arms)) == 1 + 3 + 3 + 2 and "maml, adapted" in arms
    assert (tmp_path / "runs/few_shot_gan_mnist/mnist_8,_9_4_0.png").exists()
    assert (tmp_path / "served/1/saved_model.pb").exists()


@pytest.mark.slow
def test_feature_extraction(tfds_data_dir, tmp_path):
    options = ["--labels", 5, "--seeds", 2, "--steps", 3, "--test_episodes", 8]
    output = run("feature_extraction.py", "--data_dir", tfds_data_dir, *options, folder=tmp_path)
    assert "times faster" in output
    rows = [line.split(" | ") for line in output.splitlines() if "| linear probe |" in line]
    few, all_labels = (float(row[2].split(" ±")[0]) for row in rows)
    assert 1 < few < all_labels  # chance is 1 %
    assert output.count("| nearest neighbours |") == 2
    assert output.count("| 5-way 5-shot, 15 queries |") == 2


@pytest.mark.slow
def test_cifar10_classifier(tfds_data_dir, tmp_path):
    options = ["--epochs", 1, "--images", 512, "--filters", 4, 4, 8, 8, "--export", "served"]
    output = run("cifar10_classifier.py", "--data_dir", tfds_data_dir, *options, folder=tmp_path)
    assert "% of the 10,000 test images, after 1 epochs" in output
    assert (tmp_path / "runs/cifar10_classifier/curves.png").stat().st_size > 5000
    names = (tmp_path / "served/cifar10_classifier/1/assets/class_names.txt").read_text().split()
    assert len(names) == 10 and "frog" in names
    assert (tmp_path / "served/cifar10_features/1/model_card.md").exists()


@pytest.mark.slow
def test_cifar_transfer_goes_on_where_it_stopped(tfds_data_dir, tmp_path):
    options = ["--labels", 2, "--seeds", 2, "--epochs", 5, "--pretrain_epochs", 1, "--source_images", 256]
    options += ["--filters", 4, 4, 8, 8, "--data_dir", tfds_data_dir]
    first = run("cifar_transfer.py", *options, folder=tmp_path).splitlines()
    again = run("cifar_transfer.py", *options, folder=tmp_path).splitlines()
    assert again == [line for line in first if line in set(again)]
    table = [line for line in again if line.startswith("| ") and " ± " in line]
    assert len(set(table)) == 7
    assert (tmp_path / "runs/cifar10_caltech101/transfer.png").stat().st_size > 5000


@pytest.mark.slow
def test_domain_adaptation_goes_on_where_it_stopped(tfds_data_dir, usps_data_dir, tmp_path):
    options = ["--data_dir", tfds_data_dir, "--usps_dir", usps_data_dir, "--directions", "usps:mnist"]
    options += ["--seeds", 2, "--steps", 2, "--filters", 4]
    first = run("domain_adaptation.py", *options, folder=tmp_path).splitlines()
    assert run("domain_adaptation.py", *options, folder=tmp_path).splitlines()[-6:] == first[-6:]
    assert [line.split(" | ")[1] for line in first[-4:]] == ["source only", "CORAL", "MMD", "DANN"]
    assert len(list((tmp_path / "runs/domain_adaptation").glob("usps_mnist_*_1.json"))) == 4


@pytest.mark.slow
def test_many_workers(tmp_path):
    options = ["--run_dir", "runs/two", "--steps", 5, "--epochs", 2]
    output = run("multi_worker/train.py", *options, "--local_workers", 2, folder=tmp_path)
    assert "% of the test's queries" in output and "Epoch 2/2" in output
    assert (tmp_path / "runs/two/learner.keras").exists()
    again = run("multi_worker/train.py", *options, folder=tmp_path)  # one worker goes on where two have ended
    assert "Epoch" not in again and again.splitlines()[-1] == output.splitlines()[-1]
