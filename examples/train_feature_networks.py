"""Trains the feature networks that ship with the library: the weights in `metalearn_tf/evaluation/weights`.

    python examples/train_feature_networks.py --data_dir DIR --output weights

Prints the test accuracy of the written networks. The weights are written in float16, which halves their size and costs
no accuracy. To score images of another kind, call `mtf.evaluation.train_feature_classifier` on your dataset.
"""

import argparse
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import metalearn_tf as mtf

import keras

EPOCHS = {"mnist": 5, "fashion_mnist": 6, "omniglot": 20, "cifar10": 7}
FEATURES = {"mnist": 64, "fashion_mnist": 64, "omniglot": 64, "cifar10": 128}


def load(name, data_dir):
    """Training and test part; of Omniglot, 16 and 4 drawings of each background character."""
    if name == "omniglot":
        parts = [mtf.data.load(name, split, data_dir, protocol="lake") for split in ("train", "validation")]
        return parts[0].merge(parts[1]).split_examples([0.8, 0.2], seed=0)
    train, validation, test = (mtf.data.load(name, split, data_dir) for split in ("train", "validation", "test"))
    return train.merge(validation), test


def augmentation(name, seed):
    """The augmentations that do not change the class of an image."""
    if name == "cifar10":
        return keras.layers.RandomFlip("horizontal", seed=seed)
    if name == "omniglot":
        return keras.layers.RandomTranslation(0.1, 0.1, fill_mode="constant", fill_value=-1.0, seed=seed)
    return None


def with_dtype(classifier, dtype):
    """The classifier with weights and computation in `dtype`."""

    def convert(layer):
        return layer.__class__.from_config({**layer.get_config(), "dtype": dtype})

    # Not compiled, because the optimizer would be copied too.
    uncompiled = keras.Model(classifier.input, classifier.output)
    copy = keras.models.clone_model(uncompiled, clone_function=convert)
    copy.set_weights(classifier.get_weights())
    return copy


def accuracy(classifier, dataset):
    classifier.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=False)
    images = dataset.examples.astype("float32") / 127.5 - 1
    return classifier.evaluate(images, dataset.labels, batch_size=500, verbose=0, return_dict=True)["accuracy"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(EPOCHS), default=list(EPOCHS))
    parser.add_argument("--epochs", type=int, default=None, help=f"by default {EPOCHS}")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--precision",
        choices=["auto", "float32", "mixed_bfloat16", "mixed_float16"],
        default="auto",
        help="precision of the training; by default the fastest one on this machine",
    )
    parser.add_argument("--data_dir", default=None, help="folder of TensorFlow Datasets; by default TFDS_DATA_DIR")
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("runs/feature_networks"))
    arguments = parser.parse_args()
    if arguments.precision == "auto":
        arguments.precision = mtf.training.fastest_precision()
    arguments.output.mkdir(parents=True, exist_ok=True)

    for name in arguments.only:
        train, test = load(name, arguments.data_dir)
        keras.mixed_precision.set_global_policy(arguments.precision)
        start = time.perf_counter()
        classifier = mtf.evaluation.train_feature_classifier(
            train,
            epochs=arguments.epochs or EPOCHS[name],
            features=FEATURES[name],
            augmentation=augmentation(name, arguments.seed),
            seed=arguments.seed,
            verbose=2,
        )
        seconds = time.perf_counter() - start
        keras.mixed_precision.set_global_policy("float32")
        path = arguments.output / f"{name}.weights.h5"
        with_dtype(classifier, "float16").save_weights(path)
        shipped = with_dtype(classifier, "float32")
        shipped.load_weights(path)
        print(f"{path}: test accuracy {accuracy(shipped, test):.2%} of {len(test)} images, trained for {seconds:.0f} s")


if __name__ == "__main__":
    main()
