import json
import os
import subprocess

import numpy
import pytest

import fcc

IDS = numpy.random.default_rng(1).integers(0, 256, (2, 23))


def weight(directory, name: str) -> numpy.ndarray:
    """A float32 weight, read by hand."""
    content = (directory / "model.safetensors").read_bytes()
    length = int.from_bytes(content[:8], "little")
    entry = json.loads(content[8 : 8 + length])[name]
    begin, end = (8 + length + offset for offset in entry["data_offsets"])
    assert entry["dtype"] == "F32"
    return numpy.frombuffer(content[begin:end], numpy.float32).reshape(entry["shape"])


def test_a_model_tells_what_it_is(model, trained):
    assert model.config["hidden_size"] == 24
    assert model.config["fcc"]["segment_length"] == 5
    assert model.device == "cpu"
    assert model.dtype == "float32"
    assert len(model.hash) == 64
    shapes = sum(weight(trained.model, name).size for name in weight_names(trained.model))
    assert model.num_parameters == shapes
    assert "float32 on cpu" in repr(model)


def weight_names(directory) -> list[str]:
    content = (directory / "model.safetensors").read_bytes()
    length = int.from_bytes(content[:8], "little")
    return [name for name in json.loads(content[8 : 8 + length]) if name != "__metadata__"]


def test_logits_of_a_batch_equal_a_stream_fed_token_by_token(model64):
    logits = model64.logits(IDS)
    assert logits.shape == (2, 23, model64.config["vocab_size"])
    stream = model64.stream(batch_size=2)
    for i in range(IDS.shape[1]):
        stream.feed(IDS[:, i : i + 1])
        numpy.testing.assert_allclose(stream.logits(), logits[:, i], atol=1e-10)


def test_a_row_gives_what_it_gives_in_a_batch(model64):
    numpy.testing.assert_allclose(model64.logits(IDS[1]), model64.logits(IDS)[1], atol=1e-10)
    numpy.testing.assert_allclose(
        model64.hidden_states(IDS[1]), model64.hidden_states(IDS)[:, 1], atol=1e-10
    )


def test_hidden_states_begin_with_the_embedding_and_end_before_the_head(model64, trained):
    hidden = model64.hidden_states(IDS)
    assert hidden.shape == (4, 2, 23, 24)
    embedding = weight(trained.model, "model.embed_tokens.weight")
    numpy.testing.assert_allclose(hidden[0], embedding[IDS], atol=1e-6)
    head = weight(trained.model, "lm_head.weight").astype(numpy.float64)
    numpy.testing.assert_allclose(hidden[-1] @ head.T, model64.logits(IDS), atol=1e-6)


@pytest.mark.parametrize("make", [
    lambda ids: ids.tolist(),
    lambda ids: ids.astype(numpy.uint16),
    lambda ids: ids.astype(numpy.int32),
    lambda ids: numpy.asfortranarray(ids),
    lambda ids: pytest.importorskip("torch", exc_type=ImportError).tensor(ids),
], ids=["lists", "uint16", "int32", "by columns", "torch"])
def test_ids_may_be_any_array_of_whole_numbers(model, make):
    numpy.testing.assert_array_equal(model.logits(make(IDS)), model.logits(IDS))


def test_results_are_arrays_of_the_library_that_was_asked_for(trained):
    expected = fcc.load(trained.model, device="cpu").logits(IDS)
    assert expected.dtype == numpy.float32
    exchanged = fcc.load(trained.model, device="cpu", arrays="dlpack").logits(IDS)
    numpy.testing.assert_array_equal(numpy.from_dlpack(exchanged), expected)
    torch = pytest.importorskip("torch", exc_type=ImportError)
    tensor = fcc.load(trained.model, device="cpu", arrays="torch").logits(IDS)
    assert isinstance(tensor, torch.Tensor)
    numpy.testing.assert_array_equal(tensor.numpy(), expected)


def test_bfloat16_is_widened_for_numpy_and_stays_elsewhere(trained, model):
    narrow = fcc.load(trained.model, device="cpu", dtype="bfloat16")
    logits = narrow.logits(IDS)
    assert logits.dtype == numpy.float32
    numpy.testing.assert_allclose(logits, model.logits(IDS), atol=0.3)
    torch = pytest.importorskip("torch", exc_type=ImportError)
    tensor = fcc.load(trained.model, device="cpu", dtype="bfloat16", arrays="torch").logits(IDS)
    assert tensor.dtype == torch.bfloat16
    numpy.testing.assert_array_equal(tensor.float().numpy(), logits)


def test_what_is_no_id_is_refused(model):
    with pytest.raises(fcc.Error, match="ids must lie in 0.."):
        model.logits([[5, 100000]])
    with pytest.raises(fcc.Error, match="t >= 1"):
        model.logits([])
    with pytest.raises(fcc.Error, match="shape"):
        model.logits(numpy.zeros((1, 1, 1), numpy.int64))
    with pytest.raises(TypeError, match="whole numbers"):
        model.logits([0.5])


def test_errors_tell_place_rule_and_value(trained, tmp_path):
    with pytest.raises(fcc.ConfigError, match="arrays: must be numpy, torch or dlpack") as raised:
        fcc.load(trained.model, arrays="lists")
    assert raised.value.where == "arrays"
    assert raised.value.rule == "must be numpy, torch or dlpack"
    assert raised.value.value == "lists"
    assert raised.value.hint == ""
    assert issubclass(fcc.ConfigError, fcc.Error) and issubclass(fcc.IoError, fcc.Error)
    with pytest.raises(fcc.ConfigError, match="dtype"):
        fcc.load(trained.model, dtype="int4")
    with pytest.raises(fcc.Error):
        fcc.load(tmp_path / "nothing")


def test_a_tokenizer_encodes_and_decodes(model):
    assert isinstance(model.tokenizer, fcc.Tokenizer)
    tokenizer = model.tokenizer
    text = "memory of Grüße 記憶"
    ids = tokenizer.encode(text)
    assert ids == list(text.encode())
    assert tokenizer.decode(ids) == text
    assert tokenizer.decode(numpy.array(ids)) == text
    assert tokenizer.decode_bytes(tokenizer.encode(b"\xff\x00")) == b"\xff\x00"
    assert tokenizer.decode(tokenizer.encode(b"a\xff")) == "a\ufffd"
    assert tokenizer.kind == "bytes"
    assert tokenizer.vocab_size == model.config["vocab_size"]
    assert tokenizer.eos_id in tokenizer.end_ids
    assert tokenizer.bos_id is None or tokenizer.bos_id < tokenizer.vocab_size
    assert len(tokenizer.hash) == 64
    with pytest.raises(TypeError, match="str or bytes"):
        tokenizer.encode(5)


def test_a_text_of_half_characters_is_refused_as_python_refuses_it(model):
    with pytest.raises(UnicodeEncodeError, match="surrogates"):
        model.tokenizer.encode("half \ud800")


def test_what_is_not_made_of_ids_is_refused_with_a_reason(model):
    with pytest.raises(TypeError, match="tokenizer.encode"):
        model.logits("a text")
    with pytest.raises(ValueError, match="equally long"):
        model.logits([[1, 2], [3]])
    with pytest.raises(TypeError, match="whole numbers"):
        model.stream().feed([None, 1])


def test_a_prompt_begins_as_documents_did(model):
    ids = model.tokenizer.encode("a b")
    assert not model.tokenizer.adds_bos
    assert model.prompt_ids("a b") == ids
    assert model.prompt_ids(b"a b", special=True) == ids


def test_special_tokens_are_tokens_on_request(tmp_path):
    (tmp_path / "vocabulary.txt").write_text("<bos>\n<eos>\n<unk>\none\ntwo\n")
    tokenizer = fcc.load_tokenizer(str(tmp_path / "vocabulary.txt"))
    assert tokenizer.kind == "words"
    assert tokenizer.decode(tokenizer.encode("one two")) == "one two"
    assert isinstance(tokenizer.encode("one <eos>", special=True), list)


def test_a_decoder_gives_whole_characters(model):
    tokenizer = model.tokenizer
    decoder = fcc.Decoder(tokenizer)
    decoder.prime(tokenizer.encode("before "))
    pieces = [decoder.push(id) for id in tokenizer.encode("ü記!")]
    assert pieces == ["", "ü", "", "", "記", "!"]
    assert decoder.push(0xE8) == ""
    assert decoder.finish() == "\ufffd"


def test_fcc_generate_says_the_same_and_goes_on_from_a_state(model, trained, tmp_path):
    program = os.environ.get("FCC_GENERATE")
    if not program or not os.path.exists(program):
        pytest.skip("FCC_GENERATE names no fcc-generate")
    drawing = {"temperature": 0.9, "top_p": 0.9, "seed": 3}

    def generate(*arguments: str) -> bytes:
        return subprocess.run(
            [program, "--model", trained.model, "--device", "cpu", "--dtype", "float32", "--quiet",
             "--temperature", "0.9", "--top-p", "0.9", "--seed", "3", "--ignore-eos",
             "--hide-prompt", *arguments],
            check=True, capture_output=True).stdout[:-1]

    stream = model.stream()
    stream.feed(model.prompt_ids("the token"))
    fork = stream.fork()
    ids = list(stream.generate(40, stop=(), **drawing))
    decode = model.tokenizer.decode_bytes
    assert generate("-p", "the token", "-n", "40") == decode(ids)

    assert list(fork.generate(17, stop=(), **drawing)) == ids[:17]
    fork.save(tmp_path / "state")
    assert generate("-n", "23", "--load-state", tmp_path / "state") == decode(ids[17:])
