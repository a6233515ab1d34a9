"""Trains a small ResNet on CIFAR-10 and exports it twice: as a classifier, and as an extractor of features.

    python examples/cifar10_classifier.py --data_dir DIR --export served

Training computes in bfloat16 if the machine has it. Images are mirrored, moved and partly covered. The final weights
are those of the epoch with the lowest validation loss. The exported models compute in float32.
"""

import argparse
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import metalearn_tf as mtf

import keras
import numpy as np


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=28)
    parser.add_argument("--images", type=int, default=None, help="use only this many training images")
    parser.add_argument("--filters", type=int, nargs=4, default=[32, 64, 128, 192], help="of `mtf.networks.resnet9`")
    parser.add_argument("--data_dir", default=None, help="folder of TensorFlow Datasets; by default TFDS_DATA_DIR")
    parser.add_argument("--run_dir", type=pathlib.Path, default=pathlib.Path("runs/cifar10_classifier"))
    parser.add_argument("--export", type=pathlib.Path, default=None, help="folder of the two SavedModels")
    parser.add_argument(
        "--precision",
        choices=["auto", "float32", "mixed_bfloat16", "mixed_float16"],
        default="auto",
        help="precision of the training; by default the fastest one on this machine",
    )
    arguments = parser.parse_args()
    if arguments.precision == "auto":
        arguments.precision = mtf.training.fastest_precision()
    arguments.run_dir.mkdir(parents=True, exist_ok=True)

    train, validation, test = (
        mtf.data.load("cifar10", split, data_dir=arguments.data_dir) for split in ("train", "validation", "test")
    )
    rows = np.random.default_rng(0).permutation(len(train))[: arguments.images]
    keras.mixed_precision.set_global_policy(arguments.precision)
    keras.utils.set_random_seed(0)
    backbone = mtf.networks.resnet9(filters=arguments.filters)
    keras.mixed_precision.set_global_policy("float32")
    start = time.perf_counter()
    trained = mtf.transfer.fine_tune(
        backbone,
        train.examples[rows],
        train.labels[rows],
        validation_data=(validation.examples, validation.labels),
        epochs=arguments.epochs,
        batch_size=128,
        learning_rate=3e-3,
        weight_decay=0.05,
        # All layers are trained from the first step, so there are no old statistics to protect.
        unfreezing=mtf.transfer.UnfreezingPlan(0, 1, layer_decay=1.0, train_normalization=True),
        augmentation=keras.Sequential(
            [
                keras.layers.RandomFlip("horizontal"),
                # Moves by whole pixels: interpolation would blur, but the test images are sharp.
                keras.layers.RandomTranslation(0.125, 0.125, interpolation="nearest"),
                # The covered square has seven to eleven pixels a side.
                keras.layers.RandomErasing(scale=(0.05, 0.12), fill_value=0.5, value_range=(0, 1)),
            ]
        ),
        callbacks=[keras.callbacks.CSVLogger(arguments.run_dir / "history.csv")],
        verbose=2,
    )
    seconds = time.perf_counter() - start
    mtf.evaluation.training_curves(trained.history, arguments.run_dir / "curves.png")

    classifier = mtf.transfer.TransferClassifier(
        mtf.networks.resnet9(filters=arguments.filters), train.num_classes, name="cifar10_classifier"
    )
    classifier.backbone.set_weights(trained.backbone.get_weights())
    classifier.head.set_weights(trained.head.get_weights())
    answers = np.argmax(classifier.predict(test.examples, batch_size=256, verbose=0), axis=1)
    accuracy = np.mean(answers == test.labels)
    interval = 1.96 * np.sqrt(accuracy * (1 - accuracy) / len(test.labels))
    result = f"{100 * accuracy:.2f} ± {100 * interval:.2f} % of the {len(test.labels):,} test images"
    print(f"{result}, after {len(trained.history.epoch)} epochs in {seconds:.0f} s")
    classifier.save(arguments.run_dir / "classifier.keras")
    classifier.backbone.save(arguments.run_dir / "backbone.keras")
    if arguments.export:
        description = (
            f"`resnet9` with the filters {tuple(arguments.filters)}, {len(rows):,} training images of CIFAR-10 (a copy "
            f"kept as JPEG, which loses detail), {len(trained.history.epoch)} epochs in {arguments.precision}, AdamW; "
            f"made by `examples/cifar10_classifier.py`. Right: {result}."
        )
        classifier.export(
            arguments.export / "cifar10_classifier" / "1", class_names=train.class_names, description=description
        )
        mtf.serving.export_features(
            classifier.backbone, arguments.export / "cifar10_features" / "1", description=description
        )


if __name__ == "__main__":
    main()
