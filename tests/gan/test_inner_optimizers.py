"""Each Keras optimizer in the inner loop of a MetaGAN steps as it does in an ordinary GAN, or is refused."""

import metalearn_tf as mtf

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_networks import discriminator, generator

K = keras.optimizers
OPTIMIZERS = {
    "momentum": lambda: K.SGD(1e-2, momentum=0.9, nesterov=True),
    "RMSprop": lambda: K.RMSprop(1e-2, momentum=0.5, centered=True),
    "AMSGrad": lambda: K.Adam(1e-2, amsgrad=True),
    "AdamW": lambda: K.AdamW(1e-2, weight_decay=0.1),
    "Adagrad": lambda: K.Adagrad(1e-2),
    "Adadelta": lambda: K.Adadelta(1.0),
    "Adamax": lambda: K.Adamax(1e-2),
    "Ftrl": lambda: K.Ftrl(1e-2),
    "Lion": lambda: K.Lion(1e-2),
    "Lamb": lambda: K.Lamb(1e-2),
    "Adafactor": lambda: K.Adafactor(1e-2),
    "Muon": lambda: K.Muon(1e-2),
    "schedule": lambda: K.Adam(K.schedules.ExponentialDecay(1e-2, 1, 0.5)),
    "clipnorm": lambda: K.SGD(0.1, clipnorm=0.01),
    "global_clipnorm": lambda: K.SGD(0.1, global_clipnorm=0.01),
    "clipvalue": lambda: K.SGD(0.1, clipvalue=1e-3),
    "weight_decay": lambda: K.SGD(1e-2, weight_decay=0.1),
}
ALWAYS = ("momentum", "AdamW", "schedule")


def new_gan():
    keras.utils.set_random_seed(0)
    return mtf.gan.GAN(generator(), discriminator(activation="softplus"), seed=1, average_decay=None)


@pytest.mark.rows(default=["momentum"])
@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in ALWAYS else pytest.mark.slow) for n in OPTIMIZERS])
def test_two_steps_are_those_of_an_ordinary_gan(name, images):
    gan, make = new_gan(), OPTIMIZERS[name]
    meta_gan = mtf.gan.MetaGAN(new_gan(), inner_steps=2, inner_optimizer=make())
    gan.compile(make(), make(), run_eagerly=True)
    for _ in range(2):
        gan.train_on_batch(images[:6])
    adapted = meta_gan.adapt(images[:6], seed=1)
    for player in ("generator", "discriminator"):
        for one, other in zip(getattr(gan, player).get_weights(), getattr(adapted, player).get_weights()):
            np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize(
    "make",
    [
        lambda: K.Nadam(0.1),
        lambda: K.SGD(0.1, use_ema=True),
        lambda: K.SGD(0.1, gradient_accumulation_steps=2),
        lambda: K.SGD(0.1, loss_scale_factor=8.0),
        lambda: K.LossScaleOptimizer(K.SGD(0.1)),
    ],
)
def test_options_that_an_inner_loop_cannot_follow_are_refused(make):
    with pytest.raises(ValueError, match="`inner_optimizer` must take each step by its variables.*Received: "):
        mtf.gan.MetaGAN(new_gan(), inner_optimizer=make())


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["reptile", "maml"])
def test_it_works_in_float64_and_eagerly(algorithm, images, request):
    keras.config.set_floatx("float64")
    request.addfinalizer(lambda: keras.config.set_floatx("float32"))
    gan = new_gan()
    gan.compile()
    gan.fit(images, batch_size=15, verbose=0)
    meta_gan = mtf.gan.MetaGAN(gan, algorithm, inner_steps=2)
    meta_gan.compile()
    assert np.isfinite(meta_gan.fit(images[None, :6], verbose=0).history["generator_loss"]).all()
    graph = meta_gan.adapt(images[:6]).sample(2)
    assert graph.dtype == np.float32
    tf.config.run_functions_eagerly(True)
    request.addfinalizer(lambda: tf.config.run_functions_eagerly(False))
    np.testing.assert_allclose(meta_gan.adapt(images[:6]).sample(2), graph, atol=1e-5)


@pytest.mark.full
@pytest.mark.parametrize("algorithm", ["reptile", "fomaml"])
@pytest.mark.parametrize("option", ["inner_optimizer", "inner_learning_rate"])
def test_what_is_changed_in_an_inner_rule_is_followed(algorithm, option, images):
    """By adaptation, training and evaluation, all of them traced before."""

    def new(rate):
        options = {option: rate if option == "inner_learning_rate" else K.SGD(rate)}
        meta_gan = mtf.gan.MetaGAN(new_gan(), algorithm, inner_steps=2, **options)
        meta_gan.compile(K.SGD(0.0))
        return meta_gan

    def answers(meta_gan):
        adapted = meta_gan.adapt(images[:6], seed=1).get_weights()
        meta_gan.steps.assign(0)  # whose noise is that of the step
        logs = meta_gan.fit(images[None, :6], verbose=0).history
        return [*adapted, logs["generator_loss"], meta_gan.evaluate(images[None, :6], verbose=0)]

    changed, expected = new(1e-4), answers(new(0.05))
    before = answers(changed)
    if option == "inner_optimizer":
        changed.inner_optimizer.learning_rate = 0.05
    else:
        changed.inner_learning_rate = 0.05
    after = answers(changed)
    assert not np.allclose(before[-1], after[-1], rtol=1e-4)
    for one, other in zip(after, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
