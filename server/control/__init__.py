"""The control protocol: HTTP/1.1 on a Unix socket in the state directory, which only its owner can open.

    GET  /healthz            200 when every zone is well or has only warnings, 503 otherwise; {"level": …}
    GET  /status             `operations.ServerStatus`
    POST /reload             `operations.ReloadReport`
    GET  /zones/{zone}/ds    {"zone": …, "ds": [lines for the parent zone]}
    GET  /shown/status, /shown/ds/{zone}, POST /shown/reload     what a command prints: {"out", "err", "exit"} (`shown`)
    GET  /zones/{zone}/export    a master file (`zones.export`); ?signed=1: with signatures and an NSEC chain
    GET  /zones/{zone}/chain     the chain of trust of an answer (`trust_chain`); ?name=NAME&type=TYPE
    POST /backup             a tar.gz (`server.state.backup_archive`)
    POST /restore            takes such a tar.gz; 202 {"kept": …}, and the server starts again on it

It must not know how anything is shown to a person. Bodies are JSON but for the archives. What fails answers with
{"error": name, "message": sentence}.
"""
