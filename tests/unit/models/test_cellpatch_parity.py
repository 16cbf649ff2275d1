"""CellPatch gives the published code's numbers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name everybody knows

from cellpatch_cases import ANNOTATORS, CASES, PRETRAINED, Case, close, load_case
from tagscope.models.cellpatch.convert import _names, to_published
from tagscope.models.cellpatch.network import CellPatchNetwork, Genes


@pytest.fixture
def case(request, shared) -> Case:
    return load_case(shared / "parity" / "cellpatch" / request.param)


def of_all(cases: tuple[str, ...]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, indirect=True)


def features(case: Case, network: CellPatchNetwork, patches: Tensor) -> Tensor:
    """As the case stores them: projected where labels are told from that, or genes are."""
    return network.features(patches) if network.projection is not None else patches


@of_all(CASES)
@torch.inference_mode()
def test_patches_and_what_they_attend_to(case):
    network, read = case.network(), case.read
    assert read.padding is not None
    found = network(read, attention=True)
    close(features(case, network, found.patches), case.expected["patch_features"])
    theirs = case.expected["attention.encoder_cross_extract_blocks"]
    on_genes = ~read.padding[:, None].expand(theirs.shape)
    assert found.attention is not None
    close(found.attention[on_genes], theirs[on_genes])


@of_all(CASES)
@torch.inference_mode()
def test_with_pads_left_out_each_cell_is_as_if_it_were_alone(case):
    network = case.network("none")
    found = features(case, network, network(case.read).patches)
    close(found, case.expected["patch_features_each_cell_unpadded"])


@of_all(ANNOTATORS)
@torch.inference_mode()
def test_labels(case):
    for compat, name in (("published", "logits"), ("none", "logits_each_cell_unpadded")):
        network = case.network(compat)
        close(network.logits(network(case.read).patches)[0], case.expected[name])


@of_all(PRETRAINED)
@torch.inference_mode()
def test_genes_are_told(case):
    network = case.network()
    told = network.told(network(case.read).patches, *case.asked)
    close(told, case.expected["prediction"].squeeze(-1))


def loss_of(case: Case, network: CellPatchNetwork) -> Tensor:
    patches = network(case.read).patches
    if case.labels:
        return F.cross_entropy(network.logits(patches)[0], case.inputs["labels"])
    genes, padding = case.asked
    error = (network.told(patches, genes, padding) - case.inputs["values_dec"]) ** 2
    return error[~padding].mean()


@of_all(CASES)
def test_losses_of_the_first_steps_and_gradients(case):
    """Adam with the weight decay in the loss, as the published scripts have it."""
    name, rate, decay = (
        ("adam_losses_dropout_off_lr1e3_wd5e4", 1e-3, 5e-4) if case.labels
        else ("adam_losses_dropout_off_lr1e4_wd5e5", 1e-4, 5e-5)
    )  # fmt: skip
    network = case.network()
    optimizer = torch.optim.Adam(network.parameters(), rate, weight_decay=decay)
    losses, gradients = [], {}
    for _ in case.scalars[name]:
        optimizer.zero_grad()
        loss = loss_of(case, network)
        loss.backward()
        gradients = gradients or norms(network, case)
        losses.append(loss.item())
        optimizer.step()
    close(torch.tensor(losses), torch.tensor(case.scalars[name]))
    theirs = case.scalars["grad_l2_norm_per_parameter"]
    assert gradients
    for parameter, norm in gradients.items():
        close(torch.tensor(norm), torch.tensor(theirs[parameter]))


def norms(network: nn.Module, case: Case) -> dict[str, float]:
    """Lengths of the gradients, by their published names."""
    names = {ours: theirs for theirs, ours in _names(case.config, case.labels)}
    return {
        names[name]: float(parameter.grad.norm())
        for name, parameter in network.named_parameters()
        if parameter.grad is not None
    }


@of_all(CASES)
def test_weights_go_back_to_their_names(case):
    state = case.network().state_dict()
    table = torch.zeros_like(case.weights["gene2vector.weight"])
    back = to_published(state, case.config, case.rows, table, labels=case.labels)
    for name, weight in back.items():
        assert torch.equal(weight, case.weights[name]), name


def test_attention_is_that_of_the_published_z_scores(shared):
    """Over one list of genes, zeros included: (a − mean) / (sd + 1e-5) of a cell's patch."""
    case = load_case(shared / "parity" / "cellpatch" / "annotator_small")
    read = case.read
    with torch.inference_mode():
        found = case.network()(Genes(*vars(read).values()), attention=True).attention
    assert found is not None
    longest = int((~read.padding).sum(dim=1).argmax())
    own = found[longest]
    scores = (own - own.mean(-1, keepdim=True)) / (own.std(-1, keepdim=True) + 1e-5)
    close(scores, case.expected["attention_zscore"][longest])
