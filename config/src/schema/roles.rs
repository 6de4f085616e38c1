//! The words of an edge and of a control plane.

use super::{Default, Form, Table, Word};
use crate::roles::{CONNECTIONS_MAX, CONTROL_PLANES_MAX, REQUESTS_MAX, TRUSTED_PROXIES_MAX};

pub(super) static EDGE: Table = Table {
    path: "edge",
    about: "One edge, for `seawall edge --config`.",
    words: &[
        Word {
            name: "id",
            form: Form::Text,
            default: Default::Required,
            about: "Its name in `Cache-Status`, metrics and receipts, unique in the fleet: 1 to 63 of \
                    `a-z 0-9 - _ .`, beginning with a letter.",
        },
        Word {
            name: "place",
            form: Form::Text,
            default: Default::Required,
            about: "Where it stands, such as `fra1`: 1 to 63 of `a-z 0-9 - _ .`, beginning with a letter or digit.",
        },
        Word {
            name: "listen",
            form: Form::Text,
            default: Default::Value("\"127.0.0.1:8080\""),
            about: "Address and port for clients over HTTP; port 0 takes a free one.",
        },
        Word {
            name: "listen_tls",
            form: Form::Text,
            default: Default::None("no TLS"),
            about: "Address and port for clients over TLS.",
        },
        Word {
            name: "admin",
            form: Form::Text,
            default: Default::Value("\"127.0.0.1:9081\""),
            about: "Address and port for `/healthz`, `/readyz` and `/metrics`. Loopback only: it asks for no token.",
        },
        Word {
            name: "control_planes",
            form: Form::Texts {
                max: CONTROL_PLANES_MAX,
            },
            default: Default::Required,
            about: "The control planes it may follow, tried in order: `https://10.0.0.1:9080`; `http` on loopback only.",
        },
        Word {
            name: "state",
            form: Form::Text,
            default: Default::Required,
            about: "The folder of its snapshot. Each edge needs its own.",
        },
        Word {
            name: "cache_bytes",
            form: Form::Size,
            default: Default::None("a quarter of the memory, at most 4 GiB"),
            about: "How much memory stored objects may fill, key, head and body together.",
        },
        Word {
            name: "certs",
            form: Form::Text,
            default: Default::None("a development authority in `state`"),
            about: "The folder of certificates and keys for `listen_tls`.",
        },
        Word {
            name: "peer_certs",
            form: Form::Text,
            default: Default::None("`https` needs it"),
            about: "The folder of what it shows its control planes and whom it trusts there: `ca.pem`, `cert.pem`, \
                    `key.pem`, as `seawall certs` makes them. Read again on SIGHUP, and every hour.",
        },
        Word {
            name: "token_file",
            form: Form::Text,
            default: Default::None("no token"),
            about: "The file with the token, of scope `edge`, that it shows its control planes; not needed with \
                    `peer_certs`. Read again on SIGHUP.",
        },
        Word {
            name: "trusted_proxies",
            form: Form::Texts {
                max: TRUSTED_PROXIES_MAX,
            },
            default: Default::None("nobody"),
            about: "The addresses, and blocks of them, of the load balancers in front of this edge: they are believed \
                    when they say whose request they pass on. What anyone else says of that is thrown away.",
        },
        Word {
            name: "trusted_field",
            form: Form::OneOf(&["x-forwarded-for", "forwarded"]),
            default: Default::Value("\"x-forwarded-for\""),
            about: "The field by which they say it. Of its addresses the last counts that is no trusted proxy itself.",
        },
        Word {
            name: "proxy_protocol",
            form: Form::Switch,
            default: Default::Value("false"),
            about: "Whether connections of trusted proxies begin with a header of the PROXY protocol, version 1 or 2, \
                    before TLS and HTTP. One that does not is closed; nobody else's is looked for one.",
        },
        Word {
            name: "connections_max",
            form: Form::Number {
                min: 1,
                max: CONNECTIONS_MAX,
            },
            default: Default::Value("20000"),
            about: "Connections of clients at once. More wait until one ends.",
        },
        Word {
            name: "connections_per_client_max",
            form: Form::Number {
                min: 1,
                max: CONNECTIONS_MAX,
            },
            default: Default::Value("4000"),
            about: "Of one address, or one IPv6 network of 64 bits; more are closed at once. Trusted proxies have no such \
                    bound, but those for whom they announce a connection by the PROXY protocol do.",
        },
        Word {
            name: "requests_per_connection_max",
            form: Form::Number {
                min: 1,
                max: REQUESTS_MAX,
            },
            default: Default::Value("100000"),
            about: "Requests over HTTP/1 on one connection; it is closed after the last.",
        },
        Word {
            name: "idle_timeout",
            form: Form::Duration,
            default: Default::Value("\"60s\""),
            about: "How long a connection without a request is kept: 1s to 1h.",
        },
    ],
};

pub(super) static CONTROL_PLANE: Table = Table {
    path: "control_plane",
    about: "One control plane, for `seawall control-plane --config`.",
    words: &[
        Word {
            name: "listen",
            form: Form::Text,
            default: Default::Value("\"127.0.0.1:9080\""),
            about: "Address and port of the API and the feed; port 0 takes a free one. Beyond loopback it needs \
                    `peer_certs`.",
        },
        Word {
            name: "store",
            form: Form::OneOf(&["embedded", "etcd"]),
            default: Default::Value("\"embedded\""),
            about: "Where sites and purges are kept: in a database in `state`, or in etcd, shared with other \
                    control planes.",
        },
        Word {
            name: "state",
            form: Form::Text,
            default: Default::Required,
            about: "The folder of the embedded store, or of what a control plane remembers of etcd. Each control plane \
                    needs its own.",
        },
        Word {
            name: "peer_certs",
            form: Form::Text,
            default: Default::None("no TLS"),
            about: "The folder of what it shows edges and whom it trusts: `ca.pem`, `cert.pem`, `key.pem`, as `seawall \
                    certs` makes them. With it the address speaks TLS only. Read again on SIGHUP, and every hour.",
        },
        Word {
            name: "tokens_file",
            form: Form::Text,
            default: Default::None("only certificates are let in"),
            about: "The file with the tokens that are let in, `[[token]]` tables. This or `peer_certs` is needed. Read \
                    again on SIGHUP.",
        },
        Word {
            name: "etcd",
            form: Form::Table(&CONTROL_PLANE_ETCD),
            default: Default::None("no etcd"),
            about: "How to reach etcd.",
        },
    ],
};

pub(super) static CONTROL_PLANE_ETCD: Table = Table {
    path: "control_plane.etcd",
    about: "How to reach etcd, for `store = \"etcd\"`.",
    words: &[
        Word {
            name: "endpoints",
            form: Form::Texts { max: 16 },
            default: Default::Required,
            about: "The members of the etcd cluster, each with its port, all `http` or all `https`: \
                    `http://127.0.0.1:2379`. One is asked until it fails, then the next.",
        },
        Word {
            name: "ca",
            form: Form::Text,
            default: Default::None("`https` needs it"),
            about: "PEM file with the authority that signs the members' certificates.",
        },
        Word {
            name: "cert",
            form: Form::Text,
            default: Default::None("no certificate of its own"),
            about: "PEM file with the certificate that the control plane shows to etcd.",
        },
        Word {
            name: "key",
            form: Form::Text,
            default: Default::None("`cert` needs it"),
            about: "PEM file with the key of `cert`.",
        },
        Word {
            name: "username",
            form: Form::Text,
            default: Default::None("no user"),
            about: "Whom etcd knows the control plane as. Over `https` only, except on loopback.",
        },
        Word {
            name: "password_file",
            form: Form::Text,
            default: Default::None("`username` needs it"),
            about: "The file with the user's password; one line.",
        },
    ],
};

pub(super) static TOKEN: Table = Table {
    path: "token",
    about: "One token that a control plane lets in, for the file `tokens_file`. `seawall token` makes them.",
    words: &[
        Word {
            name: "name",
            form: Form::Text,
            default: Default::Required,
            about: "Who it was given to, as the audit log calls them: 1 to 63 of `a-z 0-9 - _ .`.",
        },
        Word {
            name: "sha256",
            form: Form::Text,
            default: Default::Required,
            about: "The SHA-256 of the token, in hexadecimal. A token has 256 random bits, so a fast hash is enough.",
        },
        Word {
            name: "scopes",
            form: Form::Texts { max: 4 },
            default: Default::Required,
            about: "What it may do: `read` sites, receipts, edges and the feed; `purge`, and see its receipts; `write` \
                    sites, and deregister edges; be an `edge`.",
        },
        Word {
            name: "sites",
            form: Form::Texts {
                max: crate::tokens::TOKEN_SITES_MAX,
            },
            default: Default::None("all sites"),
            about: "The sites it is limited to: reading these, writing them but for new hosts, and purging them as a \
                    whole, or hosts, prefixes and URLs of hosts that they name exactly. Tags belong to no site, so \
                    not those.",
        },
        Word {
            name: "edges",
            form: Form::Texts {
                max: crate::tokens::TOKEN_EDGES_MAX,
            },
            default: Default::None("any edge"),
            about: "The ids of the edges it may be. Better: a certificate for each, from `seawall certs`.",
        },
    ],
};
