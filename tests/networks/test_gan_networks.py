"""dcgan and residual_gan: shapes, labels, normalisations, derivatives, saving, and the arguments they refuse."""

import metalearn_tf as mtf

import keras
import numpy as np
import pytest
import tensorflow as tf

SMALL = {"image_shape": (16, 20, 3), "latent_dim": 5, "filters": 4}
BUILDERS = {
    "dcgan": lambda **options: mtf.networks.dcgan(**{**SMALL, **options}),
    "dcgan, layer": lambda **options: mtf.networks.dcgan(
        **{**SMALL, "generator_normalization": "layer", "discriminator_normalization": "layer", **options}
    ),
    "dcgan, spectral": lambda **options: mtf.networks.dcgan(
        **{**SMALL, "discriminator_normalization": "spectral", **options}
    ),
    "dcgan, none": lambda **options: mtf.networks.dcgan(
        **{**SMALL, "generator_normalization": None, "discriminator_normalization": None, **options}
    ),
    "residual_gan": lambda **options: mtf.networks.residual_gan(**{**SMALL, **options}),
    "residual_gan, none": lambda **options: mtf.networks.residual_gan(
        **{**SMALL, "spectral_normalization": False, **options}
    ),
}
# No example's logit depends on another's: what penalties need.
WITHOUT_BATCH = [name for name in BUILDERS if name != "dcgan"]


@pytest.fixture(params=BUILDERS)
def build(request):
    return BUILDERS[request.param]


@pytest.fixture(params=WITHOUT_BATCH)
def build_without_batch(request):
    return BUILDERS[request.param]


def noise(n=6, seed=0):
    return tf.random.stateless_normal([n, 5], [0, seed])


def images(n=6, seed=0):
    return tf.random.stateless_uniform([n, 16, 20, 3], [1, seed], -1, 1)


def labels(*values):
    return tf.constant(values, tf.int32)


@tf.function
def passes(network, inputs):
    """Many passes in training, for what a network keeps of them."""
    for _ in tf.range(200):
        network(inputs, training=True)


@pytest.mark.rows(default=["dcgan, none-None", "dcgan, none-4", "dcgan, layer-None", "dcgan, layer-4"])
@pytest.mark.parametrize("classes", [None, 4])
def test_images_and_logits_have_their_shapes_and_ranges(build, classes):
    generator, discriminator = build(classes=classes)
    of_class = (lambda x: x) if classes is None else (lambda x: [x, labels(0, 1, 2, 3, 0, 1)])
    assert isinstance(generator, keras.Model) and isinstance(discriminator, keras.Model)
    assert generator.output_shape == (None, 16, 20, 3) and discriminator.output_shape == (None, 1)
    for training in (False, True):
        generated = generator(of_class(noise()), training=training)
        logits = discriminator(of_class(generated), training=training)
        assert generated.dtype == tf.float32 and logits.dtype == tf.float32
        assert generated.shape == (6, 16, 20, 3) and logits.shape == (6, 1)
        assert np.abs(generated).max() <= 1 and np.isfinite(logits).all()
        assert np.std(generated, axis=0).max() > 0 and np.std(logits) > 0


@pytest.mark.parametrize("side", [28, 32])
@pytest.mark.parametrize("name", ["dcgan", "residual_gan"])
def test_the_sizes_of_the_literatures_images(name, side):
    generator, discriminator = getattr(mtf.networks, name)((side, side, 3), filters=4)
    assert generator.input_shape == (None, 64) and discriminator.input_shape == (None, side, side, 3)
    assert generator.output_shape == (None, side, side, 3)


def test_the_default_dcgan_has_the_widths_of_the_docstring():
    generator, discriminator = mtf.networks.dcgan()
    # Kernels; then a scale, an offset, a mean and a variance for each channel under batch normalisation, whose layers
    # count the batches besides.
    widths = 64 * 7 * 7 * 128 + 16 * (128 * 64 + 64 * 1) + 1 + 4 * (128 + 64) + 2
    assert generator.count_params() == widths
    assert discriminator.count_params() == 16 * (1 * 64 + 64 * 128) + 64 + 4 * 128 + 1 + 7 * 7 * 128 + 1
    assert discriminator.get_layer("features").output.shape == (None, 7 * 7 * 128)


@pytest.mark.rows(default=["dcgan, none", "dcgan, spectral", "dcgan, layer"])
def test_what_a_conditional_pair_does_depends_on_the_label(build):
    generator, discriminator = build(classes=3)
    assert [tensor.name for tensor in generator.inputs] == ["noise", "labels"]
    assert [tensor.name for tensor in discriminator.inputs] == ["images", "labels"]
    same = tf.repeat(noise(1), 3, axis=0)
    generated = generator([same, labels(0, 1, 2)]).numpy()
    logits = discriminator([tf.repeat(images(1), 3, axis=0), labels(0, 1, 2)]).numpy().ravel()
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(generated[one] - generated[other]).max() > 1e-3 * np.abs(generated).max()
        assert logits[one] != logits[other]
    np.testing.assert_allclose(generator([same, labels(1, 1, 1)])[0], generated[1], atol=1e-6)


def test_the_projection_is_that_of_the_features():
    _, discriminator = BUILDERS["dcgan, none"](classes=3)
    features = keras.Model(discriminator.inputs, discriminator.get_layer("features").output)
    kernel, bias = discriminator.get_layer("head").get_weights()
    (embeddings,) = discriminator.get_layer("label_embedding").get_weights()
    bias += 0.5
    discriminator.get_layer("head").set_weights([kernel, bias])
    inputs, classes = [images(), labels(0, 1, 2, 2, 1, 0)], [0, 1, 2, 2, 1, 0]
    phi = features(inputs).numpy()
    expected = phi @ kernel + bias + (phi * embeddings[classes]).sum(1, keepdims=True)
    np.testing.assert_allclose(discriminator(inputs), expected, atol=1e-5)


def test_layers_start_from_numbers_of_their_own():
    for name in BUILDERS:
        for network in BUILDERS[name](classes=3):
            kernels = [w.numpy().ravel()[:8] for w in network.trainable_variables if len(w.shape) > 1]
            assert len({kernel.tobytes() for kernel in kernels}) == len(kernels) > 2


def test_batch_statistics_in_training_and_their_averages_otherwise():
    generator, _ = BUILDERS["dcgan"](filters=8)
    normalized = keras.Model(generator.input, generator.get_layer("normalization_2").output)
    averages = normalized.non_trainable_variables
    assert [variable.name for variable in averages] == ["mean", "variance", "batches"] * 2
    z = noise(64)
    untrained = normalized(z, training=False)
    in_training = normalized(z, training=True).numpy()
    np.testing.assert_allclose(in_training.mean((0, 1, 2)), 0, atol=1e-5)
    # The maps of small kernels have a variance that counts beside epsilon.
    assert (in_training.var((0, 1, 2)) > 0.3).all()
    assert not np.allclose(untrained, in_training, atol=1e-2)
    passes(normalized, z)
    np.testing.assert_allclose(normalized(z, training=False), in_training, atol=1e-2)


@pytest.mark.rows(default=["dcgan, none", "dcgan, layer", "dcgan, spectral"])
def test_no_logit_depends_on_another_image(build_without_batch):
    _, discriminator = build_without_batch()
    x = images()
    with tf.GradientTape() as tape:
        tape.watch(x)
        logit = discriminator(x, training=True)[2]
    sizes = np.abs(tape.gradient(logit, x)).max((1, 2, 3))
    assert sizes[2] > 0 and (np.delete(sizes, 2) == 0).all()


@pytest.mark.rows(default=["dcgan, spectral"])
@pytest.mark.parametrize("name", ["dcgan, spectral", "residual_gan"])
def test_spectral_normalization_makes_every_largest_singular_value_one(name):
    _, discriminator = BUILDERS[name](classes=3)
    inputs = [images(), labels(0, 1, 2, 0, 1, 2)]
    passes(discriminator, inputs)
    kernels = [w.numpy() for w in discriminator.trainable_variables if len(w.shape) > 1]
    assert len(kernels) == {"dcgan, spectral": 4, "residual_gan": 10}[name]
    for kernel in kernels:
        largest = np.linalg.svd(kernel.reshape(-1, kernel.shape[-1]), compute_uv=False)[0]
        np.testing.assert_allclose(largest, 1.0, atol=0.02)


@pytest.mark.rows(default=["dcgan, none-None", "dcgan, none-4"])
@pytest.mark.parametrize("classes", [None, 4])
def test_a_penalised_step_has_a_gradient_for_every_kernel(build_without_batch, classes):
    _, discriminator = build_without_batch(classes=classes)
    y = labels(0, 1, 2, 3, 0, 1)
    weights = discriminator.trainable_variables

    @tf.function
    def gradients():
        def critic(x):
            return discriminator(x if classes is None else [x, y], training=True)

        with tf.GradientTape() as tape:
            penalty = mtf.gan.r1_penalty(critic, images())
        return penalty, tape.gradient(penalty, weights)

    penalty, found = gradients()
    assert penalty > 0
    for weight, gradient in zip(weights, found):
        if len(weight.shape) > 1:
            assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0, weight.path


def test_the_gradient_of_a_penalty_through_layer_normalization_agrees_with_finite_differences():
    _, discriminator = BUILDERS["dcgan, layer"]()

    def smooth(layer):
        # The slope of a LeakyReLU jumps, and the penalty with it, which no finite difference follows.
        is_kinked = isinstance(layer, keras.layers.LeakyReLU)
        return keras.layers.Activation("tanh") if is_kinked else type(layer).from_config(layer.get_config())

    critic = keras.models.clone_model(discriminator, clone_function=smooth)
    weights = [tf.constant(10.0 * w if w.ndim > 1 else w) for w in discriminator.get_weights()]

    @tf.function
    def penalty(weights):
        return mtf.gan.r1_penalty(lambda x: critic.stateless_call(weights, [], x)[0], images())

    with tf.GradientTape() as tape:
        tape.watch(weights)
        value = penalty(weights)
    gradients = tape.gradient(value, weights, unconnected_gradients="zero")
    norm, step = tf.linalg.global_norm(gradients), 1e-2
    ahead, behind = ([w + sign * step * g / norm for w, g in zip(weights, gradients)] for sign in (1, -1))
    np.testing.assert_allclose(norm, (penalty(ahead) - penalty(behind)) / (2 * step), rtol=5e-3)


@pytest.mark.rows(default=["dcgan, none", "dcgan, layer", "dcgan"])
def test_networks_are_pure_functions_of_their_weights_with_tensor_gradients(build):
    for network, x in zip(build(classes=4), (noise(), images())):
        inputs, state = (
            [x, labels(0, 1, 2, 3, 0, 1)],
            [tf.convert_to_tensor(v) for v in network.non_trainable_variables],
        )
        weights = [tf.convert_to_tensor(v) for v in network.trainable_variables]
        before = network.get_weights()
        with tf.GradientTape() as tape:
            tape.watch(weights)
            outputs, _ = network.stateless_call(weights, state, inputs, training=True)
            loss = tf.reduce_sum(outputs**2)
        gradients = tape.gradient(loss, weights)
        assert all(isinstance(gradient, tf.Tensor) for gradient in gradients)
        for one, other in zip(before, network.get_weights()):
            np.testing.assert_array_equal(one, other)


@pytest.mark.rows(default=["dcgan, none-None", "dcgan, layer-None"])
@pytest.mark.parametrize("classes", [None, 4])
def test_pairs_are_saved_and_loaded(build, classes, tmp_path):
    for network, x in zip(build(classes=classes), (noise(), images())):
        inputs = x if classes is None else [x, labels(0, 1, 2, 3, 0, 1)]
        network(inputs, training=True)
        network.save(tmp_path / "network.keras")
        loaded = keras.models.load_model(tmp_path / "network.keras")
        assert loaded.name == network.name
        np.testing.assert_array_equal(loaded(inputs), network(inputs))
        np.testing.assert_array_equal(loaded(inputs, training=True), network(inputs, training=True))


@pytest.mark.rows(default=["dcgan, none-mixed_bfloat16", "dcgan, none-mixed_float16", "dcgan, spectral-mixed_float16"])
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_outputs_are_float32_and_close_in_half_precision(build, policy):
    single = build(classes=4)
    keras.mixed_precision.set_global_policy(policy)
    mixed = build(classes=4)
    for one, other, x in zip(single, mixed, (noise(), images())):
        other.set_weights(one.get_weights())
        inputs = [x, labels(0, 1, 2, 3, 0, 1)]
        outputs = other(inputs)
        assert outputs.dtype == tf.float32 and all(v.dtype == "float32" for v in other.trainable_variables)
        np.testing.assert_allclose(outputs, one(inputs), atol=0.05 * np.abs(one(inputs)).max())
        assert np.isfinite(other(inputs, training=True)).all()


@pytest.mark.parametrize("name", ["dcgan", "residual_gan"])
@pytest.mark.parametrize(
    "argument, value",
    [
        ("image_shape", (28, 28)),
        ("image_shape", (30, 28, 1)),
        ("image_shape", (12, 28, 1)),
        ("image_shape", (28, 28, 0)),
        ("image_shape", (None, None, 3)),
        ("latent_dim", 0),
        ("latent_dim", 1.5),
        ("classes", 0),
        ("classes", "ten"),
        ("filters", -1),
    ],
)
def test_bad_sizes_are_named(name, argument, value):
    with pytest.raises(ValueError, match=rf"`{argument}` must .*Received: "):
        BUILDERS[name](**{argument: value})


@pytest.mark.parametrize(
    "name, argument, value",
    [
        ("dcgan", "generator_normalization", "spectral"),
        ("dcgan", "generator_normalization", "running"),
        ("dcgan", "discriminator_normalization", "instance"),
        ("residual_gan", "spectral_normalization", "layer"),
    ],
)
def test_bad_normalizations_are_named(name, argument, value):
    with pytest.raises(ValueError, match=rf"`{argument}` must be .*Received: '{value}'"):
        BUILDERS[name](**{argument: value})
