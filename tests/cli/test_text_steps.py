"""Cleaning and tags, as a user asks for them on the command line."""

import json

import pytest
from safetensors.torch import load_file
from tokenizers import Tokenizer

from mtl_sharing.job.inputs import load_inputs
from mtl_sharing.job.spec import resolve_spec
from spacy_pipelines import make_pipeline
from support import QUICK, load_config

POS = {"the": "DET", "a": "DET", "is": "AUX", "it": "PRON", "and": "CCONJ", "of": "ADP",
       "was": "AUX", "how": "SCONJ", "i": "PRON", "?": "PUNCT", ".": "PUNCT"}  # fmt: skip


@pytest.fixture
def pipeline(tmp_path):
    return make_pipeline(tmp_path / "en", entities={"the": "THING", "how": "QUESTION"}, pos=POS)


@pytest.fixture
def train(mtl_train, tmp_path):
    """A quick run with a cache of its own; fails where the command does."""

    def call(*words):
        done = mtl_train(
            *QUICK, "encoder.layers=2", "split=1", f"cache.folder={tmp_path / 'cache'}", *words
        )
        assert done.code == 0, done.err
        return done

    return call


@pytest.mark.slow
@pytest.mark.parametrize("pairing", ["joined", "separate"])
def test_a_run_with_both(train, pipeline, pairing):
    words = f"suite.tags.pipeline={pipeline}", "suite.clean=[lower,letters]", f"pairing={pairing}"
    cold = train(*words)
    parts = cold.result["parts"]
    assert parts["clean"] == {"steps": ["lower", "letters"], "lemmatizer": None}
    assert parts["tags"]["entities"] == ["QUESTION", "THING"]
    assert len(parts["tags"]["pos"]) == 17
    assert cold.result["regime"].endswith(" + clean lower letters + tags pos ner")
    assert json.loads((cold.folder / "config.json").read_text())["parts"] == parts
    assert {task["uncleaned_texts"] for task in cold.result["tasks"].values()} == {0}
    weights = load_file(cold.folder / "model.safetensors")
    tables = {name: w for name, w in weights.items() if "pos_tag" in name or "entity_ty" in name}
    assert {tuple(table.shape) for table in tables.values()} == {(18, 12), (3, 12)}
    assert all(table.any() for table in tables.values())  # they have learnt
    vocabulary = Tokenizer.from_file(str(cold.folder / "tokenizer.json")).get_vocab()
    assert not {"?", ".", "1"} & {*vocabulary}

    assert f"by {pipeline}" in cold.out + cold.err
    warm = train(*words)
    assert "tagging" not in warm.out + warm.err
    assert (warm.folder / "model.safetensors").read_bytes() == (
        cold.folder / "model.safetensors"
    ).read_bytes()


@pytest.mark.slow
def test_a_second_run_takes_the_lemmas_of_the_first(train, tmp_path):
    pipeline = make_pipeline(tmp_path / "en", lemmas={"is": "be", "was": "be", "a": "one"})
    words = f"suite.lemmatizer={pipeline}", "suite.clean=[lower,lemmas]"
    runs = {use: train(*words, f"cache.tokens={use}") for use in ("false", "true", "True")}
    said = {use: "lemmatising" in done.out + done.err for use, done in runs.items()}
    assert said == {"false": True, "true": True, "True": False}
    vocabulary = Tokenizer.from_file(str(runs["True"].folder / "tokenizer.json")).get_vocab()
    assert "be" in vocabulary and not {"was", "is"} & {*vocabulary}
    weights = {(done.folder / "model.safetensors").read_bytes() for done in runs.values()}
    assert len(weights) == 1


def test_without_steps_nothing_is_said_of_them(hybrid_run):
    result = hybrid_run.result
    assert not {"clean", "tags"} & {*result["parts"]}
    assert all("uncleaned_texts" not in task for task in result["tasks"].values())


def test_a_dry_run_names_the_steps_and_counts_the_tables(mtl_train, pipeline):
    plan = {}
    for words in ((), (f"suite.tags.pipeline={pipeline}", "suite.clean=[spaces,stop_words]")):
        done = mtl_train("dry_run=true", *words)
        assert done.code == 0, done.err
        plan[bool(words)] = json.loads((done.folder / "plan.json").read_text())
    assert "spaces, then stop_words" in done.out
    assert f"17 parts of speech and 2 entity types by {pipeline}" in done.out
    width = plan[True]["encoder"]["embedding"]
    more = plan[True]["params"]["total"] - plan[False]["params"]["total"]
    assert more == (18 + 3) * width  # sharing=hybrid has one copy of the embeddings
    baseline = [plan[tagged]["baseline"]["params"]["total"] for tagged in (True, False)]
    assert baseline[0] - baseline[1] == 3 * (18 + 3) * width
    assert [stage["stage"] for stage in plan[True]["stages"]] == [
        stage["stage"] for stage in plan[False]["stages"]
    ]


def test_texts_of_both_splits_are_cleaned(tmp_path):
    """By a tokenizer that knows the word, so that it would be seen wherever it is left."""
    words = ("suite.max_train_rows=40", "suite.max_dev_rows=30", "cache.tokens=false")
    tokenizer, steps = "null", "[]"
    for _ in range(2):
        own = f"encoder.tokenizer={tokenizer}", f"suite.clean={steps}"
        run_spec = resolve_spec(load_config(*words, *own))
        folder = tmp_path / ("raw" if steps == "[]" else "clean")
        folder.mkdir()
        inputs = load_inputs(run_spec, folder)
        the = Tokenizer.from_file(str(folder / "tokenizer.json")).token_to_id("the")
        data = [*inputs.train.values(), *inputs.dev.values()]
        assert the is not None
        assert [len(each) for each in data] == [40] * 3 + [30] * 3
        assert {bool((each.first.tokens == the).any()) for each in data} == {steps == "[]"}
        tokenizer, steps = folder, "[stop_words]"


def test_texts_of_which_nothing_is_left_are_counted(mtl_train, tmp_path):
    lines = [f"some words {n},{n % 2}" for n in range(12)]
    (tmp_path / "mine.csv").write_text("\n".join(["text,label", *lines, "123,0", "?!,1"]) + "\n")
    (tmp_path / "conf" / "task").mkdir(parents=True)
    (tmp_path / "conf" / "task" / "mine.yaml").write_text(
        "kind: binary\ntrain: [mine.csv]\ndev: [mine.csv]\n"
    )
    done = mtl_train(
        f"--config-dir={tmp_path / 'conf'}", "+task@task.mine=mine", "suite.tasks=[mine]",
        f"data_dir={tmp_path}", *QUICK, "encoder.layers=1", "suite.clean=[letters]",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert done.result["tasks"]["mine"]["uncleaned_texts"] == 4
    assert "mine: 4 texts stay as they are" in done.out + done.err


def test_tags_of_frozen_embeddings_are_warned_of(mtl_train, pipeline):
    words = ("dry_run=true", f"suite.tags.pipeline={pipeline}")
    for plan, warned in (("F4-S8", True), ("ES-F4-S8", False)):
        done = mtl_train(*words, f"sharing.plan={plan}", "encoder.layers=12")
        assert done.code == 0, done.err
        assert ("suite.tags changes nothing" in done.out + done.err) == warned


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["suite.clean=[lower,leters]"], ["suite.clean", "leters", "nearest: letters"]),
        (["suite.clean=[lemmas]"], ["suite.lemmatizer", "null"]),
        (["suite.tags.pipeline=/no/where"], ["suite.tags.pipeline", "/no/where", "spacy download"]),
        (["suite.tags.pos=false"], ["suite.tags", "suite.tags.pipeline too"]),
        (["suite.tags.pipelin=x"], ["pipelin", "pipeline"]),
    ],
)
def test_a_mistake_is_told_before_anything_is_read(mtl_train, words, said):
    pytest.importorskip("spacy", reason="pip install 'mtl-sharing[tags]'")
    done = mtl_train(*QUICK, *words)
    assert done.code == 2
    assert "Traceback" not in done.err
    assert all(word in done.out + done.err for word in said)
