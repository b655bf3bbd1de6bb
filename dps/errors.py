"""What the command line says when something is wrong: one sentence."""

import re

from hydra.errors import InstantiationException, MissingConfigException


def one_line(error: BaseException) -> str:
    """The error as one sentence that names the option, its value and, where Hydra knows them, what would be right."""
    if isinstance(error, MissingConfigException) and error.options:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        return f"{group}={name} is unknown: choose one of {', '.join(error.options)}"
    if isinstance(error, InstantiationException) and error.__cause__ is not None:
        return one_line(error.__cause__)
    text = " ".join(str(error).split())
    if match := re.search(r"Key '(\S+)' is not in struct full_key: (\S+)", text):
        return f"{match[2]} is not an option: `dps --cfg job` lists those there are, and +{match[2]}=VALUE adds one"
    return text or type(error).__name__
