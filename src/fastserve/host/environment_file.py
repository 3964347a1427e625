"""The environment file: lines of NAME=VALUE, read as python-dotenv reads them, but strictly."""

from io import StringIO

from fastserve.host import safe_open


def read(path: str, user: int | None = None) -> dict[str, str]:
    """Returns the variables of a file: comments, `export`, quotes and `${NAME}` as python-dotenv has them.

    user: who besides root may own the file when root reads it.
    Raises ValueError that names the file and the wrong line: no bad line is skipped.
    """
    from dotenv import dotenv_values
    from dotenv.parser import parse_stream

    try:
        text = safe_open.read_text(path, user)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 at byte {error.start}") from None
    for each in parse_stream(StringIO(text)):
        # A binding begins with the blank lines before it.
        blank = len(each.original.string) - len(each.original.string.lstrip())
        line = each.original.line + each.original.string[:blank].count("\n")
        if each.error:
            raise ValueError(
                f"{path}, line {line}: it is not of the form NAME=VALUE"
            )  # and not shown: a secret, perhaps
        if each.key is not None and each.value is None:
            raise ValueError(f"{path}, line {line}: {each.key} has no value; write {each.key}= for an empty one")
        if "\0" in each.original.string:
            raise ValueError(f"{path}, line {line}: a NUL")
    return {name: value for name, value in dotenv_values(stream=StringIO(text)).items() if value is not None}
