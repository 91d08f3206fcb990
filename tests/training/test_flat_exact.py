"""Rows laid end to end teach exactly what they teach one by one: same loss, same gradients, no row sees another."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch.nn.functional import cross_entropy, linear, scaled_dot_product_attention
from transformers import AttentionInterface, AutoModelForCausalLM

from mozhu.engine.data.tokens import Example
from mozhu.engine.training.engines.flat.attention import rows_attention
from mozhu.engine.training.engines.flat.batch import FlatBatch, flatten
from mozhu.engine.training.engines.flat.forward import make_flat, make_plain
from mozhu.engine.training.engines.flat.fuse import fuse, unfuse
from mozhu.engine.training.engines.flat.logps import row_sums, token_logps
from mozhu.engine.training.engines.flat.lora import fuse_lora
from mozhu.engine.training.engines.flat.loss import label_loss
from mozhu.engine.training.engines.flat.parts import even_parts
from mozhu.engine.training.engines.flat.probe import keeps_rows_apart
from mozhu.engine.training.engines.flat.short_rows import MOST_SCORES
from mozhu.testing import make_tiny_model

FAMILIES = ("llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3")
LENGTHS = (17, 5, 40, 1, 23)
Gradients = dict[str, torch.Tensor]

_FLAT = "mozhu.engine.training.engines.flat"


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / request.param
    make_tiny_model(folder, request.param)
    return folder


def _network(folder: Path, **lora: Any) -> Any:
    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    config = LoraConfig(
        r=4, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False, **lora
    )
    return get_peft_model(base, config)


def _examples(vocabulary: int, lengths: tuple[int, ...] = LENGTHS) -> list[Example]:
    chance = torch.Generator().manual_seed(1)
    found = []
    for number, length in enumerate(lengths):
        ids = torch.randint(0, vocabulary, (length,), generator=chance).tolist()
        labels = [token if place >= length // 2 else -100 for place, token in enumerate(ids)]
        found.append(Example(ids, labels, f"row#{number}"))
    return found


def _one_by_one(network: Any, examples: list[Example]) -> tuple[float, Gradients]:
    """The mean loss a label token and its gradients, each row on its own through transformers' own forward."""
    network.zero_grad()
    total, count = torch.zeros(()), 0
    for example in examples:
        logits = network(input_ids=torch.tensor([example.ids])).logits[0, :-1].float()
        labels = torch.tensor(example.labels[1:], dtype=torch.long)
        kept = labels != -100
        total = total + cross_entropy(logits[kept], labels[kept], reduction="sum")
        count += int(kept.sum())
    (total / count).backward()
    return float(total.detach()) / count, _gradients(network)


def _gradients(network: Any) -> Gradients:
    return {name: item.grad.clone() for name, item in network.named_parameters() if item.grad is not None}


def _error(found: Gradients, wanted: Gradients) -> float:
    """The relative error over all gradients together."""
    assert found.keys() == wanted.keys()
    apart = sum(float((found[name] - wanted[name]).norm()) ** 2 for name in wanted)
    size = sum(float(value.norm()) ** 2 for value in wanted.values())
    return float((apart / size) ** 0.5)


def _flat(network: Any, batch: FlatBatch) -> tuple[float, Gradients]:
    make_flat(network)
    network.zero_grad()
    loss = network(flat=batch, scale=1 / len(batch.targets))["loss"]
    loss.backward()
    return float(loss.detach()), _gradients(network)


@pytest.mark.parametrize("fused", [False, True])
def test_flat_rows_give_the_loss_and_gradients_of_single_rows(family: Path, fused: bool) -> None:
    network = _network(family)
    examples = _examples(network.config.vocab_size)
    loss, gradients = _one_by_one(network, examples)
    if fused:
        told = fuse(network, thrifty=True)
        assert (told["lora"], told["gates"]) == (2 * 7, 2), "every linear layer of both blocks"
        plain = not network.config.model_type.startswith(
            "gemma"
        )  # whose norms scale by one more than their weight
        assert (told["norms"] > 0) == plain
    flat_loss, flat_gradients = _flat(network, flatten(examples))
    assert flat_loss == pytest.approx(loss, rel=1e-6)
    assert _error(flat_gradients, gradients) < 1e-5


def test_a_row_that_sees_its_neighbour_would_be_noticed(family: Path) -> None:
    network = _network(family)
    examples = _examples(network.config.vocab_size)
    _, gradients = _one_by_one(network, examples)
    batch = flatten(examples)
    together = replace(batch, attended=[sum(LENGTHS)])
    assert _error(_flat(network, together)[1], gradients) > 1e-2


def test_positions_that_do_not_begin_anew_would_be_noticed(family: Path) -> None:
    network = _network(family)
    examples = _examples(network.config.vocab_size, (30, 30, 30))
    _, gradients = _one_by_one(network, examples)
    batch = flatten(examples)
    # Rotary attention knows only distances, so the rows are shifted unevenly to be seen.
    wrong = replace(batch, positions=batch.positions + (batch.positions // 10) * 17)
    assert _error(_flat(network, wrong)[1], gradients) > 1e-3


def test_no_token_of_a_row_is_predicted_from_the_row_before() -> None:
    batch = flatten(
        [Example([1, 2], [1, 2], "a"), Example([3], [3], "b"), Example([4, 5, 6], [4, 5, -100], "c")]
    )
    assert batch.predicting.tolist() == [0, 3]
    assert batch.targets.tolist() == [2, 5]
    assert batch.positions.tolist() == [[0, 1, 0, 0, 1, 2]]


@pytest.mark.parametrize("wide", [1, 1 << 30], ids=["made-again", "kept"])
@pytest.mark.parametrize("window", [None, 7])
@pytest.mark.parametrize("length", [1, 6, 64])
def test_short_rows_attend_as_the_fused_attention_does(
    length: int, window: int | None, wide: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{_FLAT}.short_rows.WIDE", wide)
    torch.manual_seed(0)
    query, key, value = (torch.randn(1, heads, length, 8, requires_grad=True) for heads in (6, 2, 2))
    mask = torch.ones(length, length).tril().bool()
    if window:
        mask &= ~torch.ones(length, length).tril(-window).bool()
    wanted = scaled_dot_product_attention(query, key, value, attn_mask=mask, enable_gqa=True)
    found, _ = rows_attention(torch.nn.Module(), query, key, value, None, sliding_window=window)
    torch.testing.assert_close(found.transpose(1, 2), wanted, rtol=1e-5, atol=1e-6)
    weight = torch.randn_like(wanted)
    wanted_grads = torch.autograd.grad((wanted * weight).sum(), (query, key, value), retain_graph=True)
    found_grads = torch.autograd.grad((found.transpose(1, 2) * weight).sum(), (query, key, value))
    for one, two in zip(found_grads, wanted_grads):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)


def test_a_row_too_long_for_whole_score_matrices_attends_the_same() -> None:
    length = int((MOST_SCORES / 2) ** 0.5) + 8
    torch.manual_seed(0)
    query, key, value = (torch.randn(1, heads, length, 4) for heads in (2, 1, 1))
    found, _ = rows_attention(torch.nn.Module(), query, key, value, None)
    wanted = scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)
    torch.testing.assert_close(found.transpose(1, 2), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("softcap", [None, 3.0])
@pytest.mark.parametrize("rows", [1, 40, 101])
def test_the_loss_in_pieces_is_the_loss_of_the_whole(
    rows: int, softcap: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mozhu.engine.training.engines.flat.head.CHUNK_LOGITS", 1)  # pieces of 32 rows
    monkeypatch.setattr("mozhu.engine.training.engines.flat.head.BAND_LOGITS", 250)  # bands of 5
    torch.manual_seed(0)
    hidden, weight, bias = torch.randn(rows, 12), torch.randn(50, 12), torch.randn(50)
    targets = torch.randint(0, 50, (rows,))
    leaves = [item.requires_grad_() for item in (hidden, weight, bias)]
    logits = linear(*leaves)
    if softcap:
        logits = torch.tanh(logits / softcap) * softcap
    wanted = cross_entropy(logits, targets, reduction="sum") * 0.25
    found = label_loss(*leaves[:1], targets, *leaves[1:], softcap=softcap, scale=0.25)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    for one, two in zip(torch.autograd.grad(found * 2, leaves), torch.autograd.grad(wanted * 2, leaves)):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)


def test_layers_that_are_more_than_plain_lora_keep_pefts_way(family: Path) -> None:
    assert fuse_lora(_network(family, lora_dropout=0.1)) == 0
    assert fuse_lora(_network(family, use_dora=True)) == 0


def test_fused_layers_can_be_switched_off_and_given_back(family: Path) -> None:
    network = _network(family)
    ids = torch.tensor([[3, 4, 5, 6]])
    with torch.no_grad():
        own = network(input_ids=ids).logits
        with network.disable_adapter():
            bare = network(input_ids=ids).logits
        fuse(network, thrifty=True)
        torch.testing.assert_close(network(input_ids=ids).logits, own, rtol=1e-5, atol=1e-5)
        with network.disable_adapter():
            torch.testing.assert_close(network(input_ids=ids).logits, bare)
        unfuse(network)
        torch.testing.assert_close(network(input_ids=ids).logits, own)


@pytest.mark.parametrize("softcap", [None, 3.0])
def test_log_probabilities_in_pieces_are_those_of_the_whole(
    softcap: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mozhu.engine.training.engines.flat.head.CHUNK_LOGITS", 1)
    monkeypatch.setattr("mozhu.engine.training.engines.flat.head.BAND_LOGITS", 250)
    torch.manual_seed(0)
    hidden, weight, bias = torch.randn(70, 12), torch.randn(50, 12), torch.randn(50)
    targets, slopes = torch.randint(0, 50, (70,)), torch.randn(3)
    rows = torch.arange(70) % 3
    leaves = [item.requires_grad_() for item in (hidden, weight, bias)]
    logits = linear(*leaves)
    if softcap:
        logits = torch.tanh(logits / softcap) * softcap
    wanted = torch.log_softmax(logits, -1).gather(1, targets[:, None]).squeeze(1)
    found = token_logps(hidden, targets, weight, bias, softcap=softcap)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    sums = row_sums(found, rows, 3)
    torch.testing.assert_close(sums[1], wanted[1::3].sum(), rtol=1e-5, atol=1e-5)
    one = torch.autograd.grad((sums.tanh() * slopes).sum(), leaves)
    two = torch.autograd.grad((row_sums(wanted, rows, 3).tanh() * slopes).sum(), leaves)
    for left, right in zip(one, two):
        torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-5)


def test_a_network_that_was_flat_is_transformers_own_again(family: Path) -> None:
    network = _network(family).eval()
    ids = torch.tensor([[3, 4, 5, 6, 7], [8, 9, 10, 0, 0]])
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    with torch.no_grad():
        own = network(input_ids=ids, attention_mask=mask).logits
        make_flat(network)
        make_plain(network)
        again = network(input_ids=ids, attention_mask=mask).logits
    torch.testing.assert_close(again[mask.bool()], own[mask.bool()], rtol=1e-5, atol=1e-5)


def test_log_probabilities_of_flat_rows_are_those_of_single_rows(family: Path) -> None:
    network = _network(family).eval()
    examples = _examples(network.config.vocab_size)
    wanted = []
    with torch.no_grad():
        for example in examples:
            logits = network(input_ids=torch.tensor([example.ids])).logits[0, :-1].float()
            labels = torch.tensor(example.labels[1:], dtype=torch.long)
            told = torch.log_softmax(logits, -1)[torch.arange(len(labels)), labels.clamp(min=0)]
            wanted.append(float(told[labels != -100].sum()))
        make_flat(network)
        batch = flatten(examples)
        found = row_sums(network(flat=batch, wanted="logps")["logps"], batch.rows, len(examples))
    assert found.tolist() == pytest.approx(wanted, rel=1e-5)


def test_the_probe_knows_models_that_keep_rows_apart_from_those_that_do_not(
    family: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = _network(family)
    examples = _examples(network.config.vocab_size, (30, 20))
    assert keeps_rows_apart(network, examples)
    assert network.training

    def all_in_one_row(module: Any, query: Any, key: Any, value: Any, mask: Any, **more: Any) -> Any:
        return rows_attention(module, query, key, value, mask, **{**more, "row_lengths": None})

    AttentionInterface.register("mozhu_rows", all_in_one_row)
    try:
        assert not keeps_rows_apart(network, examples)
    finally:
        AttentionInterface.register("mozhu_rows", rows_attention)


def _deep(folder: Path, family: str) -> Any:
    """Eight layers whose attention says much."""
    make_tiny_model(folder, family, layers=8)
    network = _network(folder)
    with torch.no_grad():
        for name, item in network.named_parameters():
            item.mul_(8.0 if any(part in name for part in ("q_proj", "k_proj", "v_proj", "o_proj")) else 1.0)
    return network


@pytest.mark.parametrize(("family", "wanted"), [("qwen2", 2), ("gemma3", 6)])
def test_the_probe_asks_the_first_layers_of_every_kind_and_the_whole_model_where_they_do_not_say(
    family: str, wanted: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = _deep(tmp_path / "model", family)
    examples = _examples(network.config.vocab_size, (30, 20))
    layers = network.get_base_model().get_decoder().layers
    asked: Counter[int] = Counter()
    for place, layer in enumerate(layers):
        layer.register_forward_hook(lambda *_, place=place: asked.update([place]))
    assert keeps_rows_apart(network, examples)
    assert sorted(asked) == list(range(wanted))
    assert network.get_base_model().get_decoder().layers is layers and len(layers) == 8
    monkeypatch.setattr(f"{_FLAT}.probe._SHARE_OF_LEAK", 0.0)
    assert keeps_rows_apart(network, examples)  # the rounding of the whole model's answers decides
    assert sorted(asked) == list(range(8))


@pytest.mark.parametrize("leaking", [0, 1, 7])
def test_a_layer_of_another_kind_is_asked_wherever_it_stands(leaking: int, tmp_path: Path) -> None:
    """The planted fault: one layer of eight lets every token see the one before it, as a convolution does."""

    class Leaks(torch.nn.Module):
        def __init__(self, own: torch.nn.Module) -> None:
            super().__init__()
            self.own = own

        def forward(self, hidden: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = self.own(hidden + hidden.roll(1, dims=1))
            return found

    network = _deep(tmp_path / "model", "qwen2")
    layer = network.get_base_model().get_decoder().layers[leaking]
    layer.input_layernorm = Leaks(layer.input_layernorm)
    assert not keeps_rows_apart(network, _examples(network.config.vocab_size, (30, 20)))


def test_parts_of_a_batch_teach_what_the_whole_batch_teaches(family: Path) -> None:
    network = _network(family)
    fuse(network, thrifty=True)
    whole = flatten(_examples(network.config.vocab_size))
    loss, gradients = _flat(network, whole)
    network.zero_grad()
    parts = whole.parts(45)
    assert sorted(part.tokens for part in parts) == [41, 45]
    assert sorted(row for part in parts for row in part.row_ids) == sorted(whole.row_ids)
    found = 0.0
    for part in parts:
        piece = network(flat=part, scale=1 / whole.items)["loss"]
        piece.backward()
        found += float(piece.detach())
    assert found == pytest.approx(loss, rel=1e-6)
    assert _error(_gradients(network), gradients) < 1e-5


@pytest.mark.parametrize("most", [1, 40, 64, 1000])
def test_parts_hold_every_row_once_and_no_more_than_they_may(most: int) -> None:
    sizes = [17, 5, 40, 1, 23, 40, 12]
    parts = even_parts(sizes, most)
    assert sorted(index for part in parts for index in part) == list(range(len(sizes)))
    assert max(sum(sizes[index] for index in part) for part in parts) <= max(most, 40)
    assert len(parts) <= 2 * -(-sum(sizes) // max(most, 40))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_waits_for_the_way_back_is_less_with_operators(
    tmp_path: Path, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_tiny_model(tmp_path / "model", "qwen2")
    batch = flatten(_examples(200, (60, 40)))
    kept = []
    for is_wide in (False, True):
        monkeypatch.setattr(f"{_FLAT}.short_rows.WIDE", 1 if is_wide else 1 << 30)
        network = _network(tmp_path / "model").to(dtype)
        fuse(network, thrifty=is_wide)
        make_flat(network)
        storages: dict[int, int] = {}

        def keep(tensor: torch.Tensor, storages: dict[int, int] = storages) -> torch.Tensor:
            storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            network(flat=batch)["loss"]
        kept.append(sum(storages.values()) - sum(one.nbytes for one in network.parameters()))
    assert kept[1] < 0.75 * kept[0]
