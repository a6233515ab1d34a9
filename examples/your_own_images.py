"""Makes a served classifier from your own images, with one folder per class.

    python examples/your_own_images.py IMAGES --model saved_models/omniglot_prototypical/1 --query new_image.png

`IMAGES` holds one folder per class with a few images in each; `--model` is any SavedModel that `learner.export` wrote.
Part of the images is held back to measure the accuracy; then all images are used to answer `--query`. The model card
beside the model says on which images it was trained: a model trained on characters cannot tell animals apart.
"""

import argparse
import json
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import metalearn_tf as mtf

import numpy as np
import tensorflow as tf


def answer(model, support_x, support_y, query_x):
    """Probabilities `(queries, ways)` from the signature that adapts and predicts in one call."""
    return model.signatures["adapt_and_predict"](
        support_images=tf.constant(support_x, tf.float32),
        support_labels=tf.constant(support_y, tf.int32),
        query_images=tf.constant(query_x, tf.float32),
    )["probabilities"].numpy()


def rest_request(support_x, support_y, query_x):
    """The body of the same call to TensorFlow Serving's REST interface, in its columnar format."""
    columns = {"support_images": support_x, "support_labels": support_y, "query_images": query_x}
    inputs = {name: np.asarray(values).tolist() for name, values in columns.items()}
    return json.dumps({"signature_name": "adapt_and_predict", "inputs": inputs})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=pathlib.Path)
    parser.add_argument("--model", type=pathlib.Path, default=pathlib.Path("saved_models/omniglot_prototypical/1"))
    parser.add_argument("--query", type=pathlib.Path, nargs="*", default=[], help="images to classify")
    parser.add_argument("--shots", type=int, default=5, help="images of each class to adapt to in the trial")
    parser.add_argument("--invert", action="store_true", help="for dark ink on white paper")
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("runs/your_own_images"))
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)

    model = tf.saved_model.load(arguments.model)
    specification = model.signatures["adapt_and_predict"].structured_input_signature[1]["support_images"]
    height, width, channels = specification.shape[1:]
    dataset = mtf.data.from_directory(arguments.images, image_size=(height, width), channels=channels)
    print(dataset)
    images = dataset.examples.astype("float32") / 255.0
    images = 1.0 - images if arguments.invert else images

    # How accurate is it? Adapt to a few images of each class, ask about the others, several times.
    sizes = np.diff(dataset.offsets)
    if sizes.min() > arguments.shots:
        accuracies, random = [], np.random.default_rng(0)
        for _ in range(20):
            support = np.concatenate(
                [start + random.permutation(size)[: arguments.shots] for start, size in zip(dataset.offsets, sizes)]
            )
            rest = np.setdiff1d(np.arange(len(dataset)), support)
            start_time = time.perf_counter()
            probabilities = answer(model, images[support], dataset.labels[support], images[rest])
            seconds = time.perf_counter() - start_time
            accuracies.append(np.mean(probabilities.argmax(axis=1) == dataset.labels[rest]))
        interval = mtf.evaluation.confidence_half_width(accuracies)
        print(
            f"{dataset.num_classes} classes from {arguments.shots} images each: {np.mean(accuracies):.1%} ± "
            f"{interval:.1%} of {len(rest)} held-back images right (20 draws); {1000 * seconds:.0f} ms a call"
        )
        figure = mtf.evaluation.task_figure(
            images[support],
            dataset.labels[support],
            images[rest],
            probabilities,
            dataset.labels[rest],
            dataset.class_names,
        )
        figure.savefig(arguments.output / "task.png", dpi=120)
        print(f"figure: {arguments.output / 'task.png'}")
    else:
        print(f"no trial: it needs more than {arguments.shots} images of every class")

    for path in arguments.query:
        # Read in the same way as the folder: turned upright, transparent parts on white, the middle resized.
        query = mtf.data.read_image(path, (height, width), channels=channels)[None].astype("float32") / 255.0
        query = 1.0 - query if arguments.invert else query
        (probabilities,) = answer(model, images, dataset.labels, query)
        best = probabilities.argmax()
        print(f"{path}: {dataset.class_names[best]} ({probabilities[best]:.0%})")
        body = arguments.output / f"request_{path.stem}.json"
        body.write_text(rest_request(images, dataset.labels, query))
        print(f"the same for TensorFlow Serving: curl -d @{body} localhost:8501/v1/models/NAME:predict")


if __name__ == "__main__":
    main()
