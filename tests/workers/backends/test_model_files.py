"""Hostile model folders: each is refused with a sentence before anything of it is loaded, and none of it runs."""

from __future__ import annotations

import ast
import json
import os
import pickle
import re
from pathlib import Path

import pytest

from tests.workers.backends import models
from workers.backends import CannotLoad, chat_templates, load_backend, model_files

pytestmark = pytest.mark.gpu_stack
ROOT = Path(__file__).resolve().parents[3]


class Canary:
    """Unpickled, it makes a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.fixture
def canary(tmp_path):
    path = tmp_path / "canary"
    yield path
    assert not path.exists(), "Code of the model's folder ran."


def load(folder):
    return load_backend(name="hostile", kind="transformers_local", folder_or_url=str(folder), device="cpu")


@pytest.fixture
def refused(monkeypatch):
    """Ask for a folder, which must be refused before transformers opens any of it. Returns the sentence."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    def never(*args, **kwargs):
        raise AssertionError("transformers was asked to load a folder that should have been refused.")

    for known in (AutoConfig, AutoModelForCausalLM, AutoTokenizer):
        monkeypatch.setattr(known, "from_pretrained", never)

    def ask(folder):
        with pytest.raises(CannotLoad) as refusal:
            load(folder)
        sentence = str(refusal.value)
        assert sentence.endswith(".")
        return sentence

    return ask


def change(folder, name, **changes):
    path = folder / name
    content = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**content, **changes}))


def test_the_folder_that_the_hostile_ones_are_made_of_is_loaded(copied):
    assert load(copied()).revision.startswith("sha256:")


@pytest.mark.parametrize(
    "name", ["pytorch_model.bin", "model.pt", "extra.PKL", "sub/optimizer.pth", "training_args.bin"]
)
def test_a_pickle_is_not_opened(name, copied, canary, refused):
    folder = copied()
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(pickle.dumps(Canary(canary)))
    sentence = refused(folder)
    assert name in sentence
    assert "may run code" in sentence


def test_the_canary_sings(tmp_path):
    """The control: opened, the pickle of the tests above does make its file."""
    pickle.loads(pickle.dumps(Canary(tmp_path / "sung")))
    assert (tmp_path / "sung").exists()


def test_a_pickle_that_calls_itself_safetensors_is_not_opened(copied, canary, refused):
    folder = copied()
    (folder / "model.safetensors").write_bytes(pickle.dumps(Canary(canary)))
    assert "not a safetensors file" in refused(folder)


@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer_config.json", "generation_config.json", "processor_config.json"]
)
def test_code_of_the_models_own_is_not_run(name, copied, canary, refused):
    folder = copied()
    change(folder, name, auto_map={"AutoTokenizer": ["planted.Tokenizer", None], "AutoConfig": "planted.Config"})
    assert "auto_map" in refused(folder)
    (folder / "planted.py").write_text(f"import os\nos.mkdir({str(canary)!r})\n")
    assert "planted.py" in refused(folder)


def test_code_deep_in_a_configuration_is_found(copied, refused):
    folder = copied()
    change(folder, "config.json", text_config={"sub": [{"auto_map": {"AutoModel": "x.Y"}}]})
    assert "auto_map" in refused(folder)


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ cycler.__init__.__globals__.os.mkdir('CANARY') }}",
        "{{ self.__init__.__globals__['os'].mkdir('CANARY') }}",
        "{{ lipsum.__globals__.os.mkdir('CANARY') }}",
        "{{ messages|attr('__class__') }}",
        "{{ messages|map(attribute='__class__')|list }}",
        "{{ messages|map('attr', '__init__')|list }}",
        "{% set name = '_' ~ '_class_' ~ '_' %}{{ messages|map(attribute=name)|list }}",
        "{{ ''['__cla' 'ss__'] }}",
        "{{ '{0.__class__}'.format_map({}) }}",
        "{{ '{0.__class__.__init__.__globals__}'.format(cycler) }}",
        "{% set f = raise_exception %}{{ (f or f)('x') }}",
        "{% include '/etc/passwd' %}",
        "{% import 'os' as os %}{{ os.mkdir('CANARY') }}",
        "{% extends 'planted' %}",
        "{{ os.mkdir('CANARY') }}",
        "{{ messages[0].popen('mkdir CANARY') }}",
        "{{ namespace.__init__.__builtins__ }}",
        "{% for m in messages %}{{ m.content }}{% endfor",
    ],
)
@pytest.mark.parametrize("place", ["tokenizer_config.json", "chat_template.jinja", "chat_template.json", "named"])
def test_a_chat_template_that_reaches_out_is_refused(template, place, copied, canary, refused):
    folder = copied()
    template = template.replace("CANARY", str(canary))
    if place == "chat_template.jinja":
        (folder / place).write_text(template)
    elif place == "named":
        change(folder, "tokenizer_config.json", chat_template=[{"name": "default", "template": template}])
    else:
        change(folder, place, chat_template=template)
    assert "chat template" in refused(folder)


def test_every_known_template_injection_is_refused_or_does_nothing(shared_payloads, canary):
    """The public list, through the check and then through transformers' own renderer: nothing of it is evaluated."""
    lines = (shared_payloads / "patt-ssti.fuzz").read_text(errors="replace").splitlines()
    reaching = [line for line in lines if "__" in line and "{{" in line]
    assert len(lines) > 50
    assert reaching
    for line in reaching:
        with pytest.raises(CannotLoad):
            chat_templates.check(line, where="test")


@pytest.mark.parametrize(
    "template",
    [
        models.CHATML,
        "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}"
        "{% set system = messages[0]['content'].strip() + '\n\n' %}{% else %}{% set loop_messages = messages %}"
        "{% set system = '' %}{% endif %}{% for message in loop_messages %}"
        "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must alternate.') }}"
        "{% endif %}[INST] {{ system if loop.first else '' }}{{ message['content']|trim }} [/INST]{% endfor %}",
        "{%- set ns = namespace(found=false) %}{%- for message in messages %}{%- if message.role == 'user' %}"
        "{%- set ns.found = true %}{%- endif %}{%- if message.tool_calls is defined %}"
        "{{- message.tool_calls|map(attribute='function')|list|tojson }}{%- endif %}{%- endfor %}",
        "{% macro show(m) %}{{ m.content.split('</think>')[-1].lstrip('\n') }}{% endmacro %}"
        "{% for m in messages %}{% generation %}{{ show(m) }}{% endgeneration %}{% if loop.last %}{% break %}"
        "{% endif %}{% endfor %}{{ strftime_now('%d %b %Y') }}{{ '___' }}",
    ],
)
def test_templates_as_models_have_them_are_let_through(template):
    chat_templates.check(template, where="test")


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("tokenizer_config.json", {"vocab_file": "/etc/passwd"}),
        ("tokenizer_config.json", {"tokenizer_file": "../../secret.json"}),
        ("tokenizer_config.json", {"chat_template_path": "~/secret"}),
        ("config.json", {"encoder": {"weights_path": "https://example.org/x"}}),
    ],
)
def test_a_path_that_leads_out_is_refused(name, changes, copied, refused):
    folder = copied()
    change(folder, name, **changes)
    assert "leads out of the model's folder" in refused(folder)


def test_where_a_model_once_lay_is_no_path_out(copied):
    folder = copied()
    change(folder, "config.json", _name_or_path="/somebody/else/llama")
    assert load(folder)


def test_weights_named_elsewhere_are_refused(copied, refused):
    folder = copied()
    index = {"metadata": {}, "weight_map": {"lm_head.weight": "../../other/model.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "not a *.safetensors of the folder" in refused(folder)


def test_a_link_out_of_the_folder_is_refused(copied, tmp_path, refused):
    folder = copied()
    (tmp_path / "secret.json").write_text("{}")
    (folder / "special_tokens_map.json").unlink(missing_ok=True)
    (folder / "special_tokens_map.json").symlink_to(tmp_path / "secret.json")
    assert "a link that leads out" in refused(folder)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda f: change(f, "config.json", padding="x" * 2**21), "bytes; no more than"),
        (lambda f: change(f, "config.json", num_hidden_layers=10**9), "num_hidden_layers is 1,000,000,000"),
        (lambda f: change(f, "config.json", hidden_size=10**12), "hidden_size"),
        (lambda f: (f / "config.json").write_text('{"a":' * 100_000), "not JSON that can be read"),
        (lambda f: (f / "config.json").write_text('{"a":' * 200 + "1" + "}" * 200), "nested more than"),
        (lambda f: (f / "config.json").write_text("[]"), "not a JSON object"),
        (lambda f: (f / "config.json").write_bytes(b"\xff\xfe"), "not UTF-8"),
        (lambda f: (f / "config.json").unlink(), "has no config.json"),
        (lambda f: (f / "model.safetensors").unlink(), "has no *.safetensors"),
        (lambda f: (f / "model.safetensors").write_bytes(b"\xff" * 100), "not a safetensors file"),
        (lambda f: os.truncate(f / "model.safetensors", 9_000), "cut off"),
        (lambda f: (f / "adapter_config.json").write_text("{}"), "an adapter"),
        (lambda f: (f / "run.sh").write_text("true"), "a model does not need"),
        (lambda f: os.mkfifo(f / "pipe.json"), "not a plain file"),
    ],
)
def test_what_is_broken_or_too_large_is_refused(spoil, sentence, copied, refused):
    folder = copied()
    spoil(folder)
    said = refused(folder)
    assert sentence in said, said


def test_a_changed_file_changes_the_digest_and_a_read_me_does_not(copied):
    folder = copied()
    before = model_files.digest(folder)
    (folder / "README.md").write_text("About this model.")
    assert model_files.digest(folder) == before
    change(folder, "generation_config.json", temperature=0.5)
    assert model_files.digest(folder) != before


def test_nothing_in_the_engine_unpickles():
    """Every call in workers/ that could: torch.load, pickle, joblib, trust_remote_code=True."""
    files = sorted((ROOT / "workers").rglob("*.py"))
    assert len(files) > 5
    for path in files:
        source = path.read_text()
        imported = {
            alias.name.split(".")[0]
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in (
                [*node.names, ast.alias(node.module or "")] if isinstance(node, ast.ImportFrom) else node.names
            )
        }
        assert not imported & {"pickle", "joblib", "dill", "cloudpickle", "shelve"}, path
        assert not re.search(r"torch\.load\(|trust_remote_code=True|\"trust_remote_code\": True", source), path
