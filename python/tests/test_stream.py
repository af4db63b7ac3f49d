import threading

import numpy
import pytest

import fcc
from conftest import make_config


@pytest.fixture
def stream(model):
    stream = model.stream()
    stream.feed(model.prompt_ids("the memory of a token"))
    return stream


DRAWING = {"temperature": 1.0, "top_k": 50, "top_p": 0.95, "seed": 7, "stop": ()}


def test_a_stream_counts_its_tokens_and_knows_its_model(model):
    assert isinstance(model.stream(), fcc.Stream)
    stream = model.stream()
    assert stream.num_tokens == 0 and not stream.has_logits and stream.batch_size == 1
    assert stream.model is model
    with pytest.raises(fcc.Error, match="a token must be fed first"):
        stream.logits()
    stream.feed([1, 2, 3])
    assert stream.num_tokens == 3 and stream.has_logits
    assert stream.logits().shape == (1, model.config["vocab_size"])
    assert "3 tokens" in repr(stream)


def test_generating_is_drawing_and_feeding(model, stream):
    by_hand = stream.fork()
    tokens = []
    for _ in range(30):
        tokens.append(by_hand.draw(temperature=1.0, top_k=50, top_p=0.95, seed=7))
        by_hand.feed([tokens[-1]])
    assert list(stream.generate(30, **DRAWING)) == tokens
    assert stream.num_tokens == by_hand.num_tokens
    numpy.testing.assert_array_equal(stream.logits(), by_hand.logits())


def test_greedy_takes_the_likeliest(model, stream):
    likeliest = int(stream.logits()[0].argmax())
    assert stream.draw() == likeliest
    assert next(stream.generate(1, stop=())) == likeliest


def test_seeds_decide_the_draws(stream):
    first = list(stream.fork().generate(30, **DRAWING))
    assert list(stream.fork().generate(30, **DRAWING)) == first
    assert list(stream.fork().generate(30, **{**DRAWING, "seed": 8})) != first


def test_a_loop_may_be_left_anywhere(stream):
    whole = list(stream.fork().generate(20, **DRAWING))
    for count, token in enumerate(stream.generate(20, **DRAWING), 1):
        if count == 7:
            break
    assert list(stream.generate(13, **DRAWING)) == whole[7:]


def test_generating_ends_before_a_token_to_stop_at(stream):
    whole = list(stream.fork().generate(20, **DRAWING))
    before = stream.num_tokens
    assert list(stream.generate(20, **{**DRAWING, "stop": [whole[5]]})) == whole[: whole.index(whole[5])]
    assert stream.num_tokens == before + whole.index(whole[5])


def test_options_out_of_range_are_refused_before_the_first_token(stream):
    with pytest.raises(fcc.ConfigError):
        stream.generate(5, temperature=-1.0)
    with pytest.raises(fcc.ConfigError):
        stream.draw(top_p=2.0)


def test_text_comes_in_whole_characters(model, stream):
    ids = list(stream.fork().generate(60, **DRAWING))
    pieces = list(stream.generate_text(60, **DRAWING))
    assert "".join(pieces) == model.tokenizer.decode(ids)
    assert "" not in pieces


def test_forks_go_their_own_ways(model, stream):
    fork = stream.fork()
    numpy.testing.assert_array_equal(fork.logits(), stream.logits())
    expected = list(stream.fork().generate(40, **DRAWING))
    fork.feed(model.tokenizer.encode("something else"))
    assert list(stream.generate(40, **DRAWING)) == expected
    assert list(fork.generate(40, **DRAWING)) != expected


@pytest.mark.parametrize("option", [
    {"arch": "condensation", "segment_length": 5, "memory_source": "input"},
    {"arch": "local_global", "segment_length": 5, "num_local_layers": 2},
    None,
], ids=["inputs remembered", "local_global", "llama"])
def test_forks_of_every_kind_go_on_alike(tmp_path, option):
    config = make_config(tmp_path, fcc=option)
    config["train"]["stages"] = [{"steps": 1, "segments": 3}]
    if option is None:
        del config["model"]["config"]["fcc"]
        config["train"]["stages"][0]["segment_length"] = 5
    model = fcc.load(fcc.train(config).model, device="cpu")
    for length in (3, 10, 12):  # in the first segment, at a border, behind it
        stream = model.stream()
        stream.feed(numpy.arange(length))
        fork = stream.fork()
        numpy.testing.assert_array_equal(fork.logits(), stream.logits())
        assert list(fork.generate(13, **DRAWING)) == list(stream.generate(13, **DRAWING))


def test_a_saved_state_goes_on_as_if_nothing_had_been(model, stream, tmp_path):
    list(stream.generate(9, **DRAWING))
    stream.save(tmp_path / "state.safetensors")
    expected = "".join(stream.generate_text(40, **DRAWING))
    restored = model.stream(tmp_path / "state.safetensors")
    assert restored.num_tokens == stream.num_tokens - 40
    assert "".join(restored.generate_text(40, **DRAWING)) == expected
    state = fcc.read_state(tmp_path / "state.safetensors")
    assert "".join(model.stream(state).generate_text(40, **DRAWING)) == expected


def test_a_state_shows_what_it_holds(model, stream):
    state = stream.state()  # after 21 tokens, in segments of 5
    assert isinstance(state, fcc.State)
    assert state.num_tokens == 21
    assert state.memory.shape == (3, 1, 5, 24)
    assert state.partial_ids.tolist() == [[ord("n")]]
    assert state.model_hash == model.hash
    before = model.stream().state()
    assert before.num_tokens == 0 and before.memory is None and before.partial_ids is None


@pytest.mark.parametrize("section, shape", [
    ({"arch": "local_global", "num_local_layers": 2}, (1, 1, 5, 24)),
    ({"arch": "rmt", "num_memory_tokens": 3}, (1, 1, 3, 24)),
    ({"arch": "infini_attention"}, (3, 1, 2 * (6 + 1), 6)),
    ({"arch": "titans_mag"}, (3, 1, 2 * 2 * 6, 6)),
], ids=lambda value: value["arch"] if isinstance(value, dict) else "")
def test_a_memory_has_the_shape_that_its_documentation_says(tmp_path, section, shape):
    config = make_config(tmp_path, fcc={"segment_length": 5, **section})
    config["train"] |= {"stages": [{"steps": 1, "segments": 2}], "validate_every": 0}
    stream = fcc.load(fcc.train(config).model, device="cpu").stream()
    stream.feed(numpy.arange(7))
    assert stream.state().memory.shape == shape


def test_a_state_of_another_model_is_refused(model, stream, tmp_path):
    other = fcc.load(
        fcc.train(make_config(tmp_path), overrides=["train.seed=5"]).model, device="cpu")
    with pytest.raises(fcc.FormatError, match="of the model that goes on from it"):
        other.stream(stream.state())


def test_rows_of_a_batch_are_streams_of_their_own(model64):
    ids = numpy.random.default_rng(2).integers(0, 256, (3, 17))
    batch = model64.stream(batch_size=3)
    batch.feed(ids)
    for row in range(3):
        single = model64.stream()
        single.feed(ids[row])
        numpy.testing.assert_allclose(single.logits()[0], batch.logits()[row], atol=1e-10)
    restored = model64.stream(batch.state(), batch_size=3)
    numpy.testing.assert_allclose(restored.logits(), batch.logits(), atol=1e-10)
    with pytest.raises(fcc.Error, match="one row"):
        batch.draw()
    with pytest.raises(fcc.Error, match=r"shape \[3, t\]"):
        batch.feed([1, 2])


def test_threads_take_turns(model):
    stream = model.stream()
    threads = [threading.Thread(target=lambda: [stream.feed([5]) for _ in range(50)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    once = model.stream()
    once.feed([5] * 200)
    assert stream.num_tokens == 200
    numpy.testing.assert_allclose(stream.logits(), once.logits(), atol=1e-3)
