"""Say which files stay out of a bundle: tools' leftovers, secrets, and what `.fnkitignore` names.

`.fnkitignore` stands in the project's root and reads like `.gitignore`: a pattern a line, `#` comments, `!` takes a file back,
a leading or inner `/` anchors the pattern to the root, a trailing `/` means folders, `*`, `?`, `[...]` and `**`. The last
pattern that matches decides. Secrets cannot be taken back: a bundle is no place for them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

IGNORE_FILE = ".fnkitignore"

_LEFTOVERS = frozenset(
    ".git .hg .svn .aws-sam .chalice .serverless .fnkit __pycache__ .tox .nox .mypy_cache .ruff_cache .pytest_cache "
    ".hypothesis .vscode .idea .ipynb_checkpoints node_modules .DS_Store .fnkitignore .gitignore .venv".split()
)
_LEFTOVER_PATTERNS = ("*.pyc", "*.pyo", "*.egg-info", "*.swp", "*~")
_SECRET_FOLDERS = frozenset({".aws", ".ssh", ".gnupg", ".docker", ".kube", ".azure"})
_SECRET_PATTERNS = (
    ".env",
    ".env.*",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "*.jks",
    "*.kdbx",
    "id_rsa*",
    "id_dsa*",
    "id_ecdsa*",
    "id_ed25519*",
    ".netrc",
    ".pypirc",
    ".npmrc",
    ".git-credentials",
    ".htpasswd",
)
_NO_SECRETS = frozenset({".env.example", ".env.sample", ".env.template"})


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of `.fnkitignore`: *regex* matches the whole of a path, or of one of its folders."""

    regex: re.Pattern[str]
    keep: bool
    folders_only: bool


def is_leftover(path: PurePosixPath) -> bool:
    """Tell whether *path*, relative to the root, belongs to a tool and not to the project."""
    return any(part in _LEFTOVERS or any(fnmatchcase(part, p) for p in _LEFTOVER_PATTERNS) for part in path.parts)


def is_secret(path: PurePosixPath) -> bool:
    """Tell whether *path*, relative to the root, looks like credentials or a key."""
    if any(part in _SECRET_FOLDERS for part in path.parts[:-1]):
        return True
    name = path.name.lower()
    return name not in _NO_SECRETS and any(fnmatchcase(name, pattern) for pattern in _SECRET_PATTERNS)


def read_rules(root: Path) -> tuple[Rule, ...]:
    """Read the `.fnkitignore` of *root*; no file, no rules."""
    try:
        text = (root / IGNORE_FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return ()
    return parse_rules(text.splitlines())


def parse_rules(lines: Iterable[str]) -> tuple[Rule, ...]:
    """Turn the lines of an ignore file into rules."""
    stripped = (line.rstrip() for line in lines)
    return tuple(_rule(line) for line in stripped if line and not line.startswith("#"))


def is_ignored(path: PurePosixPath, rules: tuple[Rule, ...]) -> bool:
    """Tell whether the last rule that matches *path*, or a folder that holds it, ignores it."""
    ignored = False
    for rule in rules:
        if rule.keep != ignored:  # it could change nothing
            continue
        if _matches(path, rule):
            ignored = not rule.keep
    return ignored


def _matches(path: PurePosixPath, rule: Rule) -> bool:
    folders = [str(parent) for parent in path.parents if parent.parts]
    names = folders if rule.folders_only else [str(path), *folders]
    return any(rule.regex.fullmatch(name) for name in names)


def _rule(line: str) -> Rule:
    keep = line.startswith("!")
    pattern = line[1:] if keep else line.removeprefix("\\")
    folders_only = pattern.endswith("/")
    pattern = pattern.rstrip("/")
    anchored = "/" in pattern
    body = _regex(pattern.removeprefix("/"))
    try:
        regex = re.compile(body if anchored else f"(?:.*/)?{body}")
    except re.error:  # "[z-a]" and the like mean themselves
        regex = re.compile(re.escape(pattern))
    return Rule(regex, keep, folders_only)


def _regex(pattern: str) -> str:
    """Translate the wildcards of *pattern*: `*` and `?` stop at a slash, `**` does not."""
    parts: list[str] = []
    position = 0
    while position < len(pattern):
        for token, meaning in (("**/", "(?:.*/)?"), ("**", ".*"), ("*", "[^/]*"), ("?", "[^/]")):
            if pattern.startswith(token, position):
                parts.append(meaning)
                position += len(token)
                break
        else:
            text, length = _one(pattern, position)
            parts.append(text)
            position += length
    return "".join(parts)


def _one(pattern: str, position: int) -> tuple[str, int]:
    end = pattern.find("]", position + 2)
    if pattern[position] != "[" or end < 0:
        return re.escape(pattern[position]), 1
    inside = pattern[position + 1 : end]
    negated = inside[0] in "!^"
    chars = inside[1:] if negated else inside
    escaped = chars.replace("\\", "\\\\").replace("[", "\\[").replace("^", "\\^")
    return f"[{'^/' if negated else ''}{escaped}]", end - position + 1
