"""Messages of errors as users read them, without what libraries put around them."""

import re
from textwrap import dedent

_TORCHAO = "Optimizers of torchao need the extra low-memory: pip install 'sapiens2-lit[low-memory]'"


def plain_message(error: Exception) -> str:
    """Return the message without the traceback that a data loader's worker puts around it."""
    found = re.findall(r"^sapiens2_lit\.errors\.\w+: (.*)\Z", str(error), flags=re.MULTILINE | re.DOTALL)
    return found[-1].rstrip() if found else str(error)


def parser_message(error: Exception) -> str:
    """Return jsonargparse's message without its lines on each alternative type of the setting, with a missing extra."""
    message = str(error)
    noise = r"(- )?(Does not validate|Subtypes:|Errors:|Given value|Expected a <class 'NoneType'>)"
    lines = [line for line in message.splitlines() if not re.match(rf"\s*{noise}", line)]
    text = dedent("\n".join(re.sub(r"^(\s*)- ", r"\1", line) for line in lines)) or message
    return f"{text}\n{_TORCHAO}" if "No module named 'torchao'" in text else text
