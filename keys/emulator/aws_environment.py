"""STATE/aws/env, to source in a shell: from then on AWS clients find this server, and nothing else.

A missing file, a profile, or a client too old to know endpoints must never lead a command to Amazon. So every service
that is not here has an address on which nothing listens, and for an aws-cli that reads no endpoints from its
environment, `aws` becomes a function that names them, and refuses what is not here.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from keys.custody import private_files

NOWHERE = "http://127.0.0.1:9"
"""Where services go that are not here: the port of "discard", on which nothing listens."""
_COMMANDS = {"route_53": "route53", "kms": "kms", "sts": "sts", "cloudwatch": "cloudwatch"}
"""What aws-cli calls the services, by their names in AWS's configuration files."""
_UNSET = (
    *("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    *("AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"),
    *("AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
    *("AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"),
)
"""What would lead elsewhere, or with other credentials."""


def environment(state: Path, region: str, endpoints: Mapping[str, str]) -> str:
    """The text of the file. `endpoints` are URLs by the service's name in AWS's configuration files."""
    exported = {
        "AWS_CONFIG_FILE": str(state / "aws" / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(state / "aws" / "credentials"),
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": NOWHERE,
    }
    here = {service: endpoints[service] for service in _COMMANDS if service in endpoints}
    exported |= {f"AWS_ENDPOINT_URL_{service.upper()}": url for service, url in here.items()}
    elsewhere = [f"AWS_ENDPOINT_URL_{service.upper()}" for service in _COMMANDS if service not in here]
    hosts = sorted({urlsplit(url).hostname or "" for url in (*here.values(), NOWHERE)})
    cases = [f"      {_COMMANDS[service]}) url={shlex.quote(url)} ;;" for service, url in here.items()]
    return "\n".join(
        [
            "# To source in a shell, so that AWS clients call this server and nothing else: . THIS_FILE && aws …",
            f"unset {' '.join([*_UNSET, *elsewhere])}",
            *(f"export {name}={shlex.quote(value)}" for name, value in exported.items()),
            "# No proxy between this host and itself.",
            *(f'NO_PROXY="${{NO_PROXY:-${{no_proxy:-}}}}"; {_without_proxy(host)}' for host in hosts),
            'export NO_PROXY; no_proxy="$NO_PROXY"; export no_proxy',
            *_FUNCTION_BEGINS,
            *cases,
            *_FUNCTION_ENDS,
            "",
        ]
    )


def write_environment(state: Path, region: str, endpoints: Mapping[str, str]) -> None:
    """Write STATE/aws/env. Blocks; raises `OSError`."""
    text = environment(state.absolute(), region, endpoints)
    private_files.write_private(state / "aws" / "env", text.encode(errors="surrogateescape"))


def _without_proxy(host: str) -> str:
    return f'case ",$NO_PROXY," in *,{host},*) ;; *) NO_PROXY="{host}${{NO_PROXY:+,$NO_PROXY}}" ;; esac'


_FUNCTION_BEGINS = """
# An aws-cli before 1.29 and 2.13 (Debian 12 has 2.9) reads no endpoint from its environment: it is given one.
unset -f aws 2>/dev/null || :
case "$(command aws --version 2>&1)" in
  aws-cli/1.[0-9].* | aws-cli/1.1[0-9].* | aws-cli/1.2[0-8].* | aws-cli/2.[0-9].* | aws-cli/2.1[0-2].*)
  aws() (
    service='' skip=''
    for word in "$@"; do
      if [ -n "$skip" ]; then skip=''; continue; fi
      case "$word" in
      --output | --query | --profile | --region | --color | --ca-bundle | --endpoint-url) skip=1 ;;
      --cli-connect-timeout | --cli-read-timeout | --cli-binary-format) skip=1 ;;
      -*) ;;
      *) service="$word"; break ;;
      esac
    done
    case "$service" in""".splitlines()
_FUNCTION_ENDS = """\
      '' | help | configure) exec aws "$@" ;;
      *) echo "aws: $service is not served here: nothing was sent" >&2; exit 2 ;;
    esac
    exec aws --endpoint-url "$url" "$@"
  ) ;;
esac""".splitlines()
