import json

import numpy
import pytest

import fcc
from conftest import make_texts


@pytest.fixture
def tokenizer():
    return fcc.load_tokenizer("bytes")


def test_documents_come_back_as_they_were_written(tmp_path, tokenizer):
    texts = make_texts(9, seed=3)
    ids = numpy.array([7, 250, 0], dtype=numpy.uint8)
    path = tmp_path / "corpus.safetensors"
    fcc.write_tokens(path, (document for document in [*texts, ids, b"\xff"]), tokenizer)
    file = fcc.read_tokens(path)
    assert isinstance(file, fcc.TokenFile)
    assert len(file) == 11
    eos = tokenizer.eos_id
    documents = list(file)
    assert documents[0].dtype == numpy.int32
    assert [tokenizer.decode(document[:-1]) for document in documents[:9]] == texts
    assert documents[9].tolist() == [7, 250, 0, eos]
    assert file[-1].tolist() == [255, eos]
    assert file.num_tokens == sum(map(len, documents))
    assert file.read(1, 4).tolist() == documents[0][1:4].tolist()
    assert (file.tokenizer_kind, file.tokenizer_hash) == ("bytes", tokenizer.hash)
    assert file.vocab_size == tokenizer.vocab_size
    assert not file.adds_bos and file.adds_eos
    assert "11 documents" in repr(file)
    file.verify()
    assert [entry.name for entry in tmp_path.iterdir()] == ["corpus.safetensors"]


def test_slices_are_lists_of_documents(tmp_path, tokenizer):
    fcc.write_tokens(tmp_path / "some.safetensors", ["one", "two", "three"], tokenizer)
    file = fcc.read_tokens(tmp_path / "some.safetensors")
    assert [tokenizer.decode(ids) for ids in file[1:]] == ["two", "three"]
    assert [tokenizer.decode(ids) for ids in file[::-2]] == ["three", "one"]


def test_marks_are_put_around_documents_as_told(tmp_path, tokenizer):
    path = tmp_path / "corpus.safetensors"
    fcc.write_tokens(path, [[1, 2]], tokenizer, add_eos=False)
    assert fcc.read_tokens(path)[0].tolist() == [1, 2]
    if tokenizer.bos_id is not None:
        fcc.write_tokens(path, [[1, 2]], tokenizer, add_bos=True)
        assert fcc.read_tokens(path)[0].tolist() == [tokenizer.bos_id, 1, 2, tokenizer.eos_id]


def test_documents_that_cannot_be_are_refused_and_leave_nothing(tmp_path, tokenizer):
    path = tmp_path / "corpus.safetensors"
    for documents, message in (
        ([[1], [5000]], "ids must lie in 0.."),
        ([[-1]], "ids must lie in 0.."),
        ([], "document"),
    ):
        with pytest.raises(fcc.Error, match=message):
            fcc.write_tokens(path, documents, tokenizer)
    with pytest.raises(fcc.Error, match="a document must have a token"):
        fcc.write_tokens(path, [[]], tokenizer, add_eos=False)
    with pytest.raises(TypeError, match="one row"):
        fcc.write_tokens(path, [[[1], [2]]], tokenizer)
    assert list(tmp_path.iterdir()) == []


def test_stretches_outside_the_file_are_refused(tmp_path, tokenizer):
    path = tmp_path / "corpus.safetensors"
    fcc.write_tokens(path, ["abc"], tokenizer)
    file = fcc.read_tokens(path)
    for begin, end in ((-1, 2), (2, 1), (0, 5)):
        with pytest.raises(fcc.Error, match="stretch"):
            file.read(begin, end)
    for document in (1, -2):
        with pytest.raises(IndexError):
            file[document]


def test_damage_is_told(tmp_path, tokenizer):
    path = tmp_path / "corpus.safetensors"
    fcc.write_tokens(path, make_texts(5, seed=4), tokenizer)
    content = bytearray(path.read_bytes())
    content[-3] ^= 4
    path.write_bytes(content)
    with pytest.raises(fcc.FormatError):
        fcc.read_tokens(path).verify()
    with pytest.raises(fcc.IoError):
        fcc.read_tokens(tmp_path / "absent.safetensors")


def test_metrics_of_a_run_are_read_from_its_folder_or_file(trained):
    metrics = fcc.read_metrics(trained.output)
    assert isinstance(metrics, fcc.Metrics)
    assert [line["step"] for line in metrics.steps] == [1, 2, 3, 4, 5, 6]
    assert [line["step"] for line in metrics.validations] == [3, 6]
    assert metrics.validations[0]["validation"]["held_out"]["mean_loss"] > 0
    assert fcc.read_metrics(trained.output / "metrics.jsonl") == metrics
    steps, losses = metrics.column("loss")
    assert steps.tolist() == [1, 2, 3, 4, 5, 6]
    assert losses.tolist() == [line["loss"] for line in metrics.steps]
    assert len(metrics.column("tokens_per_second")[0]) == 3  # on lines of the log alone


def test_metrics_that_are_being_written_may_be_read(tmp_path):
    lines = [{"step": 1, "loss": 2.5}, {"step": 2, "loss": None}]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "metrics.jsonl").write_text(text + '{"step": 3, "lo')
    metrics = fcc.read_metrics(tmp_path)
    assert metrics.steps == lines
    assert numpy.isnan(metrics.column("loss")[1][1])
