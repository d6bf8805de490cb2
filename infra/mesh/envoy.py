"""Compiles the policy to Envoy's configurations: of each caller's sidecar, and of the local cloud's ingress.

A product has `@NAMES@` in the places that differ between shops. The sidecar's extension (layers/mesh) and the local
ingress fill them in. Durations are Envoy's texts, such as 0.200s.
"""

from __future__ import annotations

import json
from typing import Any

from infra.mesh.policy import LIVE, METHODS, Call, Environment, Fault, HasHeader, Identity, Policy, Service
from mercato.errors import PROBLEM

ENVIRONMENTS: tuple[Environment, ...] = ("local", "dev", "prod")
REFUSAL = "The mesh's policy does not list this call."

Json = dict[str, Any]
_RETRY = HasHeader.model_validate({"header": "x-mesh-retry", "is": "true"})  # mercato.peers.client sends it
_T = "type.googleapis.com/envoy.extensions."
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
# What Envoy adds to a request after its signature, or changes on the way.
_UNSIGNED = [{"prefix": "x-envoy-"}, {"prefix": "x-forwarded-"}, {"exact": "x-request-id"}]
# The path of each version at the ingress is metadata of its host: a call that a sick version does not get goes to the
# live one, whose path is another. So the path is made, and signed, when the host is known. A resend comes here again,
# with the headers of the attempt before it: the path is made of the one that the route has kept.
_ADD_PREFIX = """function envoy_on_request(handle)
  local headers = handle:headers()
  headers:replace(":path", headers:get("x-mesh-to") .. headers:get("x-mesh-path"))
  headers:remove("x-mesh-to")
end"""


def duration(milliseconds: int) -> str:
    return f"{milliseconds / 1000:.3f}s"


def sidecar(policy: Policy, identity: str) -> Json:
    """Returns {bootstrap, routes by environment, …} of one identity."""
    calls = policy.calls_of(identity)
    faults = max((len(policy.services[name].faults) for name in calls), default=0)
    clusters = [cluster for name in calls for cluster in _clusters(policy, name)]
    # Each of these two is reached by the extension alone, through a socket of its own.
    clusters += [_aws_cluster("secretsmanager", "SECRETS"), _aws_cluster("servicediscovery", "DISCOVERY")]
    listeners = [
        _listener("out", "@OUT@", {"rds": _rds()}, [*(_fault_filter(n) for n in range(faults)), _router()], log=True),
        _listener("aws", "@AWS@", {"route_config": _aws_routes()}, [_router()], log=False),
    ]
    bootstrap = {
        "node": {"id": f"{identity}-sidecar", "cluster": identity},
        "admin": {"address": {"pipe": {"path": "@ADMIN@", "mode": 0o600}}},
        "static_resources": {"listeners": listeners, "clusters": clusters},
        "stats_flush_on_admin": True,  # the extension asks once a minute; a timer would run every five seconds
    }
    return {
        "identity": policy.spiffe_id(identity),
        "is_measured": policy.identities[identity].is_measured,
        "bootstrap": bootstrap,
        "routes": {environment: routes(policy, identity, environment) for environment in ENVIRONMENTS},
    }


def routes(policy: Policy, identity: str, environment: Environment) -> Json:
    """Returns the route configuration as a file of RDS. The weights are those of the live versions: all calls."""
    caller = policy.identities[identity]
    hosts = [
        {
            "name": name,
            "domains": [name],
            "routes": [
                *(
                    route
                    for call in _literal_first(calls)
                    for route in _routes(policy, caller, name, call, environment)
                ),
                _refusing(name),
            ],
        }
        for name, calls in policy.calls_of(identity).items()
    ]
    hosts.append({"name": "none", "domains": ["*"], "routes": [_refusing("unknown")]})
    config = {"@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration", "name": "out"}
    return {"resources": [config | {"virtual_hosts": hosts}]}


def _literal_first(calls: list[Call]) -> list[Call]:
    """A literal path wins over one with a parameter, as in mercato.http."""
    return sorted(calls, key=lambda call: call.path.count("{"))


def _routes(policy: Policy, caller: Identity, name: str, call: Call, environment: Environment) -> list[Json]:
    service = policy.services[name]
    action: Json = {
        "host_rewrite_literal": "@INGRESS_HOST@",
        "timeout": duration(caller.timeout or policy.defaults.timeout),
        "retry_policy": {
            "retry_on": "connect-failure,refused-stream,reset-before-request",
            "num_retries": policy.defaults.resend.attempts - 1,
        },
    }
    if (mirror := service.mirror) and call in mirror.only and mirror.percent:
        action["request_mirror_policies"] = [
            {
                "cluster": f"{name}.{mirror.to}",
                "runtime_fraction": {"default_value": {"numerator": mirror.percent}},
                "disable_shadow_host_suffix_append": True,
            }
        ]
    faults = {f"mesh.fault.{number}": _fault(fault, environment) for number, fault in enumerate(service.faults)}
    kept = {"header": {"key": "x-mesh-path", "value": "%REQ(:PATH)%"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
    own: Json = {"name": f"{name} {call}", "request_headers_to_add": [kept]}
    if faults:
        own["typed_per_filter_config"] = faults
    # A pinned call gets its version or an error, never another version. The retry of any other call gets the live one:
    # a bad version with a tenth of the calls could answer all three tries of one.
    to_one = [(pinned, version.pin) for pinned, version in service.versions.items() if version.pin]
    if len(service.versions) > 1:
        to_one.append((LIVE, _RETRY))
    single = {key: value for key, value in action.items() if key != "request_mirror_policies"}
    chosen = [
        own | {"match": _match(call, header), "route": single | {"cluster": f"{name}.{version}"}}
        for version, header in to_one
    ]
    weighted = [
        {"name": target(name, version), "weight": 100 if version == LIVE else 0} for version in _by_rank(service)
    ]
    return [*chosen, own | {"match": _match(call), "route": action | {"weighted_clusters": {"clusters": weighted}}}]


def _by_rank(service: Service) -> list[str]:
    return sorted(service.versions, key=lambda version: (version != LIVE, version))


def target(service: str, version: str) -> str:
    """Returns the cluster that gets a version's share: the version, and behind it the live one."""
    return f"{service}.{version}" if version == LIVE else f"{service}.{version}+{LIVE}"


def _match(call: Call, pin: HasHeader | None = None) -> Json:
    path: Json = {"path": call.path} if call.is_plain else {"safe_regex": {"regex": call.pattern}}
    return path | {"headers": [_exact(":method", call.method), *([_exact(pin.header, pin.value)] if pin else [])]}


def _exact(header: str, value: str) -> Json:
    return {"name": header, "string_match": {"exact": value}}


def _refusing(service: str) -> Json:
    problem = {"type": PROBLEM + "forbidden", "title": "Not allowed", "status": 403, "detail": REFUSAL}
    return {
        "name": f"{service} refused",
        "match": {"prefix": "/"},
        "direct_response": {"status": 403, "body": {"inline_string": json.dumps(problem)}},
        "response_headers_to_add": [{"header": {"key": "content-type", "value": "application/problem+json"}}],
    }


def _fault(fault: Fault, environment: Environment) -> Json:
    if environment not in fault.environments:
        return {"@type": f"{_T}filters.http.fault.v3.HTTPFault"}
    share = {"percentage": {"numerator": fault.percent}}
    done: Json = (
        {"delay": {"fixed_delay": duration(fault.delay), **share}}
        if fault.delay
        else {"abort": {"http_status": fault.abort, **share}}
    )
    when = {"headers": [_exact(fault.when.header, fault.when.value)]} if fault.when else {}
    return {"@type": f"{_T}filters.http.fault.v3.HTTPFault", **done, **when}


def _fault_filter(number: int) -> Json:
    return {"name": f"mesh.fault.{number}", "typed_config": {"@type": f"{_T}filters.http.fault.v3.HTTPFault"}}


def _router() -> Json:
    return {
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": f"{_T}filters.http.router.v3.Router", "suppress_envoy_headers": True},
    }


def _rds() -> Json:
    return {"route_config_name": "out", "config_source": _file("@ROUTES@")}


def _file(path: str) -> Json:
    return {
        "resource_api_version": "V3",
        "path_config_source": {"path": path, "watched_directory": {"path": "@WATCHED@"}},
    }


def _listener(name: str, path: str, routed: Json, filters: list[Json], *, log: bool) -> Json:
    manager = {
        "@type": f"{_T}filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        # The function is no stranger: only from inside does Envoy take x-envoy-upstream-rq-timeout-ms, the deadline.
        "use_remote_address": True,
        "skip_xff_append": True,
        "internal_address_config": {"unix_sockets": True},
        "generate_request_id": False,
        "normalize_path": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "http_filters": filters,
        **({"access_log": [_access_log()]} if log else {}),
    }
    chain = {"filters": [{"name": "http", "typed_config": manager | routed}]}
    return {"name": name, "address": {"pipe": {"path": path, "mode": 0o600}}, "filter_chains": [chain]}


def _access_log() -> Json:
    """One line for each call, with its name in the policy: the path may hold a capability."""
    line = {
        "level": "INFO",
        "message": "mesh call",
        "timestamp": "%START_TIME%",
        "caller": "@IDENTITY@",
        "call": "%ROUTE_NAME%",
        "version": "%UPSTREAM_METADATA(mesh:version)%",
        "status": "%RESPONSE_CODE%",
        "why": "%RESPONSE_CODE_DETAILS%",
        "flags": "%RESPONSE_FLAGS%",
        "call_ms": "%DURATION%",
        "tries": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
        "correlation_id": "%REQ(X-REQUEST-ID)%",
    }
    return _log("calls", line)


def _log(name: str, line: Json) -> Json:
    log = {"@type": f"{_T}access_loggers.stream.v3.StdoutAccessLog", "log_format": {"json_format": line}}
    return {"name": name, "typed_config": log}


def _clusters(policy: Policy, name: str) -> list[Json]:
    service = policy.services[name]
    found = []
    for version in _by_rank(service):
        found.append(_version_cluster(policy, name, version))
        if version != LIVE:
            both = {
                "@type": f"{_T}clusters.aggregate.v3.ClusterConfig",
                "clusters": [f"{name}.{version}", f"{name}.{LIVE}"],
            }
            found.append(
                _bounds(policy)
                | {
                    "name": target(name, version),
                    "lb_policy": "CLUSTER_PROVIDED",
                    "cluster_type": {"name": "envoy.clusters.aggregate", "typed_config": both},
                }
            )
    return found


def _version_cluster(policy: Policy, name: str, version: str) -> Json:
    about = {"to": f"/{name}/{version}", "version": version}
    host = {"metadata": {"filter_metadata": {"mesh": about}}, "endpoint": {"address": _address("INGRESS")}}
    cluster = _bounds(policy) | {
        "name": f"{name}.{version}",
        "type": "LOGICAL_DNS",
        "dns_lookup_family": "V4_PREFERRED",
        "load_assignment": {"cluster_name": f"{name}.{version}", "endpoints": [{"lb_endpoints": [host]}]},
        "transport_socket": _ingress_tls(),
    }
    if version != LIVE:  # the live version has no other behind it; the shared breaker guards its callers
        cluster["common_lb_config"] = {"healthy_panic_threshold": {"value": 0}}
        cluster["outlier_detection"] = {
            "consecutive_5xx": policy.defaults.eject.after,
            "interval": "1s",
            "base_ejection_time": duration(policy.defaults.eject.pause),
            "max_ejection_percent": 100,
            "enforcing_success_rate": 0,
        }
    return cluster


def _bounds(policy: Policy) -> Json:
    filters = [
        {
            "name": "version",
            "typed_config": {
                "@type": f"{_T}filters.http.header_mutation.v3.HeaderMutation",
                "mutations": {
                    "request_mutations": [
                        {
                            "append": {
                                "header": {"key": "x-mesh-to", "value": "%UPSTREAM_METADATA(mesh:to)%"},
                                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
                            }
                        }
                    ]
                },
            },
        },
        {
            "name": "path",
            "typed_config": {
                "@type": f"{_T}filters.http.lua.v3.Lua",
                "default_source_code": {"inline_string": _ADD_PREFIX},
            },
        },
        *_signing("execute-api"),
    ]
    return {
        "connect_timeout": duration(policy.defaults.connect),
        "circuit_breakers": {
            "thresholds": [
                {
                    "retry_budget": {
                        "budget_percent": {"value": policy.defaults.resend.budget},
                        "min_retry_concurrency": 1,
                    }
                }
            ]
        },
        "typed_extension_protocol_options": _http_options(filters),
    }


def _http_options(filters: list[Json]) -> Json:
    """Connections end after a while, since a new certificate leaves open ones alone. Idle ones end before a long freeze
    of the sandbox does it without a word.
    """
    options = {
        "@type": f"type.googleapis.com/{_HTTP_OPTIONS}",
        "explicit_http_config": {"http_protocol_options": {}},
        "common_http_protocol_options": {
            "idle_timeout": "30s",
            "max_connection_duration": "900s",
            "max_requests_per_connection": 1000,
        },
        "http_filters": filters,
    }
    return {_HTTP_OPTIONS: options}


def _signing(service: str) -> list[Json]:
    signer = {
        "@type": f"{_T}filters.http.aws_request_signing.v3.AwsRequestSigning",
        "service_name": service,
        "region": "@REGION@",
        "match_excluded_headers": _UNSIGNED,
        # A function's role comes in its environment; without this, Envoy asks EC2 for one at each start.
        "credential_provider": {"custom_credential_provider_chain": True, "environment_credential_provider": {}},
    }
    return [
        {"name": "envoy.filters.http.aws_request_signing", "typed_config": signer},
        {
            "name": "envoy.filters.http.upstream_codec",
            "typed_config": {"@type": f"{_T}filters.http.upstream_codec.v3.UpstreamCodec"},
        },
    ]


def _address(name: str) -> Json:
    return {"socket_address": {"address": f"@{name}_ADDRESS@", "port_value": f"@{name}_PORT@"}}


def _ingress_tls() -> Json:
    """Shows the caller's certificate, and trusts the ingress by `trust`, a secret that names whom it may be."""
    context = {
        "@type": f"{_T}transport_sockets.tls.v3.UpstreamTlsContext",
        "sni": "@INGRESS_SNI@",
        "common_tls_context": {
            # Without it, Envoy's upstream ends at TLS 1.2.
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"},
            "tls_certificate_sds_secret_configs": [{"name": "identity", "sds_config": _file("@IDENTITY_FILE@")}],
            "validation_context_sds_secret_config": {"name": "trust", "sds_config": _file("@TRUST_FILE@")},
        },
    }
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}


def _aws_cluster(service: str, name: str) -> Json:
    """An endpoint of AWS, signed for. The extension takes `transport_socket` away where AWS_ENDPOINT_URL has no TLS."""
    context = {
        "@type": f"{_T}transport_sockets.tls.v3.UpstreamTlsContext",
        "sni": f"@{name}_ADDRESS@",
        "common_tls_context": {
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"},
            "validation_context": {
                "trusted_ca": {"filename": "@PUBLIC_AUTHORITIES@"},
                "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": f"@{name}_ADDRESS@"}}],
            },
        },
    }
    host = {"endpoint": {"address": _address(name)}}
    return {
        "name": service,
        "type": "LOGICAL_DNS",
        "dns_lookup_family": "V4_PREFERRED",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": service, "endpoints": [{"lb_endpoints": [host]}]},
        "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": context},
        "typed_extension_protocol_options": _http_options(_signing(service)),
    }


def _aws_routes() -> Json:
    return {
        "name": "aws",
        "virtual_hosts": [
            {
                "name": service,
                "domains": [service],
                "routes": [
                    {
                        "match": {"prefix": "/"},
                        "route": {"cluster": service, "host_rewrite_literal": f"@{name}_HOST@", "timeout": "5s"},
                    }
                ],
            }
            for service, name in (("secretsmanager", "SECRETS"), ("servicediscovery", "DISCOVERY"))
        ],
    }


def ingress(policy: Policy) -> Json:
    """Returns the bootstrap of the local ingress, which does what API Gateway's mutual TLS and IAM do on AWS."""
    rules = {identity: _ingress_rule(policy, identity) for identity in policy.identities}
    rbac = {
        "@type": f"{_T}filters.http.rbac.v3.RBAC",
        "rules": {"action": "ALLOW", "policies": {name: rule for name, rule in rules.items() if rule}},
    }
    proof = {"header": {"key": "x-mesh-proof", "value": "@PROOF@"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
    hosts = [
        {
            "name": "all",
            "domains": ["*"],
            "request_headers_to_add": [proof],
            "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "cloud", "timeout": "30s"}}],
        }
    ]
    manager = {
        "@type": f"{_T}filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "ingress",
        "generate_request_id": False,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "forward_client_cert_details": "SANITIZE_SET",
        "set_current_client_cert_details": {"subject": True, "uri": True},
        "route_config": {"name": "ingress", "virtual_hosts": hosts},
        "http_filters": [{"name": "envoy.filters.http.rbac", "typed_config": rbac}, _router()],
        "access_log": [_ingress_log()],
    }
    tls = {
        "@type": f"{_T}transport_sockets.tls.v3.DownstreamTlsContext",
        "require_client_certificate": True,
        # A resumed session would not show its certificate again.
        "disable_stateless_session_resumption": True,
        "disable_stateful_session_resumption": True,
        "common_tls_context": {
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"},
            "tls_certificate_sds_secret_configs": [{"name": "identity", "sds_config": _file("@IDENTITY_FILE@")}],
            "validation_context_sds_secret_config": {"name": "trust", "sds_config": _file("@TRUST_FILE@")},
        },
    }
    chain = {
        "filters": [{"name": "http", "typed_config": manager}],
        "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": tls},
    }
    listener = {
        "name": "ingress",
        "address": _address("LISTEN"),
        "filter_chains": [chain],
        "access_log": [_ingress_connections()],
    }
    host = {"endpoint": {"address": _address("CLOUD")}}
    cloud = {
        "name": "cloud",
        "type": "LOGICAL_DNS",
        "dns_lookup_family": "V4_ONLY",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": "cloud", "endpoints": [{"lb_endpoints": [host]}]},
    }
    return {
        "node": {"id": "ingress", "cluster": "ingress"},
        "admin": {"address": {"pipe": {"path": "@ADMIN@", "mode": 0o600}}},
        "static_resources": {"listeners": [listener], "clusters": [cloud]},
    }


def _ingress_rule(policy: Policy, identity: str) -> Json | None:
    allowed = [
        _ingress_permission(service, policy.services[service], call)
        for service, calls in policy.calls_of(identity).items()
        for call in calls
    ]
    if not allowed:
        return None
    principal = {"authenticated": {"principal_name": {"exact": policy.spiffe_id(identity)}}}
    return {"permissions": allowed, "principals": [principal]}


def _ingress_permission(name: str, service: Service, call: Call) -> Json:
    versions = "|".join(sorted(service.versions))
    assert call.method in METHODS
    return {
        "and_rules": {
            "rules": [
                {"header": _exact(":method", call.method)},
                {"url_path": {"path": {"safe_regex": {"regex": f"/{name}/({versions}){call.pattern}"}}}},
            ]
        }
    }


def _ingress_connections() -> Json:
    """One line for each connection: one without a valid certificate has no call that could be logged."""
    line = {
        "message": "ingress connection",
        "timestamp": "%START_TIME%",
        "caller": "%DOWNSTREAM_PEER_URI_SAN%",
        "failure": "%DOWNSTREAM_TRANSPORT_FAILURE_REASON%",
    }
    return _log("connections", line)


def _ingress_log() -> Json:
    line = {
        "message": "ingress call",
        "timestamp": "%START_TIME%",
        "caller": "%DOWNSTREAM_PEER_URI_SAN%",
        "method": "%REQ(:METHOD)%",
        "status": "%RESPONSE_CODE%",
        "why": "%RESPONSE_CODE_DETAILS%",
        "failure": "%DOWNSTREAM_TRANSPORT_FAILURE_REASON%",
        "correlation_id": "%REQ(X-REQUEST-ID)%",
    }
    return _log("calls", line)
