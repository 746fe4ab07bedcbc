"""Where a Kafka cluster is and who we are to it: brokers that Amazon MSK is asked for, credentials out of a variable or a secret."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from json import loads

from fnkit.functions.queues.aws import AwsError, arn_region, aws_client, rest_path
from fnkit.functions.queues.errors import QueueError
from fnkit.functions.queues.spec import QueueSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SECRET = re.compile(r"arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:\S+")
_OFFERS = {
    "PLAINTEXT": ("BootstrapBrokerString",),
    "SSL": ("BootstrapBrokerStringTls", "BootstrapBrokerStringPublicTls"),
    "SASL_SSL": ("BootstrapBrokerStringSaslScram", "BootstrapBrokerStringPublicSaslScram"),
    "": ("BootstrapBrokerStringTls", "BootstrapBrokerString"),
}  # protocol -> what MSK calls the brokers that speak it; without one the safer of the two that ask for no credentials
Ask = Callable[[str, str], "dict[str, Any]"]  # takes a service's name and an ARN, returns what the service says of it


def client_options(spec: QueueSpec, environ: Mapping[str, str], *, ask: Ask | None = None) -> dict[str, object]:
    """Return what librdkafka needs to reach the cluster of *spec*: brokers, protocol, mechanism and credentials.

    AWS is asked by *ask*, once for each that is needed. `QueueError` says what is missing or wrong, never a secret.
    """
    ask = ask or asking(environ)
    brokers, protocol = find_brokers(spec, ask)
    options: dict[str, object] = {"bootstrap.servers": ",".join(brokers)}
    if protocol:
        options["security.protocol"] = protocol
    if spec.credentials:
        username, password = read_credentials(spec, environ, ask)
        options |= {"sasl.mechanism": spec.sasl_mechanism, "sasl.username": username, "sasl.password": password}
    return options


def asking(environ: Mapping[str, str]) -> Ask:
    """Return what asks AWS with the credentials in *environ*."""

    def ask(service: str, arn: str) -> dict[str, Any]:
        client = aws_client(service, environ, region=arn_region(arn))
        try:
            if service == "kafka":
                return client.get(rest_path("v1", "clusters", arn, "bootstrap-brokers"))
            return client.call("GetSecretValue", {"SecretId": arn})
        finally:
            client.close()

    return ask


def find_brokers(spec: QueueSpec, ask: Ask) -> tuple[tuple[str, ...], str]:
    """Return the brokers of *spec*, and the protocol that they speak (`""`: the client library's own choice)."""
    if spec.brokers or not spec.cluster:
        return spec.brokers, spec.security_protocol
    try:
        said = ask("kafka", spec.cluster)
    except AwsError as error:
        raise QueueError(
            f"the brokers of cluster {spec.cluster} cannot be found: {error.message}",
            where=f"queue '{spec.name}'",
            hint=error.hint,
        ) from error
    given = {name[0].upper() + name[1:]: str(value) for name, value in said.items() if value}
    for offer in _OFFERS.get(spec.security_protocol, ()):
        if offer in given:
            protocol = spec.security_protocol or ("SSL" if offer.endswith("Tls") else "")
            return tuple(given[offer].split(",")), protocol
    raise QueueError(
        f"cluster {spec.cluster} has no brokers for {spec.security_protocol or 'clients without credentials'};"
        f" it offers {', '.join(sorted(name for name in given if name.startswith('Bootstrap'))) or 'none'}",
        where=f"queue '{spec.name}'",
        hint="set security_protocol= and credentials= as the cluster asks for them; SASL/SCRAM has to be switched on there",
    )


def read_credentials(spec: QueueSpec, environ: Mapping[str, str], ask: Ask) -> tuple[str, str]:
    """Return the user name and the password that the variable of *spec* holds, or the secret that it names."""
    value = environ.get(spec.credentials, "").strip()
    if not value:
        raise QueueError(
            f"the variable {spec.credentials}, which holds the credentials, is not set", where=f"queue '{spec.name}'", hint=_SHAPE
        )
    if value.startswith("arn:"):
        value = _secret(spec, value, ask)
    try:
        found = loads(value)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(found.get(name), str) for name in ("username", "password")):
        raise QueueError(
            f"what the variable {spec.credentials} holds are no credentials", where=f"queue '{spec.name}'", hint=_SHAPE
        ) from None
    return found["username"], found["password"]


_SHAPE = 'set it to JSON {"username": ..., "password": ...}, or to the ARN of a secret in AWS Secrets Manager that holds this'


def _secret(spec: QueueSpec, arn: str, ask: Ask) -> str:
    where = f"queue '{spec.name}'"
    if not _SECRET.fullmatch(arn):
        raise QueueError(f"the ARN in the variable {spec.credentials} names no secret", where=where, hint=_SHAPE)
    try:
        return str(ask("secretsmanager", arn).get("SecretString") or "")
    except AwsError as error:
        raise QueueError(f"the secret {arn} cannot be read: {error.message}", where=where, hint=error.hint) from error
