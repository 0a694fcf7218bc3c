"""The scheduler's configuration of a cluster: an object, a file of one, or nothing; and the user's own plugins."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kubesim.api.documents import TextError, read_documents
from kubesim.scheduler.configuration import ConfigurationError, read_configuration
from kubesim.scheduler.contract import Plugin
from kubesim.scheduler.profile import SchedulerConfig

SchedulerSource = SchedulerConfig | Mapping[str, Any] | str | Path


def scheduler_config(source: SchedulerSource | None, plugins: Iterable[type[Plugin]] = ()) -> SchedulerConfig | None:
    """A SchedulerConfig of a KubeSchedulerConfiguration (an object, or the path of a YAML or JSON file); None stays None.

    Raises ConfigurationError (a ValueError) with every problem; those of a file with file and line.
    """
    if source is None or isinstance(source, SchedulerConfig):
        return source
    own = {plugin.name: plugin for plugin in plugins}
    if isinstance(source, Mapping):
        return read_configuration(source, plugins=own)
    if not isinstance(source, str | Path):
        kind = type(source).__name__
        raise ConfigurationError(f"scheduler_config: expected a KubeSchedulerConfiguration or a file of one, got {kind}")
    try:
        documents = [found for found in read_documents(Path(source).read_text(encoding="utf-8")) if found.value is not None]
    except TextError as error:
        raise ConfigurationError(f"{source}:{error.line}: {error}") from error
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigurationError(f"{source}: cannot be read: {reason}; expected a KubeSchedulerConfiguration") from error
    if len(documents) != 1:
        raise ConfigurationError(f"{source}: has {len(documents)} documents; expected one KubeSchedulerConfiguration")
    try:
        return read_configuration(documents[0].value, plugins=own)
    except ConfigurationError as error:
        raise error.at_lines(str(source), documents[0].line_of) from error
