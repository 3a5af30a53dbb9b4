"""A model's folder, looked through before anything of it is loaded: whatever could run code, or name files elsewhere,
is refused with a sentence.

Weights are safetensors only: a pickle runs code when it is read. No code of the folder's own (`auto_map`, *.py). No
chat template that reaches beyond the messages. No path that leads out of the folder. No sizes that would fill the
memory before the weights are read.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from workers.backends import chat_templates
from workers.backends.primitives import CannotLoad

# Formats that run code when they are read, or may.
PICKLES = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".npy", ".npz", ".h5", ".keras", ".msgpack"}
# What a model's folder may hold. Pictures and papers beside it are left alone; nothing reads them.
READ = {".json", ".safetensors", ".txt", ".model", ".jinja"}
LEFT_ALONE = {".md", ".rst", ".pdf", ".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp", ""}
# In bytes. The largest vocabularies of today make a tokenizer.json of some 35 MB; no other JSON file is near 10 MB.
LARGEST_VOCABULARY = 128 * 2**20
LARGEST_JSON = 16 * 2**20
LARGEST_CONFIGURATION = 2**20
LARGEST_HEADER = 100 * 2**20
DEEPEST_JSON = 50
# Bounds on what a configuration may ask for. The largest models of today are far within.
LARGEST = {
    "num_hidden_layers": 1_000,
    "n_layer": 1_000,
    "vocab_size": 5_000_000,
    "hidden_size": 1_000_000,
    "n_embd": 1_000_000,
    "intermediate_size": 10_000_000,
    "num_attention_heads": 10_000,
    "num_key_value_heads": 10_000,
    "head_dim": 100_000,
    "num_local_experts": 10_000,
    "num_experts": 10_000,
    "max_position_embeddings": 100_000_000,
}
# Keys whose value names a file. (`_name_or_path` does not: it says where the model lay when it was saved.)
NAMES_A_FILE = re.compile(r"(_file|_path|_folder|_dir|file_name|filename)$|^(path|file|base_model_name_or_path)$")
SAYS_WHERE_IT_LAY = {"_name_or_path", "name_or_path"}
# How transformers names what the hub's kernels or adapters would bring: code, or weights from elsewhere.
BRINGS_CODE = ("auto_map", "custom_pipelines", "custom_generate", "kernel_config", "trust_remote_code")


def check(folder: Path) -> None:
    """Raise CannotLoad with a sentence unless everything in the folder can be read without running any of it."""
    if not folder.is_dir():
        raise CannotLoad(f"There is no folder {folder}. Give the folder that holds config.json and the weights.")
    names = sorted(_files(folder))
    for name in names:
        _check_name(folder, name)
    if "config.json" not in names:
        raise CannotLoad(f"{folder} has no config.json. Give the folder of a model as transformers saves it.")
    weights = [name for name in names if name.endswith(".safetensors")]
    if not weights:
        raise CannotLoad(f"{folder} has no *.safetensors. Save the model's weights in that format.")
    for name in names:
        if name.endswith(".json"):
            _check_json(folder, name, weights)
        elif name.endswith(".jinja"):
            _check_size(folder, name, chat_templates.LARGEST)
            chat_templates.check(_text(folder, name), where=name)
    for name in weights:
        _check_header(folder, name)


def digest(folder: Path) -> str:
    """ "sha256:…" over names and contents of the files that are read, in the order of their names: the revision."""
    total = hashlib.sha256()
    for name in sorted(_files(folder)):
        if Path(name).suffix.lower() not in READ:
            continue
        with (folder / name).open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(f"{content}  {name}\n".encode())
    return f"sha256:{total.hexdigest()}"


def _files(folder: Path) -> Iterator[str]:
    """Every file below the folder, as relative names. Raises CannotLoad for a link that leads out of it."""
    home = folder.resolve()
    for parent, folders, files in os.walk(folder, followlinks=False):
        here = Path(parent)
        folders[:] = [name for name in folders if name not in {".git", ".cache"}]
        for name in [*folders, *files]:
            path = here / name
            if path.is_symlink() and not path.resolve().is_relative_to(home):
                raise CannotLoad(f"{path.relative_to(folder)} is a link that leads out of the folder. Copy the file.")
        for name in files:
            yield (here / name).relative_to(folder).as_posix()


def _check_name(folder: Path, name: str) -> None:
    path = folder / name
    suffix = path.suffix.lower()
    if not stat.S_ISREG(path.stat().st_mode):
        raise CannotLoad(f"{name} is not a plain file. Take it out of the folder.")
    if suffix in PICKLES:
        raise CannotLoad(f"{name} may run code when it is read. Keep only *.safetensors in the folder.")
    if suffix == ".py":
        raise CannotLoad(f"{name} is code. Plumbline runs no code from a model's folder; take it out.")
    if path.name == "adapter_config.json":
        raise CannotLoad(f"{name}: this is an adapter and not a model. Merge it into its model and save that.")
    if suffix not in READ | LEFT_ALONE:
        raise CannotLoad(f"{name} is of a kind that a model does not need. Take it out of the folder.")


# ---- JSON ----------------------------------------------------------------------------------------------------------


def _check_json(folder: Path, name: str, weights: list[str]) -> None:
    big = name in {"tokenizer.json", "vocab.json"}
    small = name in {"config.json", "generation_config.json"}
    _check_size(folder, name, LARGEST_VOCABULARY if big else LARGEST_CONFIGURATION if small else LARGEST_JSON)
    content = _json(_text(folder, name), name)
    if name == "vocab.json":
        return
    if not isinstance(content, dict):
        raise CannotLoad(f"{name} is not a JSON object.")
    if name.endswith(".safetensors.index.json"):
        _check_index(name, content, weights)
        return
    for key in BRINGS_CODE:
        if _holds(content, key):
            raise CannotLoad(
                f"{name} has {key}, which would run code that comes with the model. Plumbline runs none: use a model "
                "that transformers knows by itself."
            )
    if name == "tokenizer.json":
        return
    for path, value in _leaves(content):
        _check_leaf(name, path, value)
    for where, template in _templates(content):
        chat_templates.check(template, where=f"{name}, {where}")


def _json(text: str, name: str) -> Any:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CannotLoad(f"{name} is not JSON that can be read ({type(error).__name__}).") from error
    return content


def _holds(content: Any, key: str) -> bool:
    """Anywhere, at any depth."""
    rest = [content]
    while rest:
        value = rest.pop()
        if isinstance(value, dict):
            if value.get(key):
                return True
            rest.extend(value.values())
        elif isinstance(value, list):
            rest.extend(value)
    return False


def _leaves(content: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    rest: list[tuple[tuple[str, ...], Any]] = [((), content)]
    while rest:
        path, value = rest.pop()
        if len(path) > DEEPEST_JSON:
            raise CannotLoad(f"A JSON file of the model is nested more than {DEEPEST_JSON} deep.")
        if isinstance(value, dict):
            rest.extend(((*path, str(key)), item) for key, item in value.items())
        elif isinstance(value, list):
            rest.extend(((*path, ""), item) for item in value)
        else:
            yield path, value


def _check_leaf(name: str, path: tuple[str, ...], value: Any) -> None:
    key = next((part for part in reversed(path) if part), "")
    if isinstance(value, str) and NAMES_A_FILE.search(key) and key not in SAYS_WHERE_IT_LAY and _leads_out(value):
        raise CannotLoad(f"{name}: {key} is “{value[:80]}”, which leads out of the model's folder. Use plain names.")
    if key == "attn_implementation" and isinstance(value, str) and "/" in value:
        raise CannotLoad(f"{name}: {key} would fetch code from elsewhere. Remove the line.")
    if key in LARGEST and isinstance(value, int | float) and not 0 <= value <= LARGEST[key]:
        raise CannotLoad(f"{name}: {key} is {value:,}; no more than {LARGEST[key]:,} is taken.")


def _leads_out(value: str) -> bool:
    return value.startswith(("/", "\\", "~")) or ".." in re.split(r"[/\\]", value) or bool(re.match(r"\w+:", value))


def _templates(content: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Chat templates wherever they may stand: a text, or a list of named ones."""
    found = content.get("chat_template")
    if isinstance(found, str):
        yield "chat_template", found
    elif isinstance(found, list):
        for item in found:
            if isinstance(item, dict) and isinstance(item.get("template"), str):
                yield f"chat_template “{str(item.get('name'))[:40]}”", item["template"]
    elif isinstance(found, dict):
        yield from ((f"chat_template “{key[:40]}”", value) for key, value in found.items() if isinstance(value, str))


# ---- weights -------------------------------------------------------------------------------------------------------


def _check_index(name: str, content: dict[str, Any], weights: list[str]) -> None:
    named = content.get("weight_map")
    if not isinstance(named, dict):
        raise CannotLoad(f"{name} has no weight_map.")
    missing = sorted({str(file) for file in named.values()} - set(weights))
    if missing:
        raise CannotLoad(f"{name} names {missing[0][:80]}, which is not a *.safetensors of the folder.")


def _check_header(folder: Path, name: str) -> None:
    """The first bytes say how long the header is; the header says where each tensor lies."""
    path = folder / name
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 10 or length > min(LARGEST_HEADER, size - 8):
            raise CannotLoad(f"{name} is not a safetensors file, whatever its name says.")
        header = _json(file.read(length).decode("utf-8", errors="replace"), name)
    tensors = {key: value for key, value in header.items() if key != "__metadata__"} if isinstance(header, dict) else {}
    try:
        ends = [int(tensor["data_offsets"][1]) for tensor in tensors.values()]
    except (TypeError, KeyError, IndexError, ValueError) as error:
        raise CannotLoad(f"{name} has a header that does not say where its tensors lie.") from error
    if not ends or max(ends) != size - 8 - length:
        raise CannotLoad(f"{name} is cut off or longer than its header says. Fetch it again.")


# ---- reading -------------------------------------------------------------------------------------------------------


def _check_size(folder: Path, name: str, most: int) -> None:
    size = (folder / name).stat().st_size
    if size > most:
        raise CannotLoad(f"{name} has {size:,} bytes; no more than {most:,} are read of such a file.")


def _text(folder: Path, name: str) -> str:
    try:
        return (folder / name).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise CannotLoad(f"{name} is not UTF-8 text.") from error
