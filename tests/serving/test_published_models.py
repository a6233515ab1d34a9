"""The published models are what the code exports today: `python saved_models/export_again.py` makes them so."""

import importlib.util
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf

FOLDER = pathlib.Path(__file__).parents[2] / "saved_models"
specification = importlib.util.spec_from_file_location("export_again", FOLDER / "export_again.py")
export_again = importlib.util.module_from_spec(specification)
specification.loader.exec_module(export_again)

pytest.importorskip("tensorflow_serving", reason="the published models have warm-up requests")

NAMES = list(export_again.BUILDERS)
# Those whose graphs the others have too.
OF_EACH_KIND = ["omniglot_prototypical", "omniglot_maml_5way_1shot", "cifar10_features"]


def made_with_another_tensorflow(name):
    data = (export_again.version_of(name) / "saved_model.pb").read_bytes()
    model = export_again.saved_model_pb2.SavedModel.FromString(data)
    return model.meta_graphs[0].meta_info_def.tensorflow_version != tf.__version__


def test_every_published_model_can_be_exported_again():
    assert sorted(NAMES) == sorted(path.name for path in FOLDER.iterdir() if (path / "1").is_dir())


@pytest.mark.parametrize("name", NAMES)
def test_it_is_small_and_has_its_card_and_warm_up_requests(name):
    path = export_again.version_of(name)
    assert sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) < export_again.MOST_BYTES
    assert (path / "assets.extra" / "tf_serving_warmup_requests").stat().st_size > 0
    card = (path / "model_card.md").read_text(encoding="utf-8")
    assert card.startswith(f"# {name}\n") and export_again.section(card, "Training")


@pytest.mark.full
@pytest.mark.parametrize(
    "name", [name if name in OF_EACH_KIND else pytest.param(name, marks=pytest.mark.slow) for name in NAMES]
)
def test_it_is_what_the_code_exports(name, tmp_path):
    published, exported = export_again.version_of(name), tmp_path / name / "1"
    export_again.export_again(name, exported)
    assert export_again.largest_difference(published, exported) < 1e-3
    if made_with_another_tensorflow(name):
        pytest.skip("the published graph is that of another TensorFlow")
    found = export_again.differences(published, exported)
    assert not found, "run `python saved_models/export_again.py`"


def test_models_of_one_kind_have_one_graph():
    """So that one of each kind is enough to be compared with today's; the fingerprint of the weights alone differs."""
    one, other = (
        export_again.operations(export_again.version_of(f"omniglot_maml_5way_{shots}shot")) for shots in (1, 5)
    )
    for found in (one - other, other - one):
        assert len(found) == 1 and next(iter(found)).startswith("Const(")


def test_the_comparison_sees_other_graphs_and_other_cards(tmp_path):
    published = export_again.version_of("cifar10_features")
    copy = tmp_path / "copy"
    shutil.copytree(published, copy)
    assert export_again.differences(published, copy) == []
    (copy / "model_card.md").write_text("another card")
    assert [line.split(":")[1] for line in export_again.differences(published, copy)] == [" model_card.md"]
    # Another constant in the graph, such as a rate or the words of an error.
    file = copy / "saved_model.pb"
    model = export_again.saved_model_pb2.SavedModel.FromString(file.read_bytes())
    nodes = (node for function in model.meta_graphs[0].graph_def.library.function for node in function.node_def)
    node = next(node for node in nodes if node.op == "Const" and node.attr["value"].tensor.dtype == 3)
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(np.int32(77)))
    file.write_bytes(model.SerializeToString())
    one, other = (export_again.operations(path) for path in (published, copy))
    assert {kind.split("(")[0] for kind in {*one, *other} if one[kind] != other[kind]} == {"Const"}
